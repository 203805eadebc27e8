"""What was written is read: any shape, offset, chunks, voxels, encoding, writer and store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_server import LocalServer
from oracles.arrays import shards, write_array, write_n5_by_hand, write_zarr2_by_hand
from oracles.precomputed import blobs, write_by_hand, write_cloudvolume, write_tensorstore

from napari_ouroboros.volumes import Volume, open_volume
from napari_ouroboros.volumes.formats.precomputed import DTYPES

sizes = st.tuples(*[st.integers(1, 19)] * 3)
# Few enough chunks for many volumes in a short time.
shapes = st.tuples(sizes, st.tuples(*[st.integers(1, 3)] * 3)).map(
    lambda drawn: (drawn[0], tuple(-(-n // parts) for n, parts in zip(*drawn, strict=True)))
)
offsets = st.tuples(*[st.integers(-30, 10**6)] * 3)
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
often = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Path, str]]]:
    """``place(store)`` -> a new folder, and its address in that store."""
    root = tmp_path_factory.mktemp("volumes")
    numbers = itertools.count()
    with LocalServer(root) as plain, LocalServer(root, bucket=True) as bucket:
        heads = {"folder": str(root), "server": plain.url, "bucket": bucket.url}

        def new(store: str) -> tuple[Path, str]:
            name = str(next(numbers))
            return root / name, f"{heads[store]}/{name}"

        yield new


@st.composite
def shardings(draw: st.DrawFn) -> dict[str, Any]:
    coded = st.sampled_from(["raw", "gzip"])
    return {
        "preshift_bits": draw(st.integers(0, 3)),
        "minishard_bits": draw(st.integers(0, 3)),
        "shard_bits": draw(st.integers(0, 3)),
        "hash": draw(st.sampled_from(["identity", "murmurhash3_x86_128"])),
        "minishard_index_encoding": draw(coded),
        "data_encoding": draw(coded),
    }


def check(volume: Volume, array: np.ndarray[Any, Any], data: st.DataObject) -> None:
    """Compare whole, a box, and one chunk; `array` is (channel, z, y, x)."""
    wanted = np.moveaxis(array, 0, -1)
    wanted = wanted[..., 0] if len(array) == 1 else wanted
    got = volume.read(0)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)
    box: Any = tuple(
        tuple(sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))))
        for n in array.shape[1:]
    )
    inside = tuple(slice(a, b) for a, b in box)
    np.testing.assert_array_equal(volume.read(0, box), wanted[inside])
    np.testing.assert_array_equal(volume.dask(0)[inside].compute(scheduler="sync"), wanted[inside])
    volume.close()


@often
@given(shapes, offsets, st.data())
def test_precomputed(
    place: Callable[[str], tuple[Path, str]], shape: Any, offset: Any, data: st.DataObject
) -> None:
    size, chunk = shape
    folder, url = place(data.draw(st.sampled_from(["folder", "server", "bucket"])))
    writer = data.draw(st.sampled_from(["hand", "tensorstore", "cloud-volume"]))
    encoding = "raw"
    if writer != "hand":
        encoding = data.draw(st.sampled_from(["raw", "compressed_segmentation", "png"]))
    # What the writers know: int64 is known by us alone.
    dtypes: Any = {
        "compressed_segmentation": ("uint32", "uint64"),
        "png": ("uint8",),
        "hand": DTYPES,
        "tensorstore": [dtype for dtype in DTYPES if dtype != "int64"],
        "cloud-volume": ("uint8", "uint16", "uint32", "uint64", "float32"),
    }
    dtype = data.draw(st.sampled_from(dtypes.get(encoding, dtypes[writer])))
    channels = 1 if writer == "cloud-volume" else data.draw(st.integers(1, 3))
    array = blobs((channels, *size), dtype)
    if writer == "hand":
        write_by_hand(
            folder, [array], chunk=chunk, offsets=[offset], packed=data.draw(st.booleans())
        )
    elif writer == "tensorstore":
        sharding = data.draw(st.none() | shardings())
        write_tensorstore(folder, array, encoding, chunk=chunk, offset=offset, sharding=sharding)
    else:
        packing = data.draw(st.sampled_from(["gzip", False]))
        write_cloudvolume(folder, array, encoding, chunk=chunk, offset=offset, compress=packing)
    readers = ("cloud-volume", "tensorstore") if dtype != "int64" else ("cloud-volume",)
    for reader in readers:
        volume = open_volume(url, reader=reader)
        assert volume.levels[0].voxel_offset == offset
        assert volume.reader == reader
        check(volume, array, data)


@often
@given(shapes, st.data())
def test_zarr_and_n5(
    place: Callable[[str], tuple[Path, str]], shape: Any, data: st.DataObject
) -> None:
    size, chunk = shape
    folder, url = place(data.draw(st.sampled_from(["folder", "server"])))
    form = data.draw(st.sampled_from(["zarr2", "zarr3", "zarr3 shards", "n5"]))
    dtype = data.draw(st.sampled_from([*DTYPES, "float64"]))
    array = blobs((1, *size), dtype)[0]
    codecs = [LITTLE, *data.draw(st.sampled_from([[], [{"name": "zstd"}], [{"name": "blosc"}]]))]
    if form == "zarr2":
        write_zarr2_by_hand(
            folder, array.astype(array.dtype.newbyteorder(data.draw(st.sampled_from("<>")))),
            chunk=chunk, separator=data.draw(st.sampled_from("./")),
        )  # fmt: skip
    elif form == "n5":
        write_n5_by_hand(folder, array.T, chunk=chunk[::-1])
    elif form == "zarr3":
        write_array(folder, "zarr3", array, chunk=chunk, metadata={"codecs": codecs})
    else:
        times = data.draw(st.tuples(*[st.integers(1, 3)] * 3))
        inside = shards(chunk, codecs, data.draw(st.sampled_from(["start", "end"])))
        whole = [a * b for a, b in zip(chunk, times, strict=True)]
        write_array(folder, "zarr3", array, chunk=whole, metadata={"codecs": inside})
    check(open_volume(url, resolution=(4, 4, 4)), array[None], data)
