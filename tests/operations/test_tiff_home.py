"""Labels home into a TIFF: the box of the chunks that hold them, and where it begins."""

from __future__ import annotations

import functools
import json
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.spatial
import tifffile
import zarr
from numpy.typing import NDArray
from oracles import LiteralMap
from oracles.precomputed import write_by_hand
from shell import Shell, read_tensorstore, tree
from small_disk import small_disk
from small_scene import OFFSET, RESOLUTION, Scene

import napari_ouroboros as no
from napari_ouroboros.errors import Cancelled, DestinationError, Notice, UserError
from napari_ouroboros.geometry import Grid
from napari_ouroboros.volumes.labels.label_stack import open_labels
from napari_ouroboros.volumes.writing.label_tiff import LabelTiff
from napari_ouroboros.volumes.writing.staging import StagedFile
from napari_ouroboros.volumes.writing.tiff import tiff_metadata

#: A volume of several chunks along each axis, none of which ends with it.
BIG_SHAPE, BIG_OFFSET = (150, 100, 210), (7, -20, 1000)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> no.Volume:
    folder = tmp_path_factory.mktemp("volume") / "em"
    write_by_hand(
        folder, [np.zeros((1, *BIG_SHAPE), np.uint8)], chunk=(64, 64, 64), offsets=[BIG_OFFSET],
        resolutions=[[int(r) for r in RESOLUTION]],
    )  # fmt: skip
    return no.open_volume(folder)


def diagonal() -> no.Straightening:
    """From the second chunk in x into the last one, and from the first into the last in z."""
    ends = np.array([[20, 30, 90], [140, 75, 200]]) + BIG_OFFSET
    return no.Straightening(no.Trace(ends * RESOLUTION), 21, 17, 8.0, 8.0)


def some_labels(map_: no.Straightening, dtype: Any, ids: list[int]) -> NDArray[Any]:
    rng = np.random.default_rng(4)
    return rng.choice(np.array([0, *ids], dtype), map_.shape)


def in_the_volume(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """A TIFF laid into the volume by nothing but its own metadata."""
    planes, facts = tifffile.imread(path), tiff_metadata(path)
    planes = planes.reshape(-1, *planes.shape[-2:])
    begin = np.rint(np.subtract(facts["voxel_offset"], BIG_OFFSET)).astype(int)
    whole = np.zeros(shape, planes.dtype)
    whole[tuple(slice(b, b + n) for b, n in zip(begin, planes.shape, strict=True))] = planes
    return whole


@pytest.mark.parametrize(
    ("dtype", "ids"),
    [
        ("uint8", [1, 255]), ("uint16", [1, 300]), ("uint32", [1, 300, 2**32 - 1]),
        ("uint64", [1, 300, 2**63, 2**64 - 1]),
    ],
)  # fmt: skip
def test_voxel_for_voxel_what_a_precomputed_folder_gets(
    volume: no.Volume, tmp_path: Path, dtype: str, ids: list[int]
) -> None:
    map_ = diagonal()
    labels = some_labels(map_, dtype, ids)
    labels[:40] = 0  # the box begins where labels do, not where the tube does
    folder = no.backproject(labels, map_, tmp_path / "home", like=volume)
    report = no.backproject(labels, map_, tmp_path / "home.tif", like=volume)
    expected = read_tensorstore(tmp_path / "home")
    assert set(np.unique(expected)) == {0, *ids}
    np.testing.assert_array_equal(in_the_volume(report.path, BIG_SHAPE), expected)
    assert tifffile.imread(report.path).dtype == dtype == report.dtype
    assert replace(report, path=folder.path, seconds=folder.seconds) == folder
    assert sorted(f.name for f in tmp_path.iterdir()) == ["home", "home.tif"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("bool", "uint8"), ("uint8", "uint8"), ("int8", "uint8"), ("uint16", "uint16"),
        ("int16", "uint16"), ("uint32", "uint32"), ("int32", "uint32"), ("uint64", "uint64"),
        ("int64", "uint64"),
    ],
)  # fmt: skip
def test_voxel_for_voxel_what_the_literal_map_says(
    volume: no.Volume, tmp_path: Path, given: str, written: str
) -> None:
    """On a bend; the oracle asks every segment, and knows nothing of chunks or of tiles."""
    map_, inside, sample = bend_by_the_oracle()
    most = 1 if given == "bool" else np.iinfo(given).max
    ids = [i for i in (1, 300, 2**63, most) if i <= most]
    labels = some_labels(map_, given, ids)
    report = no.backproject(labels, map_, tmp_path / "home.tif", like=volume)
    planes = tifffile.imread(report.path)
    assert planes.dtype == written
    found = in_the_volume(report.path, BIG_SHAPE)
    expected = labels[tuple(sample.T)].astype(written)
    assert set(np.unique(expected)) == {0, *ids}
    np.testing.assert_array_equal(found[tuple(inside.T)], expected)
    # And nowhere else.
    found[tuple(inside.T)] = 0
    doubtful = np.count_nonzero(found)
    assert doubtful < 0.001 * len(inside)


@functools.cache
def bend_by_the_oracle() -> tuple[no.Straightening, NDArray[Any], NDArray[Any]]:
    """A map, the voxels (array indices) in its slices, and the sample that each of them gets.

    Without the few where rounding decides.
    """
    ends = np.array([[15, 30, 90], [70, 68, 130], [135, 40, 185]]) + BIG_OFFSET
    map_ = no.Straightening(no.Trace(ends * RESOLUTION), 13, 11, 8.0, 10.0)
    f = map_.frames
    literal = LiteralMap(f.c, f.N, f.B, f.T, map_.shape, map_.pitch_nm, map_.spacing_nm)
    voxels = np.stack(np.meshgrid(*map(np.arange, BIG_SHAPE), indexing="ij"), -1).reshape(-1, 3)
    x = (voxels + BIG_OFFSET + 0.5) * RESOLUTION
    reach = np.hypot(13, 11) / 2 * 8.0 + 10.0  # farther than any sample's rim from its centre
    near = np.isfinite(scipy.spatial.cKDTree(f.c).query(x, distance_upper_bound=reach)[0])
    voxels, at = voxels[near], literal.to_straightened(x[near])
    sample = np.floor(at.index + 0.5)
    clear = np.isfinite(at.index[:, 0]) & (at.margin > 1e-6)
    clear &= np.abs(at.index + 0.5 - np.round(at.index + 0.5)).min(1) > 1e-6
    return map_, voxels[clear], sample[clear].astype(int)


def test_the_box_is_that_of_the_labelled_chunks(volume: no.Volume, tmp_path: Path) -> None:
    map_ = diagonal()
    labels = np.zeros(map_.shape, np.uint16)
    labels[-30, 8, 10] = 300
    labels[-2, 8, 10] = 7
    report = no.backproject(labels, map_, tmp_path / "home.tif", like=volume)
    expected = []  # by the map itself, for the chunks of 64 voxels
    index = np.stack(np.meshgrid(*map(np.arange, BIG_SHAPE), indexing="ij"), -1)
    at = map_.to_straightened(volume.levels[0].to_nm(index))
    sample = np.floor(np.where(np.isnan(at), -1, at) + 0.5).astype(int)
    inside = (sample >= 0).all(-1)
    painted = np.zeros(BIG_SHAPE, bool)
    painted[inside] = labels[tuple(sample[inside].T)] > 0
    for axis, n in enumerate(BIG_SHAPE):
        along = np.flatnonzero(painted.any(axis=tuple({0, 1, 2} - {axis}))) // 64
        expected.append((int(along[0]) * 64, min(int(along[-1] + 1) * 64, n)))
    assert report.bounds == tuple(expected)
    with tifffile.TiffFile(report.path) as tif:
        assert tif.series[0].shape == tuple(b - a for a, b in expected)
        assert len(tif.pages) == expected[0][1] - expected[0][0]
    low = np.array([a for a, _ in expected])
    facts = tiff_metadata(report.path)
    assert facts["resolution"] == list(RESOLUTION)
    assert facts["voxel_offset"] == (low + BIG_OFFSET).tolist()
    assert facts["corner_nm"] == list(report.corner_nm or ())
    assert facts["corner_nm"] == ((low + BIG_OFFSET) * RESOLUTION).tolist()
    assert facts["frames_sha256"] == [map_.recipe_hash]
    assert facts["mip"] == 0


def test_sizes_are_said_as_other_programs_read_them(volume: no.Volume, tmp_path: Path) -> None:
    map_ = diagonal()
    for dtype in ("uint16", "uint64"):
        path = tmp_path / f"{dtype}.ome.tif"
        no.backproject(some_labels(map_, dtype, [1, 9]), map_, path, like=volume)
        with tifffile.TiffFile(path) as tif:
            page = tif.pages.first
            assert page.tile == (64, 64)
            assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
            # 8 nm are 1,250,000 pixels per centimetre.
            assert page.tags["XResolution"].value == (1_250_000, 1)
            if dtype == "uint16":
                pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
                sizes = [pixels[f"PhysicalSize{a}"] for a in "ZYX"]
                assert sizes == list(RESOLUTION)
                assert {pixels[f"PhysicalSize{a}Unit"] for a in "ZYX"} == {"nm"}
                assert not tif.is_bigtiff
            else:
                said = json.loads(page.description)
                assert (said["axes"], said["spacing"], said["pitch"]) == ("ZYX", 10, 8)
                assert tif.is_bigtiff
        # Labels like any other.
        with open_labels(path) as stack:
            np.testing.assert_array_equal(stack.read(0, stack.shape[0]), tifffile.imread(path))


def test_a_source_that_begins_between_voxels(scene: Scene, tmp_path: Path) -> None:
    """A TIFF can say so: nothing is rounded and nothing has to be shifted."""
    group = zarr.create_group(tmp_path / "cells.ome.zarr", zarr_format=2)
    group.create_array("0", data=scene.cells, chunks=(32, 32, 32))
    transforms = [
        {"type": "scale", "scale": list(RESOLUTION)},
        {"type": "translation", "translation": [300.0, 804.5, -52.0]},
    ]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": axes,
            "datasets": [{"path": "0", "coordinateTransformations": transforms}],
        }
    ]
    source = no.open_volume(tmp_path / "cells.ome.zarr")
    map_ = no.Straightening(no.Trace(scene.points_nm), 15, 15, 8.0, 8.0)
    labels = some_labels(map_, np.uint8, [3])
    report = no.backproject(labels, map_, tmp_path / "home.tif", like=source)
    assert report.shift_nm == (0, 0, 0)
    assert report.bounds == ((0, 72), (0, 64), (0, 96))
    assert tiff_metadata(report.path)["corner_nm"] == pytest.approx([295, 800.5, -56])
    no.backproject(labels, map_, tmp_path / "home.zarr", like=source)
    array = zarr.open_group(tmp_path / "home.zarr", mode="r")["0"]
    assert isinstance(array, zarr.Array)
    np.testing.assert_array_equal(tifffile.imread(report.path), array[:, :64])
    assert not array[:, 64:].any()


def test_older_files_and_refusals(volume: no.Volume, tmp_path: Path) -> None:
    map_ = diagonal()
    labels = some_labels(map_, np.uint8, [5])
    path = tmp_path / "home.tif"
    path.write_bytes(b"older")

    def home(**options: Any) -> Any:
        return no.backproject(labels, map_, path, like=volume, **options)

    before = tree(tmp_path)
    for options, words in (
        ({}, "exists; choose another name or pass --overwrite"),
        ({"overwrite": True, "pyramid": True}, "a TIFF holds one level"),
        ({"overwrite": True, "sharded": True}, "a TIFF has no shards"),
        (
            {"overwrite": True, "conflicts": tmp_path / "c.tif"},
            "the conflicts go into a precomputed folder or a .zarr",
        ),
    ):
        with pytest.raises(UserError, match=words):
            home(**options)
        assert tree(tmp_path) == before
    report = home(overwrite=True, conflicts=tmp_path / "contested")
    assert tifffile.imread(path).any()
    assert read_tensorstore(tmp_path / "contested").shape == BIG_SHAPE
    assert report.voxels_contested == np.count_nonzero(read_tensorstore(tmp_path / "contested"))


def test_nothing_to_put_into_a_tiff(volume: no.Volume, tmp_path: Path) -> None:
    map_ = diagonal()
    labels = some_labels(map_, np.uint8, [5])
    with pytest.raises(UserError, match=r"no label among those to keep \(6\) .* nothing to put"):
        no.backproject(labels, map_, tmp_path / "home.tif", like=volume, keep=[6])
    assert list(tmp_path.iterdir()) == []


class After:
    """Set from the n-th question on."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.lock = threading.Lock()

    def is_set(self) -> bool:
        with self.lock:
            self.n -= 1
            return self.n < 0


def test_cancelled_anywhere_leaves_what_was_there(volume: no.Volume, tmp_path: Path) -> None:
    map_ = diagonal()
    labels = some_labels(map_, np.uint8, [5])
    path = tmp_path / "home.tif"
    path.write_bytes(b"older")
    ended = 0
    for n in range(0, 2000, 7):
        try:
            no.backproject(
                labels, map_, path, like=volume, overwrite=True, threads=1, cancel=After(n)
            )
        except Cancelled:
            ended += 1
            assert tree(tmp_path) == {"home.tif": b"older"}
        else:
            break
    # The planes ask, too: more questions than there are chunks.
    assert ended * 7 > 150
    assert tifffile.imread(path).any()


def test_a_full_disk(volume: no.Volume, tmp_path: Path) -> None:
    """Once among the chunks, once among the planes."""
    map_ = diagonal()
    labels = np.random.default_rng(0).integers(1, 2**64 - 1, map_.shape, np.uint64)
    whole = no.backproject(labels, map_, tmp_path / "whole.tif", like=volume).path.stat().st_size
    for share in (0.4, 1.4):
        name = f"disk{share}"
        with small_disk(tmp_path / name, f"{int(whole * share) // 1024}k") as disk:
            with pytest.raises(DestinationError, match="no space left on the disk"):
                no.backproject(labels, map_, disk / "home.tif", like=volume)
            assert list(disk.iterdir()) == []


def test_memory_is_that_of_a_chunk_however_large_the_box(tmp_path: Path) -> None:
    """Two chunks at the corners of a box of 2 GB."""
    grid = Grid((600, 1900, 1900), (10, 8, 8), (0, 0, 0))
    rng = np.random.default_rng(3)
    corner = rng.integers(0, 3, (16, 256, 256), np.uint8)
    last = rng.integers(0, 3, (8, 108, 108), np.uint8)  # where the volume ends
    with StagedFile(tmp_path / "a.tif") as file:
        writer = LabelTiff(file, grid, np.uint8, (16, 256, 256), {})
        assert writer.box is None
        tracemalloc.start()
        try:
            written = writer.write_unit(
                [
                    (((0, 16), (0, 256), (0, 256)), corner),
                    (((592, 600), (1792, 1900), (1792, 1900)), last),
                    (((16, 32), (0, 256), (0, 256)), np.zeros_like(corner)),
                ]
            )
            writer.finish()
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        file.commit()
    assert written == 2
    assert most < 8e6
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.tif"]
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].shape == grid.shape
        for k in (0, 15, 16, 300, 592, 599):
            plane = np.zeros(grid.shape[1:], np.uint8)
            if k < 16:
                plane[:256, :256] = corner[k]
            if k >= 592:
                plane[1792:, 1792:] = last[k - 592]
            np.testing.assert_array_equal(tif.pages[k].asarray(), plane)


def test_a_box_that_is_mostly_background_is_said(tmp_path: Path) -> None:
    """Before anything is written: a thin diagonal through a very large volume."""
    from napari_ouroboros.operations.backproject_job import BackprojectJob

    recorded = {
        "levels": [
            {
                "shape": (4000, 4000, 4000), "resolution": RESOLUTION,
                "voxel_offset": (0, 0, 0), "key": "8_8_10",
            }
        ]
    }  # fmt: skip
    ends = np.array([[100, 100, 100], [3900, 3900, 3900]]) * RESOLUTION
    map_ = no.Straightening(no.Trace(ends), 8, 8, 8.0, 80.0)
    map_.source = recorded
    labels = np.ones(map_.shape, np.uint8)
    with pytest.warns(Notice, match=r"whole planes, 60 GB .* 0\.2% .* a \.zarr or a precomputed"):
        BackprojectJob(labels, map_, tmp_path / "home.tif")
    BackprojectJob(labels, map_, tmp_path / "home.zarr")


def test_from_the_shell(shell: Shell, scene: Scene, tmp_path: Path) -> None:
    size = ("--image-layer", "cells", "--annotation-layer", "trace", "--width", 12, "--height", 12)
    shell("straighten", scene.state, *size, "-o", tmp_path / "cells.tif").worked()
    words = ("backproject", tmp_path / "cells.tif", "--recipe", tmp_path / "cells.recipe.json")
    done = shell(*words, "-o", tmp_path / "home.ome.tif").worked()
    corner = ", ".join(f"{n:g}" for n in np.multiply(OFFSET, RESOLUTION))
    assert "it holds 72 x 64 x 96 voxels (zyx) of mip 0, from array index 0, 0, 0" in done.out
    assert f"its corner lies at {corner} nm" in done.out
    assert "://" not in done.out
    shell(*words, "-o", tmp_path / "home").worked()
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "home.ome.tif"), read_tensorstore(tmp_path / "home")[:, :64]
    )
    told = json.loads(shell(*words, "-o", tmp_path / "again.tif", "--json").out)
    assert told["bounds"] == [[0, 72], [0, 64], [0, 96]]
    assert told["corner_nm"] == np.multiply(OFFSET, RESOLUTION).tolist()
    assert tiff_metadata(tmp_path / "again.tif")["command"].startswith("napari-ouroboros back")
    shell(*words, "-o", tmp_path / "p.tif", "--pyramid").failed(2, "a TIFF holds one level")
