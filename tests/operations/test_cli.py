"""The whole way through the shell; results are read by other programs and compared with closed
forms and with `Straightening.to_straightened` point by point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from oracles import resample
from shell import Shell, read_tensorstore, run_process
from small_scene import IDS, OFFSET, RESOLUTION, SHAPE, Scene

from napari_ouroboros import Straightening
from napari_ouroboros.volumes.writing.tiff import tiff_metadata

SIZE = ("--width", 20, "--height", 18)


def samples(map_: Straightening) -> NDArray[np.float64]:
    """Position (slices, rows, columns, 3) zyx nm of every sample."""
    return map_.to_volume(np.stack(np.indices(map_.shape), axis=-1))


def voxels(resolution: Any = RESOLUTION, offset: Any = OFFSET, shape: Any = SHAPE) -> NDArray[Any]:
    """Centre (z, y, x, 3) in nm of every voxel."""
    index = np.stack(np.indices(shape), axis=-1)
    return (index + np.array(offset) + 0.5) * np.array(resolution)


def at_home(
    map_: Straightening,
    labels: NDArray[Any],
    scale: tuple[float, ...] = (1, 1, 1),
    offset: tuple[float, ...] = (0, 0, 0),
) -> NDArray[Any]:
    """Labels of all voxels of the scene, looked up one by one."""
    where = map_.to_straightened(voxels())
    index = np.floor((where - np.array(offset) + 0.5) * np.array(scale))
    inside = np.all((index >= 0) & (index < labels.shape), axis=-1)
    i = np.where(inside[..., None], index, 0).astype(int)
    return np.where(inside, labels[i[..., 0], i[..., 1], i[..., 2]], 0)


def some_labels(shape: tuple[int, ...], dtype: str = "uint16") -> NDArray[Any]:
    """Every sample another number as far as the dtype reaches, none 0."""
    return (np.arange(np.prod(shape)) % np.iinfo(dtype).max + 1).reshape(shape).astype(dtype)


@pytest.fixture(scope="module")
def straightened(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A straightened TIFF of layer em; its recipe is beside it."""
    folder = tmp_path_factory.mktemp("straightened")
    out = folder / "nerve.ome.tif"
    done = run_process("straighten", scene.state, "--image-layer", "em", "-o", out, *SIZE)
    assert (done.code, done.errors) == (0, [])
    return out


@pytest.fixture
def recipe(straightened: Path) -> Path:
    return straightened.with_name("nerve.recipe.json")


def test_straighten_to_tiff(scene: Scene, straightened: Path, recipe: Path) -> None:
    map_ = Straightening.load(recipe)
    with tifffile.TiffFile(straightened) as tif:
        stack = tif.asarray()
        assert tif.is_ome
        ome = tif.ome_metadata or ""
    assert 'PhysicalSizeX="8.0"' in ome
    assert (stack.shape, stack.dtype) == (map_.shape, np.uint8)
    assert stack.shape[1:] == (18, 20)
    expected = resample(scene.em, RESOLUTION, OFFSET, samples(map_), order=1)
    # A value of exactly one half may be rounded either way.
    difference = np.abs(stack.astype(int) - expected)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < 1e-3 * stack.size
    facts = tiff_metadata(straightened)
    assert facts["frames_sha256"] == map_.recipe_hash
    assert facts["command"].startswith("napari-ouroboros straighten ")
    content = json.loads(recipe.read_text())
    assert content["schema"] == "napari-ouroboros-recipe/1"
    assert content["output"] == straightened.name
    assert content["source"]["url"] == f"precomputed://file://{scene.folder / 'em'}"
    np.testing.assert_allclose(content["points_nm"], scene.points_nm, atol=1e-6)


def test_labels_come_home_and_the_round_trip_is_checked(
    shell: Shell, scene: Scene, straightened: Path, recipe: Path, tmp_path: Path
) -> None:
    map_ = Straightening.load(recipe)
    labels = some_labels(map_.shape)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    home = tmp_path / "home"
    done = shell("backproject", tmp_path / "labels.tif", "--recipe", recipe, "-o", home).worked()
    expected = at_home(map_, labels)
    assert f"{np.count_nonzero(expected):,} voxels labelled" in done.out
    result = read_tensorstore(home)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, expected)

    checked = shell("check", recipe, "--json").worked()
    facts = json.loads(checked.out)
    stack = tifffile.imread(straightened)
    assert facts["voxels"] == np.count_nonzero(expected)
    assert facts["samples"] == stack.size
    nearest = resample(scene.em, RESOLUTION, OFFSET, samples(map_), order=0)
    inside = expected != 0
    agree = at_home(map_, nearest)[inside] == scene.em[inside]
    assert facts["volume_agreement"] == pytest.approx(agree.mean())


def test_precomputed_segmentation_there_and_back(
    shell: Shell, scene: Scene, tmp_path: Path
) -> None:
    from cloudvolume import CloudVolume

    out = tmp_path / "cells.7"
    fine = ("--pitch", 3, "--spacing", 2.5)
    shell("straighten", scene.state, "--image-layer", "cells", "-o", out, *SIZE, *fine).worked()
    map_ = Straightening.load(tmp_path / "cells.7.recipe.json")
    stack = read_tensorstore(out)
    expected = resample(scene.cells, RESOLUTION, OFFSET, samples(map_), order=0)
    assert stack.dtype == np.uint64
    np.testing.assert_array_equal(stack, expected)
    assert set(IDS) <= set(np.unique(stack).tolist())
    other = CloudVolume(f"file://{out}", fill_missing=True, progress=False)
    np.testing.assert_array_equal(other[:].T[0], expected)
    assert other.resolution.tolist() == [3, 3, 2.5]
    assert other.voxel_offset.tolist() == [0, 0, 0]

    # The folder itself is a label volume: no copy, no other program.
    home = tmp_path / "home"
    words = ("backproject", out, "--recipe", tmp_path / "cells.7.recipe.json", "-o", home)
    shell(*words, "--keep", IDS[0], IDS[-1]).worked()
    wanted = at_home(map_, expected)
    wanted[~np.isin(wanted, [IDS[0], IDS[-1]])] = 0
    result = read_tensorstore(home)
    assert result.dtype == np.uint64
    np.testing.assert_array_equal(result, wanted)
    other = CloudVolume(f"file://{home}", fill_missing=True, progress=False)
    np.testing.assert_array_equal(other[:].T[0], wanted)


@pytest.mark.parametrize(
    ("labels", "dtype", "encoding"),
    [
        (np.array([False, True]), "uint8", "raw"),
        (np.array([0, 1, 255], np.uint8), "uint8", "raw"),
        (np.array([0, 1, 300, 65535], np.uint16), "uint16", "raw"),
        (np.array([0, 1, 300, 70_000], np.int32), "uint32", "compressed_segmentation"),
        (np.array([0, *IDS], np.uint64), "uint64", "compressed_segmentation"),
    ],
    ids=["bool", "uint8", "uint16", "int32", "uint64"],
)
@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_ids_survive_in_their_dtype(
    shell: Shell, recipe: Path, tmp_path: Path, labels: NDArray[Any], dtype: str, encoding: str,
    suffix: str,
) -> None:  # fmt: skip
    map_ = Straightening.load(recipe)
    stack = np.random.default_rng(1).choice(labels, map_.shape)
    path = tmp_path / f"labels.{suffix}"
    if suffix == "npy":
        np.save(path, stack)
    else:
        tifffile.imwrite(path, stack)
    shell("backproject", path, "--recipe", recipe, "-o", tmp_path / "home").worked()
    result = read_tensorstore(tmp_path / "home")
    assert str(result.dtype) == dtype
    np.testing.assert_array_equal(result, at_home(map_, stack.astype(dtype)))
    assert set(np.unique(result).tolist()) == set(labels.astype(dtype).tolist())
    info = json.loads((tmp_path / "home" / "info").read_text())
    assert info["scales"][0]["encoding"] == encoding


def test_wider_ids_on_request(shell: Shell, recipe: Path, tmp_path: Path) -> None:
    map_ = Straightening.load(recipe)
    labels = some_labels(map_.shape, "uint8")
    np.save(tmp_path / "labels.npy", labels)
    words = ("backproject", tmp_path / "labels.npy", "--recipe", recipe, "-o", tmp_path / "home")
    shell(*words, "--dtype", "uint32").worked()
    result = read_tensorstore(tmp_path / "home")
    assert result.dtype == np.uint32
    np.testing.assert_array_equal(result, at_home(map_, labels))


def test_the_result_lies_on_the_source(shell: Shell, recipe: Path, tmp_path: Path) -> None:
    """One scale, the source's; and chunks that are all 0 are not there."""
    map_ = Straightening.load(recipe)
    labels = np.zeros(map_.shape, np.uint32)
    labels[:5] = 9
    np.save(tmp_path / "labels.npy", labels)
    words = ("backproject", tmp_path / "labels.npy", "--recipe", recipe)
    done = shell(*words, "-o", tmp_path / "home", "--json").worked()
    info = json.loads((tmp_path / "home" / "info").read_text())
    (scale,) = info["scales"]
    assert info["type"] == "segmentation"
    assert scale["size"] == [96, 80, 72]
    assert scale["voxel_offset"] == [-7, 100, 30]
    assert scale["resolution"] == [8, 8, 10]
    assert all(isinstance(length, int) for length in scale["resolution"])
    assert scale["key"] == "mip0"
    expected = at_home(map_, labels)
    names = [
        f"{x - 7}-{min(x + 64, 96) - 7}_{y + 100}-{min(y + 64, 80) + 100}"
        f"_{z + 30}-{min(z + 64, 72) + 30}"
        for z in (0, 64) for y in (0, 64) for x in (0, 64)
        if expected[z : z + 64, y : y + 64, x : x + 64].any()
    ]  # fmt: skip
    assert 0 < len(names) < json.loads(done.out)["chunks_touched"]
    assert sorted(file.name for file in (tmp_path / "home" / "mip0").iterdir()) == sorted(names)
    np.testing.assert_array_equal(read_tensorstore(tmp_path / "home"), expected)

    shell(*words, "-o", tmp_path / "coarse", "--mip", 1).worked()
    (scale,) = json.loads((tmp_path / "coarse" / "info").read_text())["scales"]
    assert (scale["size"], scale["voxel_offset"]) == ([48, 40, 36], [-4, 50, 15])
    assert (scale["resolution"], scale["key"]) == ([16, 16, 20], "mip1")


def test_a_part_of_the_slices_comes_home_by_its_offset(
    shell: Shell, scene: Scene, straightened: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "part.tif"
    words = ("straighten", scene.state, "--image-layer", "em", "-o", out, *SIZE)
    shell(*words, "--slices", "30:47").worked()
    part = tifffile.imread(out)
    np.testing.assert_array_equal(part, tifffile.imread(straightened)[30:47])
    # The recipe is that of the whole.
    own = json.loads((tmp_path / "part.recipe.json").read_text())
    assert own["frames_sha256"] == json.loads(recipe.read_text())["frames_sha256"]
    labels = some_labels(part.shape)
    np.save(tmp_path / "labels.npy", labels)
    words = ("backproject", tmp_path / "labels.npy", "--recipe", tmp_path / "part.recipe.json")
    shell(*words, "-o", tmp_path / "home", "--labels-offset", "30,0,0").worked()
    expected = at_home(Straightening.load(recipe), labels, offset=(30, 0, 0))
    np.testing.assert_array_equal(read_tensorstore(tmp_path / "home"), expected)


def test_labels_on_another_grid(shell: Shell, recipe: Path, tmp_path: Path) -> None:
    map_ = Straightening.load(recipe)
    scale = (0.5, 2.0, 1.5)
    shape = tuple(int(np.floor(n * f + 0.5)) for n, f in zip(map_.shape, scale, strict=True))
    labels = some_labels(shape)
    np.save(tmp_path / "labels.npy", labels)
    words = ("backproject", tmp_path / "labels.npy", "--recipe", recipe, "-o", tmp_path / "home")
    shell(*words, "--labels-scale", "0.5,2,1.5").worked()
    expected = at_home(map_, labels, scale=scale)
    assert np.count_nonzero(expected) == np.count_nonzero(np.isfinite(
        map_.to_straightened(voxels())[..., 0]))  # fmt: skip
    np.testing.assert_array_equal(read_tensorstore(tmp_path / "home"), expected)


def test_two_traces(shell: Shell, scene: Scene, recipe: Path, tmp_path: Path) -> None:
    """0 never overwrites; of two labels that of the nearer centre line counts."""
    other = tmp_path / "other.tif"
    shifted = scene.with_points(
        "shifted.json", [[20, 130, 40], [35, 135, 60], [40, 140, 80], [60, 155, 95]]
    )
    shell("straighten", shifted, "--image-layer", "em", "-o", other, *SIZE).worked()
    maps = [Straightening.load(p) for p in (recipe, tmp_path / "other.recipe.json")]
    stacks = [some_labels(maps[0].shape), some_labels(maps[1].shape)[::-1].copy()]
    stacks[0][::2], stacks[1][:, 3:7] = 0, 0
    for name, stack in zip("ab", stacks, strict=True):
        np.save(tmp_path / f"{name}.npy", stack)
    done = shell(
        "backproject", tmp_path / "a.npy", tmp_path / "b.npy", "-o", tmp_path / "home",
        "--recipe", recipe, "--recipe", tmp_path / "other.recipe.json", "--json",
    ).worked()  # fmt: skip
    first, second = (at_home(m, s) for m, s in zip(maps, stacks, strict=True))
    centre = [(0, (m.height - 1) / 2, (m.width - 1) / 2) for m in maps]
    distance = []
    for map_, (_, row, column) in zip(maps, centre, strict=True):
        where = map_.to_straightened(voxels())
        away = (where - [0, row, column])[..., 1:] * map_.pitch_nm
        distance.append(np.nan_to_num(np.linalg.norm(away, axis=-1), nan=np.inf))
    takes = (second != 0) & ((first == 0) | (distance[1] < distance[0]))
    both = (first != 0) & (second != 0)
    assert both.sum() > 500
    assert 0.1 < takes[both].mean() < 0.9
    result = read_tensorstore(tmp_path / "home")
    # Equal distances: rounding decides, so compare where they differ.
    clear = ~both | ~np.isclose(*distance, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(result[clear], np.where(takes, second, first)[clear])
    different = np.count_nonzero(both & (first != second))
    assert json.loads(done.out)["voxels_between_traces"] == different


def test_conflicts_are_counted_and_masked(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    hairpin = scene.with_points(
        "hairpin.json", [[20, 120, 45], [60, 120, 47], [64, 128, 50], [60, 140, 53], [20, 140, 55]]
    )
    out = tmp_path / "hairpin.tif"
    words = ("straighten", hairpin, "--image-layer", "em", "-o", out)
    shell(*words, "--width", 40, "--height", 10).worked()
    map_ = Straightening.load(tmp_path / "hairpin.recipe.json")
    labels = some_labels(map_.shape)
    np.save(tmp_path / "labels.npy", labels)
    done = shell(
        "backproject", tmp_path / "labels.npy", "--recipe", tmp_path / "hairpin.recipe.json",
        "-o", tmp_path / "home", "--conflicts", tmp_path / "conflicts",
    ).worked()  # fmt: skip
    _, contested = map_.locate(voxels())
    assert contested.sum() > 1000
    assert f"{contested.sum():,} voxels lie in more than one slice" in done.out
    mask = read_tensorstore(tmp_path / "conflicts")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, contested)
    np.testing.assert_array_equal(read_tensorstore(tmp_path / "home"), at_home(map_, labels))


class TestTheMapsOptions:
    """Each option changes the slices as it says, read from the recipe that was written."""

    @pytest.fixture
    def cut(self, shell: Shell, scene: Scene, tmp_path: Path) -> Any:
        def run(*words: object, state: Path = scene.state) -> tuple[NDArray[Any], Straightening]:
            out = tmp_path / "out.tif"
            shell(
                "straighten", state, "--image-layer", "em", "-o", out, "--overwrite", *words
            ).worked()
            return tifffile.imread(out), Straightening.load(tmp_path / "out.recipe.json")

        return run

    def test_closed(self, cut: Any, scene: Scene) -> None:
        ring = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        points = np.stack([40 + 24 * np.cos(ring), 140 + 24 * np.sin(ring), 66 + 0 * ring], 1)
        state = scene.with_points("ring.json", points.tolist())
        stack, map_ = cut("--closed", *SIZE, state=state)
        assert map_.trace.closed
        length = 2 * np.pi * 24 * 8
        assert stack.shape[0] == round(length / 8)
        centres = samples(map_)[:, 8:10, 9:11].mean(axis=(1, 2))
        steps = np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1)
        np.testing.assert_allclose(steps, length / stack.shape[0], rtol=2e-3)

    def test_up(self, cut: Any) -> None:
        _, map_ = cut("--up", "0,1,0", *SIZE)
        where = samples(map_)
        upwards = where[:, 0, 0] - where[:, -1, 0]
        rightwards = where[:, 0, -1] - where[:, 0, 0]
        assert (upwards[:, 1] > 0).all()
        np.testing.assert_allclose(rightwards[:, 1], 0, atol=1e-6)

    def test_up_that_begins_with_a_minus(self, cut: Any) -> None:
        _, up = cut("--up", "0,1,-0.5", *SIZE)
        _, down = cut("--up", "-0,-1,0.5", *SIZE)
        np.testing.assert_allclose(samples(down), samples(up)[:, ::-1, ::-1], atol=1e-6)

    def test_twist(self, cut: Any, tmp_path: Path) -> None:
        (tmp_path / "twist.txt").write_text("# s in nm, degrees\n0, 90\n2000 90\n")
        plain, _ = cut("--width", 19, "--height", 19)
        turned, map_ = cut("--width", 19, "--height", 19, "--twist", tmp_path / "twist.txt")
        assert map_.twist == [(0, 90), (2000, 90)]
        # N turns towards B, which points down the rows: what lay below now lies on the right.
        expected = np.rot90(plain, 1, axes=(1, 2))
        assert np.abs(turned.astype(int) - expected).max() <= 1
        assert (turned != plain).mean() > 0.5

    def test_adaptive(self, cut: Any, tmp_path: Path) -> None:
        plain, _ = cut(*SIZE)
        stack, map_ = cut(*SIZE, "--adaptive", 80)
        assert len(stack) > len(plain)
        steps = np.diff(map_.frames.s)
        assert steps.max() <= 8 + 1e-6
        assert steps.min() < 7
        assert tiff_metadata(tmp_path / "out.tif")["adaptive"] == {"radius_nm": 80}

    def test_tolerance(self, cut: Any, scene: Scene) -> None:
        zigzag = [[40 + 3 * (i % 2), 140, 35 + 5 * i] for i in range(12)]
        state = scene.with_points("zigzag.json", zigzag)
        _, map_ = cut(*SIZE, "--tolerance", 15, state=state)
        line = map_.to_volume([[k, 8.5, 9.5] for k in np.arange(0, map_.shape[0] - 1, 0.1)])
        points = np.array(zigzag)[1:-1, ::-1] * RESOLUTION
        away = np.linalg.norm(points[:, None] - line[None], axis=-1).min(axis=1)
        assert 5 < away.max() <= 15 + 0.1

    def test_mip(self, cut: Any, tmp_path: Path, scene: Scene) -> None:
        stack, map_ = cut("--width", 10, "--height", 9, "--mip", "auto", "--pitch", 17)
        content = json.loads((tmp_path / "out.recipe.json").read_text())
        assert content["source"]["mip"] == 1
        assert (map_.pitch_nm, map_.spacing_nm) == (17, 16)
        em1 = scene.em.reshape(36, 2, 40, 2, 48, 2).mean(axis=(1, 3, 5)).astype(np.uint8)
        offset = [o // 2 for o in OFFSET]
        expected = resample(em1, np.array(RESOLUTION) * 2, offset, samples(map_), order=1)
        assert np.abs(stack.astype(int) - expected).max() <= 1

    def test_fill(self, cut: Any, scene: Scene) -> None:
        state = scene.with_points("leaves.json", [[40, 140, 60], [42, 142, 130]])
        stack, map_ = cut(*SIZE, "--fill", 255, "--interpolation", "nearest", state=state)
        expected = resample(scene.em, RESOLUTION, OFFSET, samples(map_), order=0, fill=255)
        assert (expected == 255).any()
        np.testing.assert_array_equal(stack, expected)
