"""Which reader opens a volume, and why: decided here and nowhere else."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.decode import decode_chunk
from napari_ouroboros.volumes.fetch import Fetcher
from napari_ouroboros.volumes.level import Index, VolumeInfo
from napari_ouroboros.volumes.location import Location
from napari_ouroboros.volumes.precomputed import chunk_name
from napari_ouroboros.volumes.sharded import ShardedLevel
from napari_ouroboros.volumes.whole import CorruptChunk


class Reader(Protocol):
    """Reads chunks of one volume; safe to share between threads, and imports its library late."""

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Return chunk `index` (zyx) of level `mip` as (channels, z, y, x), or ``None``."""

    def close(self) -> None:
        """Drop open connections."""


def choose_reader(location: Location, info: VolumeInfo) -> tuple[str, str]:
    """Return the name of the reader for this volume, and the reason in a few words."""
    where = "in a folder" if location.local else "over HTTP"
    encodings = ", ".join(sorted({level.encoding for level in info.levels}))
    return "cloud-volume", f"it decodes every precomputed encoding (here {encodings}, {where})"


def make_reader(name: str, location: Location, info: VolumeInfo, fetcher: Fetcher) -> Reader:
    """Return the reader that `choose_reader` named."""
    if name != "cloud-volume":
        raise ValueError(f"no reader is called {name!r}")
    return CloudVolumeReader(location, info, fetcher)


class CloudVolumeReader:
    """Fetches exactly one chunk and decodes it with cloud-volume's codecs and shard layout.

    Not ``CloudVolume.download``: it has no time limits, takes a refused object for a missing one
    and an empty file for zeros, and reads local files one after the other.
    """

    def __init__(self, location: Location, info: VolumeInfo, fetcher: Fetcher) -> None:
        self._location = location
        self._info = info
        self._fetcher = fetcher
        self._lock = threading.Lock()
        self._sharded: dict[int, ShardedLevel] = {}

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """See `Reader.read_chunk`."""
        level = self._info.levels[mip]
        name = chunk_name(level, index)
        if level.sharded:
            data = self._sharded_level(mip).get(index)
        else:
            data = self._fetcher.get(name)
        if data is None:
            return None
        box = level.chunk_box(index)
        z, y, x = (high - low for low, high in box)
        try:
            return decode_chunk(
                data, level.encoding, (self._info.channels, z, y, x), self._info.dtype, level.block
            )
        except CorruptChunk as error:
            raise SourceError(f"chunk {self._location.shown(name)} is corrupt: {error}") from error

    def close(self) -> None:
        """See `Reader.close`."""
        self._fetcher.close()

    def _sharded_level(self, mip: int) -> ShardedLevel:
        with self._lock:
            if mip not in self._sharded:
                self._sharded[mip] = ShardedLevel(
                    self._info.levels[mip], self._fetcher, self._location
                )
            return self._sharded[mip]
