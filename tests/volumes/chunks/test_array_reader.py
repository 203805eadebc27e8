"""Zarr and N5: what is written is read, wherever it is; missing, corrupt and refused chunks."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_server import LocalServer
from oracles.arrays import shards, write_array, write_n5_by_hand, write_zarr2_by_hand
from oracles.precomputed import blobs

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes import Volume, open_volume

Serve = Callable[..., LocalServer]
few = settings(max_examples=20, deadline=None)
sizes = st.tuples(*[st.integers(1, 17)] * 3)
chunks = st.tuples(*[st.integers(1, 9)] * 3)
DTYPES = ("uint8", "int16", "uint16", "uint32", "uint64", "int64", "float32", "float64")


def opened(folder: Path | str) -> Volume:
    return open_volume(folder, resolution=(4, 4, 4))


@few
@given(
    sizes, chunks, st.sampled_from(DTYPES), st.sampled_from(["<", ">"]), st.sampled_from("./"),
    st.sampled_from([0, 3]),
)  # fmt: skip
def test_zarr2_by_hand(
    size: Any, chunk: Any, dtype: str, endian: str, separator: str, fill: int
) -> None:
    array = blobs((1, *size), dtype)[0].astype(np.dtype(dtype).newbyteorder(endian))
    with tempfile.TemporaryDirectory() as folder:
        write_zarr2_by_hand(Path(folder), array, chunk=chunk, separator=separator, fill=fill)
        volume = opened(folder)
        assert volume.reader == "tensorstore"
        assert volume.url == f"zarr2://file://{folder}"
        got = volume.read(0)
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got, array)
        chunk_ = volume.fetch_chunk(0, (0, 0, 0))
        assert chunk_ is not None
        assert chunk_.flags.c_contiguous


@few
@given(sizes, chunks, st.sampled_from(DTYPES))
def test_n5_by_hand(size: Any, chunk: Any, dtype: str) -> None:
    array = blobs((1, *size), dtype)[0]
    with tempfile.TemporaryDirectory() as folder:
        write_n5_by_hand(Path(folder), array.T, chunk=chunk[::-1])
        volume = open_volume(folder)
        assert volume.levels[0].shape == size
        np.testing.assert_array_equal(volume.read(0), array)


BYTES = {"name": "bytes", "configuration": {"endian": "big"}}
TURNED = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}


@pytest.mark.parametrize(
    ("driver", "metadata"),
    [
        ("zarr", {"compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}}),
        ("zarr", {"compressor": {"id": "zlib", "level": 1}, "order": "F"}),
        ("zarr", {"compressor": {"id": "bz2", "level": 1}}),
        ("zarr", {"compressor": {"id": "zstd", "level": 1}}),
        ("zarr3", {"codecs": [BYTES, {"name": "gzip", "configuration": {"level": 1}}]}),
        ("zarr3", {"codecs": [TURNED, BYTES, {"name": "zstd"}, {"name": "crc32c"}]}),
        ("zarr3", {"codecs": [BYTES, {"name": "blosc"}],
                   "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}}),
        ("n5", {"compression": {"type": "gzip"}}),
        ("n5", {"compression": {"type": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1}}),
        ("n5", {"compression": {"type": "xz"}}),
    ],
)  # fmt: skip
def test_codecs(tmp_path: Path, driver: str, metadata: dict[str, Any], http_server: Serve) -> None:
    array = blobs((1, 21, 14, 30), "uint16")[0]
    stored, chunk = (array.T, (11, 5, 9)) if driver == "n5" else (array, (9, 5, 11))
    write_array(tmp_path, driver, stored, chunk=chunk, metadata=metadata)
    np.testing.assert_array_equal(opened(tmp_path).read(0), array)
    over_http = opened(http_server(tmp_path).url)
    np.testing.assert_array_equal(over_http.read(0), array)
    again = pickle.loads(pickle.dumps(over_http))
    np.testing.assert_array_equal(again.read(0, ((3, 19), (0, 14), (7, 8))), array[3:19, :, 7:8])
    again.close()
    over_http.close()


@few
@given(
    sizes, st.tuples(*[st.integers(1, 5)] * 3), st.tuples(*[st.integers(1, 3)] * 3),
    st.sampled_from(["start", "end"]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_shards(
    size: Any, inner: Any, per_shard: Any, location: str, crc: bool, packed: bool
) -> None:
    array = blobs((1, *size), "uint32")[0]
    codecs: list[Any] = [BYTES, *([{"name": "zstd"}] if packed else [])]
    shard = [a * b for a, b in zip(inner, per_shard, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        write_array(
            Path(folder), "zarr3", array, chunk=shard,
            metadata={"codecs": shards(inner, codecs, location, crc)},
        )  # fmt: skip
        volume = opened(folder)
        assert volume.levels[0].sharded
        np.testing.assert_array_equal(volume.read(0), array)


def test_a_shard_is_read_by_its_index_and_chunk_by_chunk(
    tmp_path: Path, http_server: Serve
) -> None:
    array = np.random.default_rng(0).integers(1, 255, (16, 16, 16), np.uint8)
    codecs = shards((8, 8, 8), [BYTES])
    write_array(tmp_path, "zarr3", array, chunk=(16, 16, 16), metadata={"codecs": codecs})
    server = http_server(tmp_path)
    volume = opened(server.url)
    server.requests.clear()
    np.testing.assert_array_equal(volume.read(0), array)
    assert server.requests == {"c/0/0/0": 9}
    assert sorted(wanted for _, wanted in server.ranges) == sorted(
        ["bytes=-132", *(f"bytes={i * 512}-{i * 512 + 511}" for i in range(8))]
    )
    volume.close()


def test_channels_and_time(tmp_path: Path) -> None:
    array = blobs((2 * 3, 9, 10, 11), "uint8").reshape(2, 3, 9, 10, 11)
    for name, channels in (("one", 1), ("two", 2), ("all", 3)):
        write_zarr2_by_hand(tmp_path / name, array, chunk=(1, channels, 4, 5, 6))
        with pytest.warns(match="2 time points; the first one is read"):
            volume = opened(tmp_path / name)
        assert volume.channels == 3
        np.testing.assert_array_equal(volume.read(0), np.moveaxis(array[0], 0, -1))


def test_booleans_are_read_as_uint8(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((5, 6, 7)) < 0.5
    write_zarr2_by_hand(tmp_path, array, chunk=(4, 4, 4), fill=False)
    got = opened(tmp_path).read(0)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, array.astype(np.uint8))


def test_missing_chunks(tmp_path: Path) -> None:
    array = np.full((3, 8, 8, 8), 9, "int16")
    write_zarr2_by_hand(
        tmp_path / "zero", array, chunk=(1, 4, 4, 4),
        leave_out=[(c, 0, 0, 0) for c in range(3)] + [(1, 0, 0, 1)],
    )  # fmt: skip
    volume = opened(tmp_path / "zero")
    assert volume.fetch_chunk(0, (0, 0, 0)) is None
    wanted = np.moveaxis(array, 0, -1).copy()
    wanted[:4, :4, :4] = -1
    wanted[:4, :4, 4:, 1] = 0  # what is missing in one channel only, the format says
    np.testing.assert_array_equal(volume.read(0, fill=-1), wanted)
    with pytest.raises(SourceError, match=rf"chunk file://{tmp_path}/zero/0.0.0.0 is missing"):
        volume.read(0, missing="error")
    # A value of its own says that what is not stored is meant to be that.
    write_zarr2_by_hand(tmp_path / "7", array[0], chunk=(4, 4, 4), fill=7, leave_out=[(0, 0, 0)])
    wanted = array[0].copy()
    wanted[:4, :4, :4] = 7
    np.testing.assert_array_equal(opened(tmp_path / "7").read(0, missing="error"), wanted)


@pytest.mark.parametrize("driver", ["zarr", "zarr3", "n5"])
def test_a_missing_chunk_costs_one_request(tmp_path: Path, driver: str, http_server: Serve) -> None:
    write_array(tmp_path, driver, np.zeros((8, 8, 8), "uint8"), chunk=(4, 4, 4), metadata={})
    server = http_server(tmp_path)
    server.fault("*1?1?1", 404)
    volume = opened(server.url)
    server.requests.clear()
    assert volume.fetch_chunk(0, (1, 1, 1)) is None
    assert server.n_requests == 1
    volume.close()


@pytest.mark.parametrize("turned", [[2, 1, 0], [0, 1, 2]])
def test_shards_that_are_turned_are_refused(tmp_path: Path, turned: list[int]) -> None:
    """The chunks in them would lie elsewhere."""
    array = blobs((1, 16, 8, 8), "uint16")[0]
    around = [{"name": "transpose", "configuration": {"order": turned}}]
    metadata = {"codecs": around + shards((4, 4, 4), [BYTES])}
    write_array(tmp_path, "zarr3", array, chunk=(8, 8, 8), metadata=metadata)
    with pytest.raises(UserError, match="uses transpose around its shards"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("start", "size"), [(0, 2**62), (2**63, 100), (2**64 - 2, 3), (0, 2**40), (2**64 - 1, 5)]
)
def test_a_shard_whose_index_points_nowhere(
    tmp_path: Path, http_server: Serve, start: int, size: int
) -> None:
    array = blobs((1, 8, 8, 8), "uint16")[0]
    metadata = {"codecs": shards((4, 4, 4), [BYTES], crc=False)}
    write_array(tmp_path, "zarr3", array, chunk=(8, 8, 8), metadata=metadata)
    shard = tmp_path / "c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[-128:-112] = start.to_bytes(8, "little") + size.to_bytes(8, "little")
    shard.write_bytes(data)
    for place in (tmp_path, http_server(tmp_path).url):
        with pytest.raises(SourceError, match="is corrupt: the shard ends before byte"):
            opened(place).fetch_chunk(0, (0, 0, 0))


@pytest.mark.parametrize("how", ["cut", "longer", "empty", "a page"])
@pytest.mark.parametrize("driver", ["zarr", "zarr3", "n5", "shards"])
def test_a_corrupt_chunk_is_named(tmp_path: Path, driver: str, how: str) -> None:
    array = np.random.default_rng(0).integers(0, 255, (8, 8, 8), np.uint8)
    metadata: dict[str, Any] = {
        "zarr": {"compressor": {"id": "blosc"}},
        "zarr3": {"codecs": [BYTES, {"name": "zstd"}, {"name": "crc32c"}]},
        "n5": {"compression": {"type": "gzip"}},
        "shards": {"codecs": shards((8, 8, 8), [BYTES])},
    }[driver]
    write_array(
        tmp_path, driver.replace("shards", "zarr3"), array, chunk=(8, 8, 8), metadata=metadata
    )
    name = {"zarr": "0.0.0", "n5": "0/0/0"}.get(driver, "c/0/0/0")
    data = (tmp_path / name).read_bytes()
    spoilt = {"cut": data[:-3], "longer": data + b"abc", "empty": b"", "a page": b"<html></html>"}
    (tmp_path / name).write_bytes(spoilt[how])
    with pytest.raises(SourceError, match=f"{name} is corrupt: ") as caught:
        opened(tmp_path).read(0)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("what", [403, 500, 204, "truncated", "dropped", "silent"])
def test_a_server_that_fails(tmp_path: Path, http_server: Serve, what: Any) -> None:
    write_zarr2_by_hand(tmp_path, np.ones((8, 8, 8), "uint8"), chunk=(4, 4, 4))
    server = http_server(tmp_path)
    volume = open_volume(server.url, resolution=(4, 4, 4), timeout=3)
    server.fault("0.0.1", what)
    with pytest.raises(SourceError, match=rf"{server.url}/0\.0\.1"):
        volume.read(0)
    server.heal()
    assert volume.read(0).all()
    volume.close()


def test_codecs_that_nothing_reads(tmp_path: Path) -> None:
    array = np.ones((4, 4, 4), "uint8")
    write_zarr2_by_hand(tmp_path, array, chunk=(4, 4, 4))
    file = tmp_path / ".zarray"
    file.write_text(
        file.read_text().replace('"compressor": null', '"compressor": {"id": "zstd", "level": "x"}')
    )
    with pytest.raises(SourceError, match="tensorstore cannot read this array"):
        opened(tmp_path).read(0)
