"""Writing states, and reading them back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import neuroglancer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer import (
    AnnotationLayer,
    ImageLayer,
    SegmentationLayer,
    build_state,
    make_link,
    read_state,
    write_state,
)

RESOLUTION = (40, 8, 8)
POINTS = np.array([[1200.5, 160, 80], [1160, 176.25, 92], [1320, 202, 112]])


def test_the_numbers_in_the_file() -> None:
    """Positions are xyz in voxels, whole numbers being corners."""
    raw = build_state(
        [
            ImageLayer("em", "gs://b/em", settings={"visible": False}),
            SegmentationLayer("seg", "gs://b/seg", segments=[7, 2**63]),
            AnnotationLayer("trace", [[40, 16, 24]], {"path": [[0, 8, 16], [40, 0, 4]]}, ["end"]),
        ],
        resolution_nm=RESOLUTION,
        position_nm=(400, 80, 160),
        selected="trace",
    )
    xyz = {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [4e-8, "m"]}
    assert raw == {
        "dimensions": xyz,
        "position": [20, 10, 10],
        "layers": [
            {
                "type": "image",
                "name": "em",
                "source": "precomputed://gs://b/em",
                "visible": False,
            },
            {
                "type": "segmentation",
                "name": "seg",
                "source": "precomputed://gs://b/seg",
                "segments": ["7", "9223372036854775808"],
            },
            {
                "type": "annotation",
                "name": "trace",
                "source": {
                    "url": "local://annotations",
                    "transform": {"outputDimensions": xyz},
                },
                "tab": "annotations",
                "annotations": [
                    {"type": "point", "id": "0", "point": [3, 2, 1], "description": "end"},
                    {"type": "polyline", "id": "path", "points": [[2, 1, 0], [0.5, 0, 1]]},
                ],
            },
        ],
        "selectedLayer": {"layer": "trace", "visible": True},
        "layout": "4panel",
    }


def test_the_neuroglancer_package_opens_it() -> None:
    raw = build_state(
        [
            ImageLayer("em", "gs://b/em", translation_nm=(40, 0, 4)),
            SegmentationLayer("seg", "gs://b/seg", segments=[7]),
            AnnotationLayer("trace", POINTS, [POINTS[:2]]),
        ],
        resolution_nm=RESOLUTION,
        position_nm=POINTS[0],
    )
    viewer = neuroglancer.parse_url(make_link(raw))
    np.testing.assert_allclose(viewer.dimensions.scales, [8e-9, 8e-9, 4e-8], rtol=1e-15)
    assert list(viewer.dimensions.units) == ["m", "m", "m"]
    assert list(viewer.layers["seg"].segments) == [7]
    trace = viewer.layers["trace"]
    xyz = POINTS[:, ::-1] / [8, 8, 40]
    kept = [a.point for a in trace.annotations[:3]]  # the package keeps float32
    np.testing.assert_array_equal(kept, xyz.astype(np.float32))
    np.testing.assert_array_equal(trace.annotations[3].points, xyz[:2])
    matrix = viewer.layers["em"].source[0].transform.matrix
    np.testing.assert_allclose(matrix, [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 1]])


@given(
    points=hnp.arrays(float, (4, 3), elements=st.floats(-4e6, 4e6), unique=True),
    resolution=hnp.arrays(float, 3, elements=st.floats(0.01, 1e4)),
)
def test_points_come_back(points: np.ndarray, resolution: np.ndarray) -> None:
    raw = build_state(
        [ImageLayer("em", "gs://b/em"), AnnotationLayer("t", points[:2], [points[2:]])],
        resolution_nm=resolution,
    )
    found = read_state(json.dumps(raw))
    ids = found.layer("t").raw["annotations"][-1]["id"]
    # 1e-9 nm, or the last place of a float where that is larger
    close: dict[str, Any] = {"atol": 1e-9, "rtol": 7e-16}
    np.testing.assert_allclose(found.points_nm(annotation_id="points"), points[:2], **close)
    np.testing.assert_allclose(found.points_nm(annotation_id=ids), points[2:], **close)


def test_a_translated_volume_comes_back() -> None:
    raw = build_state(
        [
            ImageLayer("em", "gs://b/em", translation_nm=(3.5, -8, 100)),
            AnnotationLayer("t", POINTS),
        ],
        resolution_nm=RESOLUTION,
    )
    np.testing.assert_allclose(
        read_state(raw).points_nm(), POINTS - [3.5, -8, 100], atol=1e-9, rtol=0
    )


def test_files_and_relative_sources(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    layers = [
        ImageLayer("inside", tmp_path / "out" / "em"),
        SegmentationLayer("beside", tmp_path / "se g"),
        AnnotationLayer("trace", POINTS),
    ]
    path = tmp_path / "out" / "state.json"
    assert write_state(path, layers, resolution_nm=RESOLUTION, relative=True) == path
    sources = [layer["source"] for layer in json.loads(path.read_text())["layers"][:2]]
    assert sources == ["precomputed://file://./em", "precomputed://file://../se g"]
    found = read_state(path)
    np.testing.assert_allclose(found.trace(image_layer="beside").points_nm, POINTS, atol=1e-9)
    moved = tmp_path / "moved"
    (tmp_path / "out").rename(moved)
    base = f"precomputed://file://{tmp_path.as_posix()}"
    found = read_state(moved / "state.json")
    assert found.volume_source("inside").url == f"{base}/moved/em"
    assert found.volume_source("beside").url == f"{base}/se g"
    write_state(moved / "absolute.json", layers, resolution_nm=RESOLUTION)
    assert read_state(moved / "absolute.json").volume_source("inside").url == f"{base}/out/em"


def test_an_older_file_stays_until_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("mine")
    layers = [ImageLayer("em", "gs://b/em")]
    with pytest.raises(UserError, match="exists"):
        write_state(path, layers, resolution_nm=RESOLUTION)
    assert path.read_text() == "mine"
    with pytest.raises(UserError, match="not finite"):
        write_state(
            path,
            [AnnotationLayer("t", [[1, 2, float("inf")]])],
            resolution_nm=RESOLUTION,
            overwrite=True,
        )
    assert path.read_text() == "mine"
    write_state(path, layers, resolution_nm=RESOLUTION, overwrite=True)
    assert len(read_state(path).layers) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]
    with pytest.raises(UserError, match="does not exist"):
        write_state(tmp_path / "no" / "state.json", layers, resolution_nm=RESOLUTION)


@pytest.mark.parametrize(
    ("layers", "options", "says"),
    [
        ([ImageLayer("a", "gs://b/a")] * 2, {}, "two layers are called 'a'"),
        ([ImageLayer("a", "x://b/a")], {}, "layer 'a': 'x://' is no format"),
        ([ImageLayer("a", "gs://b/a", (1, 2))], {}, "translation_nm of layer 'a' must be 3"),
        ([AnnotationLayer("a", [[1, 2]])], {}, "points_nm of layer 'a' must have shape"),
        ([AnnotationLayer("a", [], [[1, 2, 3]])], {}, "polyline 'polyline0' of layer 'a'"),
        ([AnnotationLayer("a", [[1, 2, 3]], [], ["x", "y"])], {}, "1 points, but 2 desc"),
        ([], {"resolution_nm": (1, 0, 1)}, "resolution_nm must be above 0"),
        ([], {"resolution_nm": 8}, "resolution_nm must be 3 numbers"),
        ([], {"resolution_nm": "abc"}, "resolution_nm must be 3 numbers"),
        ([], {"position_nm": (1, 2)}, "position_nm must be 3 numbers"),
        ([], {"selected": "a"}, "no layer 'a' to select"),
    ],
)
def test_what_cannot_be_written(layers: list[Any], options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        build_state(layers, **{"resolution_nm": RESOLUTION, **options})
    assert "\n" not in str(caught.value)
