"""Sampling slices straight from a table of decoded chunks (numba, serial, no GIL).

A slice is an affine grid: array index = start + row * drow + column * dcolumn, so no grid of
coordinates is ever made. Chunks lie in equal slots (slot, channel, z, y, x); `table` says in
which slot each chunk of a box of the chunk grid is, -1 being a chunk that the store does not have.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def mark(start, drow, dcolumn, rows, columns, size, chunk, taps, box_low, marked):
    """Mark the chunks that samples of slices read: exactly these, not their bounding box.

    start, drow, dcolumn : (n, 3) affine array indices zyx of each slice. taps: 0 for nearest,
    1 for linear (floor and floor + 1). marked: bool over the box of the chunk grid at box_low.
    """
    limit_z, limit_y, limit_x = size[0] - 1, size[1] - 1, size[2] - 1
    for k in range(start.shape[0]):
        for row in range(rows):
            last_z = last_y = last_x = -1
            for column in range(columns):
                z = start[k, 0] + row * drow[k, 0] + column * dcolumn[k, 0]
                y = start[k, 1] + row * drow[k, 1] + column * dcolumn[k, 1]
                x = start[k, 2] + row * drow[k, 2] + column * dcolumn[k, 2]
                if not (
                    -0.5 <= z < limit_z + 0.5
                    and -0.5 <= y < limit_y + 0.5
                    and -0.5 <= x < limit_x + 0.5
                ):
                    continue
                if taps == 0:
                    z, y, x = np.floor(z + 0.5), np.floor(y + 0.5), np.floor(x + 0.5)
                iz, iy, ix = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
                if iz == last_z and iy == last_y and ix == last_x:
                    continue
                last_z, last_y, last_x = iz, iy, ix
                z0, z1 = max(iz, 0) // chunk[0], min(iz + taps, limit_z) // chunk[0]
                y0, y1 = max(iy, 0) // chunk[1], min(iy + taps, limit_y) // chunk[1]
                x0, x1 = max(ix, 0) // chunk[2], min(ix + taps, limit_x) // chunk[2]
                marked[z0 - box_low[0], y0 - box_low[1], x0 - box_low[2]] = True
                if z0 != z1 or y0 != y1 or x0 != x1:
                    for a in range(z0, z1 + 1):
                        for b in range(y0, y1 + 1):
                            for c in range(x0, x1 + 1):
                                marked[a - box_low[0], b - box_low[1], c - box_low[2]] = True


@njit(cache=True, nogil=True)
def count_outside(start, drow, dcolumn, rows, columns, size, out):
    """Samples per slice that lie beyond the corners of an array of `size` zyx."""
    for k in range(start.shape[0]):
        count = 0
        for row in range(rows):
            for column in range(columns):
                z = start[k, 0] + row * drow[k, 0] + column * dcolumn[k, 0]
                y = start[k, 1] + row * drow[k, 1] + column * dcolumn[k, 1]
                x = start[k, 2] + row * drow[k, 2] + column * dcolumn[k, 2]
                if not (
                    -0.5 <= z < size[0] - 0.5
                    and -0.5 <= y < size[1] - 0.5
                    and -0.5 <= x < size[2] - 0.5
                ):
                    count += 1
        out[k] = count


@njit(cache=True, nogil=True)
def nearest(slots, table, box_low, chunk, size, start, drow, dcolumn, fill, out):
    """The nearest voxel of every sample, copied; out (slices, rows, columns, channels)."""
    n, rows, columns, channels = out.shape
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    for k in range(n):
        for row in range(rows):
            bz = start[k, 0] + row * drow[k, 0] + 0.5
            by = start[k, 1] + row * drow[k, 1] + 0.5
            bx = start[k, 2] + row * drow[k, 2] + 0.5
            # The chunk of the last sample, as a range of indices: mostly the next one's too.
            z0 = y0 = x0 = z1 = y1 = x1 = 0
            slot = -1
            for column in range(columns):
                fz = bz + column * dcolumn[k, 0]
                fy = by + column * dcolumn[k, 1]
                fx = bx + column * dcolumn[k, 2]
                if not (0.0 <= fz < size[0] and 0.0 <= fy < size[1] and 0.0 <= fx < size[2]):
                    for channel in range(channels):
                        out[k, row, column, channel] = fill
                    continue
                iz, iy, ix = int(fz), int(fy), int(fx)
                if not (z0 <= iz < z1 and y0 <= iy < y1 and x0 <= ix < x1):
                    a, b, c = iz // cz, iy // cy, ix // cx
                    z0, y0, x0 = a * cz, b * cy, c * cx
                    z1, y1, x1 = z0 + cz, y0 + cy, x0 + cx
                    slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
                if slot < 0:
                    for channel in range(channels):
                        out[k, row, column, channel] = fill
                else:
                    for channel in range(channels):
                        out[k, row, column, channel] = slots[
                            slot, channel, iz - z0, iy - y0, ix - x0
                        ]


@njit(cache=True, nogil=True)
def _voxel(slots, table, box_low, chunk, size, channel, z, y, x, fill):
    """One voxel as float64, the index held within the volume (edge voxels repeat)."""
    z = min(max(z, 0), size[0] - 1)
    y = min(max(y, 0), size[1] - 1)
    x = min(max(x, 0), size[2] - 1)
    a, b, c = z // chunk[0], y // chunk[1], x // chunk[2]
    slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
    if slot < 0:
        return fill
    return float(slots[slot, channel, z - a * chunk[0], y - b * chunk[1], x - c * chunk[2]])


@njit(cache=True, nogil=True)
def linear(slots, table, box_low, chunk, size, start, drow, dcolumn, fill, whole, lowest, highest,
           out):  # fmt: skip
    """Trilinear samples in float64; whole numbers are rounded half up and kept in the dtype.

    whole: the dtype is an integer; lowest, highest: its range as float64.
    """
    n, rows, columns, channels = out.shape
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    for k in range(n):
        for row in range(rows):
            bz = start[k, 0] + row * drow[k, 0]
            by = start[k, 1] + row * drow[k, 1]
            bx = start[k, 2] + row * drow[k, 2]
            z0 = y0 = x0 = z1 = y1 = x1 = 0
            slot = -1
            for column in range(columns):
                fz = bz + column * dcolumn[k, 0]
                fy = by + column * dcolumn[k, 1]
                fx = bx + column * dcolumn[k, 2]
                if not (
                    -0.5 <= fz < size[0] - 0.5
                    and -0.5 <= fy < size[1] - 0.5
                    and -0.5 <= fx < size[2] - 0.5
                ):
                    for channel in range(channels):
                        out[k, row, column, channel] = fill
                    continue
                iz, iy, ix = int(np.floor(fz)), int(np.floor(fy)), int(np.floor(fx))
                wz, wy, wx = fz - iz, fy - iy, fx - ix
                # All eight neighbours in the chunk at hand?
                if not (z0 <= iz < z1 and y0 <= iy < y1 and x0 <= ix < x1):
                    slot = -1
                    z0 = z1 = 0
                    if iz >= 0 and iy >= 0 and ix >= 0:
                        a, b, c = iz // cz, iy // cy, ix // cx
                        z0, y0, x0 = a * cz, b * cy, c * cx
                        z1 = min(z0 + cz, size[0]) - 1
                        y1 = min(y0 + cy, size[1]) - 1
                        x1 = min(x0 + cx, size[2]) - 1
                        if iz < z1 and iy < y1 and ix < x1:
                            slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
                        else:
                            z0 = z1 = 0
                for channel in range(channels):
                    if slot >= 0:
                        lz, ly, lx = iz - z0, iy - y0, ix - x0
                        v000 = float(slots[slot, channel, lz, ly, lx])
                        v001 = float(slots[slot, channel, lz, ly, lx + 1])
                        v010 = float(slots[slot, channel, lz, ly + 1, lx])
                        v011 = float(slots[slot, channel, lz, ly + 1, lx + 1])
                        v100 = float(slots[slot, channel, lz + 1, ly, lx])
                        v101 = float(slots[slot, channel, lz + 1, ly, lx + 1])
                        v110 = float(slots[slot, channel, lz + 1, ly + 1, lx])
                        v111 = float(slots[slot, channel, lz + 1, ly + 1, lx + 1])
                    else:
                        args = (slots, table, box_low, chunk, size, channel)
                        v000 = _voxel(*args, iz, iy, ix, fill)
                        v001 = _voxel(*args, iz, iy, ix + 1, fill)
                        v010 = _voxel(*args, iz, iy + 1, ix, fill)
                        v011 = _voxel(*args, iz, iy + 1, ix + 1, fill)
                        v100 = _voxel(*args, iz + 1, iy, ix, fill)
                        v101 = _voxel(*args, iz + 1, iy, ix + 1, fill)
                        v110 = _voxel(*args, iz + 1, iy + 1, ix, fill)
                        v111 = _voxel(*args, iz + 1, iy + 1, ix + 1, fill)
                    v00 = v000 + wx * (v001 - v000)
                    v01 = v010 + wx * (v011 - v010)
                    v10 = v100 + wx * (v101 - v100)
                    v11 = v110 + wx * (v111 - v110)
                    v0 = v00 + wy * (v01 - v00)
                    v1 = v10 + wy * (v11 - v10)
                    value = v0 + wz * (v1 - v0)
                    if whole:
                        value = np.floor(value + 0.5)
                        value = min(max(value, lowest), highest)
                    out[k, row, column, channel] = value
