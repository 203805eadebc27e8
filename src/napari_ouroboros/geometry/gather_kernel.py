"""Labels home, one block of voxels at a time: gather, never scatter (numba, serial, no GIL).

Every voxel centre of the block asks which slices pass through it and takes the label of the one
whose centre is nearest. Along a row of voxels the planes cut off intervals, so a segment is only
asked about the voxels that it can own; the decision itself is that of `kernels.locate`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from napari_ouroboros.geometry.kernels import (
    _bend_term,
    _crossing,
    _end_offsets,
    _grazing,
    _offsets,
    signed_distance,
)


@njit(cache=True, nogil=True)
def _take(s, u, v, r2, at, half_u, half_v, pitch, lattice, labels, slot_of, scale, label_shape,
          out, distance, claims):  # fmt: skip
    """Offer voxel `at` the sample at slice index s, offsets u, v; the nearest centre wins."""
    if not (-half_u <= u < half_u and -half_v <= v < half_v):
        return
    z, y, x = at
    if claims[z, y, x] < 255:
        claims[z, y, x] += 1
    if r2 >= distance[z, y, x]:
        return
    distance[z, y, x] = r2
    # floor((i - offset + 1/2) f): the label sample whose cell holds the point.
    k = int(np.floor((s - lattice[0] + 0.5) * scale[0]))
    row = int(np.floor(((v + half_v) / pitch - lattice[1]) * scale[1]))
    column = int(np.floor(((u + half_u) / pitch - lattice[2]) * scale[2]))
    if (
        k < 0
        or row < 0
        or column < 0
        or k >= label_shape[0]
        or row >= label_shape[1]
        or column >= label_shape[2]
    ):
        out[z, y, x] = 0
    else:
        out[z, y, x] = labels[slot_of[k], row, column]


@njit(cache=True, nogil=True)
def gather(origin, resolution, segments, planes, closed, extension, pitch, rows, columns,
           labels, slot_of, lattice, scale, label_shape, out, distance, claims):  # fmt: skip
    """Fill a block of voxels with labels.

    Parameters
    ----------
    origin, resolution : (3,) zyx nm
        Centre of the block's first voxel, and the voxel's size.
    segments : (m,) increasing
        Segments that may reach into the block; -1 and the last plane are the end extensions.
    labels : (slots, rows', columns'), slot_of : (slices',)
        Label slices at hand, and in which slot each slice of the stack is.
    lattice, scale : (3,)
        Offset and scale of the label grid against the recipe's.
    out, distance, claims : (z, y, x)
        Label, squared distance to the centre line (start with inf), number of slices that claim.
    """
    nz, ny, nx = out.shape
    dx = resolution[2]
    n_planes = planes.shape[0]
    n_segments = n_planes - 1
    half_u, half_v = 0.5 * columns * pitch, 0.5 * rows * pitch
    reach2 = half_u * half_u + half_v * half_v
    # Centres lie on the chord: within half of it around its middle, plus the reach.
    spheres = np.empty((len(segments), 4))
    bends = np.empty(len(segments))
    for i in range(len(segments)):
        k = min(max(segments[i], 0), n_planes - 1)
        after = min(k + 1, n_planes - 1)
        half = 0.0
        for axis in range(3):
            spheres[i, axis] = 0.5 * (planes[k, axis] + planes[after, axis])
            half += (planes[k, axis] - spheres[i, axis]) ** 2
        radius = (np.sqrt(reach2) + np.sqrt(half)) * (1.0 + 1e-9) + 1e-9
        spheres[i, 3] = radius * radius
        bends[i] = _bend_term(planes, k) if 0 <= segments[i] < n_segments else 0.0
    active = np.empty(len(segments), np.int64)
    for iz in range(nz):
        z = origin[0] + iz * resolution[0]
        n_active = 0
        for i in range(len(segments)):
            k = segments[i]
            if k < 0 or k >= n_segments or spheres[i, 3] >= (z - spheres[i, 0]) ** 2:
                active[n_active] = i
                n_active += 1
        for iy in range(ny):
            y = origin[1] + iy * resolution[1]
            for i in active[:n_active]:
                k = segments[i]
                if k < 0 or k >= n_segments:
                    _gather_end(
                        iz, iy, z, y, origin, dx, k, planes, extension, reach2, half_u, half_v,
                        pitch, lattice, labels, slot_of, scale, label_shape, out, distance, claims,
                    )  # fmt: skip
                    continue
                m2 = spheres[i, 2]
                rest = spheres[i, 3] - (z - spheres[i, 0]) ** 2 - (y - spheres[i, 1]) ** 2
                if rest < 0.0:
                    continue
                rest = np.sqrt(rest)
                first = max(0, int(np.ceil((m2 - rest - origin[2]) / dx)))
                last = min(nx - 1, int(np.floor((m2 + rest - origin[2]) / dx)))
                if first > last:
                    continue
                # Distance to plane k at voxel i of this row: a + i b.
                a = signed_distance(planes, k, z, y, origin[2])
                b = planes[k, 5] * dx
                a_next = signed_distance(planes, k + 1, z, y, origin[2])
                b_next = planes[k + 1, 5] * dx
                low, high = first, last
                if b * b_next > 0.0:
                    # Both planes cut the row in the same sense: what lies between the two cuts.
                    cut, cut_next = -a / b, -a_next / b_next
                    near, far = min(cut, cut_next), max(cut, cut_next)
                    # Compared as floats first: a plane along the row cuts it far out of int range.
                    if near > last or far < first:
                        low, high = 1, 0
                    else:
                        low = max(first, int(np.ceil(max(near, first - 1.0) - 1e-6)))
                        high = min(last, int(np.floor(min(far, last + 1.0) + 1e-6)))
                for ix in range(low, high + 1):
                    x = origin[2] + ix * dx
                    before = signed_distance(planes, k, z, y, x)
                    after = signed_distance(planes, k + 1, z, y, x)
                    if (before >= 0.0) != (after >= 0.0):
                        f = _crossing(planes, k, before, after)
                        u, v, r2 = _offsets(planes, k, f, z, y, x)
                        s = k + f
                        if closed and s >= n_segments - 0.5:
                            s -= n_segments
                        _take(s, u, v, r2, (iz, iy, ix), half_u, half_v, pitch, lattice, labels,
                              slot_of, scale, label_shape, out, distance, claims)  # fmt: skip
                # Slices that pass a voxel twice: their vertex (after - before - bend) / (-2 bend),
                # linear along the row, lies in (0, 1). Almost never, so asked for the row first.
                if bends[i] != 0.0:
                    vertex = (a_next - a - bends[i]) * (-0.5 / bends[i])
                    per_voxel = (b_next - b) * (-0.5 / bends[i])
                    at_first = vertex + per_voxel * first
                    at_last = vertex + per_voxel * last
                    if min(at_first, at_last) < 1.000001 and max(at_first, at_last) > -0.000001:
                        _gather_grazing(
                            iz, iy, z, y, origin, dx, k, first, last, vertex, per_voxel, planes,
                            closed, half_u, half_v, pitch, lattice, labels, slot_of, scale,
                            label_shape, out, distance, claims,
                        )  # fmt: skip


@njit(cache=True, nogil=True)
def _gather_grazing(iz, iy, z, y, origin, dx, k, first, last, vertex, per_voxel, planes, closed,
                    half_u, half_v, pitch, lattice, labels, slot_of, scale, label_shape,
                    out, distance, claims):  # fmt: skip
    """Voxels on one side of both planes that slices between them pass twice: near fold lines."""
    low, high = float(first), float(last)
    if per_voxel > 0.0:
        low, high = max(low, -vertex / per_voxel), min(high, (1.0 - vertex) / per_voxel)
    elif per_voxel < 0.0:
        low, high = max(low, (1.0 - vertex) / per_voxel), min(high, -vertex / per_voxel)
    low, high = low - 1e-6, high + 1e-6
    if low > high:
        return
    n_segments = planes.shape[0] - 1
    for ix in range(max(first, int(np.ceil(low))), min(last, int(np.floor(high))) + 1):
        x = origin[2] + ix * dx
        before = signed_distance(planes, k, z, y, x)
        after = signed_distance(planes, k + 1, z, y, x)
        if (before >= 0.0) != (after >= 0.0):
            continue
        f0, f1 = _grazing(planes, k, before, after)
        for f in (f0, f1):
            if f < 0.0:
                continue
            u, v, r2 = _offsets(planes, k, f, z, y, x)
            s = k + f
            if closed and s >= n_segments - 0.5:
                s -= n_segments
            _take(s, u, v, r2, (iz, iy, ix), half_u, half_v, pitch, lattice, labels, slot_of,
                  scale, label_shape, out, distance, claims)  # fmt: skip


@njit(cache=True, nogil=True)
def _gather_end(iz, iy, z, y, origin, dx, k, planes, extension, reach2, half_u, half_v, pitch,
                lattice, labels, slot_of, scale, label_shape, out, distance, claims):  # fmt: skip
    """The straight extension by half a slice before the first or behind the last plane."""
    plane = 0 if k < 0 else planes.shape[0] - 1
    unit = extension[0] if k < 0 else extension[1]
    radius2 = reach2 + 0.25 * unit * unit + 1e-6
    rest = radius2 - (z - planes[plane, 0]) ** 2 - (y - planes[plane, 1]) ** 2
    if rest < 0.0:
        return
    rest = np.sqrt(rest)
    first = max(0, int(np.ceil((planes[plane, 2] - rest - origin[2]) / dx)))
    last = min(out.shape[2] - 1, int(np.floor((planes[plane, 2] + rest - origin[2]) / dx)))
    for ix in range(first, last + 1):
        x = origin[2] + ix * dx
        d = signed_distance(planes, plane, z, y, x)
        if (k < 0 and -0.5 * unit <= d < 0.0) or (k >= 0 and 0.0 <= d < 0.5 * unit):
            u, v, r2 = _end_offsets(planes, plane, d, z, y, x)
            _take(plane + d / unit, u, v, r2, (iz, iy, ix), half_u, half_v, pitch, lattice, labels,
                  slot_of, scale, label_shape, out, distance, claims)  # fmt: skip
