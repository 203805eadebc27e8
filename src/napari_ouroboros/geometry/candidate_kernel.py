"""What the gather asks of the segments themselves: which slices pass through a voxel, exactly.

Candidates are found by the functions of `kernels.locate`, and listed as

found (n, 4)
    Slice index k + f, u, v, squared distance to the centre line.
found_at (n,)
    Number of the voxel in its row.

Rows of voxels lie along x; origin, resolution (3,) zyx nm: centre of the block's first voxel, and
the size of a voxel; iz, iy: which row. Functions of the voxel i of a row are written a + i b.
"""

from __future__ import annotations

import numpy as np

from napari_ouroboros.geometry.kernels import (
    _crossing,
    _end_offsets,
    _grazing,
    _offsets,
    signed_distance,
)
from napari_ouroboros.geometry.with_numba import njit


@njit(cache=True, nogil=True)
def aside(planes, first, last, margin, z, y, x, along_x):
    """Whether a row of voxels, along_x nm long, lies on one side of all the planes of a group."""
    d, d_last = signed_distance(planes, first, z, y, x), signed_distance(planes, last, z, y, x)
    step, step_last = along_x * planes[first, 5], along_x * planes[last, 5]
    low = min(d + min(step, 0.0), d_last + min(step_last, 0.0))
    high = max(d + max(step, 0.0), d_last + max(step_last, 0.0))
    return low > margin or high < -margin


@njit(cache=True, nogil=True, error_model="numpy")
def rows_reached(planes, first, last, margin, z, origin, resolution, ny, nx):
    """Range of the rows of a layer, as floats, that may not lie aside of a group's planes."""
    low, high = 0.0, ny - 1.0
    for side in (1.0, -1.0):
        near, far = np.inf, -np.inf
        for k in (first, last):
            d = side * signed_distance(planes, k, z, origin[1], origin[2])
            farthest = d + max(side * (nx - 1) * resolution[2] * planes[k, 5], 0.0)
            step = side * resolution[1] * planes[k, 4]
            first_row, last_row = not_negative(farthest + margin, step, 0.0, ny - 1.0)
            if first_row <= last_row:
                near, far = min(near, first_row), max(far, last_row)
        low, high = max(low, near), min(high, far)
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def not_negative(a, b, low, high):
    """Narrow low..high to where a + i b is not negative."""
    if b > 0.0:
        return max(low, -a / b), high
    if b < 0.0:
        return low, min(high, -a / b)
    if a < 0.0:
        return 1.0, 0.0
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def passing(planes, first, stop, z, y, x):
    """Segment and fraction of the only slice of a group, within its model, that passes a point.

    (-1, 0) if there is none: then the point is before the first or behind the last plane.
    """
    ahead = signed_distance(planes, first, z, y, x)
    behind = signed_distance(planes, stop, z, y, x)
    if (ahead >= 0.0) == (behind >= 0.0):
        return -1, 0.0
    k = min(max(first + int((stop - first) * (ahead / (ahead - behind))), first), stop - 1)
    here = signed_distance(planes, k, z, y, x)
    while here < 0.0 and k > first:
        k -= 1
        here = signed_distance(planes, k, z, y, x)
    there = signed_distance(planes, k + 1, z, y, x)
    while there >= 0.0 and k + 1 < stop:
        k += 1
        here, there = there, signed_distance(planes, k + 1, z, y, x)
    return k, _crossing(planes, k, here, there)


@njit(cache=True, nogil=True)
def decide(n, m, first, stop, planes, origin, resolution, iz, iy, found, found_at):
    """Slices of a group, within its model, that pass voxels found_at[n:m]; listed from n on.

    Returned: how many the lists have then.
    """
    z, y = origin[0] + iz * resolution[0], origin[1] + iy * resolution[1]
    for i in range(n, m):
        ix = found_at[i]
        x = origin[2] + ix * resolution[2]
        k, f = passing(planes, first, stop, z, y, x)
        if k < 0:
            continue
        u, v, r2 = _offsets(planes, k, f, z, y, x)
        found_at[n] = ix
        found[n, 0], found[n, 1], found[n, 2], found[n, 3] = k + f, u, v, r2
        n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def ask_each(first, last, k0, k1, margin, planes, bends, slacks, half_u, half_v, origin,
             resolution, iz, iy, found, found_at):  # fmt: skip
    """Part of a row asked about the segments k0 to k1 - 1 one by one; how many slices were found.

    The planes of a segment cut off an interval of the row: only voxels in it can have a slice
    between them.
    """
    z, y = origin[0] + iz * resolution[0], origin[1] + iy * resolution[1]
    x0, dx = origin[2], resolution[2]
    if aside(planes, k0, k1, margin, z, y, x0 + first * dx, (last - first) * dx):
        return 0
    n = 0
    # Distance to plane k at voxel i of this row: a + i b.
    a_next, b_next = signed_distance(planes, k0, z, y, x0), planes[k0, 5] * dx
    for k in range(k0, k1):
        a, b = a_next, b_next
        a_next, b_next = signed_distance(planes, k + 1, z, y, x0), planes[k + 1, 5] * dx
        low, high = first, last
        if b * b_next > 0.0:
            # Both planes cut the row in the same sense: what lies between the cuts.
            cut, cut_next = -a / b, -a_next / b_next
            near, far = min(cut, cut_next), max(cut, cut_next)
            # As floats first: a plane along the row cuts it far out of int range.
            if near > last or far < first:
                low, high = 1, 0
            else:
                low = max(first, int(np.ceil(max(near, first - 1.0) - 1e-6)))
                high = min(last, int(np.floor(min(far, last + 1.0) + 1e-6)))
        for ix in range(low, high + 1):
            x = x0 + ix * dx
            here = signed_distance(planes, k, z, y, x)
            there = signed_distance(planes, k + 1, z, y, x)
            if (here >= 0.0) == (there >= 0.0):
                continue
            # Clearly beside the slice? Then spare the exact answer.
            r0, r1, r2 = z - planes[k, 0], y - planes[k, 1], x - planes[k, 2]
            u = r0 * planes[k, 6] + r1 * planes[k, 7] + r2 * planes[k, 8]
            v = r0 * planes[k, 9] + r1 * planes[k, 10] + r2 * planes[k, 11]
            if abs(u) > half_u + slacks[k] or abs(v) > half_v + slacks[k]:
                continue
            f = _crossing(planes, k, here, there)
            u, v, r2 = _offsets(planes, k, f, z, y, x)
            found_at[n] = ix
            found[n, 0], found[n, 1], found[n, 2], found[n, 3] = k + f, u, v, r2
            n += 1
        if bends[k] == 0.0:
            continue
        # Slices that pass a voxel on one side of both planes twice, near fold lines: their vertex
        # (after - before - bend) / (-2 bend), linear along the row, lies in (0, 1). Almost never,
        # so asked for the row first.
        vertex = (a_next - a - bends[k]) * (-0.5 / bends[k])
        per_voxel = (b_next - b) * (-0.5 / bends[k])
        at_first, at_last = vertex + per_voxel * first, vertex + per_voxel * last
        if min(at_first, at_last) > 1.000001 or max(at_first, at_last) < -0.000001:
            continue
        near, far = not_negative(vertex + 1e-6, per_voxel, float(first), float(last))
        near, far = not_negative(1.0 + 1e-6 - vertex, -per_voxel, near, far)
        low, high = max(first, int(np.ceil(near - 1e-6))), min(last, int(np.floor(far + 1e-6)))
        for ix in range(low, high + 1):
            x = x0 + ix * dx
            here = signed_distance(planes, k, z, y, x)
            there = signed_distance(planes, k + 1, z, y, x)
            if (here >= 0.0) != (there >= 0.0):
                continue
            f0, f1 = _grazing(planes, k, here, there)
            if f0 < 0.0:
                continue
            for f in (f0, f1):
                u, v, r2 = _offsets(planes, k, f, z, y, x)
                found_at[n] = ix
                found[n, 0], found[n, 1], found[n, 2], found[n, 3] = k + f, u, v, r2
                n += 1
    return n


@njit(cache=True, nogil=True)
def ask_end(plane, step, planes, half_u, half_v, origin, resolution, nx, iz, iy, found,
            found_at):  # fmt: skip
    """A row in the straight extension before the first (step < 0) or behind the last plane.

    step: what one slice index is worth in nm, negative before the first plane.
    """
    unit = abs(step)
    radius2 = half_u * half_u + half_v * half_v + 0.25 * unit * unit + 1e-6
    z, y = origin[0] + iz * resolution[0], origin[1] + iy * resolution[1]
    rest = radius2 - (z - planes[plane, 0]) ** 2 - (y - planes[plane, 1]) ** 2
    if rest < 0.0:
        return 0
    rest = np.sqrt(rest)
    n = 0
    first = int(np.ceil((planes[plane, 2] - rest - origin[2]) / resolution[2]))
    last = int(np.floor((planes[plane, 2] + rest - origin[2]) / resolution[2]))
    for ix in range(max(0, first), min(nx - 1, last) + 1):
        x = origin[2] + ix * resolution[2]
        d = signed_distance(planes, plane, z, y, x)
        if -0.5 * unit <= d < 0.0 if step < 0.0 else 0.0 <= d < 0.5 * unit:
            u, v, r2 = _end_offsets(planes, plane, d, z, y, x)
            found_at[n] = ix
            found[n, 0], found[n, 1], found[n, 2], found[n, 3] = plane + d / unit, u, v, r2
            n += 1
    return n
