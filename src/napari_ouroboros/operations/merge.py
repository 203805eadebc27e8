"""Several traces into one result: the chunks that any of them touches, and who wins a voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.touched import touched_chunks
from napari_ouroboros.operations.gather import Block, Gatherer

#: A chunk's index, and the segments of each trace (by its number) that may reach into it.
TouchedBlock = tuple[tuple[int, int, int], dict[int, NDArray[np.int64]]]


def merge(into: Block, other: Block) -> int:
    """Labels of a later trace into those of earlier ones; how many voxels both had labelled.

    0 never overwrites; of two labels the nearer centre line's counts, the earlier's on ties.
    """
    new = other.labels.astype(np.result_type(into.labels, other.labels), copy=False)
    old = into.labels.astype(new.dtype, copy=False)
    both = (old != 0) & (new != 0)
    take = (new != 0) & ((old == 0) | (other.distance < into.distance))
    into.labels = np.where(take, new, old)
    into.distance = np.where(take, other.distance, into.distance)
    into.claims = np.maximum(into.claims, other.claims)
    return int(np.count_nonzero(both & (old != new)))


def touched_blocks(
    gatherers: Sequence[Gatherer], chunk: tuple[int, int, int]
) -> list[TouchedBlock]:
    """Touched chunks in order along the first trace, with each trace's segments in them."""
    blocks: dict[tuple[int, int, int], dict[int, NDArray[np.int64]]] = {}
    for number, gatherer in enumerate(gatherers):
        for index, segments in touched_chunks(gatherer.straightening, gatherer.grid, chunk):
            blocks.setdefault(index, {})[number] = segments
    if not blocks:
        raise UserError(
            "the trace lies wholly outside the volume: there is no voxel to label; do recipe "
            "and volume belong together?"
        )
    return list(blocks.items())
