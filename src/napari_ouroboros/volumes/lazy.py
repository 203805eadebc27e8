"""The dask view of a volume."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import dask.array
import numpy as np
from dask.tokenize import tokenize

if TYPE_CHECKING:
    from napari_ouroboros.volumes.volume import Missing, Volume


def lazy_array(volume: Volume, mip: int, missing: Missing, fill: float) -> dask.array.Array:
    """Return level `mip` of `volume` as a dask array (z, y, x[, channel]); one chunk, one task."""
    level = volume.mip(mip)
    chunks: tuple[tuple[int, ...], ...] = tuple(
        tuple(min(c, n - start) for start in range(0, n, c))
        for n, c in zip(level.shape, level.chunk, strict=True)
    )
    if volume.channels > 1:
        chunks += ((volume.channels,),)
    token = tokenize(volume.source_info(), mip, missing, fill)
    name = f"volume-{token}"
    shared = f"open-{name}"  # one key for the volume, so that the graph holds it once
    tail = () if volume.channels == 1 else (0,)
    graph: dict[object, object] = {shared: volume}
    for index in product(*(range(n) for n in level.chunk_grid)):
        graph[(name, *index, *tail)] = (_read, shared, mip, index, missing, fill)
    meta = np.empty((0,) * len(chunks), volume.dtype)
    return dask.array.Array(graph, name, chunks, meta=meta)


def _read(
    volume: Volume, mip: int, index: tuple[int, int, int], missing: Missing, fill: float
) -> np.ndarray:
    return volume.read_chunk_filled(mip, index, missing, fill)
