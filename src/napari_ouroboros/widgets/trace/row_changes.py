"""Which rows of a table of points are which rows of the one before."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Index = NDArray[np.int64]


def changed_rows(before: Float, after: Float) -> Index:
    """Indices of rows that differ, of two tables of the same shape."""
    return np.flatnonzero((before != after).any(axis=1))


def kept_rows(before: Float, after: Float, removed: Sequence[int] | None = None) -> Index:
    """For each row after, the row before that it is, or -1 for a new one; increasing.

    Parameters
    ----------
    before, after : arrays (n, 3), (m, 3)
    removed : sequence of int, optional
        Rows of `before` that are gone: of two points at one place only who removed knows which.
    """
    if removed is not None and len(before):
        gone = np.asarray(removed, np.int64) % len(before)
        rest = np.setdiff1d(np.arange(len(before)), gone)
        if len(rest) == len(after) and np.array_equal(before[rest], after):
            return rest
    shorter = min(len(before), len(after))
    head = _equal_rows(before[:shorter], after[:shorter])
    backwards = before[len(before) - shorter :][::-1], after[len(after) - shorter :][::-1]
    tail = min(_equal_rows(*backwards), shorter - head)
    found = np.full(len(after), -1, np.int64)
    found[:head] = np.arange(head)
    if tail:
        found[len(after) - tail :] = np.arange(len(before) - tail, len(before))
    # Between them rows that are still there, in their order.
    places: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for j in range(head, len(before) - tail):
        places[tuple(before[j])].append(j)
    at = head
    for i in range(head, len(after) - tail):
        known = places.get(tuple(after[i]), [])
        which = bisect_left(known, at)
        if which < len(known):
            found[i], at = known[which], known[which] + 1
    return found


def _equal_rows(a: Float, b: Float) -> int:
    """How many rows are the same from the first on."""
    same = (a == b).all(axis=1)
    return len(a) if same.all() else int(np.argmin(same))
