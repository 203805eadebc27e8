from __future__ import annotations

import json
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from local_server import LocalServer
from numpy.typing import NDArray
from oracles.arrays import write_zarr2_by_hand
from small_disk import anybodys_folder, as_nobody

from napari_ouroboros.errors import Notice, SourceError, UserError
from napari_ouroboros.volumes.labels.label_stack import LabelStack, open_labels
from napari_ouroboros.volumes.writing.precomputed_writer import (
    PrecomputedWriter,
    is_our_precomputed,
)
from napari_ouroboros.volumes.writing.staging import StagedFolder
from napari_ouroboros.volumes.writing.tiff import write_tiff
from napari_ouroboros.volumes.writing.zarr_writer import ZarrWriter, is_our_zarr

FACTS = {"frames_sha256": "ab" * 32}
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")


def labels(shape: tuple[int, ...] = (12, 20, 30), dtype: str = "uint16") -> NDArray[Any]:
    """Ids of the whole range of the dtype, not negative."""
    rng = np.random.default_rng(3)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    array = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    array.flat[0], array.flat[-1] = 0, np.iinfo(dtype).max
    return array


def precomputed(path: Path, array: NDArray[Any], **options: Any) -> Path:
    place: dict[str, Any] = {
        **{"resolution": (8, 8, 8), "voxel_offset": (0, 0, 0), "chunk": (5, 16, 16)},
        **options,
    }
    with StagedFolder(path, False, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=array.shape,
            dtype=array.dtype,
            kind="segmentation",
            extra_info=FACTS,
            **place,
        )
        for box in writer.units():
            writer.write(box, array[tuple(slice(*ends) for ends in box)])
        folder.commit()
    return path


def ours(path: Path, array: NDArray[Any], **options: Any) -> None:
    write_tiff(path, iter([array]), array.shape, array.dtype, 8, 8, FACTS, **options)


def check(stack: LabelStack, array: NDArray[Any]) -> None:
    """The stack holds `array`, whatever part of it is read."""
    n = len(array)
    assert stack.shape == array.shape
    for k0, k1 in [(0, n), (0, 1), (n - 1, n), (n // 3, n // 2 + 1)]:
        part = stack.read(k0, k1)
        assert part.dtype == stack.out_dtype
        np.testing.assert_array_equal(part, array[k0:k1])


# every source --------------------------------------------------------------------------------

Maker = Callable[[Path, NDArray[Any]], Any]


def _dask(folder: Path, array: NDArray[Any]) -> Any:
    import dask.array

    return dask.array.from_array(array, chunks=(5, 7, 30))


def _zarr(folder: Path, array: NDArray[Any]) -> Any:
    import zarr

    return zarr.array(array, chunks=(5, 7, 30))


def _zarr_file(folder: Path, array: NDArray[Any], version: int) -> Path:
    import zarr

    zarr.create_array(folder / "a.zarr", data=array, zarr_format=version, chunks=(5, 7, 30))
    return folder / "a.zarr"


def _ome_zarr(folder: Path, array: NDArray[Any], version: int) -> Path:
    """Two levels, of which the finest counts, as zarr-python writes them."""
    import zarr

    group = zarr.create_group(folder / "a.zarr", zarr_format=version)
    for name, data in (("s0", array), ("s1", array[::2, ::2, ::2])):
        group.create_array(name, data=data, chunks=(5, 7, 30))
    image = {
        "version": "0.4" if version == 2 else "0.5",
        "axes": [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"],
        "datasets": [
            {
                "path": name,
                "coordinateTransformations": [{"type": "scale", "scale": [scale] * 3}],
            }
            for name, scale in (("s1", 0.5), ("s0", 0.25))
        ],
    }
    attributes = {"multiscales": [image]}
    group.attrs.update(attributes if version == 2 else {"ome": attributes})
    return folder / "a.zarr"


def our_zarr(path: Path, array: NDArray[Any]) -> None:
    with StagedFolder(path, False, is_our_zarr) as folder:
        writer = ZarrWriter(
            folder,
            shape=array.shape,
            resolution=(9, 8, 8),
            voxel_offset=(0, 0, 0),
            dtype=array.dtype,
            kind="segmentation",
            chunk=(5, 16, 16),
            extra_info=FACTS,
        )
        for box in writer.units():
            writer.write(box, array[tuple(slice(*ends) for ends in box)])
        folder.commit()


def _n5(folder: Path, array: NDArray[Any]) -> Path:
    import tensorstore as ts

    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{folder}/a.n5/"}}
    store = ts.open(spec, create=True, dtype=array.dtype.name, shape=array.shape[::-1]).result()
    store.write(array.T).result()
    return folder / "a.n5"


def _file(name: str, write: Callable[..., Any], **options: Any) -> Maker:
    def make(folder: Path, array: NDArray[Any]) -> Path:
        write(folder / name, array, **options)
        return folder / name

    return make


def _tiled_pages(path: Path, array: NDArray[Any]) -> None:
    tifffile.imwrite(path, array, tile=(16, 16), compression="lzw", photometric="minisblack")


def _one_by_one(path: Path, array: NDArray[Any], compression: str | None) -> None:
    """As Ouroboros writes its single file: a slice at a time."""
    facts = {"spacing": 0.04, "unit": "um", "annotation_points": [[1.0, 2.0, 3.0]]}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for page in array:
            writer.write(
                page,
                contiguous=compression is None,
                compression=compression,
                metadata=facts,
                software="ouroboros",
                photometric="minisblack",
            )


SOURCES: dict[str, Maker] = {
    "numpy": lambda folder, array: array,
    "fortran": lambda folder, array: np.asfortranarray(array),
    "dask": _dask,
    "zarr": _zarr,
    "npy": _file("a.npy", np.save),
    "our tiff": _file("a.tif", ours),
    "our zlib tiff": _file("a.ome.tif", ours, compression="zlib"),
    "tiff": _file("a.tiff", tifffile.imwrite, photometric="minisblack"),
    "big-endian": _file("a.tif", tifffile.imwrite, byteorder=">", photometric="minisblack"),
    "big-endian zlib": _file(
        "a.tif", tifffile.imwrite, byteorder=">", compression="zlib", photometric="minisblack"
    ),
    "bigtiff": _file("a.tif", tifffile.imwrite, bigtiff=True, photometric="minisblack"),
    "lzw": _file("a.tif", tifffile.imwrite, compression="lzw", photometric="minisblack"),
    "plain pages": _file("a.tif", tifffile.imwrite, metadata=None, photometric="minisblack"),
    "tiled": _file("a.tif", _tiled_pages),
    "volumetric": _file(
        "a.tif", tifffile.imwrite, volumetric=True, tile=(16, 16, 16), photometric="minisblack"
    ),
    "no suffix": _file("labels", tifffile.imwrite, photometric="minisblack"),
    "peer": _file("a.tif", _one_by_one, compression=None),
    "peer compressed": _file("a.tif", _one_by_one, compression="zlib"),
    "precomputed": lambda folder, array: precomputed(folder / "out", array),
    "sharded": lambda folder, array: precomputed(folder / "out", array, sharded=True),
    "zarr 2": lambda folder, array: _zarr_file(folder, array, 2),
    "zarr 3": lambda folder, array: _zarr_file(folder, array, 3),
    "OME-Zarr 0.4": lambda folder, array: _ome_zarr(folder, array, 2),
    "OME-Zarr 0.5": lambda folder, array: _ome_zarr(folder, array, 3),
    "our OME-Zarr": _file("a.ome.zarr", our_zarr),
    "N5": _n5,
    "zarr URL": lambda folder, array: f"zarr://file://{_zarr_file(folder, array, 2)}",
    "precomputed URL": lambda folder, array: (
        f"precomputed://file://{precomputed(folder / 'out', array)}"
    ),
}

WRITTEN_BY_US = {
    *("our tiff", "our zlib tiff", "our OME-Zarr", "precomputed", "sharded", "precomputed URL"),
}


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same_ids(tmp_path: Path, name: str, dtype: str) -> None:
    array = labels(dtype=dtype)
    with open_labels(SOURCES[name](tmp_path, array)) as stack:
        assert stack.dtype == stack.out_dtype == np.dtype(dtype)
        check(stack, array)
        assert stack.metadata == (FACTS if name in WRITTEN_BY_US else {})


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_imagej(tmp_path: Path, dtype: str) -> None:
    array = labels(dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "ZYX"})
    with open_labels(tmp_path / "a.tif") as stack:
        check(stack, array)


def test_imagej_stack_over_4_gb_has_one_header(tmp_path: Path) -> None:
    """ImageJ describes such a stack in the header of its first page, which is the only one."""
    array = labels()
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        order, end = tif.byteorder, tif.pages[0].offset + 2 + 12 * len(tif.pages[0].tags)
        assert len(tif.pages) == 12
    with open(tmp_path / "a.tif", "r+b") as stream:
        stream.seek(end)
        assert struct.unpack(f"{order}I", stream.read(4)) != (0,)
        stream.seek(end)
        stream.write(bytes(4))  # no next page
    with open_labels(tmp_path / "a.tif") as stack:
        check(stack, array)


def test_imagej_floats_are_refused(tmp_path: Path) -> None:
    array = labels().astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(UserError, match=r"slice 0 of .* is float32"):
        open_labels(tmp_path / "a.tif")


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 30), st.integers(1, 30)),
    dtype=st.sampled_from(UNSIGNED),
    name=st.sampled_from(["our tiff", "our zlib tiff", "npy", "plain pages", "sharded"]),
)
def test_any_shape(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int], dtype: str, name: str
) -> None:
    array = labels(shape, dtype)
    with open_labels(SOURCES[name](tmp_path_factory.mktemp("any"), array)) as stack:
        check(stack, array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_predictor(tmp_path: Path, dtype: str) -> None:
    array = labels(dtype=dtype)
    options: dict[str, Any] = {"compression": "lzw", "predictor": True}
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", **options)
    with open_labels(tmp_path / "a.tif") as stack:
        check(stack, array)


def test_over_http(tmp_path: Path, http_server: Callable[..., LocalServer]) -> None:
    array = labels(dtype="uint64")
    precomputed(tmp_path / "out", array)
    with open_labels(f"precomputed://{http_server(tmp_path).url}/out") as stack:
        check(stack, array)
        assert stack.metadata == FACTS


def test_offset_of_a_precomputed_stack_does_not_matter(tmp_path: Path) -> None:
    array = labels()
    with open_labels(precomputed(tmp_path / "out", array, voxel_offset=(3, -4, 5))) as stack:
        check(stack, array)


# axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "dask", "npy"])
def test_a_last_axis_of_one_is_dropped(tmp_path: Path, name: str) -> None:
    array = labels()
    source = array[..., None]
    if name == "npy":
        np.save(tmp_path / "a.npy", source)
        check(open_labels(tmp_path / "a.npy"), array)
    elif name == "dask":
        import dask.array

        check(open_labels(dask.array.from_array(source, chunks=5)), array)
    else:
        check(open_labels(source), array)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_peers_pages_with_a_channel_axis(tmp_path: Path, compression: str | None) -> None:
    array = labels()
    _one_by_one(tmp_path / "a.tif", array[..., None], compression)
    with open_labels(tmp_path / "a.tif") as stack:
        check(stack, array)


def test_one_image_is_one_slice(tmp_path: Path) -> None:
    array = labels((1, 20, 30))
    tifffile.imwrite(tmp_path / "a.tif", array[0])
    for source in (array[0], tmp_path / "a.tif"):
        with open_labels(source) as stack:
            check(stack, array)


def test_three_slices_are_not_taken_for_colours(tmp_path: Path) -> None:
    array = labels((3, 20, 30), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", planarconfig="separate")
    with open_labels(tmp_path / "a.tif") as stack:
        check(stack, array)


@pytest.mark.parametrize("shape", [(12,), (2, 12, 20, 30), (2, 1, 12, 20, 30), (12, 20, 30, 3)])
def test_other_axes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = labels(shape)
    with pytest.raises(UserError, match=r"must have the axes \(slices, rows, columns\)"):
        open_labels(array)
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError, match=r"a\.npy must have the axes"):
        open_labels(tmp_path / "a.npy")


def test_tiffs_that_hold_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels((2, 5, 3, 20, 30)), imagej=True)
    with pytest.raises(UserError, match="more axes than slices, rows and columns: 2 T x 5 Z x 3 C"):
        open_labels(path)
    tifffile.imwrite(path, labels((20, 30, 3), "uint8"), photometric="rgb")
    with pytest.raises(UserError, match=r"3 values per pixel \(a colour image\?\)"):
        open_labels(path)
    with tifffile.TiffWriter(path) as writer:
        for columns in (30, 31):
            writer.write(labels((5, 20, columns)), photometric="minisblack")
    with pytest.raises(UserError, match="holds 2 images; save the labels alone"):
        open_labels(path)


@pytest.mark.parametrize("source", [None, 3, [[1]], object()])
def test_no_labels_at_all(source: Any) -> None:
    with pytest.raises(UserError, match="labels must be a path or an array, not"):
        open_labels(source)


def test_empty_stack_is_refused() -> None:
    with pytest.raises(UserError, match="holds no labels"):
        open_labels(np.zeros((0, 5, 5), np.uint8))


def test_volume_with_channels_is_refused(tmp_path: Path) -> None:
    with StagedFolder(tmp_path / "out", False, is_our_precomputed) as folder:
        PrecomputedWriter(
            folder,
            shape=(5, 5, 5),
            resolution=(8, 8, 8),
            voxel_offset=(0, 0, 0),
            dtype="uint8",
            kind="image",
            channels=3,
        )
        folder.commit()
    with pytest.raises(UserError, match="has 3 channels; labels have one"):
        open_labels(tmp_path / "out")


def test_zarr_with_more_axes(tmp_path: Path) -> None:
    import zarr

    array = labels((1, 12, 20, 30))
    zarr.save_array(tmp_path / "one.zarr", array, zarr_format=2)
    with open_labels(tmp_path / "one.zarr") as stack:
        check(stack, array[0])
    with open_labels(zarr.open_array(tmp_path / "one.zarr", mode="r")[0]) as stack:
        check(stack, array[0])
    zarr.save_array(tmp_path / "many.zarr", labels((3, 12, 20, 30)), zarr_format=2)
    with pytest.raises(UserError, match="has 3 channels; labels have one"):
        open_labels(tmp_path / "many.zarr")
    zarr.save_array(tmp_path / "five.zarr", labels((2, 1, 12, 20, 30)), zarr_format=2)
    with (
        pytest.warns(Notice, match="time"),
        pytest.raises(UserError, match=r"\(2, 1, 12, 20, 30\)"),
    ):
        open_labels(tmp_path / "five.zarr")


def test_zarr_of_other_numbers(tmp_path: Path) -> None:
    import zarr

    zarr.save_array(tmp_path / "f.zarr", np.ones((3, 4, 5), np.float32))
    with pytest.raises(UserError, match="labels must be whole numbers; slice 0 of zarr"):
        open_labels(tmp_path / "f.zarr")
    mask = np.random.default_rng(0).random((3, 4, 5)) > 0.5
    zarr.save_array(tmp_path / "b.zarr", mask)
    with open_labels(tmp_path / "b.zarr") as stack:
        assert stack.out_dtype == np.uint8
        check(stack, mask.astype(np.uint8))
    signed = np.array([[[1, 2]], [[3, -1]]], np.int32)
    zarr.save_array(tmp_path / "i.zarr", signed)
    with open_labels(tmp_path / "i.zarr") as stack:
        with pytest.raises(UserError, match=r"must not be negative: slice 1 of zarr.* has -1"):
            stack.read(0, 2)


@pytest.mark.parametrize("name", ["zarr 2", "our OME-Zarr", "precomputed"])
def test_a_silent_server_is_given_up_in_time(
    tmp_path: Path, http_server: Callable[..., LocalServer], name: str
) -> None:
    array = labels()
    path = SOURCES[name](tmp_path, array)
    server = http_server(tmp_path)
    kind = "precomputed" if name == "precomputed" else "zarr"
    with open_labels(f"{kind}://{server.url}/{path.name}", timeout=2) as stack:
        check(stack, array)
        start = time.monotonic()
        server.fault("*", "silent")
        with pytest.raises(SourceError, match=r"did not answer within 0\.5 s"):
            open_labels(f"{kind}://{server.url}/{path.name}", timeout=0.5)
        assert time.monotonic() - start < 20


# dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "dask", "npy", "tiff", "our zlib tiff", "tiled"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_signed_ids_become_unsigned_of_the_same_width(
    tmp_path: Path, name: str, dtype: str
) -> None:
    array = labels(dtype=dtype)
    with open_labels(SOURCES[name](tmp_path, array)) as stack:
        assert stack.dtype == np.dtype(dtype)
        assert stack.out_dtype == np.dtype("u" + dtype)
        check(stack, array)


@pytest.mark.parametrize("name", ["numpy", "dask", "npy", "tiff", "tiled"])
def test_bool_becomes_zero_and_one(tmp_path: Path, name: str) -> None:
    array = labels(dtype="bool")
    if name == "tiled":  # a mask of one bit per pixel
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", compression="zlib")
        source: Any = tmp_path / "a.tif"
    else:
        source = SOURCES[name](tmp_path, array)
    with open_labels(source) as stack:
        assert stack.dtype == bool
        assert stack.out_dtype == np.uint8
        assert set(np.unique(stack.read(0, 12))) == {0, 1}
        check(stack, array)


@pytest.mark.parametrize("name", ["numpy", "dask", "our tiff", "npy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_are_refused_at_once(tmp_path: Path, name: str, dtype: str) -> None:
    source = SOURCES[name](tmp_path, labels().astype(dtype))
    with pytest.raises(UserError) as error:
        open_labels(source)
    assert str(error.value).startswith("labels must be whole numbers; slice 0 of ")
    assert f"is {dtype}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["complex64", "S3", "datetime64[s]", "O", [("a", "u1")]])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    with pytest.raises(UserError, match="labels must be whole numbers"):
        open_labels(np.zeros((3, 4, 5), dtype))


@pytest.mark.parametrize("name", ["numpy", "dask", "tiff", "tiled"])
def test_negative_ids_are_named_with_their_slice(tmp_path: Path, name: str) -> None:
    array = labels(dtype="int16")
    array[7, 3, 4] = -5
    array[9] = -6
    with open_labels(SOURCES[name](tmp_path, array)) as stack:
        with pytest.raises(UserError) as error:
            stack.read(2, 12)
        assert str(error.value).startswith("labels must not be negative: slice 7 of ")
        assert str(error.value).endswith("has -5")
        with pytest.raises(UserError, match=r"slice 7 .* has -5"):  # and again
            stack.read(7, 8)


# selection -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "dask", "tiled", "npy", "precomputed"])
def test_select_keeps_the_ids_named(tmp_path: Path, name: str) -> None:
    ids = np.array([0, 1, 2**53, 2**53 + 1, 2**64 - 1], np.uint64)
    array = np.random.default_rng(0).choice(ids, (12, 20, 30))
    with open_labels(SOURCES[name](tmp_path, array)) as stack:
        view = stack.select([2**53 + 1, 2**64 - 1])
        wanted = np.where((array == ids[3]) | (array == ids[4]), array, 0)
        check(view, wanted)
        check(stack, array)  # the stack itself is as it was
        check(view.select([1, 2**53 + 1]), np.where(array == ids[3], array, 0))
        check(view.select([1]), np.zeros_like(array))


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from([*UNSIGNED, "int8", "int32", "int64"]),
    keep=st.lists(st.integers(1, 127), min_size=1, max_size=40),
    seed=st.integers(0, 99),
)
def test_select_against_plain_python(dtype: str, keep: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 127, (3, 4, 5)).astype(dtype)
    wanted = [i if i in keep else 0 for i in array.ravel().tolist()]
    assert open_labels(array).select(keep).read(0, 3).ravel().tolist() == wanted


@pytest.mark.parametrize(
    ("dtype", "keep", "message"),
    [
        ("uint8", [1, 256], "256 cannot be a label of .*: its uint8 ids are 1 to 255"),
        ("int32", [2**31], "its int32 ids are 1 to 2147483647"),
        ("bool", [2], "its bool ids are 1 to 1"),
        ("uint64", [2**64], "18446744073709551616 cannot be a label"),
        ("uint64", [-1], "-1 cannot be a label"),
        ("uint8", [0], "0 cannot be a label"),
        ("uint8", [], "no label is selected"),
    ],
)
def test_impossible_selections(dtype: str, keep: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_labels(labels(dtype=dtype)).select(keep)


# broken files --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint64"])
@pytest.mark.parametrize("name", ["our tiff", "our zlib tiff", "peer", "peer compressed", "tiled"])
def test_file_cut_anywhere_is_named_never_read_short(tmp_path: Path, name: str, dtype: str) -> None:
    array = labels((5, 20, 30), dtype)
    whole = Path(SOURCES[name](tmp_path, array)).read_bytes()
    path = tmp_path / "cut.tif"
    refused: list[str] = []
    for size in [*range(0, 300, 11), *range(300, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:size])
        try:
            with open_labels(path) as stack:
                found = stack.read(0, stack.shape[0])
        except (UserError, SourceError) as error:
            refused.append(str(error))
        else:  # only what tifffile pads the end of a file with is missing
            np.testing.assert_array_equal(found, array)
    assert len(refused) > 50
    assert all("cut.tif" in line and "\n" not in line for line in refused)


def test_slice_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels(), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[7].dataoffsets[0]
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 100)
    with open_labels(path) as stack:
        with pytest.raises(SourceError, match=r"a\.tif: slice 7 cannot be decoded"):
            stack.read(0, 12)
        with pytest.raises(SourceError, match="slice 7"):
            stack.read(7, 8)


@pytest.mark.parametrize("size", [0, 5, 20, 100, 200])
def test_cut_npy_is_named(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "a.npy", labels())
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:size])
    with pytest.raises((UserError, SourceError), match=r"a\.npy"):
        open_labels(tmp_path / "a.npy")


def test_pickled_npy_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match=r"a\.npy is broken"):
        open_labels(tmp_path / "a.npy")


def test_a_zarr_whose_metadata_are_in_one_file(tmp_path: Path) -> None:
    array = labels((6, 5, 4), "uint16")
    write_zarr2_by_hand(tmp_path, array, chunk=(3, 3, 3))
    content = {".zarray": json.loads((tmp_path / ".zarray").read_text())}
    (tmp_path / ".zarray").unlink()
    (tmp_path / ".zmetadata").write_text(json.dumps({"metadata": content}))
    check(open_labels(tmp_path), array)


def test_what_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        open_labels(tmp_path / "a.tif")
    (tmp_path / "a.tif").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(
        UserError, match=r"neither a TIFF nor an \.npy file nor the folder of a volume"
    ):
        open_labels(tmp_path / "a.tif")
    with pytest.raises(UserError, match="is a folder, but no volume"):
        open_labels(tmp_path)


def test_file_that_may_not_be_read() -> None:
    imports = """
        from napari_ouroboros.errors import SourceError
        from napari_ouroboros.volumes.labels.label_stack import open_labels
        """
    code = """
        for path in sys.argv[1:]:
            try:
                open_labels(path)
            except SourceError as error:
                print(error)
        """
    with anybodys_folder() as folder:
        (folder / "secret").mkdir(mode=0o700)
        for path in (folder / "a.tif", folder / "secret" / "b.tif"):
            tifffile.imwrite(path, labels())
            path.chmod(0o600)
        lines = as_nobody(imports, code, folder / "a.tif", folder / "secret" / "b.tif").splitlines()
    assert lines == [
        f"cannot read {folder}/a.tif: Permission denied",
        f"cannot read {folder}/secret/b.tif: Permission denied",
    ]


# laziness, memory, threads -------------------------------------------------------------------


class Counting:
    """An array that counts how often its slices are read."""

    def __init__(self, array: NDArray[Any], thickness: int) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.chunks = (thickness, *array.shape[1:])
        self.reads: list[tuple[int, int]] = []

    def __getitem__(self, key: slice) -> NDArray[Any]:
        self.reads.append((key.start, key.stop))
        return self.array[key].copy()


def test_slabs_are_decoded_once_and_only_where_asked() -> None:
    source = Counting(labels((40, 20, 30)), 8)
    stack = open_labels(source)
    assert source.reads == []
    for k in range(10, 22):
        np.testing.assert_array_equal(stack.read(k, k + 1), source.array[k : k + 1])
    assert source.reads == [(8, 16), (16, 24)]


def test_cache_is_bounded() -> None:
    source = Counting(labels((64, 64, 64), "uint32"), 4)
    slab = 4 * 64 * 64 * 4
    stack = open_labels(source, cache_bytes=3 * slab)
    tracemalloc.start()
    for k in range(0, 64, 4):
        stack.read(k, k + 4)
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 3.5 * slab
    before = len(source.reads)
    stack.read(60, 64)  # still there
    assert len(source.reads) == before
    stack.read(0, 4)  # long gone
    assert len(source.reads) == before + 1


def test_slabs_thicker_than_the_memory_are_read_in_parts() -> None:
    source = Counting(labels((64, 64, 64), "uint8"), 64)
    stack = open_labels(source, cache_bytes=64 * 64 * 10)
    check(stack, source.array)
    assert max(stop - start for start, stop in source.reads) <= 5


def test_threads_share_slabs_and_none_is_decoded_twice(tmp_path: Path) -> None:
    array = labels((48, 64, 64), "uint32")
    tifffile.imwrite(tmp_path / "a.tif", array, compression="zlib", photometric="minisblack")
    counting = Counting(array, 6)
    with open_labels(tmp_path / "a.tif", cache_bytes=64 * 64 * 4 * 8) as tiff:
        stack = open_labels(counting)
        wrong: list[int] = []
        start = threading.Barrier(8)

        def read(seed: int) -> None:
            rng = np.random.default_rng(seed)
            start.wait()
            for k in rng.integers(0, 47, 60):
                for source in (tiff, stack):
                    if not np.array_equal(source.read(k, k + 2), array[k : k + 2]):
                        wrong.append(int(k))

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(counting.reads) == len(set(counting.reads)) == 8


def test_error_reaches_every_thread_that_waits_and_is_not_kept() -> None:
    class Flaky(Counting):
        broken = True

        def __getitem__(self, key: slice) -> NDArray[Any]:
            if self.broken:
                raise OSError("gone")
            return super().__getitem__(key)

    source = Flaky(labels(), 4)
    stack = open_labels(source)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            stack.read(0, 4)
    source.broken = False
    check(stack, source.array)


def test_large_tiff_is_not_read_as_a_whole(tmp_path: Path) -> None:
    array = labels((200, 128, 128), "uint32")
    tifffile.imwrite(tmp_path / "a.tif", array, compression="zlib", photometric="minisblack")
    open_labels(tmp_path / "a.tif").close()  # imports are not counted
    tracemalloc.start()
    with open_labels(tmp_path / "a.tif", cache_bytes=1_000_000) as stack:
        for k in range(0, 200, 10):
            stack.read(k, k + 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 3


def test_a_stack_nobody_closed_closes_its_file(tmp_path: Path) -> None:
    import gc

    tifffile.imwrite(tmp_path / "a.tif", labels(), compression="zlib", photometric="minisblack")
    stack: LabelStack | None = open_labels(tmp_path / "a.tif")
    assert stack is not None
    stack.read(0, 1)
    stack = None
    gc.collect()  # a ResourceWarning would be an error here


@pytest.mark.parametrize(("k0", "k1"), [(-1, 3), (3, 3), (5, 13), (4, 2)])
def test_slices_outside_are_a_mistake(k0: int, k1: int) -> None:
    with pytest.raises(ValueError, match="of a stack of 12"):
        open_labels(labels()).read(k0, k1)


def test_facts_that_are_no_facts(tmp_path: Path) -> None:
    path = precomputed(tmp_path / "out", labels())
    info = json.loads((path / "info").read_text())
    info["napari_ouroboros"] = "x"
    (path / "info").write_text(json.dumps(info))
    with open_labels(path) as stack:
        assert stack.metadata == {}
