"""Straightened volumes and labels as OME-Zarr, read with zarr-python, which shares no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand
from shell import Shell
from small_scene import RESOLUTION, Scene

import napari_ouroboros as no
from napari_ouroboros.errors import DestinationError, Notice, UserError
from napari_ouroboros.operations.outputs import open_source
from napari_ouroboros.operations.straighten_job import StraightenReport
from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder


def straightened(scene: Scene, path: Path, name: str = "em", **options: Any) -> StraightenReport:
    volume = no.open_volume(scene.folder / name)
    map_ = no.Straightening(no.Trace(scene.points_nm), width=20, height=20, spacing_nm=9)
    return no.straighten_to(path, volume, map_, **options)


def level(path: Path, name: str = "0") -> NDArray[Any]:
    array = zarr.open_group(path, mode="r")[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def attributes(path: Path) -> dict[str, Any]:
    return json.loads((path / ".zattrs").read_text())


def place(path: Path, number: int = 0) -> tuple[list[float], list[float]]:
    """Scale and translation of a level."""
    scale, translation = attributes(path)["multiscales"][0]["datasets"][number][
        "coordinateTransformations"
    ]
    return scale["scale"], translation["translation"]


# straighten ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["em", "cells"])
def test_the_same_samples_as_everywhere_else(scene: Scene, tmp_path: Path, name: str) -> None:
    report = straightened(scene, tmp_path / "a.ome.zarr", name)
    volume = no.open_volume(scene.folder / name)
    expected = no.straighten(volume, report.straightening).compute()
    array = level(tmp_path / "a.ome.zarr")
    assert report.shape == array.shape == expected.shape
    assert array.dtype == volume.dtype
    np.testing.assert_array_equal(array, expected)
    assert array.any()


def test_it_lies_with_its_corner_at_zero(scene: Scene, tmp_path: Path) -> None:
    straightened(scene, tmp_path / "a.ome.zarr", command="as the shell was asked")
    assert place(tmp_path / "a.ome.zarr") == ([9, 8, 8], [4.5, 4, 4])
    found = attributes(tmp_path / "a.ome.zarr")
    assert [axis["name"] for axis in found["multiscales"][0]["axes"]] == ["z", "y", "x"]
    assert found["omero"]["channels"][0]["window"]["end"] == 255
    facts = found["napari_ouroboros"]
    recipe = no.Straightening.load(tmp_path / "a.recipe.json")
    assert facts["frames_sha256"] == recipe.recipe_hash
    assert facts["recipe"] == "a.recipe.json"
    assert facts["command"] == "as the shell was asked"
    assert facts["mip"] == 0
    assert facts["slices"] == [0, recipe.shape[0]]


def test_segmentations_are_labels(scene: Scene, tmp_path: Path) -> None:
    straightened(scene, tmp_path / "a.zarr", "cells")
    found = attributes(tmp_path / "a.zarr")
    assert found["image-label"] == {"version": "0.4"}
    assert "omero" not in found


def test_part_of_the_slices_and_adaptive_ones(scene: Scene, tmp_path: Path) -> None:
    whole = straightened(scene, tmp_path / "whole.zarr")
    straightened(scene, tmp_path / "part.zarr", slices=(5, 17))
    np.testing.assert_array_equal(
        level(tmp_path / "part.zarr"), level(tmp_path / "whole.zarr")[5:17]
    )
    assert attributes(tmp_path / "part.zarr")["napari_ouroboros"]["slices"] == [5, 17]
    volume = no.open_volume(scene.folder / "em")
    map_ = no.Straightening(no.Trace(scene.points_nm), 20, 20, adaptive_radius_nm=200)
    report = no.straighten_to(tmp_path / "adaptive.zarr", volume, map_)
    assert attributes(tmp_path / "adaptive.zarr")["napari_ouroboros"]["adaptive"] == {
        "radius_nm": 200
    }
    mean = report.straightening.mean_spacing_nm
    assert place(tmp_path / "adaptive.zarr")[0] == [mean, 8, 8]
    assert whole.straightening.mean_spacing_nm == 9


def test_channels_are_the_first_axis(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (3, 20, 21, 22), np.uint8)
    write_by_hand(
        tmp_path / "rgb", [array], chunk=(16, 16, 16), offsets=[(0, 0, 0)], resolutions=[[8, 8, 8]]
    )
    map_ = no.Straightening(no.Trace([[44, 84, 84], [124, 84, 84]]), 11, 11)
    no.straighten_to(tmp_path / "out.zarr", no.open_volume(tmp_path / "rgb"), map_)
    # A straight +z trace through voxel centres gives the crop itself.
    np.testing.assert_array_equal(level(tmp_path / "out.zarr"), array[:, 5:16, 5:16, 5:16])
    assert place(tmp_path / "out.zarr") == ([1, 8, 8, 8], [0, 4, 4, 4])


def test_an_older_result_and_only_that_is_replaced(scene: Scene, tmp_path: Path) -> None:
    straightened(scene, tmp_path / "a.zarr", slices=(0, 4))
    with pytest.raises(UserError, match="exists; choose another name or pass --overwrite"):
        straightened(scene, tmp_path / "a.zarr")
    straightened(scene, tmp_path / "a.zarr", slices=(0, 5), overwrite=True)
    assert level(tmp_path / "a.zarr").shape[0] == 5
    zarr.create_group(tmp_path / "theirs.zarr")
    with pytest.raises(UserError, match="is not a result of this program"):
        straightened(scene, tmp_path / "theirs.zarr", overwrite=True)
    assert not (tmp_path / "theirs.recipe.json").exists()


# result and recipe together ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a"])
def test_a_result_is_never_there_without_its_recipe(
    scene: Scene, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed at the moment when the result takes its place."""
    staged = StagedFile if name == "a.tif" else StagedFolder
    finish = staged._finish
    there: list[bool] = []

    def watched(self: Any) -> None:
        if self.destination.name == name:
            there.append((tmp_path / "a.recipe.json").exists())
        finish(self)

    monkeypatch.setattr(staged, "_finish", watched)
    straightened(scene, tmp_path / name)
    assert there == [True]


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a"])
def test_a_result_that_cannot_take_its_place_leaves_the_older_recipe(
    scene: Scene, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = StagedFile if name == "a.tif" else StagedFolder
    finish = staged._finish

    def failing(self: Any) -> None:
        if self.destination.name == name:
            raise OSError(5, "the disk has gone")
        finish(self)

    with monkeypatch.context() as patch:
        patch.setattr(staged, "_finish", failing)
        with pytest.raises(DestinationError, match="the disk has gone"):
            straightened(scene, tmp_path / name)
        assert list(tmp_path.iterdir()) == []
    straightened(scene, tmp_path / name, command="the first")
    older = (tmp_path / "a.recipe.json").read_bytes()
    volume = no.open_volume(scene.folder / "em")
    other = no.Straightening(no.Trace(scene.points_nm), width=11, height=11)
    with monkeypatch.context() as patch:
        patch.setattr(staged, "_finish", failing)
        with pytest.raises(DestinationError):
            no.straighten_to(tmp_path / name, volume, other, overwrite=True)
    assert (tmp_path / "a.recipe.json").read_bytes() == older
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted([name, "a.recipe.json"])


# labels in and out ---------------------------------------------------------------------------


def by_tensorstore(path: Path) -> NDArray[Any]:
    spec = {"driver": "neuroglancer_precomputed", "kvstore": f"file://{path}/"}
    return np.asarray(ts.open(spec).result().read().result())[..., 0].transpose(2, 1, 0)


def test_labels_there_and_back_in_zarr(scene: Scene, tmp_path: Path) -> None:
    """Straightened ids, as OME-Zarr, home as OME-Zarr: what is in the tube is the volume's own."""
    volume = no.open_volume(scene.folder / "cells")
    map_ = no.Straightening(no.Trace(scene.points_nm), 15, 15, pitch_nm=4, spacing_nm=4)
    report = no.straighten_to(tmp_path / "cells.ome.zarr", volume, map_)
    recipe = no.Straightening.load(tmp_path / "cells.recipe.json")
    home = no.backproject(tmp_path / "cells.ome.zarr", recipe, tmp_path / "home.ome.zarr")
    found = level(tmp_path / "home.ome.zarr")
    assert found.shape == scene.cells.shape
    assert found.dtype == np.uint64
    labelled = found != 0
    assert home.voxels_labelled == labelled.sum() > 1000
    # At half the voxels' size nearest neighbour there and back is exact almost everywhere.
    assert np.mean(found[labelled] == scene.cells[labelled]) > 0.95
    assert set(np.unique(found)) <= set(np.unique(scene.cells))
    assert place(tmp_path / "home.ome.zarr") == ([10, 8, 8], [305, 804, -52])
    # The same from and to precomputed, id for id.
    no.straighten_to(tmp_path / "plain", volume, map_)
    no.backproject(tmp_path / "plain", report.straightening, tmp_path / "home", like=volume)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "home"), found)


def test_labels_of_another_recipe_are_refused(scene: Scene, tmp_path: Path) -> None:
    straightened(scene, tmp_path / "a.zarr", "cells")
    straightened(scene, tmp_path / "b.zarr", "cells", slices=(0, 9))
    other = no.Straightening(no.Trace(scene.points_nm[::-1]), width=20, height=20, spacing_nm=9)
    volume = no.open_volume(scene.folder / "cells")
    with pytest.raises(UserError, match=r"another recipe \(a\.recipe\.json\)"):
        no.backproject(
            tmp_path / "a.zarr", other.resolved(RESOLUTION), tmp_path / "home", like=volume
        )
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((42, 40, 10), {"labels_scale": (0.5, 2, 0.5)}),
        ((21, 9, 8), {"labels_offset": (50, 3, 7)}),
        ((20, 18, 6), {"labels_scale": (0.5, 1.5, 0.5), "labels_offset": (10, 3, 4)}),
    ],
)
def test_labels_on_another_grid(
    scene: Scene, tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], version: int
) -> None:
    """A zarr file, a zarr array and a numpy array come home alike."""
    straightened(scene, tmp_path / "a.zarr", "cells")
    recipe = no.Straightening.load(tmp_path / "a.recipe.json")
    assert recipe.shape == (84, 20, 20)
    labels = np.random.default_rng(1).integers(0, 2**64 - 1, shape, np.uint64)
    store = tmp_path / "labels.zarr"
    array = zarr.create_array(store, data=labels, chunks=(5, 7, 10), zarr_format=version)
    no.backproject(labels, recipe, tmp_path / "numpy", **options)
    no.backproject(array, recipe, tmp_path / "array", **options)
    no.backproject(store, recipe, tmp_path / "file", **options)
    expected = by_tensorstore(tmp_path / "numpy")
    assert np.count_nonzero(expected) > 100
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "array"), expected)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "file"), expected)


def test_a_part_of_the_slices_comes_home_with_an_offset(scene: Scene, tmp_path: Path) -> None:
    straightened(scene, tmp_path / "whole.zarr", "cells")
    straightened(scene, tmp_path / "part.zarr", "cells", slices=(30, 50))
    recipe = no.Straightening.load(tmp_path / "whole.recipe.json")
    part = tmp_path / "part.zarr"
    with pytest.raises(UserError, match="--labels-offset"):
        no.backproject(part, recipe, tmp_path / "home.zarr")
    no.backproject(part, recipe, tmp_path / "home.zarr", labels_offset=(30, 0, 0))
    no.backproject(tmp_path / "whole.zarr", recipe, tmp_path / "all.zarr")
    home, everything = level(tmp_path / "home.zarr"), level(tmp_path / "all.zarr")
    there = home != 0
    assert 100 < there.sum() < np.count_nonzero(everything)
    np.testing.assert_array_equal(home[there], everything[there])


def test_a_source_in_zarr(scene: Scene, tmp_path: Path) -> None:
    """From OME-Zarr to OME-Zarr; the recipe moves with its source."""
    folder = tmp_path / "first"
    folder.mkdir()
    group = zarr.create_group(folder / "cells.ome.zarr", zarr_format=2)
    group.create_array("0", data=scene.cells, chunks=(32, 32, 32))
    origin = [300.0, 804.5, -52.0]  # half a voxel lower in z, 1/16 higher in y
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": list(RESOLUTION)},
                        {"type": "translation", "translation": origin},
                    ],
                }
            ],
        }
    ]
    volume = no.open_volume(folder / "cells.ome.zarr")
    map_ = no.Straightening(no.Trace(scene.points_nm), 15, 15)
    no.straighten_to(folder / "a.zarr", volume, map_, kind="segmentation")
    moved = tmp_path / "second"
    folder.rename(moved)
    recipe = no.Straightening.load(moved / "a.recipe.json")
    source = open_source(recipe.source, moved / "a.recipe.json")
    assert source.levels[0].voxel_offset == pytest.approx((29.5, 100.0625, -7))
    home = no.backproject(moved / "a.zarr", recipe, tmp_path / "home.zarr")
    assert home.shift_nm == (0, 0, 0)
    assert place(tmp_path / "home.zarr") == ([10, 8, 8], origin)
    with pytest.warns(Notice, match="shift the result by -5, 0.5, 0 nm"):
        precomputed = no.backproject(moved / "a.zarr", recipe, tmp_path / "home")
    assert precomputed.shift_nm == (-5, 0.5, 0)
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "home"), level(tmp_path / "home.zarr"))
    info = json.loads((tmp_path / "home" / "info").read_text())
    assert info["scales"][0]["voxel_offset"] == [-7, 100, 30]


def test_a_source_whose_voxel_size_was_given(scene: Scene, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "cells.zarr", data=scene.cells, chunks=(32, 32, 32))
    volume = no.open_volume(tmp_path / "cells.zarr", resolution=RESOLUTION)
    low = np.array([300, 800, -56])  # a plain array begins at 0
    map_ = no.Straightening(no.Trace(scene.points_nm - low), 15, 15)
    no.straighten_to(tmp_path / "a.zarr", volume, map_, kind="segmentation")
    recipe = no.Straightening.load(tmp_path / "a.recipe.json")
    source = open_source(recipe.source, tmp_path / "a.recipe.json")
    assert source.levels[0].resolution == RESOLUTION
    no.backproject(tmp_path / "a.zarr", recipe, tmp_path / "home.zarr")
    assert place(tmp_path / "home.zarr") == ([10, 8, 8], [5, 4, 4])


# from the shell ------------------------------------------------------------------------------


def test_from_the_shell(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    small = ("--image-layer", "em", "--width", 12, "--height", 12)
    straight, home = tmp_path / "em.ome.zarr", tmp_path / "home.ome.zarr"
    assert shell("straighten", scene.state, *small, "-o", straight).code == 0
    words = ("backproject", straight, "--recipe", tmp_path / "em.recipe.json", "--json")
    told = json.loads(shell(*words, "--pyramid", "-o", home).out)
    assert (told["mip"], told["coarser_mips"]) == (0, [1])
    assert told["voxels_labelled"] == np.count_nonzero(level(home))
    # The source's second level is at half the offset, rounded down: half a voxel aside in x.
    assert place(home, 1) == ([20, 16, 16], [310, 808, -56])
    assert level(home, "1").shape == (36, 40, 48)
    assert level(home, "1").any()
    assert json.loads(shell(*words, "--sharded", "-o", tmp_path / "home").out)["dtype"] == "uint8"
    np.testing.assert_array_equal(by_tensorstore(tmp_path / "home"), level(home))
    plan = json.loads(shell(*words, "--dry-run", "-o", tmp_path / "other.zarr").out)
    assert plan["units"] > 0
    assert not (tmp_path / "other.zarr").exists()
    shell(*words, "--sharded", "-o", tmp_path / "other.zarr").failed(2, "not sharded")
