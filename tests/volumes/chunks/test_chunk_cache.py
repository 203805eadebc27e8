"""Chunks kept on disk: the same voxels, fewer requests, never over the limit, never in the way."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_disk import small_disk

from napari_ouroboros.errors import Notice, SourceError, UserError
from napari_ouroboros.volumes.chunks.chunk_cache import (
    CachedReader,
    ChunkCache,
    as_cache,
    volume_key,
)
from napari_ouroboros.volumes.level import Index, Level, VolumeInfo
from napari_ouroboros.volumes.stores.location import parse_location

WHERE = parse_location("precomputed://https://h/em")
SHAPE = (40, 40, 50)


def info_of(dtype: str = "uint16", channels: int = 1, **changes: Any) -> VolumeInfo:
    level = Level(SHAPE, (4, 4, 4), (0, 0, 0), chunk=(16, 16, 16), key="s0")
    return VolumeInfo((replace(level, **changes),), np.dtype(dtype), channels, "image")


class Source:
    """A reader whose chunks are random numbers that depend on the index alone."""

    def __init__(self, info: VolumeInfo) -> None:
        self.info = info
        self.asked: Counter[Index] = Counter()
        self.missing: set[Index] = set()
        self.broken: set[Index] = set()
        self.closed = False
        self._lock = threading.Lock()

    def read_chunk(self, mip: int, index: Index) -> np.ndarray[Any, Any] | None:
        with self._lock:
            self.asked[index] += 1
        if index in self.broken:
            raise SourceError(f"chunk {index} is corrupt")
        if index in self.missing:
            return None
        box = self.info.levels[mip].chunk_box(index)
        shape = (self.info.channels, *(high - low for low, high in box))
        values = np.random.default_rng(index).integers(0, 256, (*shape, self.info.dtype.itemsize))
        return values.astype(np.uint8).view(self.info.dtype)[..., 0]

    def close(self) -> None:
        self.closed = True


def stored(cache: ChunkCache) -> list[Path]:
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def size(cache: ChunkCache) -> int:
    return sum(path.stat().st_size for path in stored(cache))


INDICES = [(z, y, x) for z in range(3) for y in range(3) for x in range(4)]


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 1), ("uint16", 3), ("uint64", 1), ("float32", 2), ("int8", 1)]
)
def test_what_comes_back_is_what_went_in(tmp_path: Path, dtype: str, channels: int) -> None:
    source = Source(info_of(dtype, channels))
    cache = ChunkCache(tmp_path, 10e6)
    for _ in range(3):
        reader = CachedReader(source, WHERE, source.info, cache)
        for index in INDICES:
            got, there = reader.read_chunk(0, index), source.read_chunk(0, index)
            assert got is not None
            assert got.dtype == np.dtype(dtype)
            assert got.flags.c_contiguous
            np.testing.assert_array_equal(got.view(np.uint8), there.view(np.uint8))
        reader.close()
    assert source.closed
    assert set(source.asked.values()) == {1 + 3}  # three of them our own above
    assert (cache.hits, cache.misses) == (2 * len(INDICES), len(INDICES))


def test_missing_and_broken_chunks_are_asked_for_again(tmp_path: Path) -> None:
    source = Source(info_of())
    reader = CachedReader(source, WHERE, source.info, ChunkCache(tmp_path, 10e6))
    source.missing.add((0, 0, 0))
    source.broken.add((0, 0, 1))
    for _ in range(2):
        assert reader.read_chunk(0, (0, 0, 0)) is None
        with pytest.raises(SourceError, match="is corrupt"):
            reader.read_chunk(0, (0, 0, 1))
    assert source.asked == {(0, 0, 0): 2, (0, 0, 1): 2}
    source.missing.clear()
    assert reader.read_chunk(0, (0, 0, 0)) is not None


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: b"x" + data[1:],
        lambda data: data[:18] + bytes(4) + data[22:],
    ],
    ids=["half", "one byte short", "empty", "one bit", "another kind of file", "checksum"],
)
def test_damaged_files_are_fetched_again(tmp_path: Path, harm: Any) -> None:
    source = Source(info_of())
    cache = ChunkCache(tmp_path, 10e6)
    reader = CachedReader(source, WHERE, source.info, cache)
    good = reader.read_chunk(0, (1, 1, 1))
    (file,) = stored(cache)
    file.write_bytes(harm(file.read_bytes()))
    for _ in range(2):
        np.testing.assert_array_equal(reader.read_chunk(0, (1, 1, 1)), good)
    assert source.asked[1, 1, 1] == 2


def test_a_changed_volume_is_another_volume() -> None:
    info = info_of()
    keys = {
        volume_key(location, facts)
        for location, facts in (
            (WHERE, info),
            (parse_location("precomputed://https://h/em2"), info),
            (parse_location("zarr://https://h/em"), info),
            (parse_location("precomputed://https://h/em?version=2"), info),
            (WHERE, info_of("uint8")),
            (WHERE, info_of(channels=2)),
            (WHERE, info_of(shape=(40, 40, 51))),
            (WHERE, info_of(chunk=(16, 16, 8))),
            (WHERE, info_of(voxel_offset=(0, 0, 1))),
            (WHERE, info_of(resolution=(4, 4, 8))),
            (WHERE, info_of(key="s1")),
            (WHERE, info_of(encoding="jpeg")),
            (WHERE, info_of(sharding={"hash": "identity"})),
        )
    }
    assert len(keys) == 13
    assert volume_key(WHERE, info) == volume_key(parse_location(WHERE.url), info_of())
    secret = parse_location("precomputed://https://ada:pw@h/em")
    assert volume_key(secret, info) == volume_key(WHERE, info)


def test_the_limit_is_kept_and_the_oldest_go_first(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, 1e6)
    rng = np.random.default_rng(1)
    now = time.time()
    for i in range(300):
        cache.put(f"v/0/{i}", rng.bytes(10_000))
        assert size(cache) <= 1e6
        os.utime(cache.folder / f"v/0/{i}", (now - 1000 + i, now - 1000 + i))
        # The first ones are used all the time, and so they stay.
        assert cache.get("v/0/0", 10_000) is not None
    there = {int(path.name) for path in stored(cache)}
    assert 80 <= len(there) <= 100
    assert 0 in there
    newest = sorted(there - {0})
    assert newest == list(range(newest[0], 300))


def test_a_chunk_too_large_for_the_cache_is_left_out(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, 1e6)
    cache.put("v/0/0", os.urandom(200_000))
    assert stored(cache) == []


def test_left_over_unfinished_files_are_removed_and_fresh_ones_not(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, 1e6)
    (cache.folder / "v").mkdir(parents=True)
    old, new = cache.folder / "v" / ".a.1.2.tmp", cache.folder / "v" / ".b.1.2.tmp"
    for file in (old, new):
        file.write_bytes(bytes(400_000))
    os.utime(old, (1, 1))
    for i in range(30):
        cache.put(f"v/0/{i}", os.urandom(10_000))
    assert not old.exists()
    assert new.exists()
    assert size(cache) <= 1e6


def test_nothing_but_its_own_is_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_bytes(bytes(2_000_000))
    cache = ChunkCache(tmp_path, 1e5)
    for i in range(50):
        cache.put(f"v/0/{i}", os.urandom(8_000))
    cache.clear()
    assert stored(cache) == []
    assert (tmp_path / "thesis.doc").exists()


def test_many_threads(tmp_path: Path) -> None:
    source = Source(info_of())
    cache = ChunkCache(tmp_path, 150e3)  # room for about a third
    reader = CachedReader(source, WHERE, source.info, cache)
    wrong = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(100):
            index = INDICES[rng.integers(len(INDICES))]
            got, there = reader.read_chunk(0, index), Source(source.info).read_chunk(0, index)
            if not np.array_equal(got, there):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert size(cache) <= 150e3
    assert cache.hits > 100
    assert not list(cache.folder.rglob("*.tmp"))


def test_several_processes(tmp_path: Path) -> None:
    """They write and drop the same chunks at once; nobody ever gets wrong ones, or an error."""
    code = textwrap.dedent(
        """
        import sys
        import numpy as np
        from napari_ouroboros.volumes.chunks.chunk_cache import ChunkCache
        cache = ChunkCache(sys.argv[1], 400_000)
        order = np.random.default_rng(int(sys.argv[2])).integers(0, 60, 600)
        for i in order.tolist():
            content = np.random.default_rng(i).bytes(10_000)
            got = cache.get(f"v/0/{i}", 10_000)
            assert got in (None, content), i
            if got is None:
                cache.put(f"v/0/{i}", content)
        assert cache._usable
        print(cache.hits)
        """
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, str(tmp_path), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert int(out) > 100
    assert size(ChunkCache(tmp_path, 400_000)) <= 400_000


def test_a_full_disk_is_said_once_and_no_error(tmp_path: Path) -> None:
    source = Source(info_of("uint64"))
    with small_disk(tmp_path / "disk", "100k") as disk:
        reader = CachedReader(source, WHERE, source.info, cache := ChunkCache(disk, 10e6))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                for index in INDICES:
                    assert reader.read_chunk(0, index) is not None
        assert [w.category for w in caught] == [Notice]
        assert "No space left on device" in str(caught[0].message)
        assert not list(cache.folder.rglob("*.tmp"))
        assert cache.hits > 0  # what is there is still used


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = Source(info_of())
    reader = CachedReader(source, WHERE, source.info, ChunkCache(tmp_path / "file", 1e6))
    with pytest.warns(Notice, match="cannot be written"):
        assert reader.read_chunk(0, (0, 0, 0)) is not None
    assert reader.read_chunk(0, (0, 0, 0)) is not None


def test_another_process_gets_its_own(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, 1e6)
    cache.put("v/0/1", b"voxels")
    other = pickle.loads(pickle.dumps(cache))
    assert other.get("v/0/1", 6) == b"voxels"
    assert other.limit_bytes == 1_000_000


def test_what_cache_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_cache(None) is None
    cache = as_cache(5_000_000)
    assert cache is not None
    assert cache.limit_bytes == 5_000_000
    assert cache.folder.is_relative_to(tmp_path)
    assert as_cache(cache) is cache
    for wrong in (0, -1, "1 GB", True, [1]):
        with pytest.raises(UserError, match="cache"):
            as_cache(wrong)  # type: ignore[arg-type]
