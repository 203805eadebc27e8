"""Chunks inside the shards of zarr 3: a read of the shard's index, which is kept, and one of each.

Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import starmap
from operator import floordiv, mod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, one_line
from napari_ouroboros.volumes.chunks.kept import Kept
from napari_ouroboros.volumes.chunks.tensorstore_codecs import array_decoder
from napari_ouroboros.volumes.chunks.whole import CorruptChunk
from napari_ouroboros.volumes.level import Level
from napari_ouroboros.volumes.stores.fetch import Fetcher
from napari_ouroboros.volumes.stores.location import Location

_KEPT_INDICES = 32 * 1024 * 1024  # bytes, for each level
_EMPTY = 2**64 - 1  # both numbers of a chunk that is not stored
_PLAIN_INDEX = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


class ArrayShards:
    """Reads the encoded chunks of a sharded level; safe to share between threads.

    Parameters
    ----------
    level : Level
        Of a zarr 3 array, whose `sharding` has the settings of the codec, and `shard_shape`.
    fetcher, location
        Where the array's volume is.

    Raises
    ------
    SourceError
        The index is encoded in a way that is not supported, or the settings make no sense.
    """

    def __init__(self, level: Level, fetcher: Fetcher, location: Location) -> None:
        assert level.array is not None
        assert level.sharding is not None
        self._fetcher = fetcher
        self._location = location
        shown = location.shown(level.key)
        sizes = list(zip(level.sharding["shard_shape"], level.array.chunk, strict=True))
        if any(starmap(mod, sizes)):
            raise SourceError(f"{shown}: its shards are no whole number of chunks")
        self._per_shard = list(starmap(floordiv, sizes))
        codecs = level.sharding.get("index_codecs", _PLAIN_INDEX)
        names = codecs
        if isinstance(codecs, list):
            names = [codec.get("name") if isinstance(codec, dict) else codec for codec in codecs]
        if names not in (["bytes"], ["bytes", "crc32c"]):
            raise SourceError(
                f"{shown}: shard indices encoded by {one_line(names, 80)} are not supported"
            )
        shape = [*self._per_shard, 2]
        self._length = 8 * math.prod(shape) + 4 * (len(names) - 1)
        self._at_start = level.sharding.get("index_location", "end") == "start"
        settings = {"zarr_format": 3, "node_type": "array", "data_type": "uint64"}
        self._decoder = array_decoder(
            "zarr3", {**settings, "fill_value": 0, "codecs": codecs}, shape
        )
        self._indices: Kept[NDArray[np.uint64] | None] = Kept(_KEPT_INDICES)

    def split(self, numbers: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the number of the shard that chunk `numbers` is in, and its place there."""
        pairs = list(zip(numbers, self._per_shard, strict=True))
        return tuple(starmap(floordiv, pairs)), tuple(starmap(mod, pairs))

    def get(self, name: str, place: tuple[int, ...], shown: str) -> bytes | None:
        """Return the chunk at `place` of shard `name`, as stored, or None if it is not.

        Raises
        ------
        SourceError
            `shown`, the chunk, is named.
        """
        index = self._indices.get(name, lambda: self._index(name))
        if index is None:
            return None
        start, size = (int(number) for number in index[place])
        if start == size == _EMPTY:
            return None
        data = self._fetcher.get(name, (start, start + size)) if size else b""
        if data is None:
            raise SourceError(f"{shown}: the shard is no longer there")
        if len(data) != size:
            raise SourceError(
                f"{shown} is corrupt: the shard ends before byte {start + size}, where its index "
                "says there is a chunk"
            )
        return data

    def _index(self, name: str) -> NDArray[np.uint64] | None:
        span = (0, self._length) if self._at_start else (-self._length, 0)
        data = self._fetcher.get(name, span)
        if data is None:
            return None
        everything = [slice(None)] * (len(self._per_shard) + 1)
        try:
            index: NDArray[Any] = self._decoder.decode(data, everything, range(len(everything)))
        except CorruptChunk as error:
            raise SourceError(
                f"{self._location.shown(name)} is corrupt: the index of the shard: {error}"
            ) from error
        return index
