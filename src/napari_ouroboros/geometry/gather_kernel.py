"""Labels home, one block of voxels at a time: gather, never scatter (numba, serial, no GIL).

`claim`: every voxel centre of the block asks which slices pass through it and keeps the one whose
centre is nearest. `look_up`: it takes the label of the nearest sample there. Along
a row of voxels the planes cut off intervals, so a segment is only
asked about the voxels that it can own; the decision itself is that of `kernels.locate`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from napari_ouroboros.geometry.kernels import (
    _crossing,
    _end_offsets,
    _grazing,
    _offsets,
    signed_distance,
)
from napari_ouroboros.geometry.segments import GROUP


@njit(cache=True, nogil=True, inline="always")
def _offer(s, u, v, r2, z, y, x, half_u, half_v, index, distance, claims):
    """Offer a voxel the sample at slice index s, offsets u, v; the nearest centre wins."""
    if -half_u <= u < half_u and -half_v <= v < half_v:
        if claims[z, y, x] < 255:
            claims[z, y, x] += 1
        if r2 < distance[z, y, x]:
            distance[z, y, x] = r2
            index[z, y, x, 0] = s
            index[z, y, x, 1] = v
            index[z, y, x, 2] = u


@njit(cache=True, nogil=True)
def claim(origin, resolution, groups, before, after, planes, bends, slacks, balls, closed,
          extension, pitch, rows, columns, index, distance, claims):  # fmt: skip
    """Find for each voxel of a block the slice that passes through it nearest to its centre.

    Parameters
    ----------
    origin, resolution : (3,) zyx nm
        Centre of the block's first voxel, and the voxel's size.
    groups : (m,) increasing
        Groups of segments that may reach into the block; see `segments.Segments` for their bounds
        (`bends`, `slacks`, `balls`).
    before, after : bool
        Whether the straight extensions of an open trace may.
    index : (z, y, x, 3)
        Slice index, v and u in nm; left as it is outside the tube.
    distance, claims : (z, y, x)
        Squared distance to the centre line (start with inf), number of slices that claim.
    """
    nz, ny, nx = distance.shape
    dx = resolution[2]
    n_planes = planes.shape[0]
    n_segments = n_planes - 1
    half_u, half_v = 0.5 * columns * pitch, 0.5 * rows * pitch
    reach2 = half_u * half_u + half_v * half_v
    active = np.empty(len(groups), np.int64)
    if before:
        _claim_end(origin, resolution, 0, -extension[0], planes, reach2, half_u, half_v,
                   index, distance, claims)  # fmt: skip
    for iz in range(nz):
        z = origin[0] + iz * resolution[0]
        n_active = 0
        for g in groups:
            if balls[g, 3] >= (z - balls[g, 0]) ** 2:
                active[n_active] = g
                n_active += 1
        for iy in range(ny):
            y = origin[1] + iy * resolution[1]
            for g in active[:n_active]:
                rest = balls[g, 3] - (z - balls[g, 0]) ** 2 - (y - balls[g, 1]) ** 2
                if rest < 0.0:
                    continue
                rest = np.sqrt(rest)
                first = max(0, int(np.ceil((balls[g, 2] - rest - origin[2]) / dx)))
                last = min(nx - 1, int(np.floor((balls[g, 2] + rest - origin[2]) / dx)))
                if first > last:
                    continue
                # Distance to plane k at voxel i of this row: a + i b.
                k0, k1 = g * GROUP, min((g + 1) * GROUP, n_segments)
                a_next = signed_distance(planes, k0, z, y, origin[2])
                b_next = planes[k0, 5] * dx
                far_a = signed_distance(planes, k1, z, y, origin[2])
                far_b = planes[k1, 5] * dx
                low_d = min(
                    min(a_next + first * b_next, a_next + last * b_next),
                    min(far_a + first * far_b, far_a + last * far_b),
                )
                high_d = max(
                    max(a_next + first * b_next, a_next + last * b_next),
                    max(far_a + first * far_b, far_a + last * far_b),
                )
                if low_d > balls[g, 4] or high_d < -balls[g, 4]:
                    # The row lies on one side of all the planes of the group.
                    continue
                for k in range(k0, k1):
                    a, b = a_next, b_next
                    a_next = signed_distance(planes, k + 1, z, y, origin[2])
                    b_next = planes[k + 1, 5] * dx
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
                        x = origin[2] + ix * dx
                        here = signed_distance(planes, k, z, y, x)
                        there = signed_distance(planes, k + 1, z, y, x)
                        if (here >= 0.0) != (there >= 0.0):
                            # Clearly beside the slice? Then spare the exact answer.
                            r0, r1, r2 = z - planes[k, 0], y - planes[k, 1], x - planes[k, 2]
                            u = r0 * planes[k, 6] + r1 * planes[k, 7] + r2 * planes[k, 8]
                            v = r0 * planes[k, 9] + r1 * planes[k, 10] + r2 * planes[k, 11]
                            if abs(u) > half_u + slacks[k] or abs(v) > half_v + slacks[k]:
                                continue
                            f = _crossing(planes, k, here, there)
                            u, v, r2 = _offsets(planes, k, f, z, y, x)
                            s = k + f
                            if closed and s >= n_segments - 0.5:
                                s -= n_segments
                            _offer(s, u, v, r2, iz, iy, ix, half_u, half_v, index, distance, claims)
                    # Slices that pass a voxel twice: their vertex (after - before - bend) /
                    # (-2 bend), linear along the row, lies in (0, 1). Almost never, so asked for
                    # the row first.
                    if bends[k] != 0.0:
                        vertex = (a_next - a - bends[k]) * (-0.5 / bends[k])
                        per_voxel = (b_next - b) * (-0.5 / bends[k])
                        at_first = vertex + per_voxel * first
                        at_last = vertex + per_voxel * last
                        if min(at_first, at_last) < 1.000001 and max(at_first, at_last) > -0.000001:
                            _claim_grazing(
                                iz, iy, z, y, origin, dx, k, first, last, vertex, per_voxel, planes,
                                closed, half_u, half_v, index, distance, claims,
                            )  # fmt: skip
    if after:
        _claim_end(origin, resolution, n_planes - 1, extension[1], planes, reach2, half_u, half_v,
                   index, distance, claims)  # fmt: skip


@njit(cache=True, nogil=True)
def _claim_grazing(iz, iy, z, y, origin, dx, k, first, last, vertex, per_voxel, planes, closed,
                    half_u, half_v, index, distance, claims):  # fmt: skip
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
            _offer(s, u, v, r2, iz, iy, ix, half_u, half_v, index, distance, claims)


@njit(cache=True, nogil=True)
def _claim_end(origin, resolution, plane, step, planes, reach2, half_u, half_v, index, distance,
               claims):  # fmt: skip
    """The straight extension by half a slice before the first (step < 0) or behind the last plane.

    step: what one slice index is worth in nm, negative before the first plane.
    """
    nz, ny, nx = distance.shape
    unit = abs(step)
    radius2 = reach2 + 0.25 * unit * unit + 1e-6
    for iz in range(nz):
        z = origin[0] + iz * resolution[0]
        for iy in range(ny):
            y = origin[1] + iy * resolution[1]
            rest = radius2 - (z - planes[plane, 0]) ** 2 - (y - planes[plane, 1]) ** 2
            if rest < 0.0:
                continue
            rest = np.sqrt(rest)
            first = int(np.ceil((planes[plane, 2] - rest - origin[2]) / resolution[2]))
            last = int(np.floor((planes[plane, 2] + rest - origin[2]) / resolution[2]))
            for ix in range(max(0, first), min(nx - 1, last) + 1):
                x = origin[2] + ix * resolution[2]
                d = signed_distance(planes, plane, z, y, x)
                if -0.5 * unit <= d < 0.0 if step < 0.0 else 0.0 <= d < 0.5 * unit:
                    u, v, r2 = _end_offsets(planes, plane, d, z, y, x)
                    _offer(plane + d / unit, u, v, r2, iz, iy, ix, half_u, half_v, index, distance,
                           claims)  # fmt: skip


@njit(cache=True, nogil=True)
def look_up(index, claims, pitch, rows, columns, labels, slot_of, offset, scale, label_shape, out):
    """Give every claimed voxel the label whose cell holds its straightened index.

    labels (slots, rows', columns'), slot_of (slices',): label slices at hand, and in which slot
    each slice of the stack is. offset, scale (3,): of the label grid against the recipe's; the
    sample is floor((i - offset + 1/2) scale). Beyond a cropped label grid: 0.
    """
    half_u, half_v = 0.5 * columns, 0.5 * rows
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                if claims[z, y, x] == 0:
                    continue
                s, v, u = index[z, y, x, 0], index[z, y, x, 1], index[z, y, x, 2]
                # The last bit of a voxel on the rectangle's rim must not put it beyond.
                v = min(max(v / pitch + half_v, 0.0), rows - 1e-9)
                u = min(max(u / pitch + half_u, 0.0), columns - 1e-9)
                k = int(np.floor((s - offset[0] + 0.5) * scale[0]))
                row = int(np.floor((v - offset[1]) * scale[1]))
                column = int(np.floor((u - offset[2]) * scale[2]))
                if (
                    0 <= k < label_shape[0]
                    and 0 <= row < label_shape[1]
                    and 0 <= column < label_shape[2]
                ):
                    out[z, y, x] = labels[slot_of[k], row, column]
