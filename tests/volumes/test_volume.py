"""Levels, boxes, missing and corrupt chunks, the lazy view, and the real data."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.precomputed import blobs, write_by_hand, write_tensorstore

from napari_ouroboros.errors import Cancelled, SourceError, UserError
from napari_ouroboros.volumes import Volume, open_volume


@pytest.fixture
def pyramid() -> list[np.ndarray[Any, Any]]:
    """Three levels whose sizes do not divide."""
    return [blobs((1, n, n + 1, n + 2), "int32", n) for n in (21, 11, 6)]


@pytest.fixture
def folder(tmp_path: Path, pyramid: list[np.ndarray[Any, Any]]) -> Path:
    return write_by_hand(
        tmp_path / "volume", pyramid, offsets=[(5, 9, -13), (2, 4, -7), (1, 2, -4)],
        resolutions=[(40, 4, 4.5), (40, 8, 9), (80, 16, 18)], kind="segmentation",
    )  # fmt: skip


@pytest.fixture
def volume(folder: Path) -> Volume:
    return open_volume(folder)


def test_each_level_by_itself(volume: Volume, pyramid: list[np.ndarray[Any, Any]]) -> None:
    assert volume.kind == "segmentation"
    for mip, array in enumerate(pyramid):
        np.testing.assert_array_equal(volume.read(mip), array[0])
    assert volume.mip(1).voxel_offset == (2, 4, -7)
    low, high = volume.bounds_nm
    np.testing.assert_allclose(low, [200, 36, -58.5])
    np.testing.assert_allclose(high, [26 * 40, 31 * 4, 10 * 4.5])


@pytest.mark.parametrize("mip", [3, -1, "0", 1.5])
def test_a_mip_that_is_not_there(volume: Volume, mip: Any) -> None:
    with pytest.raises(UserError, match=r"there is no mip .*; .* has 0: 40 x 4 x 4.5 nm; 1: "):
        volume.read(mip)


@pytest.mark.parametrize(
    "box",
    [
        ((0, 22), (0, 1), (0, 1)), ((-1, 2), (0, 1), (0, 1)), ((3, 2), (0, 1), (0, 1)),
        ((0, 1), (0, 1)), ((0, 1.5), (0, 1), (0, 1)), "box", ((0, None), (0, 1), (0, 1)),
    ],
)  # fmt: skip
def test_a_box_that_is_none(volume: Volume, box: Any) -> None:
    with pytest.raises(UserError, match="box"):
        volume.read(0, box)


def test_a_box_that_is_too_big_for_memory(tmp_path: Path) -> None:
    write_by_hand(tmp_path, [np.zeros((1, 8, 8, 8), "uint8")])
    info = (tmp_path / "info").read_text()
    (tmp_path / "info").write_text(info.replace('"size": [8, 8, 8]', '"size": [2e6, 2e6, 2e6]'))
    with pytest.raises(UserError, match=r"needs 8000000000\.0 GB of memory; read a smaller one"):
        open_volume(tmp_path).read(0)
    (tmp_path / "info").write_text(info.replace('"size": [8, 8, 8]', '"size": [2e9, 2e9, 2e9]'))
    with pytest.raises(UserError, match=r"GB of memory; read a smaller one"):
        open_volume(tmp_path).read(0)


def test_missing_chunks(tmp_path: Path) -> None:
    array = np.abs(blobs((1, 16, 16, 16), "int16")) // 2 + 1
    write_by_hand(tmp_path, [array], leave_out=[(1, 0, 1)])
    volume = open_volume(tmp_path)
    assert volume.fetch_chunk(0, (1, 0, 1)) is None
    wanted = array[0].copy()
    wanted[8:, :8, 8:] = 0
    np.testing.assert_array_equal(volume.read(0), wanted)
    wanted[8:, :8, 8:] = -3
    np.testing.assert_array_equal(volume.read(0, fill=-3), wanted)
    np.testing.assert_array_equal(volume.dask(0, fill=-3).compute(scheduler="sync"), wanted)
    part = ((0, 8), (0, 16), (0, 16))
    np.testing.assert_array_equal(volume.read(0, part, missing="error"), array[0, :8])
    name = "mip0/8-16_0-8_8-16"
    with pytest.raises(SourceError, match=f"chunk file://{tmp_path}/{name} is missing"):
        volume.read(0, missing="error")
    with pytest.raises(SourceError, match=name):
        volume.dask(0, missing="error").compute(scheduler="sync")


@pytest.mark.parametrize("fill", [2**31, -(2**31) - 1, 0.5, float("nan"), float("inf")])
def test_a_fill_value_that_does_not_fit(volume: Volume, fill: float) -> None:
    with pytest.raises(UserError, match=r"the fill value .* does not fit int32"):
        volume.read(0, fill=fill)


def test_a_wrong_word_for_missing(volume: Volume) -> None:
    with pytest.raises(UserError, match='"fill" or "error"'):
        volume.read(0, missing="ignore")  # type: ignore[arg-type]


def spoil(folder: Path, how: str) -> None:
    """Spoil the chunk `mip0/-13--5_9-17_5-13`, which has 2048 bytes."""
    path = folder / "mip0" / "-13--5_9-17_5-13"
    data = path.read_bytes()
    packed = gzip.compress(data)
    if how in ("gzip cut", "gzip flipped", "gzip empty", "not gzip"):
        path.unlink()
        path = path.with_name(path.name + ".gz")
    flipped = bytearray(packed)
    flipped[len(flipped) // 2] ^= 255
    path.write_bytes(
        {
            "cut": data[:2047], "empty": b"", "longer": data + b"\0", "gzip cut": packed[:-9],
            "gzip flipped": bytes(flipped), "gzip empty": b"", "not gzip": data,
        }[how]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut", "it has 2047 bytes instead of 2048"),
        ("longer", "it has 2049 bytes instead of 2048"),
        ("empty", "it is empty"),
        ("gzip cut", "gzip says"),
        ("gzip flipped", "gzip says"),
        ("gzip empty", "the file is empty"),
        ("not gzip", "gzip says Not a gzipped file"),
    ],
)
def test_a_corrupt_chunk_is_named(folder: Path, how: str, words: str) -> None:
    spoil(folder, how)
    volume = open_volume(folder)
    for read in (
        lambda: volume.fetch_chunk(0, (0, 0, 0)),
        lambda: volume.read(0),
        lambda: volume.dask(0).compute(scheduler="sync"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            read()
        assert f"file://{folder}/mip0/-13--5_9-17_5-13" in str(caught.value)
        assert "corrupt" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert volume.fetch_chunk(0, (0, 0, 1)) is not None


def test_a_chunk_that_cannot_be_read(folder: Path) -> None:
    path = folder / "mip0" / "-13--5_9-17_5-13"
    path.unlink()
    path.mkdir()
    with pytest.raises(SourceError, match="-13--5_9-17_5-13 cannot be read: Is a directory"):
        open_volume(folder).fetch_chunk(0, (0, 0, 0))


def test_a_corrupt_shard_is_named(tmp_path: Path) -> None:
    sharding = {
        "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 0, "hash": "identity",
        "minishard_index_encoding": "gzip", "data_encoding": "gzip",
    }  # fmt: skip
    array = blobs((1, 16, 16, 16), "uint64")
    write_tensorstore(tmp_path, array, "raw", sharding=sharding)
    shard = tmp_path / "scale" / "0.shard"
    whole = shard.read_bytes()
    np.testing.assert_array_equal(open_volume(tmp_path).read(0), array[0])
    for data in (whole[:10], whole[:40], whole[:-5], whole[:-1]):
        shard.write_bytes(data)
        with pytest.raises(SourceError, match=r"scale/0\.shard is corrupt"):
            open_volume(tmp_path).read(0)
    spoiled = bytearray(whole)
    spoiled[32] ^= 255  # where the first chunk begins
    shard.write_bytes(spoiled)
    with pytest.raises(SourceError, match=r"chunk scale/.* in .*0\.shard is corrupt: gzip"):
        open_volume(tmp_path).read(0)
    shard.unlink()
    assert not open_volume(tmp_path).read(0).any()


def test_a_sharding_that_is_none(tmp_path: Path, folder: Path) -> None:
    info = json.loads((folder / "info").read_text())
    info["scales"][0]["sharding"] = {"@type": "neuroglancer_uint64_sharded_v1", "hash": "md5"}
    (folder / "info").write_text(json.dumps(info))
    with pytest.raises(SourceError, match="this sharding is not valid"):
        open_volume(folder).read(0)


def test_lazy_view(volume: Volume, folder: Path, pyramid: list[np.ndarray[Any, Any]]) -> None:
    lazy = volume.dask(0)
    assert lazy.chunks == ((8, 8, 5), (8, 8, 6), (8, 8, 7))
    assert lazy.name == open_volume(folder).dask(0).name
    assert len({lazy.name, volume.dask(1).name, volume.dask(0, fill=1).name}) == 3
    part = (slice(3, 17), slice(None, None, 5), 4)
    np.testing.assert_array_equal(lazy[part].compute(scheduler="threads"), pyramid[0][0][part])
    twice = (lazy.astype("int64") * 2).compute(scheduler="threads")
    np.testing.assert_array_equal(twice, pyramid[0][0].astype("int64") * 2)


def test_one_task_reads_one_chunk(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = Volume.fetch_chunk
    monkeypatch.setattr(
        Volume,
        "fetch_chunk",
        lambda self, mip, index: asked.append(index) or real(self, mip, index),
    )
    volume.dask(0)[9:12, 9:12, 17:19].compute(scheduler="sync")
    assert asked == [(1, 1, 2)]


def test_the_lazy_view_works_in_another_process(
    volume: Volume, pyramid: list[np.ndarray[Any, Any]]
) -> None:
    volume.read(0)
    again = pickle.loads(pickle.dumps(volume.dask(0)))
    np.testing.assert_array_equal(again.compute(scheduler="sync"), pyramid[0][0])


def test_source_info_is_json(volume: Volume, folder: Path) -> None:
    info = json.loads(json.dumps(volume.source_info()))
    assert info["url"] == f"precomputed://file://{folder}"
    assert (info["dtype"], info["channels"], info["kind"]) == ("int32", 1, "segmentation")
    assert info["levels"][1] == {
        "shape": [11, 12, 13], "resolution": [40, 8, 9], "voxel_offset": [2, 4, -7],
        "chunk": [8, 8, 8], "key": "mip1", "encoding": "raw",
    }  # fmt: skip


def test_fetch_chunks_yields_each_once_and_not_too_many(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = threading.Lock()
    begun = 0
    taken = 0
    most = 0
    real = Volume.fetch_chunk

    def count(self: Volume, mip: int, index: Any) -> Any:
        nonlocal begun, most
        with lock:
            begun += 1
            most = max(most, begun - taken)
        return real(self, mip, index)

    monkeypatch.setattr(Volume, "fetch_chunk", count)
    indices = [(z, y, x) for z in range(3) for y in range(3) for x in range(3)]
    seen = []
    for index, chunk in volume.fetch_chunks(0, indices, n_in_flight=4):
        time.sleep(0.002)
        seen.append(index)
        assert chunk is not None
        with lock:
            taken += 1
    assert sorted(seen) == indices
    assert 2 <= most <= 4


def test_reading_can_be_cancelled(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()
    gate = threading.Event()
    monkeypatch.setattr(Volume, "fetch_chunk", lambda self, mip, index: gate.wait(30))
    threading.Timer(0.1, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        volume.read(0, cancel=cancel)
    assert time.monotonic() - start < 15
    gate.set()


def test_the_first_error_ends_the_reading(volume: Volume, folder: Path) -> None:
    spoil(folder, "cut")
    with pytest.raises(SourceError, match="2047 bytes"):
        list(volume.fetch_chunks(0, [(0, 0, 0), (0, 0, 1), (0, 0, 2)]))


@pytest.mark.parametrize("name", ["timeout", "open_timeout"])
def test_limits_must_be_positive(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be more than 0 s"):
        open_volume(folder, **{name: 0})


def test_a_silent_server_does_not_hold_up_the_exit(folder: Path) -> None:
    """A program that gave up waiting ends, although the server never answers."""
    tests = Path(__file__).parents[1]
    code = f"""
import sys, time
sys.path.insert(0, {str(tests)!r})
from local_server import LocalServer
from napari_ouroboros.volumes import open_volume
server = LocalServer({str(folder)!r}).start()
volume = open_volume(server.url, timeout=120)
server.fault("*", "silent")
import threading
cancel = threading.Event()
threading.Timer(0.2, cancel.set).start()
try:
    volume.read(0, cancel=cancel)
except Exception as error:
    print(type(error).__name__, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("Cancelled", 0), done.stderr


def test_real_data_and_its_like(em_neurite: Path | None, tmp_path: Path) -> None:
    """Read what cloud-volume itself reads from the real volume, or else from one like it."""
    from cloudvolume import CloudVolume

    if em_neurite is None:
        source = tmp_path / "like"
        array = blobs((1, 110, 230, 230), "uint32")
        write_tensorstore(
            source, array, "compressed_segmentation", chunk=(64, 128, 128),
            offset=(300, 2048, 1024),
        )  # fmt: skip
        for path in (source / "scale").iterdir():
            packed = gzip.compress(path.read_bytes(), 1)
            path.with_name(path.name + ".gz").write_bytes(packed)
            path.unlink()
    else:
        source = tmp_path / "neurons"
        (source / "32_32_40").mkdir(parents=True)
        shutil.copy(em_neurite / "neurons" / "info", source)
        for path in (em_neurite / "neurons" / "32_32_40").glob("1[01]*_2[01]*_3*.gz"):
            shutil.copy(path, source / "32_32_40")
    volume = open_volume(source)
    theirs = CloudVolume(f"file://{source}", progress=False, fill_missing=False)
    box = ((40, 100), (60, 220), (60, 220))
    (z0, z1), (y0, y1), (x0, x1) = box
    oz, oy, ox = (int(o) for o in volume.levels[0].voxel_offset)
    wanted = theirs[ox + x0 : ox + x1, oy + y0 : oy + y1, oz + z0 : oz + z1]
    got = volume.read(0, box, missing="error")
    assert got.dtype == np.uint32
    assert len(np.unique(got)) > 3
    np.testing.assert_array_equal(got, np.asarray(wanted)[..., 0].T)


def test_a_part_of_a_lazy_array_costs_the_same_in_a_volume_of_any_size(tmp_path: Path) -> None:
    write_by_hand(tmp_path, [np.full((1, 8, 8, 8), 3, "uint8")])
    info = json.loads((tmp_path / "info").read_text())
    info["scales"][0]["size"] = [1600, 1600, 1600]  # eight million chunks
    (tmp_path / "info").write_text(json.dumps(info))
    lazy = open_volume(tmp_path).dask(0)
    assert lazy.numblocks == (200, 200, 200)
    lazy[:1, :1, :1].compute(scheduler="sync")
    start = time.process_time()
    assert (lazy[4, 2:8, 3:5].compute(scheduler="sync") == 3).all()
    assert time.process_time() - start < 1  # to list the chunks would take 15 s
