"""Chunks inside shards: three reads (shard index, minishard index, chunk), two of them kept.

Format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/sharded.md
The hashing and the layout of both indices are cloud-volume's; the reads are ours, so that they
have their limits, and so that threads that want the same index wait for one read of it.
"""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, one_line
from napari_ouroboros.volumes.chunks.decode import import_cloudvolume
from napari_ouroboros.volumes.chunks.kept import Kept
from napari_ouroboros.volumes.formats.precomputed import chunk_name
from napari_ouroboros.volumes.level import Index, Level
from napari_ouroboros.volumes.stores.fetch import Fetcher, decompress
from napari_ouroboros.volumes.stores.location import Location

_KEPT_INDICES = 32 * 1024 * 1024  # bytes, for each level
_HTTP_NAME = {"raw": "", "gzip": "gzip"}
_FIELDS = (
    "@type", "preshift_bits", "hash", "minishard_bits", "shard_bits",
    "minishard_index_encoding", "data_encoding",
)  # fmt: skip


class ShardedLevel:
    """Finds and reads the encoded chunks of one sharded level; safe to share between threads."""

    def __init__(self, level: Level, fetcher: Fetcher, location: Location) -> None:
        import_cloudvolume()
        sharding = importlib.import_module("cloudvolume.datasource.precomputed.sharding")
        common = importlib.import_module("cloudvolume.datasource.precomputed.common")
        self._level = level
        self._fetcher = fetcher
        self._location = location
        wanted = {k: v for k, v in (level.sharding or {}).items() if k in _FIELDS}
        self._index_encoding = wanted.get("minishard_index_encoding", "raw")
        self._data_encoding = wanted.get("data_encoding", "raw")
        try:
            self._spec = sharding.ShardingSpecification.from_dict(wanted)
        except Exception as error:  # KeyError, TypeError, its own SpecViolation
            raise SourceError(
                f"{location.shown(level.key)}: this sharding is not valid: {one_line(error, 120)}"
            ) from error
        # The library prints when it cannot decompress an index: we do that, it gets it "raw".
        plain = self._spec.clone()
        plain.minishard_index_encoding = "raw"
        self._reader = sharding.ShardReader(None, None, plain)
        self._morton = common.compressed_morton_code
        self._grid_xyz = np.array(level.chunk_grid[::-1], np.uint64)
        self._indices: Kept[NDArray[np.uint64] | None] = Kept(_KEPT_INDICES)

    def get(self, index: Index) -> bytes | None:
        """Return the encoded chunk with index zyx, without gzip, or ``None`` if not stored.

        Raises
        ------
        SourceError
            Names the chunk and the shard.
        """
        chunk_id = int(self._morton(np.array(index[::-1], np.uint32), self._grid_xyz))
        place = self._spec.compute_shard_location(chunk_id)
        name = f"{self._level.key}/{place.shard_number}.shard"
        shown = f"chunk {chunk_name(self._level, index)} in {self._location.shown(name)}"
        table = self._minishard(name, int(place.minishard_number))
        if table is None:
            return None
        rows = np.flatnonzero(table[:, 0] == np.uint64(chunk_id))
        if not len(rows):
            return None
        start, size = int(table[rows[0], 1]), int(table[rows[0], 2])
        data = self._read(name, start, start + size)
        if data is None:
            raise SourceError(f"{shown}: the shard is no longer there")
        return decompress(data, _HTTP_NAME[self._data_encoding], shown)

    def _minishard(self, name: str, number: int) -> NDArray[np.uint64] | None:
        """Return rows (chunk id, first byte, size) of a minishard; ``None`` if it is empty."""

        def read() -> NDArray[np.uint64] | None:
            shard = self._indices.get((name, None), lambda: self._shard_index(name))
            if shard is None:
                return None
            start, end = (int(v) for v in shard[number])
            if start == end:
                return None
            data = self._read(name, start, end)
            if data is None:
                raise SourceError(f"{self._location.shown(name)} is no longer there")
            shown = self._location.shown(name)
            data = decompress(data, _HTTP_NAME[self._index_encoding], shown)
            if not data or len(data) % 24:
                raise SourceError(f"{shown} is corrupt: the index of minishard {number} is cut off")
            return np.array(self._reader.decode_minishard_index(data, name))

        return self._indices.get((name, number), read)

    def _shard_index(self, name: str) -> NDArray[np.uint64] | None:
        """Return rows (first byte, end) of the minishard indices; ``None`` if there is no shard."""
        length = int(self._spec.index_length())
        data = self._fetcher.get(name, (0, length))
        if data is None:
            return None
        if len(data) != length:
            raise SourceError(f"{self._location.shown(name)} is corrupt: its index is cut off")
        return np.array(self._reader.decode_index(data, name))

    def _read(self, name: str, start: int, end: int) -> bytes | None:
        data = self._fetcher.get(name, (start, end)) if end > start else b""
        if data is not None and len(data) != end - start:
            raise SourceError(
                f"{self._location.shown(name)} is corrupt: it ends before byte {end}, "
                "where its index says there is a chunk"
            )
        return data
