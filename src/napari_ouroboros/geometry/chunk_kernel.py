"""Which chunks the samples of slices read, and how many lie outside (numba, serial, no GIL).

Positions are those of `sample_kernel`, bit for bit: start + row * drow + column * dcolumn. Each
rounding is monotonic, so the samples of a rectangle of a slice lie between its corners exactly.
"""

from __future__ import annotations

import numpy as np

from napari_ouroboros.geometry.with_numba import njit

# Side of the squares of samples that are looked at as one.
_SQUARE = 16


@njit(cache=True, nogil=True, inline="always")
def _steps_within(f, step, low, high):
    """How many steps from f stay in [low, high), as a float; f is in it."""
    if step > 0.0:
        return (high - f) / step
    if step < 0.0:
        return (f - low) / -step
    return np.inf


@njit(cache=True, nogil=True)
def run(bz, by, bx, dz, dy, dx, column, end, z0, y0, x0, z1, y1, x1):
    """Samples from `column` on that stay in the box [z0, z1) x [y0, y1) x [x0, x1); at least 1.

    `end`: the last column that is asked for + 1.
    """
    # Positions are monotonic: where the last one is inside, all are.
    last = end - 1
    z, y, x = bz + last * dz, by + last * dy, bx + last * dx
    if z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1:
        return end - column
    n = min(
        _steps_within(bz + column * dz, dz, z0, z1),
        _steps_within(by + column * dy, dy, y0, y1),
        _steps_within(bx + column * dx, dx, x0, x1),
    )
    last = end - 1 if n >= end - column else column + int(n)
    # The division may be off by one sample.
    while last > column:
        z, y, x = bz + last * dz, by + last * dy, bx + last * dx
        if z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1:
            break
        last -= 1
    return last - column + 1


@njit(cache=True, nogil=True)
def mark(start, drow, dcolumn, row0, row1, column0, column1, size, chunk, before, after,
         box_low, marked):  # fmt: skip
    """Mark the chunks that samples of slices read: exactly these, not their bounding box.

    Squares of samples, and rows of squares, all of whose chunks could only be marked ones are
    passed by: slices lie close together, so that few are left to be looked at.

    Parameters
    ----------
    start, drow, dcolumn : (n, 3)
        Affine array indices zyx of each slice, of which rows row0 to row1 and columns column0 to
        column1 are wanted.
    before, after : int
        Voxels read beside the one at the floor of the index: 0, 1 for linear, 1, 2 for cubic.
        Both 0: the nearest voxel.
    marked : bool array over the box of the chunk grid at box_low.
    """
    shift = 0.5 if before + after == 0 else 0.0
    for k in range(start.shape[0]):
        for top in range(row0, row1, _SQUARE):
            bottom = min(top + _SQUARE, row1)
            for left in range(column0, column1, _SQUARE):
                right = min(left + _SQUARE, column1)
                if _settled(start, drow, dcolumn, k, top, bottom, left, right, shift, size,
                            chunk, before, after, box_low, marked):  # fmt: skip
                    continue
                for row in range(top, bottom):
                    if not _settled(start, drow, dcolumn, k, row, row + 1, left, right, shift,
                                    size, chunk, before, after, box_low, marked):  # fmt: skip
                        _mark_row(start, drow, dcolumn, k, row, left, right, shift, size, chunk,
                                  before, after, box_low, marked)  # fmt: skip


@njit(cache=True, nogil=True)
def _settled(start, drow, dcolumn, k, top, bottom, left, right, shift, size, chunk, before, after,
             box_low, marked):  # fmt: skip
    """Whether a rectangle of samples adds no chunk; one chunk that takes it whole is marked."""
    span = (top, bottom, left, right)
    a, e, in_z = _chunks_along(0, start, drow, dcolumn, k, span, shift, size, chunk, before, after)
    b, f, in_y = _chunks_along(1, start, drow, dcolumn, k, span, shift, size, chunk, before, after)
    c, g, in_x = _chunks_along(2, start, drow, dcolumn, k, span, shift, size, chunk, before, after)
    if a > e or b > f or c > g:
        return True
    a, b, c = a - box_low[0], b - box_low[1], c - box_low[2]
    e, f, g = e - box_low[0], f - box_low[1], g - box_low[2]
    if in_z and in_y and in_x and a == e and b == f and c == g:
        marked[a, b, c] = True
        return True
    for i in range(a, e + 1):
        for j in range(b, f + 1):
            for m in range(c, g + 1):
                if not marked[i, j, m]:
                    return False
    return True


@njit(cache=True, nogil=True, inline="always")
def _chunks_along(axis, start, drow, dcolumn, k, span, shift, size, chunk, before, after):
    """First and last chunk along an axis that a rectangle may read, and whether it lies inside.

    Wholly outside: 1, 0.
    """
    top, bottom, left, right = span
    one = start[k, axis] + top * drow[k, axis] + shift
    two = start[k, axis] + (bottom - 1) * drow[k, axis] + shift
    step = dcolumn[k, axis]
    low = min(one, two) + (left if step > 0.0 else right - 1) * step
    high = max(one, two) + (right - 1 if step > 0.0 else left) * step
    edge, end = shift - 0.5, size[axis] - 1.0
    if not (high >= edge and low < end + 1.0 + edge):
        return 1, 0, False
    first = int(min(max(np.floor(low) - before, 0.0), end)) // chunk[axis]
    last = int(min(max(np.floor(high) + after, 0.0), end)) // chunk[axis]
    return first, last, low >= edge and high < end + 1.0 + edge


@njit(cache=True, nogil=True)
def _mark_row(start, drow, dcolumn, k, row, column0, column1, shift, size, chunk, before, after,
              box_low, marked):  # fmt: skip
    """Mark what the samples of a part of one row read, run by run."""
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    end_z, end_y, end_x = size[0] - 1, size[1] - 1, size[2] - 1
    edge = shift - 0.5
    dz, dy, dx = dcolumn[k, 0], dcolumn[k, 1], dcolumn[k, 2]
    bz = start[k, 0] + row * drow[k, 0] + shift
    by = start[k, 1] + row * drow[k, 1] + shift
    bx = start[k, 2] + row * drow[k, 2] + shift
    column = column0
    while column < column1:
        z, y, x = bz + column * dz, by + column * dy, bx + column * dx
        if not (
            edge <= z < size[0] + edge and edge <= y < size[1] + edge and edge <= x < size[2] + edge
        ):
            column += 1
            continue
        iz, iy, ix = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
        a, e = max(iz - before, 0) // cz, min(iz + after, end_z) // cz
        b, f = max(iy - before, 0) // cy, min(iy + after, end_y) // cy
        c, g = max(ix - before, 0) // cx, min(ix + after, end_x) // cx
        for i in range(a, e + 1):
            for j in range(b, f + 1):
                for m in range(c, g + 1):
                    marked[i - box_low[0], j - box_low[1], m - box_low[2]] = True
        if a == e and b == f and c == g and iz >= 0 and iy >= 0 and ix >= 0:
            # The first and the last chunk go on to the ends: nothing is read beyond them.
            column += run(
                bz, by, bx, dz, dy, dx, column, column1,
                a * cz + before if a else 0,
                b * cy + before if b else 0,
                c * cx + before if c else 0,
                (a + 1) * cz - after if (a + 1) * cz <= end_z else size[0],
                (b + 1) * cy - after if (b + 1) * cy <= end_y else size[1],
                (c + 1) * cx - after if (c + 1) * cx <= end_x else size[2],
            )  # fmt: skip
        else:
            column += 1


@njit(cache=True, nogil=True)
def count_outside(start, drow, dcolumn, rows, columns, size, out):
    """Samples per slice that lie beyond the corners of an array of `size` zyx.

    Those of a row that lie inside are one interval, found by division and put right at its ends.
    """
    for k in range(start.shape[0]):
        inside = 0
        for row in range(rows):
            low, high = 0.0, columns - 1.0
            for axis in range(3):
                base = start[k, axis] + row * drow[k, axis]
                step = dcolumn[k, axis]
                if step == 0.0:
                    if not -0.5 <= base < size[axis] - 0.5:
                        high = -1.0
                    continue
                one, two = (-0.5 - base) / step, (size[axis] - 0.5 - base) / step
                low, high = max(low, min(one, two)), min(high, max(one, two))
            if low > high + 1.0:
                continue
            first = max(int(np.ceil(low)) - 1, 0)
            last = min(int(np.floor(high)) + 1, columns - 1)
            while first <= last and not _inside(start, drow, dcolumn, size, k, row, first):
                first += 1
            while first <= last and not _inside(start, drow, dcolumn, size, k, row, last):
                last -= 1
            inside += last - first + 1
        out[k] = rows * columns - inside


@njit(cache=True, nogil=True)
def _inside(start, drow, dcolumn, size, k, row, column):
    """Whether one sample lies between the corners."""
    for axis in range(3):
        value = start[k, axis] + row * drow[k, axis] + column * dcolumn[k, axis]
        if not -0.5 <= value < size[axis] - 0.5:
            return False
    return True
