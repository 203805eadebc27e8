"""Cubic sampling from a table of decoded chunks (numba, serial, no GIL); see `sample_kernel`.

Catmull-Rom: 4 voxels along each axis, from the one before the floor of the index to the second
after it. It goes through the voxels' own values, and gives quadratic polynomials back exactly
(Keys, Cubic convolution interpolation for digital image processing, IEEE ASSP 29(6), 1981).
"""

from __future__ import annotations

import numpy as np

from napari_ouroboros.geometry.chunk_kernel import run
from napari_ouroboros.geometry.sample_kernel import STRETCH, locate, settle
from napari_ouroboros.geometry.with_numba import njit


@njit(cache=True, nogil=True)
def cubic(slots, table, box_low, chunk, size, start, drow, dcolumn, row0, column0, fill, whole,
          lowest, highest, out):  # fmt: skip
    """Catmull-Rom samples in float64; arguments and edges as for `sample_kernel.linear`."""
    n, rows, columns, channels = out.shape
    column1 = column0 + columns
    flat = slots.reshape(-1)
    floors = np.empty((3, STRETCH), np.int64)
    fractions = np.empty(STRETCH)
    weights = np.empty((3, 4 * STRETCH))
    voxels = np.empty(64 * STRETCH, slots.dtype)
    sums = np.empty(2 * STRETCH)
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
                locate(bz, dz, column, count, floors[0], fractions, 0)
                _weigh(fractions, count, weights[0])
                locate(by, dy, column, count, floors[1], fractions, 0)
                _weigh(fractions, count, weights[1])
                locate(bx, dx, column, count, floors[2], fractions, 0)
                _weigh(fractions, count, weights[2])
                for channel in range(channels):
                    _sixty_four(flat, channel, channels, table, box_low, chunk, size, floors,
                                count, fill, voxels)  # fmt: skip
                    _sum(voxels, weights[0], weights[1], weights[2], count, sums)
                    first = column - column0
                    settle(sums, 0, count, whole, lowest, highest,
                           out[k, row - row0, first : first + count, channel])  # fmt: skip
                column += count


@njit(cache=True, nogil=True)
def _weigh(fractions, count, weights):
    """The weights of the 4 voxels along one axis, one after the other STRETCH apart."""
    for i in range(count):
        t = fractions[i]
        weights[i] = ((1.0 - 0.5 * t) * t - 0.5) * t
        weights[STRETCH + i] = (1.5 * t - 2.5) * t * t + 1.0
        weights[2 * STRETCH + i] = ((2.0 - 1.5 * t) * t + 0.5) * t
        weights[3 * STRETCH + i] = (0.5 * t - 0.5) * t * t


@njit(cache=True, nogil=True)
def _sum(voxels, wz, wy, wx, count, sums):
    """The weighted sums of 64 voxels each, in sums[:count]; behind STRETCH those of a plane."""
    for i in range(count):
        sums[i] = 0.0
    for plane in range(4):
        for i in range(count):
            sums[STRETCH + i] = 0.0
        for row in range(4):
            at, w = 4 * STRETCH * (4 * plane + row), STRETCH * row
            for i in range(count):
                value = wx[i] * voxels[at + i]
                value += wx[STRETCH + i] * voxels[at + STRETCH + i]
                value += wx[2 * STRETCH + i] * voxels[at + 2 * STRETCH + i]
                value += wx[3 * STRETCH + i] * voxels[at + 3 * STRETCH + i]
                sums[STRETCH + i] += wy[w + i] * value
        w = STRETCH * plane
        for i in range(count):
            sums[i] += wz[w + i] * sums[STRETCH + i]


@njit(cache=True, nogil=True)
def _sixty_four(flat, channel, channels, table, box_low, chunk, size, floors, count, fill, voxels):
    """The 64 voxels about each sample, one after the other STRETCH apart."""
    cz, cy, cx = chunk[0], chunk[1], chunk[2]
    page = cz * cy * cx
    # Unsigned indices: numba then does not ask of each whether it counts from the end.
    nx, plane = np.uint64(cx), np.uint64(cy * cx)
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    # Where the chunk of the sample before has all 64.
    z0 = y0 = x0 = z1 = y1 = x1 = 0
    base = 0
    cells, insides = np.empty((3, 4), np.int64), np.empty((3, 4), np.int64)
    for i in range(count):
        z, y, x = floors[0, i], floors[1, i], floors[2, i]
        if not (z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1):
            a, b, c = max(z, 0) // cz, max(y, 0) // cy, max(x, 0) // cx
            slot = table[a - box_low[0], b - box_low[1], c - box_low[2]]
            z0, y0, x0 = a * cz + 1, b * cy + 1, c * cx + 1
            z1 = min(z0 - 1 + cz, size[0]) - 2
            y1 = min(y0 - 1 + cy, size[1]) - 2
            x1 = min(x0 - 1 + cx, size[2]) - 2
            if slot < 0 or not (z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1):
                z1 = z0
                _between(flat, channel, channels, table, box_low, chunk, size, z, y, x, fill,
                         cells, insides, voxels, i)  # fmt: skip
                continue
            base = (slot * channels + channel) * page
        at = np.uint64(base + ((z - z0) * cy + y - y0) * cx + x - x0)
        to = np.uint64(i)
        for _ in range(4):
            line = at
            for _ in range(4):
                voxels[to] = flat[line]
                voxels[to + np.uint64(STRETCH)] = flat[line + one]
                voxels[to + np.uint64(2 * STRETCH)] = flat[line + two]
                voxels[to + np.uint64(3 * STRETCH)] = flat[line + three]
                to += np.uint64(4 * STRETCH)
                line += nx
            at += plane


@njit(cache=True, nogil=True)
def _between(flat, channel, channels, table, box_low, chunk, size, z, y, x, fill, cells, insides,
             voxels, at):  # fmt: skip
    """The 64 voxels of a sample between chunks, or at the volume's edge.

    cells, insides: room for the chunk and the place in it of the 4 voxels along each axis.
    """
    page = chunk[0] * chunk[1] * chunk[2]
    for axis, floor in enumerate((z, y, x)):
        cell, low = -1, -chunk[axis]
        for i in range(4):
            index = min(max(floor - 1 + i, 0), size[axis] - 1)
            if index >= low + chunk[axis]:
                cell = index // chunk[axis]
                low = cell * chunk[axis]
            cells[axis, i] = cell - box_low[axis]
            insides[axis, i] = index - low
    for plane in range(4):
        for row in range(4):
            inside = (insides[0, plane] * chunk[1] + insides[1, row]) * chunk[2]
            to = (16 * plane + 4 * row) * STRETCH + at
            for i in range(4):
                slot = table[cells[0, plane], cells[1, row], cells[2, i]]
                if slot < 0:
                    voxels[to] = fill
                else:
                    base = (slot * channels + channel) * page
                    voxels[to] = flat[np.uint64(base + inside + insides[2, i])]
                to += STRETCH
