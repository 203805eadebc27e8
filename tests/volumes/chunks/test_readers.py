"""Both readers of precomputed volumes: the same voxels, the same failures; and who is chosen."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer
from oracles.arrays import write_zarr2_by_hand
from oracles.precomputed import blobs, write_by_hand, write_cloudvolume, write_tensorstore

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.chunks.readers import READERS

Serve = Callable[..., LocalServer]
SHARDS = {
    "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 1, "hash": "identity",
    "minishard_index_encoding": "gzip", "data_encoding": "gzip",
}  # fmt: skip


def test_both_give_the_same(tmp_path: Path, http_server: Serve) -> None:
    write_by_hand(
        tmp_path / "raw", [blobs((3, 12, 13, 14), "float32")], offsets=[(-3, 7, 0)], packed=True
    )
    write_cloudvolume(
        tmp_path / "cseg", blobs((1, 20, 13, 18), "uint64"), "compressed_segmentation"
    )
    for encoding, dtype, channels in (
        ("png", "uint16", 4), ("png", "uint8", 2), ("jpeg", "uint8", 1), ("jpeg", "uint8", 3),
    ):  # fmt: skip
        image = np.random.default_rng(2).integers(0, 256, (channels, 9, 20, 15))
        folder = tmp_path / f"{encoding}{channels}"
        write_tensorstore(folder, image.astype(dtype), encoding)
    for encoding in ("png", "jpeg"):
        image = np.random.default_rng(2).integers(0, 256, (1, 9, 20, 15)).astype("uint8")
        write_cloudvolume(tmp_path / f"{encoding}-cloudvolume", image, encoding)
    write_tensorstore(tmp_path / "shards", blobs((1, 20, 20, 20), "int16"), "raw", sharding=SHARDS)
    server = http_server(tmp_path)
    for part in sorted(tmp_path.iterdir()):
        for url in (part, f"{server.url}/{part.name}"):
            first, second = (open_volume(url, reader=reader) for reader in READERS)
            assert (first.reader, second.reader) == READERS
            a, b = first.read(0), second.read(0)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, err_msg=part.name)
            chunk = second.fetch_chunk(0, (0, 0, 0))
            assert chunk is not None
            assert chunk.flags.c_contiguous
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(second)).read(0), a)
            first.close()
            second.close()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("how", ["cut", "not gzip", "empty", "a page", "wrong sum"])
@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation", "png", "jpeg"])
def test_corrupt_chunks(tmp_path: Path, encoding: str, how: str, reader: str) -> None:
    array = blobs((1, 8, 8, 8), "uint8" if encoding in ("png", "jpeg") else "uint32")
    write_tensorstore(tmp_path, array, encoding)
    path = tmp_path / "scale" / "0-8_0-8_0-8"
    data = path.read_bytes()
    path.unlink()
    packed = gzip.compress(data)
    spoilt = {
        "cut": gzip.compress(data[: -len(data) // 3]), "not gzip": data, "empty": b"",
        "a page": gzip.compress(b"<html></html>"),
        "wrong sum": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
    }  # fmt: skip
    (path.parent / f"{path.name}.gz").write_bytes(spoilt[how])
    with pytest.raises(SourceError, match=r"scale/0-8_0-8_0-8 is corrupt: ") as caught:
        open_volume(tmp_path, reader=reader).read(0)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("reader", READERS)
def test_missing_refused_and_silent_chunks(tmp_path: Path, http_server: Serve, reader: str) -> None:
    array = np.full((1, 8, 8, 16), 5, "uint8")
    write_by_hand(tmp_path, [array], leave_out=[(0, 0, 1)])
    server = http_server(tmp_path)
    volume = open_volume(server.url, reader=reader, timeout=2)
    assert volume.fetch_chunk(0, (0, 0, 1)) is None
    for what in (204, 403, 500, "truncated", "dropped", "silent"):
        server.fault("mip0/0-8_0-8_0-8", what)
        with pytest.raises(SourceError, match=f"{server.url}/mip0/0-8_0-8_0-8"):
            volume.fetch_chunk(0, (0, 0, 0))
        server.heal()
    chunk = volume.fetch_chunk(0, (0, 0, 0))
    assert chunk is not None
    assert (chunk == 5).all()
    volume.close()


def choice(folder: Path, encoding: str, dtype: str = "uint32") -> tuple[str, str]:
    write_tensorstore(folder, blobs((1, 8, 8, 8), dtype), encoding)
    volume = open_volume(folder)
    return volume.reader, volume.reader_reason


def test_the_choice(tmp_path: Path) -> None:
    assert choice(tmp_path / "1", "compressed_segmentation") == (
        "cloud-volume",
        "compressed_segmentation: its codecs take less CPU time than tensorstore",
    )
    assert choice(tmp_path / "2", "raw") == (
        "cloud-volume", "raw chunks need no decoding, which tensorstore would not leave out"
    )  # fmt: skip
    assert choice(tmp_path / "3", "png", "uint8")[0] == "cloud-volume"
    write_cloudvolume(tmp_path / "4", blobs((1, 8, 8, 8), "uint64"), "compresso")
    volume = open_volume(tmp_path / "4")
    assert (volume.reader, volume.reader_reason) == (
        "cloud-volume", "tensorstore cannot decode compresso"
    )  # fmt: skip
    write_zarr2_by_hand(tmp_path / "5", np.ones((4, 4, 4), "uint8"), chunk=(4, 4, 4))
    volume = open_volume(tmp_path / "5", resolution=(1, 1, 1))
    assert (volume.reader, volume.reader_reason) == (
        "tensorstore", "it decodes zarr and N5, here raw"
    )  # fmt: skip


def test_a_wish_that_cannot_be_met(tmp_path: Path) -> None:
    write_cloudvolume(tmp_path / "c", blobs((1, 8, 8, 8), "uint64"), "compresso")
    with pytest.raises(UserError, match=r"^tensorstore cannot decode compresso, which file://.*/c"):
        open_volume(tmp_path / "c", reader="tensorstore")
    write_by_hand(tmp_path / "i", [blobs((1, 8, 8, 8), "int64")])
    assert open_volume(tmp_path / "i").reader_reason == "tensorstore cannot decode int64"
    with pytest.raises(UserError, match="tensorstore cannot decode int64, which"):
        open_volume(tmp_path / "i", reader="tensorstore")
    write_zarr2_by_hand(tmp_path / "z", np.ones((4, 4, 4), "uint8"), chunk=(4, 4, 4))
    with pytest.raises(UserError, match=r"^cloud-volume does not read zarr or N5, as file://.*/z"):
        open_volume(tmp_path / "z", reader="cloud-volume", resolution=(1, 1, 1))
    with pytest.raises(UserError, match="there is no reader 'zarr'; there are cloud-volume and t"):
        open_volume(tmp_path / "c", reader="zarr")


def test_common_chunks_need_no_import_of_cloudvolume(tmp_path: Path) -> None:
    write_by_hand(tmp_path / "raw", [np.ones((1, 8, 8, 8), "uint8")])
    write_tensorstore(tmp_path / "png", np.ones((1, 8, 8, 8), "uint8"), "png")
    write_tensorstore(tmp_path / "cseg", np.ones((1, 8, 8, 8), "uint32"), "compressed_segmentation")
    code = f"""
import sys
from napari_ouroboros.volumes import open_volume
for name in ("raw", "png", "cseg"):
    assert open_volume({str(tmp_path)!r} + "/" + name).read(0).all()
    print(name, *sorted({{"cloudvolume", "tensorstore"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["raw", "png", "cseg"]
