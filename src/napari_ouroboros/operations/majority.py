"""The majority of labels in every voxel of a coarser grid, counted block by block.

A fine voxel counts for the coarse voxel that holds its centre; whatever ratio and offset the two
grids have, so a coarse voxel at the end may have fewer. Background counts as well. Of ids that are
equally frequent the smallest wins, so background before labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    from napari_ouroboros.geometry.majority_kernel import count_ids

    ends, index = [], []
    for axis_cells, n in zip(cells, shape, strict=True):
        low, high = np.searchsorted(axis_cells, [0, n])
        starts = low + np.flatnonzero(np.diff(axis_cells[low:high], prepend=-1))
        ends.append(np.append(starts, high))
        index.append(axis_cells[starts])
    if not all(map(len, index)):
        nothing = np.zeros(0, np.int64)
        return Votes(nothing, nothing.astype(labels.dtype), nothing)
    # The kernel is compiled for one kind of array, whatever the order of the axes in memory.
    box, ids, count = count_ids(np.require(labels, requirements=["C", "W"]), *ends)
    a, b, c = np.unravel_index(box, [len(i) for i in index])
    z, y, x = index[0][a], index[1][b], index[2][c]
    return Votes((z * shape[1] + y) * shape[2] + x, ids, count)


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
