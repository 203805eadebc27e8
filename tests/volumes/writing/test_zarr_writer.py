from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_disk import small_disk

from napari_ouroboros.errors import Cancelled, DestinationError, UserError
from napari_ouroboros.volumes.level import Box
from napari_ouroboros.volumes.writing.staging import StagedFolder
from napari_ouroboros.volumes.writing.zarr_writer import ZarrWriter, is_our_zarr

IDS = np.array([0, 1, 300, 70_000, 2**40, 2**64 - 1], np.uint64)
WHOLE = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")


def cut(array: NDArray[Any], box: Box) -> NDArray[Any]:
    return array[tuple(slice(*ends) for ends in box)]


def write_all(path: Path, array: NDArray[Any], **options: Any) -> ZarrWriter:
    """Write (z, y, x[, channel]) unit by unit; options default to small anisotropic voxels."""
    place: dict[str, Any] = {
        "resolution": (40, 8, 8),
        "voxel_offset": (5, -3, 7),
        "kind": "segmentation",
        "dtype": array.dtype,
        **options,
    }
    channels = 1 if array.ndim == 3 else array.shape[3]
    with StagedFolder(path, True, is_our_zarr) as folder:
        writer = ZarrWriter(folder, shape=array.shape[:3], channels=channels, **place)
        for box in writer.units():
            writer.write(box, cut(array, box))
        folder.commit()
    return writer


def by_zarr(path: Path, level: str = "0") -> NDArray[Any]:
    """As zarr-python reads it: axes as stored."""
    array = zarr.open_group(path, mode="r")[level]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def attributes(path: Path) -> dict[str, Any]:
    return json.loads((path / ".zattrs").read_text())


def transforms(path: Path, level: int = 0) -> tuple[list[float], list[float]]:
    (multiscale,) = attributes(path)["multiscales"]
    scale, translation = multiscale["datasets"][level]["coordinateTransformations"]
    assert (scale["type"], translation["type"]) == ("scale", "translation")
    return scale["scale"], translation["translation"]


def random_labels(shape: Sequence[int], ids: NDArray[Any] = IDS) -> NDArray[Any]:
    return np.random.default_rng(1).choice(ids, size=shape)


# read by the library of the format ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image", "segmentation"])
@pytest.mark.parametrize("dtype", [*WHOLE, "float32", "float64"])
def test_zarr_reads_back_every_dtype(tmp_path: Path, dtype: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        array = rng.normal(size=(70, 65, 130)).astype(dtype)
        array[0, 0, :3] = np.nan, np.inf, -0.0
    else:
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, (70, 65, 130), dtype, endpoint=True)
        array[:64, :64, :64] = 0
        array[65, 0, 0], array[65, 0, 1] = limits.min, limits.max
    write_all(tmp_path / "a.zarr", array, kind=kind)
    back = by_zarr(tmp_path / "a.zarr")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    chunk=st.tuples(*[st.sampled_from([4, 8, 16, 23, 64])] * 3),
    channels=st.integers(1, 3),
)
def test_any_shape_chunk_and_number_of_channels(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    channels: int,
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.ome.zarr"
    array = np.random.default_rng(2).integers(0, 2**16, (*shape, channels), np.uint16)
    if channels == 1:
        array = array[..., 0]
    write_all(path, array, kind="image", chunk=chunk)
    back = by_zarr(path)
    np.testing.assert_array_equal(back if channels == 1 else np.moveaxis(back, 0, -1), array)


# metadata ------------------------------------------------------------------------------------


def test_axes_scale_and_the_centre_of_voxel_0(tmp_path: Path) -> None:
    write_all(tmp_path / "cells.ome.zarr", random_labels((4, 5, 6)))
    found = attributes(tmp_path / "cells.ome.zarr")
    (multiscale,) = found["multiscales"]
    assert (multiscale["version"], multiscale["name"]) == ("0.4", "cells")
    assert multiscale["axes"] == [
        {"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"
    ]
    # Corner (5, -3, 7) voxels, plus half a voxel.
    assert transforms(tmp_path / "cells.ome.zarr") == ([40, 8, 8], [220, -20, 60])
    assert found["image-label"] == {"version": "0.4"}
    assert "omero" not in found
    array = zarr.open_group(tmp_path / "cells.ome.zarr", mode="r")["0"]
    assert (array.metadata.zarr_format, array.metadata.dimension_separator) == (2, "/")
    assert array.fill_value == 0


def test_channels_come_first_and_have_no_place(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 9, (4, 5, 6, 3), np.uint8)
    write_all(tmp_path / "a.zarr", array, kind="image", voxel_offset=(0, 0, 0.25))
    found = attributes(tmp_path / "a.zarr")
    axes = found["multiscales"][0]["axes"]
    assert [axis["name"] for axis in axes] == ["c", "z", "y", "x"]
    assert axes[0] == {"name": "c", "type": "channel"}
    assert transforms(tmp_path / "a.zarr") == ([1, 40, 8, 8], [0, 20, 4, 6])
    assert [c["color"] for c in found["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]
    assert "image-label" not in found


@pytest.mark.parametrize(
    ("array", "window"),
    [
        (np.array([3, 90], np.uint8), {"min": 0, "max": 255, "start": 0, "end": 255}),
        (np.array([3, 900], np.uint16), {"min": 0, "max": 65535, "start": 3, "end": 900}),
        (np.array([-3, 9], np.int16), {"min": -32768, "max": 32767, "start": -3, "end": 9}),
        (np.array([-0.5, np.nan, 2, np.inf], np.float32), dict.fromkeys(["min", "start"], -0.5)),
        (np.array([np.nan], np.float64), {"min": 0, "max": 1, "start": 0, "end": 1}),
        (np.array([7, 7], np.uint16), {"min": 0, "max": 65535, "start": 7, "end": 8}),
    ],
)
def test_window_of_images(tmp_path: Path, array: NDArray[Any], window: dict[str, float]) -> None:
    write_all(tmp_path / "a.zarr", array.reshape(-1, 1, 1), kind="image", chunk=(1, 1, 1))
    (channel,) = attributes(tmp_path / "a.zarr")["omero"]["channels"]
    assert {**channel["window"], **window} == channel["window"]
    if array.dtype == np.float32:
        assert channel["window"]["end"] == channel["window"]["max"] == 2


def test_facts_are_noted(tmp_path: Path) -> None:
    facts = {"frames_sha256": "abc", "slices": [0, 4]}
    write_all(tmp_path / "a.zarr", random_labels((4, 5, 6)), extra_info=facts)
    assert dict(zarr.open_group(tmp_path / "a.zarr", mode="r").attrs)["napari_ouroboros"] == facts


def test_coarser_scales_share_the_volume(tmp_path: Path) -> None:
    fine, coarse = random_labels((70, 66, 80)), random_labels((35, 33, 40))
    with StagedFolder(tmp_path / "a.zarr", False, is_our_zarr) as folder:
        first = ZarrWriter(
            folder, shape=fine.shape, resolution=(40, 8, 8), voxel_offset=(5, -3, 7),
            dtype="uint64", kind="segmentation",
        )  # fmt: skip
        second = first.coarser(
            shape=coarse.shape, resolution=(80, 16, 16), voxel_offset=(2.5, -1.5, 3.5)
        )
        with pytest.raises(UserError, match="two scales have the same key 0"):
            first.coarser(shape=(1, 1, 1), resolution=(1, 1, 1), voxel_offset=(0, 0, 0), key="0")
        for writer, array in ((second, coarse), (first, fine)):
            for box in writer.units():
                writer.write(box, cut(array, box))
        folder.commit()
    np.testing.assert_array_equal(by_zarr(tmp_path / "a.zarr", "0"), fine)
    np.testing.assert_array_equal(by_zarr(tmp_path / "a.zarr", "1"), coarse)
    assert transforms(tmp_path / "a.zarr", 1) == ([80, 16, 16], [240, -16, 64])


# chunks --------------------------------------------------------------------------------------


def chunk_files(path: Path) -> list[str]:
    files = (f for f in (path / "0").rglob("*") if f.is_file() and f.name != ".zarray")
    return sorted(f.relative_to(path / "0").as_posix() for f in files)


def test_empty_chunks_of_labels_are_not_written(tmp_path: Path) -> None:
    labels = np.zeros((70, 65, 66), np.uint64)
    labels[69, 64, 65] = 2**63
    writer = write_all(tmp_path / "a.zarr", labels)
    assert writer.chunks_written == 1
    assert chunk_files(tmp_path / "a.zarr") == ["1/1/1"]
    np.testing.assert_array_equal(by_zarr(tmp_path / "a.zarr"), labels)


def test_empty_chunks_of_images_are_written(tmp_path: Path) -> None:
    writer = write_all(tmp_path / "a.zarr", np.zeros((70, 5, 6), np.uint8), kind="image")
    assert writer.chunks_written == 2
    assert chunk_files(tmp_path / "a.zarr") == ["0/0/0", "1/0/0"]


def test_units_are_chunks_that_may_come_one_by_one(tmp_path: Path) -> None:
    labels = random_labels((20, 9, 8))
    with StagedFolder(tmp_path / "a.zarr", False, is_our_zarr) as folder:
        writer = ZarrWriter(
            folder, shape=labels.shape, resolution=(8, 8, 8), voxel_offset=(0, 0, 0),
            dtype="uint64", kind="segmentation", chunk=(8, 8, 8),
        )  # fmt: skip
        parts = [(box, cut(labels, box)) for box in writer.chunks()]
        assert writer.write_unit(parts) == len(parts) == 6
        back = writer.read_back()
        np.testing.assert_array_equal(back.read(((3, 20), (0, 9), (1, 8))), labels[3:, :, 1:])
        with pytest.raises(ValueError, match="not made of whole units"):
            writer.write_unit([(((0, 4), (0, 8), (0, 8)), labels[:4, :8])])
        with pytest.raises(TypeError, match="int64 data for a volume of uint64"):
            writer.write(((0, 8), (0, 8), (0, 8)), labels[:8, :8].astype(np.int64))


# unfinished and refused ones -----------------------------------------------------------------


def test_nothing_can_be_opened_before_the_commit(tmp_path: Path) -> None:
    labels = random_labels((5, 5, 5))
    with StagedFolder(tmp_path / "a.zarr", False, is_our_zarr) as folder:
        writer = ZarrWriter(
            folder, shape=labels.shape, resolution=(8, 8, 8), voxel_offset=(0, 0, 0),
            dtype="uint64", kind="segmentation",
        )  # fmt: skip
        writer.write(((0, 5), (0, 5), (0, 5)), labels)
        files = {f.name for f in folder.path.rglob("*") if f.is_file()}
        assert files == {"0", "incomplete"}
    assert list(tmp_path.iterdir()) == []


def test_an_ended_job_writes_no_more(tmp_path: Path) -> None:
    with StagedFolder(tmp_path / "a.zarr", False, is_our_zarr) as folder:
        writer = ZarrWriter(
            folder, shape=(5, 5, 5), resolution=(8, 8, 8), voxel_offset=(0, 0, 0),
            dtype="uint8", kind="image",
        )  # fmt: skip
    with pytest.raises(Cancelled):
        writer.write(((0, 5), (0, 5), (0, 5)), np.ones((5, 5, 5), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_only_our_volumes_may_be_overwritten(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.zarr"
    write_all(theirs, random_labels((5, 5, 5)))
    write_all(theirs, random_labels((6, 5, 5)))
    found = attributes(theirs)
    del found["napari_ouroboros"]
    (theirs / ".zattrs").write_text(json.dumps(found))
    with pytest.raises(UserError, match="is not a result of this program"):
        write_all(theirs, random_labels((9, 9, 9)))
    assert by_zarr(theirs).shape == (6, 5, 5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"napari_ouroboros": 1}', "\x00\xff"])
def test_odd_attributes_are_not_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / ".zattrs").write_text(text)
    assert not is_our_zarr(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "complex64"}, "OME-Zarr volumes of complex64 are not written"),
        ({"dtype": bool}, "OME-Zarr volumes of bool are not written"),
        ({"channels": 0}, "at least one channel"),
        ({"shape": (0, 5, 5)}, "shape of an OME-Zarr volume must be whole numbers of at least 1"),
        ({"resolution": (8, 0, 8)}, "three lengths above 0 nm"),
        ({"voxel_offset": (0, np.nan, 0)}, "a voxel offset is three numbers"),
    ],
)
def test_impossible_volumes(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    place = {
        "shape": (5, 5, 5), "resolution": (8, 8, 8), "voxel_offset": (0, 0, 0),
        "dtype": "uint8", "kind": "image", **options,
    }  # fmt: skip
    with StagedFolder(tmp_path / "a.zarr", False, is_our_zarr) as folder:
        with pytest.raises(UserError, match=message):
            ZarrWriter(folder, **place)


def test_full_disk_is_one_line_and_leaves_the_older_result(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        write_all(disk / "a.zarr", random_labels((4, 4, 4)))
        noise = np.random.default_rng(0).integers(0, 255, (160, 160, 160), np.uint8)
        with pytest.raises(DestinationError, match="no space left on the disk"):
            write_all(disk / "a.zarr", noise, kind="image")
        assert [f.name for f in disk.iterdir()] == ["a.zarr"]
        assert by_zarr(disk / "a.zarr").shape == (4, 4, 4)


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(5, 60_000, (64, 16, 16), np.uint16)
    with StagedFolder(tmp_path / "a.zarr", False, is_our_zarr) as folder:
        writer = ZarrWriter(
            folder, shape=array.shape, resolution=(8, 8, 8), voxel_offset=(0, 0, 0),
            dtype="uint16", kind="image", chunk=(4, 4, 4),
        )  # fmt: skip
        units = list(writer.units())

        def work(first: int) -> None:
            for box in units[first::4]:
                writer.write(box, cut(array, box))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        folder.commit()
    np.testing.assert_array_equal(by_zarr(tmp_path / "a.zarr"), array)
    assert writer.chunks_written == len(units) == 256
    (channel,) = attributes(tmp_path / "a.zarr")["omero"]["channels"]
    assert (channel["window"]["start"], channel["window"]["end"]) == (array.min(), array.max())
