"""Labels of a few slices counted: how many samples, where, and how long their outlines are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tally:
    """One entry per label of each slice: arrays (m,), by slice, then by label.

    Attributes
    ----------
    slices : array of int64
        Counted from the first slice that was given.
    labels : array of the labels' dtype
    samples : array of int64
    rows, columns : array of float64
        Sums of the samples' rows and columns.
    perimeter : array of float64
        Length of the outlines in pixels.
    """

    slices: Int
    labels: NDArray[Any]
    samples: Int
    rows: Float
    columns: Float
    perimeter: Float


def tally(labels: NDArray[Any]) -> Tally:
    """Count the labels (slices, rows, columns) of whole numbers; 0 is no label.

    The perimeter is that of Crofton's formula with four directions: lines along the rows, the
    columns and both diagonals are crossed by an outline in proportion to its length, so that
    P = pi / 8 (I_0 + I_90 + (I_45 + I_135) / sqrt 2), I being the crossings counted (Legland,
    Kieu & Devaux, Computation of Minkowski measures on 2D and 3D binary images, Image Analysis &
    Stereology 26, 2007). What a label has at the edge of the slice counts as outline, too.

    Returns
    -------
    Tally
    """
    _, n_rows, n_columns = labels.shape
    where = np.flatnonzero(labels)
    if not len(where):
        nothing, no_sum = np.zeros(0, np.int64), np.zeros(0)
        return Tally(nothing, labels.ravel()[:0], nothing, no_sum, no_sum, no_sum)
    values = labels.ravel()[where]
    k, place = np.divmod(where, n_rows * n_columns)
    row, column = np.divmod(place, n_columns)
    # Neighbours mostly have the same label: the ids of their runs are few enough to be sorted.
    breaks = (values[1:] != values[:-1]) | (k[1:] != k[:-1])
    starts = np.append(0, np.flatnonzero(breaks) + 1)
    ids, which = np.unique(values[starts], return_inverse=True)
    pairs, number = np.unique(k[starts] * len(ids) + which, return_inverse=True)
    number = np.repeat(number, np.diff(np.append(starts, len(where))))
    m = len(pairs)
    samples = np.bincount(number, minlength=m)
    # The number of the entry that each sample belongs to, from 1, around the labelled samples.
    row0, column0 = row.min(), column.min()
    box = (len(labels), row.max() - row0 + 1, column.max() - column0 + 1)
    entry = np.zeros(box, np.int64)
    entry[k, row - row0, column - column0] = number + 1
    # A line leaves a label as often as it enters it: twice the samples without a same neighbour.
    ends = [
        samples - np.bincount(_same(entry, *way), minlength=m)
        for way in ((0, 1), (1, 0), (1, 1), (1, -1))
    ]
    perimeter = 0.25 * np.pi * (ends[0] + ends[1] + (ends[2] + ends[3]) / np.sqrt(2))
    return Tally(
        pairs // len(ids),
        ids[pairs % len(ids)],
        samples,
        np.bincount(number, row, m).astype(np.float64),
        np.bincount(number, column, m).astype(np.float64),
        perimeter,
    )


def _same(entry: Int, down: int, across: int) -> Int:
    """Entries (from 0) of the pairs of samples one step apart that belong to the same one."""
    columns = entry.shape[2]
    upper = entry[:, : entry.shape[1] - down]
    lower = entry[:, down:]
    if across > 0:
        upper, lower = upper[:, :, : columns - 1], lower[:, :, 1:]
    elif across < 0:
        upper, lower = upper[:, :, 1:], lower[:, :, : columns - 1]
    found = upper[(upper == lower) & (upper > 0)]
    return np.asarray(found - 1)
