"""Sampling slices straight from a table of decoded chunks (numba, serial, no GIL).

A slice is an affine grid: array index = start + row * drow + column * dcolumn, so no grid of
coordinates is ever made. Rows and columns are counted from the slice's own first ones whatever
part of it is sampled: a sample is the same to the last bit however the work is cut. Chunks lie in
equal slots (slot, channel, z, y, x); `table` says in which slot each chunk of a box of the chunk
grid is, -1 being a chunk that the store does not have.

Along a row the samples that read from one chunk alone form a run, which is found by a division
and sampled without looking anything up; samples between chunks go one by one.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _steps_within(f, step, low, high):
    """How many steps from f stay in [low, high), as a float; f is in it."""
    if step > 0.0:
        return (high - f) / step
    if step < 0.0:
        return (f - low) / -step
    return np.inf


@njit(cache=True, nogil=True)
def _run(bz, by, bx, dz, dy, dx, column, end, z0, y0, x0, z1, y1, x1):
    """Samples from `column` on that stay in the box [z0, z1) x [y0, y1) x [x0, x1); at least 1.

    `end`: the last column that is asked for + 1.
    """
    n = min(
        _steps_within(bz + column * dz, dz, z0, z1),
        _steps_within(by + column * dy, dy, y0, y1),
        _steps_within(bx + column * dx, dx, x0, x1),
    )
    last = end - 1 if n >= end - column else column + int(n)
    # The division may be off by one sample; positions are monotonic, so the last one decides.
    while last > column:
        z, y, x = bz + last * dz, by + last * dy, bx + last * dx
        if z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1:
            break
        last -= 1
    return last - column + 1


@njit(cache=True, nogil=True)
def mark(start, drow, dcolumn, row0, row1, column0, column1, size, chunk, taps, box_low, marked):
    """Mark the chunks that samples of slices read: exactly these, not their bounding box.

    start, drow, dcolumn : (n, 3) affine array indices zyx of each slice, of which rows row0 to
    row1 and columns column0 to column1 are wanted. taps: 0 for nearest, 1 for linear (floor and
    floor + 1). marked: bool over the box of the chunk grid at box_low.
    """
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    end_z, end_y, end_x = size[0] - 1, size[1] - 1, size[2] - 1
    shift = 0.5 if taps == 0 else 0.0
    for k in range(start.shape[0]):
        dz, dy, dx = dcolumn[k, 0], dcolumn[k, 1], dcolumn[k, 2]
        for row in range(row0, row1):
            bz = start[k, 0] + row * drow[k, 0] + shift
            by = start[k, 1] + row * drow[k, 1] + shift
            bx = start[k, 2] + row * drow[k, 2] + shift
            column = column0
            while column < column1:
                z, y, x = bz + column * dz, by + column * dy, bx + column * dx
                low = shift - 0.5
                if not (
                    low <= z < size[0] + low and low <= y < size[1] + low
                    and low <= x < size[2] + low
                ):  # fmt: skip
                    column += 1
                    continue
                iz, iy, ix = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
                a, b, c = max(iz, 0) // cz, max(iy, 0) // cy, max(ix, 0) // cx
                e = min(iz + taps, end_z) // cz
                f = min(iy + taps, end_y) // cy
                g = min(ix + taps, end_x) // cx
                if a == e and b == f and c == g and iz >= 0 and iy >= 0 and ix >= 0:
                    marked[a - box_low[0], b - box_low[1], c - box_low[2]] = True
                    # The last chunk ends with the array: beyond its last voxel nothing new is read.
                    column += _run(
                        bz, by, bx, dz, dy, dx, column, column1, a * cz, b * cy, c * cx,
                        (a + 1) * cz - taps if (a + 1) * cz <= end_z else size[0],
                        (b + 1) * cy - taps if (b + 1) * cy <= end_y else size[1],
                        (c + 1) * cx - taps if (c + 1) * cx <= end_x else size[2],
                    )  # fmt: skip
                    continue
                for i in range(a, e + 1):
                    for j in range(b, f + 1):
                        for m in range(c, g + 1):
                            marked[i - box_low[0], j - box_low[1], m - box_low[2]] = True
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


@njit(cache=True, nogil=True)
def nearest(slots, table, box_low, chunk, size, start, drow, dcolumn, row0, column0, fill, out):
    """The nearest voxel of every sample, copied; out (slices, rows, columns, channels)."""
    n, rows, columns, channels = out.shape
    column1 = column0 + columns
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    flat = slots.reshape(-1)
    page = cz * cy * cx
    for k in range(n):
        dz, dy, dx = dcolumn[k, 0], dcolumn[k, 1], dcolumn[k, 2]
        for row in range(row0, row0 + rows):
            bz = start[k, 0] + row * drow[k, 0] + 0.5
            by = start[k, 1] + row * drow[k, 1] + 0.5
            bx = start[k, 2] + row * drow[k, 2] + 0.5
            column = column0
            while column < column1:
                z, y, x = bz + column * dz, by + column * dy, bx + column * dx
                if not (0.0 <= z < size[0] and 0.0 <= y < size[1] and 0.0 <= x < size[2]):
                    for channel in range(channels):
                        out[k, row - row0, column - column0, channel] = fill
                    column += 1
                    continue
                a, b, c = int(z) // cz, int(y) // cy, int(x) // cx
                z0, y0, x0 = a * cz, b * cy, c * cx
                run = _run(
                    bz, by, bx, dz, dy, dx, column, column1, z0, y0, x0,
                    min(z0 + cz, size[0]), min(y0 + cy, size[1]), min(x0 + cx, size[2]),
                )  # fmt: skip
                slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
                for channel in range(channels):
                    if slot < 0:
                        for i in range(column - column0, column - column0 + run):
                            out[k, row - row0, i, channel] = fill
                        continue
                    base = (slot * channels + channel) * page
                    line = out[k, row - row0, column - column0 : column - column0 + run, channel]
                    for i in range(run):
                        step = column + i
                        iz = int(bz + step * dz - z0)
                        iy = int(by + step * dy - y0)
                        ix = int(bx + step * dx - x0)
                        line[i] = flat[np.uint64(base + (iz * cy + iy) * cx + ix)]
                column += run


@njit(cache=True, nogil=True)
def linear(slots, table, box_low, chunk, size, start, drow, dcolumn, row0, column0, fill, whole,
           lowest, highest, out):  # fmt: skip
    """Trilinear samples in float64; whole numbers are rounded half up and kept in the dtype.

    whole: the dtype is an integer; lowest, highest: its range as float64.
    """
    n, rows, columns, channels = out.shape
    column1 = column0 + columns
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    flat = slots.reshape(-1)
    page = cz * cy * cx
    # Unsigned indices: numba then does not ask of each whether it counts from the end.
    nx, plane, one = np.uint64(cx), np.uint64(cy * cx), np.uint64(1)
    for k in range(n):
        dz, dy, dx = dcolumn[k, 0], dcolumn[k, 1], dcolumn[k, 2]
        for row in range(row0, row0 + rows):
            bz = start[k, 0] + row * drow[k, 0]
            by = start[k, 1] + row * drow[k, 1]
            bx = start[k, 2] + row * drow[k, 2]
            column = column0
            while column < column1:
                z, y, x = bz + column * dz, by + column * dy, bx + column * dx
                if not (
                    -0.5 <= z < size[0] - 0.5
                    and -0.5 <= y < size[1] - 0.5
                    and -0.5 <= x < size[2] - 0.5
                ):
                    for channel in range(channels):
                        out[k, row - row0, column - column0, channel] = fill
                    column += 1
                    continue
                # All eight neighbours in one chunk that is there?
                slot = -1
                if z >= 0.0 and y >= 0.0 and x >= 0.0:
                    a, b, c = int(z) // cz, int(y) // cy, int(x) // cx
                    z0, y0, x0 = a * cz, b * cy, c * cx
                    z1 = min(z0 + cz, size[0]) - 1
                    y1 = min(y0 + cy, size[1]) - 1
                    x1 = min(x0 + cx, size[2]) - 1
                    if z < z1 and y < y1 and x < x1:
                        slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
                if slot < 0:
                    _between(flat, channels, table, box_low, chunk, size, z, y, x, fill, whole,
                             lowest, highest, out[k, row - row0, column - column0])  # fmt: skip
                    column += 1
                    continue
                run = _run(bz, by, bx, dz, dy, dx, column, column1, z0, y0, x0, z1, y1, x1)
                for channel in range(channels):
                    base = (slot * channels + channel) * page
                    line = out[k, row - row0, column - column0 : column - column0 + run, channel]
                    for i in range(run):
                        step = column + i
                        lz = bz + step * dz - z0
                        ly = by + step * dy - y0
                        lx = bx + step * dx - x0
                        iz, iy, ix = int(lz), int(ly), int(lx)
                        wz, wy, wx = lz - iz, ly - iy, lx - ix
                        at = np.uint64(base + (iz * cy + iy) * cx + ix)
                        v0, v1 = np.float64(flat[at]), np.float64(flat[at + one])
                        v00 = v0 + wx * (v1 - v0)
                        v0, v1 = np.float64(flat[at + nx]), np.float64(flat[at + nx + one])
                        v01 = v0 + wx * (v1 - v0)
                        at += plane
                        v0, v1 = np.float64(flat[at]), np.float64(flat[at + one])
                        v10 = v0 + wx * (v1 - v0)
                        v0, v1 = np.float64(flat[at + nx]), np.float64(flat[at + nx + one])
                        v11 = v0 + wx * (v1 - v0)
                        v0 = v00 + wy * (v01 - v00)
                        v1 = v10 + wy * (v11 - v10)
                        value = v0 + wz * (v1 - v0)
                        if whole:
                            value = min(max(np.floor(value + 0.5), lowest), highest)
                        line[i] = value
                column += run


@njit(cache=True, nogil=True)
def _between(flat, channels, table, box_low, chunk, size, z, y, x, fill, whole, lowest, highest,
             out):  # fmt: skip
    """One sample whose neighbours lie in several chunks, or at the volume's edge.

    Neighbours beyond the volume are the edge voxel; those of a missing chunk are the fill.
    """
    iz, iy, ix = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    wz, wy, wx = z - iz, y - iy, x - ix
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    # The lower neighbour's chunk by division, the upper one's by comparison.
    z0, z1 = max(iz, 0), min(iz + 1, size[0] - 1)
    y0, y1 = max(iy, 0), min(iy + 1, size[1] - 1)
    x0, x1 = max(ix, 0), min(ix + 1, size[2] - 1)
    a0, b0, c0 = z0 // cz, y0 // cy, x0 // cx
    a1 = a0 + 1 if z1 >= (a0 + 1) * cz else a0
    b1 = b0 + 1 if y1 >= (b0 + 1) * cy else b0
    c1 = c0 + 1 if x1 >= (c0 + 1) * cx else c0
    page = cz * cy * cx
    for channel in range(channels):
        before = after = 0.0
        for side in range(2):
            a, lz = (a1, z1 - a1 * cz) if side else (a0, z0 - a0 * cz)
            ta = a - box_low[0]
            v00 = v01 = v10 = v11 = fill
            ly0, ly1 = (lz * cy + y0 - b0 * cy) * cx, (lz * cy + y1 - b1 * cy) * cx
            lx0, lx1 = x0 - c0 * cx, x1 - c1 * cx
            slot = table[ta, b0 - box_low[1], c0 - box_low[2]]
            if slot >= 0:
                v00 = np.float64(flat[(slot * channels + channel) * page + ly0 + lx0])
            slot = table[ta, b0 - box_low[1], c1 - box_low[2]]
            if slot >= 0:
                v01 = np.float64(flat[(slot * channels + channel) * page + ly0 + lx1])
            slot = table[ta, b1 - box_low[1], c0 - box_low[2]]
            if slot >= 0:
                v10 = np.float64(flat[(slot * channels + channel) * page + ly1 + lx0])
            slot = table[ta, b1 - box_low[1], c1 - box_low[2]]
            if slot >= 0:
                v11 = np.float64(flat[(slot * channels + channel) * page + ly1 + lx1])
            v0 = v00 + wx * (v01 - v00)
            v1 = v10 + wx * (v11 - v10)
            if side:
                after = v0 + wy * (v1 - v0)
            else:
                before = v0 + wy * (v1 - v0)
        value = before + wz * (after - before)
        if whole:
            value = min(max(np.floor(value + 0.5), lowest), highest)
        out[channel] = value
