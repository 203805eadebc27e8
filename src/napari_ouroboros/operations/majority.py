"""The majority of labels in every voxel of a coarser grid, counted block by block.

A fine voxel counts for the coarse voxel that holds its centre; whatever ratio and offset the two
grids have, so a coarse voxel at the end may have fewer. Background counts as well. Of ids that are
equally frequent the smallest wins, so background before labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Grid

Ints = NDArray[np.int64]

# A centre this close below a border (in coarse voxels) lies on it: resolutions such as
# 8 * 101 / 51 nm have no exact float.
_ON_THE_BORDER = 1e-6


def cells_of(fine: Grid, coarse: Grid) -> tuple[Ints, Ints, Ints]:
    """Coarse index that holds the centre of each fine voxel, along z, y and x.

    May lie beyond the coarse grid's shape. A centre on a border belongs to the upper voxel.
    """
    z, y, x = (
        np.floor((o + np.arange(n) + 0.5) * (r / big) - start + _ON_THE_BORDER).astype(np.int64)
        for n, r, o, big, start in zip(
            fine.shape, fine.resolution, fine.voxel_offset, coarse.resolution,
            coarse.voxel_offset, strict=True,
        )
    )  # fmt: skip
    return z, y, x


@dataclass(frozen=True)
class Votes:
    """How often ids occur in coarse voxels; background is not listed.

    Attributes
    ----------
    cell : (n,) int64
        Flat index of the coarse voxel.
    ids : (n,)
    count : (n,) int64
        Over 0. The same (cell, id) may be listed several times.
    """

    cell: Ints
    ids: NDArray[Any]
    count: Ints


def count_votes(labels: NDArray[Any], cells: Sequence[Ints], shape: Sequence[int]) -> Votes:
    """Count the labels of a block of fine voxels.

    Parameters
    ----------
    labels : (z, y, x) of an unsigned dtype
    cells : three of (n,) int64
        Coarse index of every fine voxel along each axis, increasing; others than
        0 <= index < `shape` do not count.
    shape : (int, int, int)
        Coarse voxels that are counted.
    """
    first, size, index = [], [], []
    for axis_cells, n in zip(cells, shape, strict=True):
        low, high = np.searchsorted(axis_cells, [0, n])
        starts = low + np.flatnonzero(np.diff(axis_cells[low:high], prepend=-1))
        first.append(starts)
        size.append(np.diff(np.append(starts, high)))
        index.append(axis_cells[starts])
    if not all(len(f) for f in first):
        nothing = np.zeros(0, np.int64)
        return Votes(nothing, nothing.astype(labels.dtype), nothing)
    z, y, x = (slice(f[0], f[-1] + s[-1]) for f, s in zip(first, size, strict=True))
    least = most = labels[z, y, x]
    for axis, starts in enumerate(first):
        least = np.minimum.reduceat(least, starts - starts[0], axis=axis)
        most = np.maximum.reduceat(most, starts - starts[0], axis=axis)
    _, ny, nx = shape
    z_index, y_index, x_index = index
    flat = (z_index[:, None, None] * ny + y_index[:, None]) * nx + x_index
    voxels = _outer(*size)
    uniform = (least == most) & (most != 0)
    found = [(flat[uniform], most[uniform], voxels[uniform])]
    mixed = least != most
    if mixed.any():
        # Coarse voxels with the same number of fine ones along each axis together.
        for lengths in product(*(np.unique(s) for s in size)):
            chosen = mixed & _outer(*(s == n for s, n in zip(size, lengths, strict=True)))
            if chosen.any():
                found.append(_count_mixed(labels, first, lengths, chosen, flat))
    cell, ids, count = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Votes(cell, ids, count)


def _count_mixed(
    labels: NDArray[Any],
    first: Sequence[Ints],
    lengths: Sequence[int],
    chosen: NDArray[np.bool_],
    flat: Ints,
) -> tuple[Ints, NDArray[Any], Ints]:
    """Cells, ids and counts of the chosen coarse voxels, all of `lengths` fine ones."""
    at = np.nonzero(chosen)
    z, y, x = (
        starts[i].reshape(-1, 1, 1, 1) + np.arange(n).reshape(np.roll((n, 1, 1), axis))
        for axis, (starts, i, n) in enumerate(zip(first, at, lengths, strict=True))
    )
    rows = np.sort(labels[z, y, x].reshape(len(at[0]), -1), axis=1)
    begins = np.ones(rows.shape, bool)
    np.not_equal(rows[:, 1:], rows[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    count = np.diff(starts, append=rows.size)
    ids = rows.ravel()[starts]
    labelled = ids != 0
    cell = flat[chosen][starts // rows.shape[1]]
    return cell[labelled], ids[labelled], count[labelled]


def elect(
    votes: Sequence[Votes], cells: Sequence[Ints], shape: Sequence[int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Majorities of a block of coarse voxels.

    Parameters
    ----------
    votes : sequence of Votes
        Of all fine voxels in the block that are not background.
    cells : three of (n,) int64
        Coarse index, counted from the block's corner, of every fine voxel of the volume.
    shape : (int, int, int)
        Of the block.
    dtype : dtype
        Of the labels.

    Returns
    -------
    array `shape`
    """
    winners = np.zeros(int(np.prod(shape)), dtype)
    if not votes:
        return winners.reshape(shape)
    sizes = []
    for axis_cells, n in zip(cells, shape, strict=True):
        low, high = np.searchsorted(axis_cells, [0, n])
        sizes.append(np.bincount(axis_cells[low:high], minlength=n))
    voxels = _outer(*sizes).ravel()
    cell = np.concatenate([v.cell for v in votes])
    ids = np.concatenate([v.ids for v in votes])
    count = np.concatenate([v.count for v in votes])
    # Most coarse voxels are settled at a glance: more than half of one id, counted in one block.
    settled = 2 * count > voxels[cell]
    winners[cell[settled]] = ids[settled]
    decided = np.zeros(len(winners), bool)
    decided[cell[settled]] = True
    rest = ~decided[cell]
    _elect_slowly(winners, voxels, cell[rest], ids[rest], count[rest])
    return winners.reshape(shape)


def _elect_slowly(
    winners: NDArray[Any], voxels: Ints, cell: Ints, ids: NDArray[Any], count: Ints
) -> None:
    if not len(cell):
        return
    order = np.lexsort((ids, cell))
    cell, ids, count = cell[order], ids[order], count[order]
    # The same id counted in several blocks.
    starts = np.flatnonzero(np.append(True, (cell[1:] != cell[:-1]) | (ids[1:] != ids[:-1])))
    cell, ids, count = cell[starts], ids[starts], np.add.reduceat(count, starts)
    # The most frequent id of each cell comes first, the smaller one before its equals.
    order = np.lexsort((ids, -count, cell))
    cell, ids, count = cell[order], ids[order], count[order]
    starts = np.flatnonzero(np.append(True, cell[1:] != cell[:-1]))
    background = voxels[cell[starts]] - np.add.reduceat(count, starts)
    wins = starts[count[starts] > background]
    winners[cell[wins]] = ids[wins]


def _outer(z: NDArray[Any], y: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    return z[:, None, None] * y[:, None] * x
