"""Decoded chunks kept on disk between runs, within a limit, the ones not used for longest dropped.

Each chunk is a file of its own, so that any number of processes can share a cache without
asking each other: a file appears whole or not at all, what is damaged is fetched again, and a
file that another process has just dropped is a miss. The limit is kept to within what has been
written since the files were last counted, for which a twentieth of it is set aside.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
import warnings
import zlib
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Notice, UserError, one_line
from napari_ouroboros.volumes.level import Index, VolumeInfo
from napari_ouroboros.volumes.stores.location import Location

if TYPE_CHECKING:
    from napari_ouroboros.volumes.chunks.readers import Reader

_MAGIC = b"ouroboros chunk 1\n"  # then the CRC-32 of the rest, then the chunk in zstd
_HEAD = len(_MAGIC) + 4
# Nothing outside this folder is counted or removed, whatever folder the user names.
_FOLDER = "napari-ouroboros-chunks"
# Shares of the limit: above the first we drop until we are at the second, and count the files
# anew when we have written the third.
_FULL, _DROP_TO, _COUNT_AFTER = 0.95, 0.85, 0.05
_LEFT_OVER = 3600.0  # seconds; an unfinished file this old belongs to nobody any more


class ChunkCache:
    """A folder of chunks on disk that any number of volumes and processes may share.

    Parameters
    ----------
    folder : path, optional
        Where it is; the user's cache folder if not given.
    limit_bytes : int
        How much it may hold.

    Attributes
    ----------
    hits, misses : int
        Chunks found and not found by this object.

    Raises
    ------
    UserError
        The limit is not positive.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, limit_bytes: float) -> None:
        if not limit_bytes > 0:
            raise UserError(f"the limit of the cache must be more than 0 bytes, not {limit_bytes}")
        if folder is None:
            import platformdirs

            folder = platformdirs.user_cache_path("napari-ouroboros")
        self.folder = Path(folder).expanduser().absolute() / _FOLDER
        self.limit_bytes = int(limit_bytes)
        self.hits = self.misses = 0
        self._given = (folder, limit_bytes)
        self._lock = threading.Lock()  # for the numbers; held for moments only
        self._dropping = threading.Lock()
        self._held: int | None = None  # bytes, as far as is known
        self._written = 0  # bytes since the files were counted
        self._in_flight = 0  # bytes being written
        self._usable = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets an object of its own for the same folder."""
        return ChunkCache, self._given

    def __repr__(self) -> str:
        return f"ChunkCache({str(self.folder.parent)!r}, {self.limit_bytes})"

    def get(self, key: str, n_bytes: int) -> bytes | None:
        """Return the `n_bytes` stored under `key`, or ``None``; what is damaged is removed."""
        path = self.folder / key
        data = None
        try:
            with open(path, "rb") as file:
                stored = file.read()
            data = _unpacked(stored, n_bytes)
            if data is None:
                path.unlink()
            else:
                os.utime(path)  # used just now
        except OSError:
            pass  # a miss: not there, dropped by another process, or not for us to read
        with self._lock:
            self.hits += data is not None
            self.misses += data is None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, unless it is more than a tenth of the limit.

        The first time that this fails, one `Notice` says so, and nothing more is stored.
        """
        if not self._usable:
            return
        packed = _packed(data)
        if len(packed) > self.limit_bytes * (_FULL - _DROP_TO):
            return
        path = self.folder / key
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        with self._lock:
            self._in_flight += len(packed)
        try:
            if not self._make_room(len(packed)):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.write_bytes(packed)
                os.replace(unfinished, path)
            except PermissionError:
                # Windows, where another thread is reading the same chunk: so it is there.
                if os.name != "nt" or not path.exists():
                    raise
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            with self._lock:
                first, self._usable = self._usable, False
            if first:
                reason = error.strerror or one_line(error)
                warnings.warn(
                    f"the chunk cache in {self.folder} cannot be written ({reason}); "
                    "going on without it",
                    Notice,
                    stacklevel=2,
                )
        finally:
            with self._lock:
                self._in_flight -= len(packed)

    def clear(self) -> None:
        """Remove every chunk."""
        for _, _, path in self._files():
            with suppress(FileNotFoundError):
                os.unlink(path)
        with self._lock:
            self._held = None

    def _make_room(self, n_bytes: int) -> bool:
        """Count and drop where it is time to; return whether there is room for `n_bytes`."""
        with self._lock:
            if self._held is not None:
                self._held += n_bytes
                self._written += n_bytes
            held = self._held
            count = held is None or self._written > _COUNT_AFTER * self.limit_bytes
        if held is not None and held <= _FULL * self.limit_bytes and not count:
            return True
        # The first count is waited for, or the first chunks of a run would not be kept.
        if not self._dropping.acquire(blocking=held is None):
            # Another thread is at it, and nobody waits for that: what is for keeping may be lost.
            return held is not None and held <= self.limit_bytes
        if held is None and self._held is not None:  # counted while we waited
            self._dropping.release()
            return self._make_room(n_bytes)
        try:
            with self._lock:
                # Some of these may turn up among the files as well; too much is the safe side.
                in_flight, self._written = self._in_flight, 0
            files = self._files()
            held = sum(size for _, size, _ in files) + in_flight
            if held > _FULL * self.limit_bytes:
                for used, size, path in sorted(files):
                    if used == math.inf or held <= _DROP_TO * self.limit_bytes:
                        break
                    with suppress(FileNotFoundError):  # another process was faster
                        os.unlink(path)
                    held -= size
            with self._lock:
                self._held = held = held + self._written  # and what others added meanwhile
        finally:
            self._dropping.release()
        return held <= self.limit_bytes

    def _files(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, path) of every file; what others are writing counts as newest."""
        found = []
        now = time.time()
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    facts = os.lstat(path)
                except FileNotFoundError:
                    continue  # dropped, or finished, since the folder was read
                used = facts.st_mtime
                if name.endswith(".tmp"):
                    used = 0.0 if used < now - _LEFT_OVER else math.inf
                found.append((used, facts.st_size, path))
        return found


class CachedReader:
    """A `Reader` that asks `cache` first, and keeps there what it had to fetch.

    A chunk that the store does not have is asked for each time: it may be written later (not so
    where the metadata of a zarr say what it consists of, other than 0). A volume whose metadata
    change is another volume. Chunks that are written anew under the same metadata
    cannot be told from the old ones: `ChunkCache.clear` is for them.
    """

    def __init__(
        self, reader: Reader, location: Location, info: VolumeInfo, cache: ChunkCache
    ) -> None:
        self._reader = reader
        self._info = info
        self._cache = cache
        self._volume = volume_key(location, info)

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.read_chunk`."""
        box = self._info.levels[mip].chunk_box(index)
        shape = (self._info.channels, *(high - low for low, high in box))
        dtype = self._info.dtype
        key = f"{self._volume}/{mip}/{index[0]}_{index[1]}_{index[2]}"
        data = self._cache.get(key, int(np.prod(shape)) * dtype.itemsize)
        if data is not None:
            return np.frombuffer(data, dtype).reshape(shape)
        chunk = self._reader.read_chunk(mip, index)
        if chunk is not None:
            self._cache.put(key, chunk.astype(dtype, order="C", copy=False).tobytes())
        return chunk

    def close(self) -> None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.close`."""
        self._reader.close()


def as_cache(cache: ChunkCache | float | None) -> ChunkCache | None:
    """Return the cache that ``cache=`` means: an object, or a limit in bytes for the usual folder.

    Raises
    ------
    UserError
        It is neither; the limit is not positive.
    """
    if cache is None or isinstance(cache, ChunkCache):
        return cache
    if isinstance(cache, bool) or not isinstance(cache, (int, float, np.integer, np.floating)):
        raise UserError(f"cache is a limit in bytes or a ChunkCache; this is {cache!r}")
    return ChunkCache(None, float(cache))


def volume_key(location: Location, info: VolumeInfo) -> str:
    """Return a name for a volume that changes whenever its address or its metadata do.

    The query of the address counts, since it may name a version; the name does not give it away.
    """
    facts = {
        "url": location.url,
        "query": location.query,
        "levels": [asdict(level) for level in info.levels],
        "dtype": info.dtype.str,
        "channels": info.channels,
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _packed(data: bytes) -> bytes:
    import imagecodecs

    # The fastest level: noise such as EM costs 1 ms a chunk of 64^3 and shrinks by a tenth,
    # labels shrink to a fiftieth.
    payload = imagecodecs.zstd_encode(data, level=1)
    return _MAGIC + zlib.crc32(payload).to_bytes(4, "little") + payload


def _unpacked(stored: bytes, n_bytes: int) -> bytes | None:
    """Undo `_packed`; ``None`` if it is damaged."""
    payload = stored[_HEAD:]
    if stored[:_HEAD] != _MAGIC + zlib.crc32(payload).to_bytes(4, "little"):
        return None
    import imagecodecs

    try:
        data = bytes(imagecodecs.zstd_decode(payload, out=n_bytes))
    except (imagecodecs.ZstdError, ValueError):
        return None
    return data if len(data) == n_bytes else None
