"""Sampling slices straight from a table of decoded chunks (numba, serial, no GIL).

A slice is an affine grid: array index = start + row * drow + column * dcolumn, so no grid of
coordinates is ever made. Rows and columns are counted from the slice's own first ones whatever
part of it is sampled: a sample is the same to the last bit however the work is cut. Chunks lie in
equal slots (slot, channel, z, y, x); `table` says in which slot each chunk of a box of the chunk
grid is, -1 being a chunk that the store does not have.

Along a row the samples that read from one chunk alone form a run, which is found by a division
and sampled without looking anything up; samples between chunks go one by one. `sample_plain` has
the same arithmetic in numpy.
"""

from __future__ import annotations

import numpy as np

from napari_ouroboros.geometry.chunk_kernel import run
from napari_ouroboros.geometry.with_numba import njit

#: Samples of a row that are computed together.
STRETCH = 128


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
                count = run(
                    bz, by, bx, dz, dy, dx, column, column1, z0, y0, x0,
                    min(z0 + cz, size[0]), min(y0 + cy, size[1]), min(x0 + cx, size[2]),
                )  # fmt: skip
                slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
                for channel in range(channels):
                    if slot < 0:
                        for i in range(column - column0, column - column0 + count):
                            out[k, row - row0, i, channel] = fill
                        continue
                    base = (slot * channels + channel) * page
                    line = out[k, row - row0, column - column0 : column - column0 + count, channel]
                    for i in range(count):
                        step = column + i
                        iz = int(bz + step * dz - z0)
                        iy = int(by + step * dy - y0)
                        ix = int(bx + step * dx - x0)
                        line[i] = flat[np.uint64(base + (iz * cy + iy) * cx + ix)]
                column += count


@njit(cache=True, nogil=True)
def linear(slots, table, box_low, chunk, size, start, drow, dcolumn, row0, column0, fill, whole,
           lowest, highest, out):  # fmt: skip
    """Trilinear samples in float64; whole numbers are rounded half up and kept in the dtype.

    Neighbours beyond the volume are the edge voxel; those of a missing chunk are the fill.
    whole: the dtype is an integer; lowest, highest: its range as float64.

    A row goes in stretches through three short loops: where, which voxels, how much of each. The
    first and the last are plain arithmetic on arrays, for the processor's vector instructions.
    """
    n, rows, columns, channels = out.shape
    column1 = column0 + columns
    flat = slots.reshape(-1)
    floors = np.empty((3, STRETCH), np.int64)
    weights = np.empty(4 * STRETCH)
    voxels = np.empty(8 * STRETCH, slots.dtype)
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
                count = run(
                    bz, by, bx, dz, dy, dx, column, min(column + STRETCH, column1),
                    -0.5, -0.5, -0.5, size[0] - 0.5, size[1] - 0.5, size[2] - 0.5,
                )  # fmt: skip
                locate(bz, dz, column, count, floors[0], weights, 0)
                locate(by, dy, column, count, floors[1], weights, STRETCH)
                locate(bx, dx, column, count, floors[2], weights, 2 * STRETCH)
                for channel in range(channels):
                    _eight(flat, channel, channels, table, box_low, chunk, size, floors, count,
                           fill, voxels)  # fmt: skip
                    _blend(voxels, weights, count)
                    first = column - column0
                    settle(weights, 3 * STRETCH, count, whole, lowest, highest,
                           out[k, row - row0, first : first + count, channel])  # fmt: skip
                column += count


@njit(cache=True, nogil=True)
def locate(base, step, column, count, floors, weights, at):
    """Floor and fraction of the indices along one axis; the fractions from weights[at] on."""
    for i in range(count):
        index = base + np.float64(column + i) * step
        floor = np.floor(index)
        floors[i] = np.int64(floor)
        weights[at + i] = index - floor


@njit(cache=True, nogil=True)
def settle(values, at, count, whole, lowest, highest, out):
    """Write values[at:] in the dtype of `out`."""
    if whole:
        for i in range(count):
            out[i] = min(max(np.floor(values[at + i] + 0.5), lowest), highest)
    else:
        for i in range(count):
            out[i] = values[at + i]


@njit(cache=True, nogil=True)
def _blend(voxels, weights, count):
    """Blend 8 voxels of each sample along x, y and z; the results are the 4th of `weights`."""
    for i in range(count):
        wy, wx = weights[STRETCH + i], weights[2 * STRETCH + i]
        v0, v1 = np.float64(voxels[i]), np.float64(voxels[STRETCH + i])
        v00 = v0 + wx * (v1 - v0)
        v0, v1 = np.float64(voxels[2 * STRETCH + i]), np.float64(voxels[3 * STRETCH + i])
        v01 = v0 + wx * (v1 - v0)
        v0, v1 = np.float64(voxels[4 * STRETCH + i]), np.float64(voxels[5 * STRETCH + i])
        v10 = v0 + wx * (v1 - v0)
        v0, v1 = np.float64(voxels[6 * STRETCH + i]), np.float64(voxels[7 * STRETCH + i])
        v11 = v0 + wx * (v1 - v0)
        v0 = v00 + wy * (v01 - v00)
        v1 = v10 + wy * (v11 - v10)
        weights[3 * STRETCH + i] = v0 + weights[i] * (v1 - v0)


@njit(cache=True, nogil=True)
def _eight(flat, channel, channels, table, box_low, chunk, size, floors, count, fill, voxels):
    """The 8 voxels about each sample, one after the other STRETCH apart."""
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    page = cz * cy * cx
    # Unsigned indices: numba then does not ask of each whether it counts from the end.
    nx, plane, one = np.uint64(cx), np.uint64(cy * cx), np.uint64(1)
    # Of the chunk of the sample before: samples inside it need no look-up.
    z0 = y0 = x0 = z1 = y1 = x1 = 0
    base = 0
    for i in range(count):
        z, y, x = floors[0, i], floors[1, i], floors[2, i]
        if not (z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1):
            a, b, c = max(z, 0) // cz, max(y, 0) // cy, max(x, 0) // cx
            slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
            z0, y0, x0 = a * cz, b * cy, c * cx
            z1 = min(z0 + cz, size[0]) - 1
            y1 = min(y0 + cy, size[1]) - 1
            x1 = min(x0 + cx, size[2]) - 1
            if slot < 0 or not (z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1):
                z1 = z0
                _between(flat, channel, channels, table, box_low, chunk, size, z, y, x, fill,
                         voxels, i)  # fmt: skip
                continue
            base = (slot * channels + channel) * page
        at = np.uint64(base + ((z - z0) * cy + y - y0) * cx + x - x0)
        voxels[i] = flat[at]
        voxels[STRETCH + i] = flat[at + one]
        voxels[2 * STRETCH + i] = flat[at + nx]
        voxels[3 * STRETCH + i] = flat[at + nx + one]
        at += plane
        voxels[4 * STRETCH + i] = flat[at]
        voxels[5 * STRETCH + i] = flat[at + one]
        voxels[6 * STRETCH + i] = flat[at + nx]
        voxels[7 * STRETCH + i] = flat[at + nx + one]


@njit(cache=True, nogil=True)
def _between(flat, channel, channels, table, box_low, chunk, size, z, y, x, fill, voxels, at):
    """The 8 voxels of a sample between chunks, or at the volume's edge."""
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    # The lower neighbour's chunk by division, the upper one's by comparison.
    z0, z1 = max(z, 0), min(z + 1, size[0] - 1)
    y0, y1 = max(y, 0), min(y + 1, size[1] - 1)
    x0, x1 = max(x, 0), min(x + 1, size[2] - 1)
    a0, b0, c0 = z0 // cz, y0 // cy, x0 // cx
    a1 = a0 + 1 if z1 >= (a0 + 1) * cz else a0
    b1 = b0 + 1 if y1 >= (b0 + 1) * cy else b0
    c1 = c0 + 1 if x1 >= (c0 + 1) * cx else c0
    page = cz * cy * cx
    for corner in range(8):
        a, lz = (a1, z1 - a1 * cz) if corner & 4 else (a0, z0 - a0 * cz)
        b, ly = (b1, y1 - b1 * cy) if corner & 2 else (b0, y0 - b0 * cy)
        c, lx = (c1, x1 - c1 * cx) if corner & 1 else (c0, x0 - c0 * cx)
        slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
        if slot < 0:
            voxels[corner * STRETCH + at] = fill
        else:
            inside = (lz * cy + ly) * cx + lx
            voxels[corner * STRETCH + at] = flat[(slot * channels + channel) * page + inside]
