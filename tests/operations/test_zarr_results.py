"""Straightened volumes and labels as OME-Zarr, read with zarr-python, which shares no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand
from small_scene import OFFSET, RESOLUTION, Scene

import napari_ouroboros as no
from napari_ouroboros.errors import DestinationError, UserError
from napari_ouroboros.operations.straighten_job import StraightenReport
from napari_ouroboros.volumes.staging import StagedFile, StagedFolder


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


def test_the_offset_of_the_scene_is_in_nm() -> None:
    """What the tests above and below take for granted."""
    assert tuple(np.multiply(OFFSET, RESOLUTION)) == (300, 800, -56)
