"""From the annotations of a state to a trace in nm of the volume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from viewer_states import NM, dims, local, points, state

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.neuroglancer import State, VolumeSource, read_state

P = [[10, 20, 30], [11.5, 22, 29], [14, 25.25, 33]]
# P in voxels of 8 x 8 x 40 nm, zyx nm
P_NM = [[1200, 160, 80], [1160, 176, 92], [1320, 202, 112]]


def traced(raw: dict[str, Any], **options: Any) -> list[list[float]]:
    return read_state(raw).trace(**options).points_nm.tolist()


def never(volume: VolumeSource) -> tuple[float, float, float]:
    raise AssertionError("the resolution must not be asked for")


def refused(raw: dict[str, Any], says: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        read_state(raw).trace(**options)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    return message


def test_em_neurite(em_state: Path) -> None:
    """The real state, or its twin: voxel corners times voxel size, in the order of the file."""
    raw = json.loads(em_state.read_text())
    positions = np.array([a["point"] for a in raw["layers"][1]["annotations"]])
    found = read_state(em_state)
    np.testing.assert_array_equal(
        found.trace(resolution_nm=never).points_nm, (positions * [32, 32, 40])[:, ::-1]
    )
    volume = found.volume_source()
    assert volume.kind == "segmentation"
    assert volume.url == f"precomputed://file://{em_state.parent.as_posix()}/neurons"
    assert volume.transform is None


def test_plain_points_need_no_resolution() -> None:
    assert traced(state(points(*P)), resolution_nm=never) == P_NM


def test_own_dimensions_of_the_annotations_win() -> None:
    source = local(dims(4, 4, 20))
    half = (np.array(P_NM) / 2).tolist()
    assert traced(state(points(*P), source=source), resolution_nm=never) == half
    assert traced(state(points(*P), source=[source])) == half


@pytest.mark.parametrize("unit", ["m", "nm", "um", "µm", "mm", "Å", "pm"])
def test_units(unit: str) -> None:
    scale = {"m": 1e-9, "nm": 1, "um": 1e-3, "µm": 1e-3, "mm": 1e-6, "Å": 10, "pm": 1000}[unit]
    dimensions = {"x": [8 * scale, unit], "y": [8 * scale, unit], "z": [40 * scale, unit]}
    assert traced(state(points(*P), dimensions=dimensions)) == P_NM


def test_dimensions_are_matched_by_name() -> None:
    zyx = [p[::-1] for p in P]
    dimensions = dims(40, 8, 8, names="zyx")
    assert traced(state(points(*zyx), dimensions=dimensions)) == P_NM
    assert traced(state(points(*zyx), source=local(dimensions))) == P_NM


def test_other_dimensions_are_left_out() -> None:
    time = {"t": [0.1, "s"], **dims(8, 8, 40), "c^": [1, ""]}
    rows = [[7, *p, 3] for p in P]
    assert traced(state(points(*rows), dimensions=time)) == P_NM
    assert traced(state(points(*rows), source=local(time))) == P_NM


def test_the_first_volume_gives_the_dimensions_where_the_state_has_none() -> None:
    raw = state(points(*P), dimensions={})
    with pytest.warns(Notice, match="no dimensions: the positions of layer 'trace' are taken"):
        assert traced(raw, resolution_nm=(40, 8, 8)) == P_NM
    raw["layers"][0]["source"] = {
        "url": "gs://b/p",
        "transform": {"outputDimensions": dims(8, 8, 40)},
    }
    with pytest.warns(Notice, match="layer 'em'"):
        assert traced(raw, resolution_nm=never) == P_NM


def test_voxels_are_those_of_the_finest_level() -> None:
    dimensions = dims(1, 1, 1, unit="")
    asked: list[str] = []

    def resolution(volume: VolumeSource) -> tuple[float, float, float]:
        asked.append(volume.url)
        return (40, 8, 8)

    raw = state(points(*P), dimensions=dimensions)
    assert traced(raw, resolution_nm=resolution) == P_NM
    assert asked == ["precomputed://gs://b/p"]
    assert traced(state(points(*P), source=local(dimensions)), resolution_nm=(40, 8, 8)) == P_NM
    double = dims(2, 2, 2, unit="")
    wanted = (2 * np.array(P_NM)).tolist()
    assert traced(state(points(*P), dimensions=double), resolution_nm=(40, 8, 8)) == wanted


def test_voxels_and_nm_may_be_mixed() -> None:
    dimensions = {"x": [1, ""], "y": [8, "nm"], "z": [1, ""]}
    raw = state(points(*P), dimensions=dimensions)
    assert traced(raw, resolution_nm=(40, 8, 8)) == P_NM


def test_voxels_of_a_permuted_volume() -> None:
    """The image's x lies along the global z: a voxel along z is 8 nm long."""
    transform = {
        "outputDimensions": dims(1, 1, 1, unit=""),
        "matrix": [[0, 0, 1, 5], [0, 1, 0, 0], [1, 0, 0, 0]],
    }
    raw = state(
        points([5 + 30, 20, 10], [5 + 29, 22, 11.5]),
        image={"url": "gs://b/p", "transform": transform},
        dimensions=dims(1, 1, 1, unit=""),
    )
    assert traced(raw, resolution_nm=(40, 8, 8)) == P_NM[:2]


def test_the_volumes_own_voxel_size_is_read_when_it_is_needed(tmp_path: Path) -> None:
    """Through `open_volume`: the info file says 40 x 8 x 8 nm, whatever its offset."""
    scale = {
        "chunk_sizes": [[64, 64, 64]],
        "encoding": "raw",
        "key": "8_8_40",
        "resolution": [8, 8, 40],
        "size": [100, 100, 100],
        "voxel_offset": [5, 6, 7],
    }
    info = {
        "@type": "neuroglancer_multiscale_volume",
        "data_type": "uint8",
        "num_channels": 1,
        "type": "image",
        "scales": [scale],
    }
    (tmp_path / "em").mkdir()
    (tmp_path / "em" / "info").write_text(json.dumps(info))
    path = tmp_path / "state.json"
    raw = state(points(*P), image="precomputed://file://./em", dimensions=dims(1, 1, 1, unit=""))
    path.write_text(json.dumps(raw))
    assert read_state(path).trace().points_nm.tolist() == P_NM


# transforms --------------------------------------------------------------------------------


def test_translated_image() -> None:
    """Neuroglancer's own form: the translation is in units of the output dimension."""
    transform = {
        "outputDimensions": dims(4, 4, 20),
        "matrix": [[1, 0, 0, 10], [0, 1, 0, -20], [0, 0, 1, 5]],
    }
    raw = state(points(*P), image={"url": "gs://b/p", "transform": transform})
    wanted = np.array(P_NM) - [5 * 20, -20 * 4, 10 * 4]
    assert traced(raw, resolution_nm=never) == wanted.tolist()


def test_another_voxel_size_in_the_transform() -> None:
    """Input dimensions of 16 nm for voxels of 8 nm: the volume is drawn twice as large."""
    transform = {"outputDimensions": dims(8, 8, 40), "inputDimensions": dims(16, 16, 80)}
    raw = state(points(*P), image={"url": "gs://b/p", "transform": transform})
    half = (np.array(P_NM) / 2).tolist()
    assert traced(raw, resolution_nm=(40, 8, 8)) == half
    same = {"outputDimensions": dims(8, 8, 40), "inputDimensions": dims(8, 8, 40)}
    raw = state(points(*P), image={"url": "gs://b/p", "transform": same})
    assert traced(raw, resolution_nm=(40, 8, 8)) == P_NM
    other_order = {
        "outputDimensions": dims(40, 8, 8, names="zyx"),
        "inputDimensions": dims(40, 8, 8, names="zyx"),
    }
    raw = state(points(*P), image={"url": "gs://b/p", "transform": other_order})
    assert traced(raw, resolution_nm=(40, 8, 8)) == P_NM


def test_volume_drawn_in_other_dimensions() -> None:
    """Renamed outputs: the annotations must have them."""
    transform = {"outputDimensions": dims(8, 8, 40, names="abc")}
    image = {"url": "gs://b/p", "transform": transform}
    raw = state(points(*P), image=image, source=local(dims(40, 8, 8, names="cab")))
    raw["layers"][1]["annotations"] = points(*[[p[2], p[0], p[1]] for p in P])
    assert traced(raw) == P_NM
    refused(state(points(*P), image=image), "layer 'trace': it has no dimension 'a'")


def test_volume_with_channels_and_time() -> None:
    transform = {
        "outputDimensions": {"t": [1, "s"], **dims(8, 8, 40), "c^": [1, ""]},
        "sourceRank": 4,
        "inputDimensions": {**dims(8, 8, 40), "c^": [1, ""], "t": [1, "s"]},
        "matrix": [
            [0, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 0, 3],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 1, 0, 0, 0],
            [0, 0, 0, 1, 0, 0],
        ],
    }
    raw = state(points(*P), image={"url": "gs://b/p", "transform": transform})
    wanted = (np.array(P_NM) - [0, 0, 24]).tolist()
    assert traced(raw, resolution_nm=(40, 8, 8)) == wanted


def test_legacy_layer_transform() -> None:
    """4 x 4, xyz, nm."""
    raw = state(points(*P))
    raw["layers"][0]["transform"] = [[2, 0, 0, 8], [0, 1, 0, 0], [0, 0, 1, -40], [0, 0, 0, 1]]
    wanted = [[z + 40, y, (x - 8) / 2] for z, y, x in P_NM]
    assert traced(raw, resolution_nm=never) == wanted


_axes = st.permutations("xyz").map("".join)
_scale = st.sampled_from([1.0, 4.0, 8.0, 32.0, 40.0, 33.3, 0.5])
_unit = st.sampled_from(["m", "nm", "um", "µm", "mm", "Å"])
_shift = st.floats(-1000, 1000).map(lambda x: round(x, 3))
_factor = st.floats(0.1, 10).map(lambda x: round(x, 3))


@st.composite
def _dims(draw: st.DrawFn, names: str) -> dict[str, list[Any]]:
    found = {}
    for name in names:
        unit = draw(_unit)
        found[name] = [draw(_scale) / NM[unit], unit]
    return found


@st.composite
def _affine(draw: st.DrawFn) -> list[list[float]]:
    """3 x 4, well conditioned: permutation x scale (either sign), sometimes a rotation too."""
    matrix = np.eye(3)[list(draw(st.permutations(range(3))))]
    matrix = matrix * [draw(_factor) * draw(st.sampled_from([1, -1])) for _ in range(3)]
    if draw(st.booleans()):
        a, b = draw(st.floats(-3, 3)), draw(st.floats(-3, 3))
        c, s = np.cos([a, b]), np.sin([a, b])
        about_z = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, c[1], -s[1]], [0, s[1], c[1]]])
        matrix = about_z @ matrix @ about_x
    return np.column_stack([matrix, [draw(_shift) for _ in range(3)]]).tolist()


def sizes(dimensions: dict[str, list[Any]]) -> np.ndarray:
    return np.array([scale * NM[unit] for scale, unit in dimensions.values()])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_pair_of_transforms(data: st.DataObject) -> None:
    """Points chosen in the volume, carried to annotation coordinates by plain linear algebra."""
    draw = data.draw
    resolution = np.array([draw(_scale) for _ in range(3)])  # xyz
    image = {"outputDimensions": draw(_dims(draw(_axes))), "matrix": draw(_affine())}
    own_size = draw(st.booleans())
    if own_size:
        image["inputDimensions"] = draw(_dims("xyz"))
    notes = {"outputDimensions": draw(_dims(draw(_axes))), "matrix": draw(_affine())}
    inputs = notes["outputDimensions"]
    if draw(st.booleans()):
        inputs = notes["inputDimensions"] = draw(_dims("xyz"))
    xyz = np.array([[draw(st.floats(-1e4, 1e4)) for _ in range(3)] for _ in range(2)]).T

    # volume nm -> voxels -> the size the transform gives them -> physical global space
    drawn = (
        xyz / resolution[:, None] * sizes(image["inputDimensions"])[:, None] if own_size else xyz
    )
    matrix = np.array(image["matrix"])
    shift = matrix[:, 3] * sizes(image["outputDimensions"])
    by_name = dict(
        zip(image["outputDimensions"], matrix[:, :3] @ drawn + shift[:, None], strict=True)
    )
    # -> the annotations' order of dimensions -> backwards through their transform
    world = np.array([by_name[name] for name in notes["outputDimensions"]])
    matrix = np.array(notes["matrix"])
    shift = matrix[:, 3] * sizes(notes["outputDimensions"])
    positions = np.linalg.inv(matrix[:, :3]) @ (world - shift[:, None]) / sizes(inputs)[:, None]

    raw = state(
        points(*positions.T.tolist()),
        image={"url": "gs://b/p", "transform": image},
        source={"url": "local://annotations", "transform": notes},
    )
    found = read_state(raw).points_nm(resolution_nm=resolution[::-1])
    np.testing.assert_allclose(found, xyz[::-1].T, rtol=1e-9, atol=1e-5)


def _image(**transform: Any) -> dict[str, Any]:
    return {"url": "gs://b/p", "transform": {"outputDimensions": dims(8, 8, 40), **transform}}


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (_image(matrix=[[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]), "it cannot be inverted"),
        (_image(matrix=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), "go to 2 dimensions"),
        (_image(sourceRank=2), "it has 2 dimensions, the volume has 3"),
        (_image(outputDimensions=dims(8, 8, names="xy")), "it has 2 dimensions"),
        (_image(outputDimensions=dims(8, 8, 1, unit="s")), "'x' is in 's', no length"),
        (_image(outputDimensions=dims(8, 8, 1, unit="furlong")), "'x' is in 'furlong'"),
        (_image(outputDimensions=dims(8, 8, 40, names=["x", "y", "z'"])), "no global dimension"),
        (_image(inputDimensions=dims(8, 8, 40, names="ijk")), "i, j, k instead of x, y, z"),
        (_image(inputDimensions=dims(8, 8, 40, unit="Hz")), "'x' is in 'Hz'"),
        (
            _image(
                outputDimensions=dims(8, 8, 40, 1, names="xyzt"),
                matrix=[[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]],
            ),
            "it mixes x, y and z with other dimensions",
        ),
        (
            _image(
                outputDimensions=dims(8, 8, 40, 1, names="xyzt"),
                matrix=[[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 1, 0]],
            ),
            "go to 4 dimensions",
        ),
    ],
)
def test_image_transforms_that_are_refused(image: dict[str, Any], why: str) -> None:
    message = refused(state(points(*P), image=image), why)
    assert message.startswith("layer 'em': its transform is not supported yet (")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (local(dims(8, 8, 1, unit="s")), "'x' is in 's', no length"),
        (local(dims(8, 8, 40), matrix=[[0] * 4] * 3), "nothing goes to 'x'"),
        (local(dims(8, 8, 40), matrix="no"), "not made of numbers"),
        (
            local(dims(1, 1, 1, unit=""), matrix=[[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]),
            "voxels in a matrix that mixes dimensions",
        ),
    ],
)
def test_annotation_transforms_that_are_refused(source: dict[str, Any], why: str) -> None:
    message = refused(state(points(*P), source=source), why, resolution_nm=(40, 8, 8))
    assert message.startswith("layer 'trace': its transform is not supported yet (")


def test_voxels_of_a_rotated_anisotropic_volume_have_no_length() -> None:
    turned = _image(matrix=[[0.6, 0, -0.8, 0], [0, 1, 0, 0], [0.8, 0, 0.6, 0]])
    raw = state(points(*P), image=turned, dimensions=dims(1, 1, 1, unit=""))
    refused(raw, "a voxel along 'x' has no single length", resolution_nm=(40, 8, 8))
    found = np.array(traced(raw, resolution_nm=(8, 8, 8)))[:, ::-1]
    turn = np.array([[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]])
    np.testing.assert_allclose(found @ turn.T, 8 * np.array(P), rtol=1e-12)


@pytest.mark.parametrize("bad", [(8, 8), (0, 8, 8), (float("nan"), 8, 8), ("a", 8, 8)])
def test_bad_resolutions(bad: tuple[float, ...]) -> None:
    raw = state(points(*P), dimensions=dims(1, 1, 1, unit=""))
    refused(raw, "resolution_nm must be 3 numbers above 0, zyx", resolution_nm=bad)


# which annotations -------------------------------------------------------------------------


def polyline(id_: str, rows: Any, **more: Any) -> dict[str, Any]:
    return {"type": "polyline", "id": id_, "points": rows, **more}


BOX = {"type": "axis_aligned_bounding_box", "id": "b", "pointA": [9, 9, 9], "pointB": [1, 1, 1]}
LINE = {"type": "line", "id": "l", "pointA": P[1], "pointB": P[0]}
BALL = {"type": "ellipsoid", "id": "e", "center": [1, 2, 3], "radii": [1, 1, 1]}


def test_a_polyline() -> None:
    assert traced(state([polyline("a", P)])) == P_NM


def test_several_candidates_are_listed() -> None:
    first = polyline("a", P, description="left\nnerve")
    raw = state([*points(*P), first, polyline("b", P[:2])])
    message = refused(raw, "layer 'trace' has several traces; choose one with --annotation-id: ")
    assert message.endswith(
        "'points' (the 3 single points); 'a' (3 points, left nerve); 'b' (2 points)"
    )
    assert traced(raw, annotation_id="b") == P_NM[:2]
    assert traced(raw, annotation_id="points") == P_NM
    refused(raw, "no annotation with the id 'c'; it has: 'points' (the 3", annotation_id="c")
    refused(raw, "annotation '1' is of type 'point', which makes no trace", annotation_id="1")
    many = state([polyline(str(i), P) for i in range(20)])
    assert refused(many, "choose one with --annotation-id").endswith("and 8 more")


def test_other_annotations_are_left_out_and_counted() -> None:
    raw = state([BOX, *points(*P), LINE, BALL, LINE, {"type": "blob"}])
    with pytest.warns(Notice, match="2 lines") as caught:
        assert traced(raw) == P_NM
    assert str(caught[0].message) == (
        "layer 'trace': 1 box, 2 lines, 1 ellipsoid, 1 'blob' left out of the trace"
    )
    assert traced(state([*points(*P), LINE]), annotation_id="l") == [P_NM[1], P_NM[0]]
    refused(
        raw,
        "annotation 'b' is of type 'axis_aligned_bounding_box', which makes no trace",
        annotation_id="b",
    )


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ([], "layer 'trace' has no annotations; a trace needs points or a polyline"),
        (None, "layer 'trace' has no annotations"),
        ([BOX, LINE], "has 1 box, 1 line, but a trace needs points"),
        (points(P[0]), "a trace needs at least 2 points; this one has 1"),
        ([polyline("a", [])], "a trace needs at least 2 points; this one has 0"),
        (points(P[0], P[0]), "all 2 points of the trace lie on one spot"),
        ({"a": 1}, "layer 'trace': its annotations must be a list"),
        ([1], "layer 'trace': annotation 0 is not an object"),
        ([{"id": "a"}], "layer 'trace': annotation 0 has no type"),
        ([{"type": "point", "id": "a"}], "annotation 0 ('a'): point must be a list of 3 numbers"),
        ([{"type": "point", "point": ["1", 2, 3]}], "point must be a list of 3 numbers"),
        ([{"type": "point", "point": [1, 2]}], "point has 2 numbers; its layer has 3 dimensions"),
        (points([1, 2, float("nan")]), "annotation 0 ('0'): point is not finite"),
        (points([1, 2, 10**400]), "annotation 0 ('0'): point is not finite"),
        ([{"type": "polyline", "id": "p"}], "annotation 0 ('p'): a polyline needs a list"),
        ([polyline("p", [[1, 2, 3], 4])], "('p'): point 1 must be a list of 3 numbers"),
    ],
)
def test_nothing_to_trace(annotations: Any, says: str) -> None:
    refused(state(annotations), says)


def test_layers_are_chosen_by_name() -> None:
    raw = state(points(*P))
    raw["layers"].append({"type": "segmentation", "name": "seg", "source": "gs://b/q"})
    raw["layers"].append({"type": "annotation", "name": "notes", "source": "local://annotations"})
    found: State = read_state(raw)
    refused(raw, "the state has several annotation layers; choose one with --annotation-layer: ")
    refused(raw, "'em', 'seg'", layer="trace")
    refused(raw, "no annotation layer 'x'; the annotation layers are: 'trace', 'notes'", layer="x")
    refused(
        raw, "no image layer 'x'; the image layers are: 'em', 'seg'", layer="trace", image_layer="x"
    )
    assert traced(raw, layer="trace", image_layer="seg") == P_NM
    assert found.volume_source("seg").kind == "segmentation"
    assert found.volume_source("em").kind == "image"


def test_states_without_what_is_needed() -> None:
    refused({"layers": []}, "the state has no annotation layer")
    only_points = {"layers": state(points(*P))["layers"][1:]}
    refused(only_points, "the state has no image layer")


def test_annotations_elsewhere_are_refused_by_name() -> None:
    message = refused(state([], source="precomputed://https://h/ann?token=secret"), "not supported")
    assert message == (
        "layer 'trace': annotations in precomputed://https://h/ann are not supported yet; "
        "only those in the state itself (local://annotations) are"
    )


def test_closed_and_tolerance_are_passed_on() -> None:
    trace = read_state(state(points(*P))).trace(closed=True, tolerance_nm=3)
    assert trace.closed
    assert trace.tolerance_nm == 3


# old states --------------------------------------------------------------------------------


def old(**layer: Any) -> dict[str, Any]:
    pose = {"position": {"voxelSize": [8, 8, 40], "voxelCoordinates": [1, 2, 3]}}
    return {
        "layers": {
            "em": {"type": "image", "source": "precomputed://gs://b/p"},
            "plain": "precomputed://gs://b/q",
            "trace": {"type": "pointAnnotation", "linkedSegmentationLayer": "em", **layer},
        },
        "navigation": {"pose": pose, "zoomFactor": 8},
    }


def test_old_state() -> None:
    raw = old(points=P)
    assert [layer.name for layer in read_state(raw).layers] == ["em", "plain", "trace"]
    assert [d.nm for d in read_state(raw).dimensions or ()] == [8, 8, 40]
    assert traced(raw, image_layer="em", resolution_nm=never) == P_NM
    assert traced(old(annotations=points(*P)), image_layer="em") == P_NM


def test_voxel_size_of_an_old_layer() -> None:
    half = (np.array(P_NM) / 2).tolist()
    assert traced(old(points=P, voxelSize=[4, 4, 20]), image_layer="em") == half


def test_transform_of_an_old_annotation_layer() -> None:
    """In nm; its inputs are voxels of `voxelSize`, without one nm."""
    shift = [[1, 0, 0, 100], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    raw = old(points=P, voxelSize=[8, 8, 40], transform=shift)
    assert traced(raw, image_layer="em") == [[z, y, x + 100] for z, y, x in P_NM]
    raw = old(points=P, transform=shift)
    assert traced(raw, image_layer="em") == [[z, y, x + 100] for x, y, z in P]


@pytest.mark.parametrize("size", [[8, 8], 8, "eight", [8, 8, 0], [8, 8, "a"]])
def test_bad_voxel_sizes(size: Any) -> None:
    refused(old(points=P, voxelSize=size), "layer 'trace': voxelSize", image_layer="em")


@pytest.mark.parametrize("bad", [{"x": 1}, [1, 2], [[1, 2]], [[1, 2, "3"]]])
def test_bad_old_points(bad: Any) -> None:
    refused(old(points=bad), "layer 'trace': ", image_layer="em")


def test_old_points_in_a_space_of_another_rank() -> None:
    raw = state(None, dimensions={**dims(8, 8, 40), "t": [1, "s"]}, points=P)
    refused(raw, "its points have 3 numbers; it has 4 dimensions")
