"""Which reader opens a volume, and why: decided here and nowhere else."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.decode import decode_chunk
from napari_ouroboros.volumes.fetch import Fetcher
from napari_ouroboros.volumes.level import Index, VolumeInfo
from napari_ouroboros.volumes.location import Location
from napari_ouroboros.volumes.precomputed import chunk_name
from napari_ouroboros.volumes.sharded import ShardedLevel
from napari_ouroboros.volumes.whole import CorruptChunk

READERS = ("cloud-volume", "tensorstore")


class Reader(Protocol):
    """Reads chunks of one volume; safe to share between threads, and imports its library late."""

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Return chunk `index` (zyx) of level `mip` as (channels, z, y, x), or ``None``.

        Raises
        ------
        SourceError
            Names the chunk.
        """

    def close(self) -> None:
        """Drop open connections."""


def choose_reader(
    location: Location, info: VolumeInfo, wanted: str | None = None
) -> tuple[str, str]:
    """Return the name of the reader for this volume, and the reason in a few words.

    Raises
    ------
    UserError
        The reader `wanted` cannot read this volume, or would not be right.
    """
    if wanted is not None and wanted not in READERS:
        raise UserError(f"there is no reader {wanted!r}; there are {' and '.join(READERS)}")
    encodings = sorted({level.encoding for level in info.levels})
    listed = ", ".join(encodings)
    shown = location.shown("")
    if info.levels[0].array is not None:
        if wanted == "cloud-volume":
            raise UserError(f"cloud-volume does not read {shown}: it is zarr or N5")
        return "tensorstore", f"it decodes what zarr and N5 hold (here {listed})"
    refusal = _not_for_tensorstore(location, info)
    if wanted == "tensorstore":
        if refusal is not None:
            raise UserError(f"tensorstore cannot read {shown}: {refusal}; leave the reader out")
        return "tensorstore", "as asked"
    if wanted is not None:
        return "cloud-volume", "as asked"
    if refusal is not None:
        return "cloud-volume", refusal
    if any(level.sharded for level in info.levels):
        return "cloud-volume", f"shards of {listed}: tensorstore is no faster where we keep indices"
    return "cloud-volume", f"{listed} over HTTP: tensorstore is no faster than our own requests"


def _not_for_tensorstore(location: Location, info: VolumeInfo) -> str | None:
    """Return why tensorstore must not read a precomputed volume; ``None`` if it may."""
    from napari_ouroboros.volumes.tensorstore_reader import ENCODINGS

    others = sorted({level.encoding for level in info.levels} - set(ENCODINGS))
    if others:
        return f"tensorstore cannot decode {', '.join(others)}"
    if location.local and not all(level.sharded for level in info.levels):
        return "chunks in a folder may be *.gz, which tensorstore reads as zeros"
    if location.store in ("gs", "s3") or location.middleauth:
        return "logins are found where cloud-volume keeps them"
    return None


def make_reader(
    name: str, location: Location, info: VolumeInfo, fetcher: Fetcher, timeout: float
) -> Reader:
    """Return the reader that `choose_reader` named."""
    if info.levels[0].array is not None:
        from napari_ouroboros.volumes.array_reader import ArrayReader

        return ArrayReader(location, info, fetcher)
    if name == "tensorstore":
        from napari_ouroboros.volumes.tensorstore_reader import TensorStoreReader

        return TensorStoreReader(location, info, fetcher, timeout)
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
