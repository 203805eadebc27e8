"""The dask view of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
from dask.tokenize import tokenize
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ouroboros.volumes.volume import Missing, Volume


def lazy_array(volume: Volume, mip: int, missing: Missing, fill: float) -> dask.array.Array:
    """Return level `mip` of `volume` as a dask array (z, y, x[, channel]); one chunk, one task.

    To make it, and to compute a part of it, costs the same for any number of chunks.
    """
    source = _Level(volume, mip, missing, fill)
    return dask.array.from_array(
        source,
        chunks=source.chunks,
        name=f"volume-{tokenize(volume, mip, missing, fill)}",
        asarray=False,
        # dask merges its own getters with slices, so that one chunk would be read for each slice.
        getitem=_chunk,
        # With the source as a task of its own, dask would list the keys of all chunks, about
        # 2 s per million, whenever it computes a part.
        inline_array=True,
        meta=np.empty((0,) * source.ndim, source.dtype),
    )


class _Level:
    """One level with the attributes that dask asks of an array."""

    def __init__(self, volume: Volume, mip: int, missing: Missing, fill: float) -> None:
        level = volume.mip(mip)
        several = volume.channels > 1
        self.volume, self.mip, self.missing, self.fill = volume, mip, missing, fill
        self.shape = (*level.shape, volume.channels) if several else level.shape
        self.chunks = (*level.chunk, volume.channels) if several else level.chunk
        self.chunk = level.chunk
        self.dtype = volume.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, block: tuple[slice, ...]) -> NDArray[Any]:
        return _chunk(self, block)


def _chunk(level: _Level, block: tuple[slice, ...], *_: object, **__: object) -> NDArray[Any]:
    """Read the chunk that begins where `block`, a whole block of the array, begins."""
    z, y, x = (int(part.start) // size for part, size in zip(block[:3], level.chunk, strict=True))
    return level.volume.read_chunk_filled(level.mip, (z, y, x), level.missing, level.fill)
