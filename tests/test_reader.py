"""What napari shows of our files: the right kind, in the right place; nothing that is not ours."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from napari.layers import Labels, Layer

import napari_ouroboros as ou
from napari_ouroboros.layers import LayerData
from napari_ouroboros.operations.demo.phantom import PhantomPaths, make_phantom, write_phantom
from napari_ouroboros.reader import get_reader

SHAPE = (60, 180, 150)
RESOLUTION = (160.0, 80.0, 80.0)
OFFSET = (41, 103, 77)  # odd, so that no level starts where the next one does


@pytest.fixture(scope="module")
def nerve(tmp_path_factory: pytest.TempPathFactory) -> PhantomPaths:
    """A small phantom on disk."""
    phantom = make_phantom(SHAPE, RESOLUTION, OFFSET)
    return write_phantom(tmp_path_factory.mktemp("nerve"), phantom)


def read(path: object) -> list[LayerData]:
    reader = get_reader(str(path))
    assert reader is not None
    return reader(str(path))


def world(meta: dict[str, Any], index: object) -> np.ndarray:
    return np.asarray(index) * meta["scale"] + meta["translate"]


def test_precomputed_folder_and_its_info_file(nerve: PhantomPaths) -> None:
    for path in (nerve.image, nerve.image / "info", f"precomputed://file://{nerve.image}"):
        ((levels, meta, kind),) = read(path)
        assert kind == "image"
        assert meta["name"] == "image"
        assert meta["units"] == ("nm",) * 3
        assert meta["contrast_limits"] == (0, 255)
        assert meta["multiscale"]
        shapes = np.array([level.shape for level in levels])
        assert (shapes[0] % shapes == 0).all()


def test_every_voxel_is_where_the_volume_has_it(nerve: PhantomPaths) -> None:
    ((levels, meta, _),) = read(nerve.image)
    volume = ou.open_volume(nerve.image)
    for level, mip in zip(levels, meta["metadata"]["napari-ouroboros"]["mips"], strict=True):
        grid = volume.levels[mip]
        factor = np.array(levels[0].shape) / level.shape
        scale = np.array(meta["scale"]) * factor
        corner = world(meta, (-0.5,) * 3)
        # Where napari has the centre of this level's first voxel, in voxels of the level.
        start = grid.to_index(corner + scale / 2)
        np.testing.assert_allclose(start, np.round(start), atol=1e-9)
        first = np.round(start).astype(int)
        whole = np.asarray(level)
        inside = whole[tuple(slice(-f, -f + n) for f, n in zip(first, grid.shape, strict=True))]
        np.testing.assert_array_equal(inside, volume.read(mip))
        assert whole.sum(dtype=np.int64) == inside.sum(dtype=np.int64)  # around it: fill


def test_state_gives_volumes_and_points_in_one_space(nerve: PhantomPaths) -> None:
    layers = read(nerve.state)
    assert [(meta["name"], kind) for _, meta, kind in layers] == [
        ("em", "image"),
        ("truth", "labels"),
        ("trace", "points"),
    ]
    points, meta, _ = layers[2]
    expected = ou.read_state(nerve.state).points_nm("trace", None, "em")
    np.testing.assert_allclose(world(meta, points), expected, rtol=1e-9)
    assert list(meta["features"]["order"]) == list(range(len(points)))
    # The trace runs inside the nerve: some fascicle is near every point of it.
    labels, where, _ = layers[1]
    finest = np.asarray(labels[0])
    for z, y, x in np.round((expected - where["translate"]) / where["scale"]).astype(int):
        assert finest[z - 4 : z + 5, y, x - 8 : x + 9].any()


def test_a_transform_of_the_state_moves_the_layer(nerve: PhantomPaths, tmp_path: Path) -> None:
    state = json.loads(nerve.state.read_text())
    z, y, x = 1000.0, -400.0, 250.0
    for layer in state["layers"]:
        if layer["name"] in ("em", "truth"):
            folder = nerve.image if layer["name"] == "em" else nerve.truth
            layer["source"] = {"url": f"precomputed://file://{folder}"}
        if layer["name"] == "truth":
            layer["source"]["transform"] = {
                "outputDimensions": {axis: [1e-9, "m"] for axis in "xyz"},
                "matrix": [[1, 0, 0, x], [0, 1, 0, y], [0, 0, 1, z]],
            }
    moved = tmp_path / "moved.json"
    moved.write_text(json.dumps(state))
    (_, em, _), (_, truth, _), _ = read(moved)
    assert "affine" not in em
    expected = np.eye(4)
    expected[:3, 3] = (z, y, x)
    np.testing.assert_allclose(truth["affine"], expected, atol=1e-6)


def test_everything_is_placed_in_an_image_even_where_labels_come_first(
    nerve: PhantomPaths, tmp_path: Path
) -> None:
    """The docks take the lowest image for the tissue, and trace in its nm."""
    state = json.loads(nerve.state.read_text())
    em, truth, *others = state["layers"]
    em["source"] = f"precomputed://file://{nerve.image}"
    truth["source"] = {
        "url": f"precomputed://file://{nerve.truth}",
        "transform": {
            "outputDimensions": {axis: [1e-9, "m"] for axis in "xyz"},
            "matrix": [[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0]],
        },
    }
    state["layers"] = [truth, em, *others]
    file = tmp_path / "labels-first.json"
    file.write_text(json.dumps(state))
    (_, labels, _), (_, image, kind), (points, trace, _) = read(file)
    assert kind == "image"
    assert "affine" not in image
    np.testing.assert_allclose(labels["affine"][:3, 3], [0, 0, 500], atol=1e-6)
    expected = ou.read_state(file).points_nm("trace", None, "em")
    np.testing.assert_allclose(world(trace, points), expected, rtol=1e-9)


def test_points_that_make_no_trace_are_named(nerve: PhantomPaths, tmp_path: Path) -> None:
    state = json.loads(nerve.state.read_text())
    for layer in state["layers"]:
        if layer["name"] in ("em", "truth"):
            folder = nerve.image if layer["name"] == "em" else nerve.truth
            layer["source"] = f"precomputed://file://{folder}"
        if layer["name"] == "trace":
            layer["annotations"] = []
    file = tmp_path / "empty.json"
    file.write_text(json.dumps(state))
    with pytest.warns(ou.Notice, match="trace"):
        layers = read(file)
    assert [kind for _, _, kind in layers] == ["image", "labels"]


def test_recipe_gives_the_file_beside_it_or_else_the_centre_line(
    nerve: PhantomPaths, tmp_path: Path
) -> None:
    volume = ou.open_volume(nerve.image)
    trace = ou.read_state(nerve.state).trace(image_layer="em")
    straightening = ou.Straightening(trace, 24, 20, pitch_nm=100, spacing_nm=400)
    ou.straighten_to(tmp_path / "out.tif", volume, straightening)
    ((data, meta, kind),) = read(tmp_path / "out.recipe.json")
    assert kind == "image"
    assert meta["scale"] == (400, 100, 100)
    expected = ou.straighten(volume, straightening).compute()
    np.testing.assert_array_equal(data.compute(scheduler="synchronous"), expected)
    (tmp_path / "out.tif").unlink()
    (((path,), meta, kind),) = read(tmp_path / "out.recipe.json")
    assert kind == "shapes"
    assert meta["shape_type"] == "path"
    np.testing.assert_allclose(world(meta, path), straightening.frames.c, rtol=1e-9)


def test_zarr_in_every_way_it_is_written(nerve: PhantomPaths, tmp_path: Path) -> None:
    """What straighten writes as OME-Zarr is one layer in nm; a plain array is left to others."""
    state = ou.read_state(nerve.state)
    volume = ou.open_volume(nerve.image)
    map_ = ou.Straightening(state.trace(image_layer="em"), 20, 16, 80, 120)
    ou.straighten_to(tmp_path / "run.ome.zarr", volume, map_)
    expected = ou.straighten(volume, map_).compute()
    folder = tmp_path / "run.ome.zarr"
    for path in (
        folder,
        f"zarr://file://{folder}",
        f"file://{folder}|zarr2:",
        tmp_path / "run.recipe.json",
    ):
        ((data, meta, kind),) = read(path)
        assert kind == "image"
        finest = data[0] if meta["multiscale"] else data
        np.testing.assert_array_equal(np.asarray(finest), expected)
        np.testing.assert_allclose(meta["scale"], (120, 80, 80))
        np.testing.assert_allclose(world(meta, (-0.5,) * 3), 0, atol=1e-9)
    zarr.create_array(tmp_path / "plain.zarr", shape=(4, 4, 4), chunks=(4, 4, 4), dtype="u1")
    assert get_reader(str(tmp_path / "plain.zarr")) is None


def test_a_state_with_zarr_and_precomputed_lies_in_one_space(
    nerve: PhantomPaths, tmp_path: Path
) -> None:
    """The same voxels in both formats, the zarr's corner at 0: the offset lies between them."""
    volume = ou.open_volume(nerve.image)
    level = volume.levels[0]
    group = zarr.create_group(tmp_path / "em.zarr", zarr_format=2)
    group.create_array("0", data=volume.read(0), chunks=(32, 32, 32))
    transform = [
        {"type": "scale", "scale": list(level.resolution)},
        {"type": "translation", "translation": [r / 2 for r in level.resolution]},
    ]
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": axes,
            "datasets": [{"path": "0", "coordinateTransformations": transform}],
        }
    ]
    state = json.loads(nerve.state.read_text())
    state["layers"].append(
        {"type": "image", "name": "again", "source": f"zarr://file://{tmp_path / 'em.zarr'}"}
    )
    source = state["layers"][0]["source"]
    url = source if isinstance(source, str) else source["url"]
    state["layers"][0]["source"] = str(url).replace("file://./", f"file://{nerve.state.parent}/")
    state["layers"] = [state["layers"][0], state["layers"][-1]]
    (tmp_path / "both.json").write_text(json.dumps(state))
    (_, em, _), (_, again, _) = read(tmp_path / "both.json")

    def drawn(meta: dict[str, Any], grid: Any, index: object) -> np.ndarray:
        """Global nm of a voxel of a level."""
        nm = np.append(grid.to_nm(index), 1)
        return (np.asarray(meta.get("affine", np.eye(4))) @ nm)[:3]

    first = drawn(em, level, (0, 0, 0))
    second = drawn(again, ou.open_volume(tmp_path / "em.zarr").levels[0], (0, 0, 0))
    # The translation is the centre of the first voxel, so the zarr's corner is at 0.
    np.testing.assert_allclose(first - second, np.multiply(OFFSET, RESOLUTION), atol=1e-6)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"layers": 3}', '{"layers": []}', '{"layers": ["a"], "schema": 1}', "\xff"],
)
def test_a_json_that_is_not_ours(tmp_path: Path, content: str) -> None:
    file = tmp_path / "some.json"
    file.write_bytes(content.encode("latin-1"))
    reader = get_reader(str(file))
    # Layers as strings are a state of Neuroglancer's oldest kind.
    assert (reader is None) == ('"a"' not in content)


def test_says_no_fast(tmp_path: Path) -> None:
    big = tmp_path / "big.json"
    with big.open("wb") as file:
        file.write(b'{"layers": [')
        file.truncate(200 << 20)
    (tmp_path / "store.zarr").mkdir()
    (tmp_path / "store.zarr" / "info").write_text('{"@type": "neuroglancer_legacy_mesh"}')
    start = time.thread_time()  # not what others take of the machine
    for path in (
        str(big),
        str(tmp_path),
        str(tmp_path / "store.zarr"),
        str(tmp_path / "missing.json"),
        str(tmp_path / "image.tif"),
        "https://example.org/image.json",
        [str(big), str(big)],
    ):
        assert get_reader(path) is None
    assert time.thread_time() - start < 0.5


def test_napari_finds_the_reader_and_shows_the_layers(nerve: PhantomPaths) -> None:
    from napari.components import ViewerModel
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager()
    manager.register(PluginManifest.from_distribution("napari-ouroboros"))
    for path in (nerve.state, nerve.image, nerve.image / "info"):
        found = [reader.command for reader in manager.iter_compatible_readers([str(path)])]
        assert found == ["napari-ouroboros.get_reader"]
    viewer = ViewerModel()
    for data, meta, kind in read(nerve.state):
        viewer._add_layer_from_data(data, meta, kind)
    em, truth, trace = viewer.layers
    assert all(tuple(map(str, layer.units)) == ("nanometer",) * 3 for layer in viewer.layers)
    np.testing.assert_allclose(em.extent.world, truth.extent.world, atol=4 * 160)
    low, high = em.extent.world
    points = np.array([trace.data_to_world(point) for point in trace.data])
    assert ((points > low) & (points < high)).all()
    # The sliders step by one voxel: no layer brought a finer scale along.
    assert [step.step for step in viewer.dims.range] == list(RESOLUTION)


@pytest.mark.parametrize("name", ["run.tif", "run.zarr"])
def test_straightened_labels_are_labels_in_napari(
    nerve: PhantomPaths, tmp_path: Path, name: str
) -> None:
    truth = ou.open_volume(nerve.truth)
    folder = tmp_path / "ids.zarr"
    level = truth.levels[0]
    # uint32: TIFFs of 64-bit integers are labels whatever they say.
    ids = truth.read(0).astype(np.uint32)
    zarr.save_array(folder, ids, zarr_format=2)
    volume = ou.open_volume(folder, resolution=level.resolution)
    corner = np.array(level.bounds_nm[0])
    trace = ou.read_state(nerve.state).trace(image_layer="em")
    map_ = ou.Straightening(ou.Trace(trace.points_nm - corner), 20, 16, 80, 120)
    ou.straighten_to(tmp_path / name, volume, map_, kind="segmentation")
    ((data, meta, kind),) = read(tmp_path / "run.recipe.json")
    assert kind == "labels"
    assert isinstance(Layer.create(data, meta, kind), Labels)


def exactly(layer: Layer, plane: int) -> np.ndarray:
    """A plane of the finest level; of what streams, through a block, for which it waits."""
    finest = layer.data[0] if layer.multiscale else layer.data
    return np.asarray(finest[plane : plane + 2])[0]


@pytest.mark.parametrize("name", ["run.tif", "run.zarr", "run"])
@pytest.mark.parametrize("channels", [2, 3, 5])
def test_channels_of_a_straightened_image(name: str, channels: int, tmp_path: Path) -> None:
    """One layer each, in colours that can be told apart; three of uint8 are one colour image."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (channels, 9, 20, 20), np.uint8)
    zarr.save_array(tmp_path / "in.zarr", image, zarr_format=2)
    volume = ou.open_volume(tmp_path / "in.zarr", resolution=(8, 8, 8))
    map_ = ou.Straightening(ou.Trace([(4, 84, 84), (68, 84, 84)]), 5, 5, 8, 8)
    ou.straighten_to(tmp_path / name, volume, map_)
    found = read(tmp_path / "run.recipe.json")
    layers = [Layer.create(*layer) for layer in found]
    if channels == 3:
        (layer,) = layers
        assert layer.rgb
        expected = np.moveaxis(image[:, 4, 8:13, 8:13], 0, -1)
        np.testing.assert_array_equal(exactly(layer, 4), expected)
        return
    assert len(layers) == len({layer.colormap.name for layer in layers}) == channels
    for channel, layer in enumerate(layers):
        np.testing.assert_array_equal(exactly(layer, 4), image[channel, 4, 8:13, 8:13])
        assert layer.blending == "additive"
