"""The map's inner loops (numba, serial, without the GIL: threads call them side by side).

`locate` and `gather` find the same candidates through the same two functions, `_crossing` and
`_grazing`: a voxel and a point at its centre land on the same straightened index, bit for bit.

Planes are rows of 12 numbers, zyx: centre c, tangent T, normal N (columns), binormal B (rows).
Segment k lies between planes k and k + 1; segment -1 and the last one are the straight
extensions by half a slice at the ends of an open trace.
"""

from __future__ import annotations

import numpy as np

from napari_ouroboros.geometry.segments import GROUP
from napari_ouroboros.geometry.with_numba import njit


@njit(cache=True, nogil=True)
def double_reflection(c, T, n0):
    """Normals (n, 3) carried along points c with unit tangents T; see frames.double_reflection."""
    out = np.empty_like(c)
    r0, r1, r2 = n0[0], n0[1], n0[2]
    out[0, 0], out[0, 1], out[0, 2] = r0, r1, r2
    for i in range(c.shape[0] - 1):
        t0, t1, t2 = T[i, 0], T[i, 1], T[i, 2]
        a0, a1, a2 = c[i + 1, 0] - c[i, 0], c[i + 1, 1] - c[i, 1], c[i + 1, 2] - c[i, 2]
        aa = a0 * a0 + a1 * a1 + a2 * a2
        if aa > 0.0:
            p = 2.0 / aa * (a0 * r0 + a1 * r1 + a2 * r2)
            r0, r1, r2 = r0 - p * a0, r1 - p * a1, r2 - p * a2
            p = 2.0 / aa * (a0 * t0 + a1 * t1 + a2 * t2)
            t0, t1, t2 = t0 - p * a0, t1 - p * a1, t2 - p * a2
        b0, b1, b2 = T[i + 1, 0] - t0, T[i + 1, 1] - t1, T[i + 1, 2] - t2
        bb = b0 * b0 + b1 * b1 + b2 * b2
        if bb > 0.0:
            p = 2.0 / bb * (b0 * r0 + b1 * r1 + b2 * r2)
            r0, r1, r2 = r0 - p * b0, r1 - p * b1, r2 - p * b2
        # The normal part only: rounding would otherwise grow with the number of steps.
        t0, t1, t2 = T[i + 1, 0], T[i + 1, 1], T[i + 1, 2]
        p = r0 * t0 + r1 * t1 + r2 * t2
        r0, r1, r2 = r0 - p * t0, r1 - p * t1, r2 - p * t2
        p = 1.0 / np.sqrt(r0 * r0 + r1 * r1 + r2 * r2)
        r0, r1, r2 = r0 * p, r1 * p, r2 * p
        out[i + 1, 0], out[i + 1, 1], out[i + 1, 2] = r0, r1, r2
    return out


@njit(cache=True, nogil=True, inline="always")
def signed_distance(planes, k, z, y, x):
    """Distance of a point in front of (+) plane k."""
    return (
        (z - planes[k, 0]) * planes[k, 3]
        + (y - planes[k, 1]) * planes[k, 4]
        + (x - planes[k, 2]) * planes[k, 5]
    )


@njit(cache=True, nogil=True)
def blend(planes, k, f):
    """Frame at fraction f of segment k: linear blends, orthonormalised against the blended T."""
    g = 1.0 - f
    c0 = g * planes[k, 0] + f * planes[k + 1, 0]
    c1 = g * planes[k, 1] + f * planes[k + 1, 1]
    c2 = g * planes[k, 2] + f * planes[k + 1, 2]
    t0 = g * planes[k, 3] + f * planes[k + 1, 3]
    t1 = g * planes[k, 4] + f * planes[k + 1, 4]
    t2 = g * planes[k, 5] + f * planes[k + 1, 5]
    p = np.sqrt(t0 * t0 + t1 * t1 + t2 * t2)
    if p > 0.0:
        t0, t1, t2 = t0 / p, t1 / p, t2 / p
    n0 = g * planes[k, 6] + f * planes[k + 1, 6]
    n1 = g * planes[k, 7] + f * planes[k + 1, 7]
    n2 = g * planes[k, 8] + f * planes[k + 1, 8]
    p = n0 * t0 + n1 * t1 + n2 * t2
    n0, n1, n2 = n0 - p * t0, n1 - p * t1, n2 - p * t2
    p = np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
    if p > 0.0:
        n0, n1, n2 = n0 / p, n1 / p, n2 / p
    # B = T x N in xyz; component by component in zyx that is N x T.
    b0 = n1 * t2 - n2 * t1
    b1 = n2 * t0 - n0 * t2
    b2 = n0 * t1 - n1 * t0
    return c0, c1, c2, n0, n1, n2, b0, b1, b2


@njit(cache=True, nogil=True)
def _offsets(planes, k, f, z, y, x):
    """(u, v, squared distance from the centre line) of a point in the blended slice at k + f."""
    c0, c1, c2, n0, n1, n2, b0, b1, b2 = blend(planes, k, f)
    a0, a1, a2 = z - c0, y - c1, x - c2
    return (
        a0 * n0 + a1 * n1 + a2 * n2,
        a0 * b0 + a1 * b1 + a2 * b2,
        a0 * a0 + a1 * a1 + a2 * a2,
    )


@njit(cache=True, nogil=True)
def _bend_term(planes, k):
    """Quadratic coefficient of (x - c(f)) . T(f): minus (change of c) . (change of T)."""
    return -(
        (planes[k + 1, 0] - planes[k, 0]) * (planes[k + 1, 3] - planes[k, 3])
        + (planes[k + 1, 1] - planes[k, 1]) * (planes[k + 1, 4] - planes[k, 4])
        + (planes[k + 1, 2] - planes[k, 2]) * (planes[k + 1, 5] - planes[k, 5])
    )


@njit(cache=True, nogil=True)
def _crossing(planes, k, before, after):
    """The fraction at which the slice passes a point that changes side between planes k, k + 1."""
    a2 = _bend_term(planes, k)
    a1 = after - before - a2
    root = np.sqrt(max(a1 * a1 - 4.0 * a2 * before, 0.0))
    q = -0.5 * (a1 + root) if a1 >= 0.0 else -0.5 * (a1 - root)
    # Of the two roots before / q and q / a2 exactly one lies in [0, 1].
    if q != 0.0:
        f = before / q
        if -1e-9 <= f <= 1.0 + 1e-9:
            return min(max(f, 0.0), 1.0)
    if a2 != 0.0:
        return min(max(q / a2, 0.0), 1.0)
    return 0.0


@njit(cache=True, nogil=True)
def _grazing(planes, k, before, after):
    """The two fractions at which slices pass a point on one side of both planes; (-1, -1): none."""
    a2 = _bend_term(planes, k)
    a1 = after - before - a2
    if a2 == 0.0:
        return -1.0, -1.0
    vertex = -0.5 * a1 / a2
    if not 0.0 < vertex < 1.0:
        return -1.0, -1.0
    discriminant = a1 * a1 - 4.0 * a2 * before
    if discriminant <= 0.0:
        return -1.0, -1.0
    half = 0.5 * np.sqrt(discriminant) / abs(a2)
    first, second = vertex - half, vertex + half
    if first < 0.0 or second > 1.0:
        return -1.0, -1.0
    return first, second


@njit(cache=True, nogil=True)
def locate(points, planes, balls, closed, extension, pitch, rows, columns, out, contested):
    """Straightened index (slice, row, column) of points zyx nm; NaN outside.

    `balls` (groups, 5): bounds of every GROUP segments, see `segments.Segments`.
    `extension`: what one slice index is worth in nm beyond the first and the last plane.
    """
    n_planes = planes.shape[0]
    n_segments = n_planes - 1
    half_u, half_v = 0.5 * columns * pitch, 0.5 * rows * pitch
    for i in range(points.shape[0]):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        best = np.inf
        best_s = best_u = best_v = np.nan
        count = 0
        if not closed:
            d = signed_distance(planes, 0, z, y, x)
            if -0.5 * extension[0] <= d < 0.0:
                u, v, r2 = _end_offsets(planes, 0, d, z, y, x)
                if -half_u <= u < half_u and -half_v <= v < half_v:
                    count += 1
                    best, best_s, best_u, best_v = r2, d / extension[0], u, v
        for group in range(balls.shape[0]):
            a0, a1, a2 = z - balls[group, 0], y - balls[group, 1], x - balls[group, 2]
            if a0 * a0 + a1 * a1 + a2 * a2 > balls[group, 3]:
                continue
            first = group * GROUP
            last = min(first + GROUP, n_segments)
            after = signed_distance(planes, first, z, y, x)
            for k in range(first, last):
                before = after
                after = signed_distance(planes, k + 1, z, y, x)
                if (before >= 0.0) != (after >= 0.0):
                    f0, f1 = _crossing(planes, k, before, after), -1.0
                else:
                    f0, f1 = _grazing(planes, k, before, after)
                for f in (f0, f1):
                    if f < 0.0:
                        continue
                    u, v, r2 = _offsets(planes, k, f, z, y, x)
                    if -half_u <= u < half_u and -half_v <= v < half_v:
                        count += 1
                        if r2 < best:
                            best, best_s, best_u, best_v = r2, k + f, u, v
        if not closed:
            k = n_planes - 1
            d = signed_distance(planes, k, z, y, x)
            if 0.0 <= d < 0.5 * extension[1]:
                u, v, r2 = _end_offsets(planes, k, d, z, y, x)
                if -half_u <= u < half_u and -half_v <= v < half_v:
                    count += 1
                    if r2 < best:
                        best, best_s, best_u, best_v = r2, k + d / extension[1], u, v
        elif best_s >= n_segments - 0.5:
            best_s -= n_segments
        contested[i] = count > 1
        if count == 0:
            out[i, 0] = out[i, 1] = out[i, 2] = np.nan
            continue
        out[i, 0] = within(best_s, n_segments if closed else n_planes)
        out[i, 1] = within(best_v / pitch + 0.5 * (rows - 1), rows)
        out[i, 2] = within(best_u / pitch + 0.5 * (columns - 1), columns)


@njit(cache=True, nogil=True)
def within(index, n):
    """An index in the cells of n samples: rounding must not put what lies on the rim beyond."""
    return min(max(index, -0.5), n - 0.5 - 1e-9)


@njit(cache=True, nogil=True)
def _end_offsets(planes, k, d, z, y, x):
    """Offsets in the straight extension: the frame of plane k moved by d along its tangent."""
    a0 = z - planes[k, 0] - d * planes[k, 3]
    a1 = y - planes[k, 1] - d * planes[k, 4]
    a2 = x - planes[k, 2] - d * planes[k, 5]
    return (
        a0 * planes[k, 6] + a1 * planes[k, 7] + a2 * planes[k, 8],
        a0 * planes[k, 9] + a1 * planes[k, 10] + a2 * planes[k, 11],
        a0 * a0 + a1 * a1 + a2 * a2,
    )


@njit(cache=True, nogil=True)
def place(index, planes, closed, extension, pitch, rows, columns, out):
    """Zyx nm of straightened indices (slice, row, column): x = c + u N + v B."""
    n_planes = planes.shape[0]
    for i in range(index.shape[0]):
        s = index[i, 0]
        u = (index[i, 2] - 0.5 * (columns - 1)) * pitch
        v = (index[i, 1] - 0.5 * (rows - 1)) * pitch
        if not np.isfinite(s):
            out[i, 0] = out[i, 1] = out[i, 2] = np.nan
            continue
        if closed:
            s = s % (n_planes - 1)
            if s >= n_planes - 1:  # the remainder of a tiny negative number
                s = 0.0
        elif s < 0.0 or s >= n_planes - 1:
            k = 0 if s < 0.0 else n_planes - 1
            d = s * extension[0] if s < 0.0 else (s - k) * extension[1]
            for a in range(3):
                out[i, a] = (
                    planes[k, a]
                    + d * planes[k, 3 + a]
                    + u * planes[k, 6 + a]
                    + v * planes[k, 9 + a]
                )
            continue
        k = int(np.floor(s))
        c0, c1, c2, n0, n1, n2, b0, b1, b2 = blend(planes, k, s - k)
        out[i, 0] = c0 + u * n0 + v * b0
        out[i, 1] = c1 + u * n1 + v * b1
        out[i, 2] = c2 + u * n2 + v * b2
