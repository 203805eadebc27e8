"""Precomputed volumes: our own requests, decoded by the codecs of a library."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.chunks.sharded import ShardedLevel
from napari_ouroboros.volumes.chunks.whole import CorruptChunk
from napari_ouroboros.volumes.formats.precomputed import chunk_name
from napari_ouroboros.volumes.level import Index, VolumeInfo
from napari_ouroboros.volumes.stores.fetch import Fetcher
from napari_ouroboros.volumes.stores.location import Location


class Decoder(Protocol):
    """Decodes chunks; safe to share between threads."""

    def __call__(self, data: bytes, mip: int, shape: tuple[int, int, int, int]) -> NDArray[Any]:
        """Return the chunk of level `mip`, of `shape` (channels, z, y, x); or `CorruptChunk`."""


class PrecomputedReader:
    """See `napari_ouroboros.volumes.chunks.readers.Reader`.

    Not ``CloudVolume.download``: it has no time limits, takes a refused object for a missing one
    and an empty file for zeros, and reads local files one after the other.
    """

    def __init__(
        self, location: Location, info: VolumeInfo, fetcher: Fetcher, decode: Decoder
    ) -> None:
        self._location = location
        self._info = info
        self._fetcher = fetcher
        self._decode = decode
        self._lock = threading.Lock()
        self._sharded: dict[int, ShardedLevel] = {}

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.read_chunk`."""
        level = self._info.levels[mip]
        name = chunk_name(level, index)
        if level.sharded:
            data = self._sharded_level(mip).get(index)
        else:
            data = self._fetcher.get(name)
        if data is None:
            return None
        z, y, x = (high - low for low, high in level.chunk_box(index))
        try:
            return self._decode(data, mip, (self._info.channels, z, y, x))
        except CorruptChunk as error:
            raise SourceError(f"chunk {self._location.shown(name)} is corrupt: {error}") from error

    def close(self) -> None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.close`."""
        self._fetcher.close()

    def _sharded_level(self, mip: int) -> ShardedLevel:
        with self._lock:
            if mip not in self._sharded:
                self._sharded[mip] = ShardedLevel(
                    self._info.levels[mip], self._fetcher, self._location
                )
            return self._sharded[mip]
