"""What other programs wrote is read bit for bit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.precomputed import blobs, write_by_hand, write_cloudvolume, write_tensorstore

from napari_ouroboros.volumes import Volume, open_volume
from napari_ouroboros.volumes.formats.precomputed import DTYPES

few = settings(max_examples=25, deadline=None)
sizes = st.tuples(*[st.integers(1, 21)] * 3)
chunks = st.tuples(*[st.integers(3, 11)] * 3)
offsets = st.tuples(*[st.integers(-30, 10**6)] * 3)


def expect_equal(volume: Volume, array: np.ndarray[Any, Any]) -> None:
    """Compare the ways to read; `array` is (channel, z, y, x)."""
    wanted = array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)
    got = volume.read(0)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)
    lazy = volume.dask(0)
    assert lazy.dtype == wanted.dtype
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), wanted)
    nz, ny, nx = volume.chunk_grid(0)
    index = (nz - 1, ny - 1, nx - 1)
    last = volume.fetch_chunk(0, index)
    box = tuple(slice(a, b) for a, b in volume.chunk_box(0, index))
    if last is None:
        assert not array[(slice(None), *box)].any()
    else:
        assert last.flags.c_contiguous
        np.testing.assert_array_equal(last, array[(slice(None), *box)])


@few
@given(sizes, chunks, offsets, st.sampled_from(DTYPES), st.integers(1, 4), st.booleans())
def test_raw_by_hand(
    size: Any, chunk: Any, offset: Any, dtype: str, channels: int, packed: bool
) -> None:
    array = blobs((channels, *size), dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_by_hand(Path(folder), [array], chunk=chunk, offsets=[offset], packed=packed)
        volume = open_volume(folder)
        assert volume.levels[0].shape == size
        assert volume.levels[0].voxel_offset == offset
        expect_equal(volume, array)


@few
@given(
    sizes, chunks, offsets, st.sampled_from(["uint32", "uint64"]), st.integers(1, 3),
    st.sampled_from([(8, 8, 8), (4, 8, 2), (1, 3, 5)]),
)  # fmt: skip
def test_compressed_segmentation_of_tensorstore(
    size: Any, chunk: Any, offset: Any, dtype: str, channels: int, block: Any
) -> None:
    array = blobs((channels, *size), dtype)
    with tempfile.TemporaryDirectory() as folder:
        write_tensorstore(
            Path(folder), array, "compressed_segmentation", chunk=chunk, offset=offset,
            compressed_segmentation_block_size=list(block),
        )  # fmt: skip
        expect_equal(open_volume(folder), array)


@few
@given(
    sizes, chunks, offsets, st.sampled_from(["raw", "compressed_segmentation"]),
    st.integers(0, 3), st.integers(0, 3), st.integers(0, 3),
    st.sampled_from(["identity", "murmurhash3_x86_128"]),
    st.sampled_from(["raw", "gzip"]), st.sampled_from(["raw", "gzip"]),
)  # fmt: skip
def test_shards_of_tensorstore(
    size: Any, chunk: Any, offset: Any, encoding: str, preshift: int, minishard: int, shard: int,
    hashing: str, index_encoding: str, data_encoding: str,
) -> None:  # fmt: skip
    array = blobs((1, *size), "uint64")
    sharding = {
        "preshift_bits": preshift,
        "minishard_bits": minishard,
        "shard_bits": shard,
        "hash": hashing,
        "minishard_index_encoding": index_encoding,
        "data_encoding": data_encoding,
    }
    with tempfile.TemporaryDirectory() as folder:
        write_tensorstore(
            Path(folder), array, encoding, chunk=chunk, offset=offset, sharding=sharding
        )
        volume = open_volume(folder)
        assert volume.levels[0].sharded
        expect_equal(volume, array)


@settings(max_examples=12, deadline=None)
@given(
    sizes, chunks, st.sampled_from(["uint8", "uint16", "uint32", "uint64", "float32"]),
    st.sampled_from(["gzip", "br", "zstd", False]),
)  # fmt: skip
def test_files_of_cloudvolume(size: Any, chunk: Any, dtype: str, compress: Any) -> None:
    array = blobs((1, *size), dtype)
    encoding = "compressed_segmentation" if dtype in ("uint32", "uint64") else "raw"
    with tempfile.TemporaryDirectory() as folder:
        write_cloudvolume(Path(folder), array, encoding, chunk=chunk, compress=compress)
        expect_equal(open_volume(folder), array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png(tmp_path: Path, channels: int, dtype: str) -> None:
    array = blobs((channels, 11, 9, 14), dtype)
    write_tensorstore(tmp_path, array, "png")
    expect_equal(open_volume(tmp_path), array)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_voxels_and_channels_in_place(tmp_path: Path, channels: int) -> None:
    z, y, x = np.mgrid[:20, :13, :18]
    smooth = [60 + 4 * x + 2 * y, 200 - 5 * z, 30 + 3 * y + 2 * z][:channels]
    array = np.stack(smooth).astype("uint8")
    write_tensorstore(tmp_path, array, "jpeg", jpeg_quality=100)
    got = open_volume(tmp_path).read(0).reshape(*array.shape[1:], channels)
    error = np.abs(np.moveaxis(got, -1, 0).astype(int) - array)
    # Colour goes through YCbCr with subsampling, so single voxels may be off by more.
    assert np.median(error) <= 2
    assert error.max() <= (4 if channels == 1 else 40)


@pytest.mark.parametrize("encoding", ["fpzip", "compresso", "crackle", "zfpc", "jxl"])
def test_encodings_that_only_cloudvolume_writes(tmp_path: Path, encoding: str) -> None:
    dtype = {"fpzip": "float32", "zfpc": "float32", "jxl": "uint8"}.get(encoding, "uint64")
    array = blobs((1, 20, 12, 18), dtype)
    if encoding == "jxl":
        array = np.broadcast_to(np.arange(18, dtype="uint8") * 9, array.shape).copy()
    write_cloudvolume(tmp_path, array, encoding, chunk=(10, 8, 8))
    got = open_volume(tmp_path).read(0)
    if encoding in ("zfpc", "jxl"):
        assert np.abs(got.astype(float) - array[0]).max() <= (1e-2 if encoding == "zfpc" else 6)
    else:
        np.testing.assert_array_equal(got, array[0])


@few
@given(sizes, chunks, st.data())
def test_any_box(size: Any, chunk: Any, data: st.DataObject) -> None:
    array = blobs((2, *size), "int16")
    spans = [
        tuple(sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))) for n in size
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_by_hand(Path(folder), [array], chunk=chunk, offsets=[(5, -7, 11)])
        got = open_volume(folder).read(0, tuple(spans))  # type: ignore[arg-type]
    wanted = array[(slice(None), *(slice(a, b) for a, b in spans))]
    np.testing.assert_array_equal(got, np.moveaxis(wanted, 0, -1))
