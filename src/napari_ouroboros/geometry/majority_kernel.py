"""Count the ids in boxes of voxels (numba, serial, without the GIL)."""

from __future__ import annotations

import numpy as np

from napari_ouroboros.geometry.with_numba import njit

# Ids of a box that are counted in a short list; boxes with more are sorted.
_FEW = 32


@njit(nogil=True, cache=True)
def count_ids(labels, z_ends, y_ends, x_ends):
    """Count the ids of every box of a block, background (0) left out.

    Parameters
    ----------
    labels : (z, y, x), unsigned, C-contiguous
    z_ends, y_ends, x_ends : (n + 1,) int64
        Where the boxes begin and end along each axis, increasing: box (a, b, c) is
        ``labels[z_ends[a]:z_ends[a + 1], ...]``.

    Returns
    -------
    box, ids, count : (n,) int64, labels' dtype, int64
        Box number ``(a * n_y + b) * n_x + c``, an id in it, and how often it occurs.
    """
    room = (z_ends[-1] - z_ends[0]) * (y_ends[-1] - y_ends[0]) * (x_ends[-1] - x_ends[0])
    box = np.empty(room, np.int64)
    ids = np.empty(room, labels.dtype)
    count = np.empty(room, np.int64)
    few = np.empty(_FEW, labels.dtype)
    often = np.empty(_FEW, np.int64)
    n_y, n_x = len(y_ends) - 1, len(x_ends) - 1
    n = 0
    for a in range(len(z_ends) - 1):
        for b in range(n_y):
            for c in range(n_x):
                z0, z1 = z_ends[a], z_ends[a + 1]
                y0, y1 = y_ends[b], y_ends[b + 1]
                x0, x1 = x_ends[c], x_ends[c + 1]
                number = (a * n_y + b) * n_x + c
                known = _count_few(labels, z0, z1, y0, y1, x0, x1, few, often)
                if known < 0:
                    n = _count_sorted(
                        labels[z0:z1, y0:y1, x0:x1].flatten(), number, box, ids, count, n
                    )
                    continue
                for i in range(known):
                    if few[i] != 0:
                        box[n], ids[n], count[n] = number, few[i], often[i]
                        n += 1
    return box[:n].copy(), ids[:n].copy(), count[:n].copy()


@njit(nogil=True, cache=True)
def _count_few(labels, z0, z1, y0, y1, x0, x1, few, often):
    """How many ids a box has, each with its count in the list; -1 when the list is too short."""
    known, last = 1, 0
    few[0], often[0] = labels[z0, y0, x0], 0
    for z in range(z0, z1):
        for y in range(y0, y1):
            for x in range(x0, x1):
                label = labels[z, y, x]
                if label != few[last]:
                    last = 0
                    while last < known and few[last] != label:
                        last += 1
                    if last == known:
                        if known == _FEW:
                            return -1
                        few[last], often[last] = label, 0
                        known += 1
                often[last] += 1
    return known


@njit(nogil=True, cache=True)
def _count_sorted(values, number, box, ids, count, n):
    """The same of any number of ids; the new end of what is listed."""
    values.sort()
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[start]:
            if values[start] != 0:
                box[n], ids[n], count[n] = number, values[start], i - start
                n += 1
            start = i
    return n
