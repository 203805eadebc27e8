"""Labels home, one block of voxels at a time: gather, never scatter (numba, serial, no GIL).

`claim`: every voxel centre of the block asks which slices pass through it, keeps the one whose
centre is nearest, and notes which label sample that is. `look_up` fetches the labels.

The decision is that of `kernels.locate`, bit for bit. Along a row of voxels a group of segments
(`gather_groups`) predicts slice index, u and v within known errors. A prediction that lies further
than its error from the rim of its sample is the answer; all others, and all voxels that several
slices claim, are decided by the very functions that `locate` uses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.candidate_kernel import (
    aside,
    ask_each,
    ask_end,
    decide,
    not_negative,
    passing,
    rows_reached,
)
from napari_ouroboros.geometry.gather_groups import Groups
from napari_ouroboros.geometry.kernels import _offsets, within
from napari_ouroboros.geometry.with_numba import njit

Float = NDArray[np.float64]
# An address beyond a cropped grid of labels, whatever the page.
_BEYOND = -(2.0**60)
# `distance` is known: `owner` only names groups whose distance has not been asked for.
_KNOWN = -1


class Tube(NamedTuple):
    """A map as the kernel sees it: `Straightening`'s planes, their bounds, and the rectangle."""

    planes: Float
    bends: Float
    slacks: Float
    groups: Groups
    closed: bool
    extension: Float
    pitch: float
    rows: int
    columns: int


class Samples(NamedTuple):
    """Where label samples lie among the map's: sample floor((index - offset + 1/2) scale).

    pages (slices',): address of each slice's first label, where it is at hand; shape (3,) is that
    of the labels. A voxel beyond them has a negative address.
    """

    pages: NDArray[np.int64]
    offset: Float
    scale: Float
    shape: NDArray[np.int64]


class Voxels(NamedTuple):
    """A block of voxels (z, y, x): centre of the first one and voxel size in nm, zyx; results.

    claims
        Slices that pass through the voxel, to be 0 at first; all others may hold anything.
    address
        Of the label in the pages at hand, where there are claims.
    owner
        Group of the only claim, or _KNOWN: then `distance` holds.
    distance
        Squared distance to the centre line in nm^2.
    """

    origin: Float
    resolution: Float
    claims: NDArray[np.uint8]
    address: NDArray[np.int64]
    owner: NDArray[np.int32]
    distance: Float


@njit(cache=True, nogil=True, error_model="numpy")
def claim(tube, samples, voxels, groups, before, after, distances):
    """Find for each voxel of a block the slice that passes through it nearest to its centre.

    Parameters
    ----------
    tube : Tube
    samples : Samples
    voxels : Voxels
    groups : (m,) increasing
        Groups of segments that may reach into the block.
    before, after : bool
        Whether the straight extensions of an open trace may.
    distances : bool
        Whether `voxels.distance` is wanted wherever there is a claim.
    """
    # As plain arrays from here on: numba hands them on faster than what holds them.
    planes, bends, slacks = tube.planes, tube.bends, tube.slacks
    spans, balls, forms, limits = (
        tube.groups.spans, tube.groups.balls, tube.groups.forms, tube.groups.limits,
    )  # fmt: skip
    rounding = tube.groups.rounding
    origin, resolution = voxels.origin, voxels.resolution
    claims, address = voxels.claims, voxels.address
    owner, distance = voxels.owner, voxels.distance
    pages, offset, scale = samples.pages, samples.offset, samples.scale
    n_slices, n_rows, n_columns = samples.shape
    pitch, rows, columns = tube.pitch, tube.rows, tube.columns
    half_u, half_v = 0.5 * columns * pitch, 0.5 * rows * pitch
    closed = tube.closed
    nz, ny, nx = claims.shape
    dx = resolution[2]
    # What may reach into a layer of voxels, in order along the trace: ties go to the first slice.
    behind = len(balls)
    active, row_span = np.empty(len(groups) + 2, np.int64), np.empty((len(groups) + 2, 2))
    # All that one row can find in one group: each segment passes a voxel at most twice.
    largest = 1 if behind == 0 else (spans[:, 1] - spans[:, 0]).max()
    found, found_at = np.empty((2 * nx * largest, 4)), np.empty(2 * nx * largest, np.int64)
    predicted = np.empty((3, nx))
    for iz in range(nz):
        z = origin[0] + iz * resolution[0]
        n_active = 0
        if before:
            active[0], row_span[0, 0], row_span[0, 1] = -1, 0.0, ny - 1.0
            n_active = 1
        for g in groups:
            rest = balls[g, 3] - (z - balls[g, 0]) ** 2
            if rest < 0.0:
                continue
            low, high = rows_reached(planes, spans[g, 0], spans[g, 1], balls[g, 4], z, origin,
                                     resolution, ny, nx)  # fmt: skip
            middle, rest = (balls[g, 1] - origin[1]) / resolution[1], np.sqrt(rest) / resolution[1]
            low, high = max(low, middle - rest) - 1e-6, min(high, middle + rest) + 1e-6
            if low <= high:
                active[n_active], row_span[n_active, 0], row_span[n_active, 1] = g, low, high
                n_active += 1
        if after:
            active[n_active], row_span[n_active, 0], row_span[n_active, 1] = behind, 0.0, ny - 1.0
            n_active += 1
        for iy in range(ny):
            y = origin[1] + iy * resolution[1]
            for i_active in range(n_active):
                if not row_span[i_active, 0] <= iy <= row_span[i_active, 1]:
                    continue
                g = active[i_active]
                if g < 0 or g == behind:
                    plane = 0 if g < 0 else len(planes) - 1
                    step = -tube.extension[0] if g < 0 else tube.extension[1]
                    n = ask_end(plane, step, planes, half_u, half_v, origin, resolution, nx, iz,
                                iy, found, found_at)  # fmt: skip
                else:
                    gz, gy, gx = z - balls[g, 0], y - balls[g, 1], origin[2] - balls[g, 2]
                    rest = balls[g, 3] - gz * gz - gy * gy
                    if rest < 0.0:
                        continue
                    n, first, last = 0, 0, nx - 1
                    if not limits[g, 6] > 0.0:
                        # The model holds where the first plane is further ahead than the last one
                        # by some length: on one side of a voxel of the row.
                        if aside(planes, spans[g, 0], spans[g, 1], balls[g, 4], z, y, origin[2],
                                 (nx - 1) * dx):  # fmt: skip
                            continue
                        root = np.sqrt(rest)
                        all_first = max(0, int(np.ceil((-gx - root) / dx)))
                        all_last = min(nx - 1, int(np.floor((-gx + root) / dx)))
                        if all_first > all_last:
                            continue
                        lead = -_at(forms, g, 1, gz, gy, gx) - limits[g, 0]
                        low, high = not_negative(lead, -forms[g, 1, 2] * dx, all_first, all_last)
                        first, last = int(np.ceil(low)), int(np.floor(high))
                        bent_first, bent_last = last + 1, all_last
                        if first > last:
                            bent_first = all_first
                        elif first > all_first:
                            bent_first, bent_last = all_first, first - 1
                        if bent_first <= bent_last:
                            n = ask_each(bent_first, bent_last, spans[g, 0], spans[g, 1],
                                         balls[g, 4], planes, bends, slacks, half_u, half_v, origin,
                                         resolution, iz, iy, found, found_at)  # fmt: skip
                    if first <= last:
                        sure = not (distances or (closed and g == behind - 1))
                        m = _ask_model(n, g, sure, first, last, gz, gy, gx, rest, dx, rounding,
                                       spans, forms, limits, pitch, rows, columns, offset, scale,
                                       n_slices, n_rows, n_columns, pages, predicted, iz, iy,
                                       claims, owner, address, found_at)  # fmt: skip
                        if m > n:
                            n = decide(n, m, spans[g, 0], spans[g, 1], planes, origin, resolution,
                                       iz, iy, found, found_at)  # fmt: skip
                if n > 0:
                    _settle(n, found, found_at, iz, iy, planes, spans, closed, pitch, rows, columns,
                            origin, resolution, pages, offset, scale, n_slices, n_rows,
                            n_columns, claims, address, owner, distance)  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _ask_model(n, g, sure, first, last, gz, gy, gx, rest, dx, rounding, spans, forms, limits, pitch,
               rows, columns, offset, scale, n_slices, n_rows, n_columns, pages, predicted, iz, iy,
               claims, owner, address, found_at):  # fmt: skip
    """Voxels first to last of a row, where the model of group g holds.

    Those that it leaves in doubt are added to the n in found_at; returned: how many it has then.
    gz, gy, gx: voxel 0 from the centre of the group's ball, in nm; rest: what is left of the
    ball's squared radius; sure: whether the model may claim voxels at all. Functions of the voxel
    i of the row are written a + i a_x.
    """
    half_u, half_v = 0.5 * columns * pitch, 0.5 * rows * pitch
    # Only what is between the group's first and last plane, not beside its slices, in its ball.
    low, high = float(first), float(last)
    a, a_x = _at(forms, g, 0, gz, gy, gx), forms[g, 0, 2] * dx
    low, high = not_negative(a + rounding, a_x, low, high)
    w, w_x = -_at(forms, g, 1, gz, gy, gx), -forms[g, 1, 2] * dx
    low, high = not_negative(w - a + rounding, w_x - a_x, low, high)
    u, u_x = _at(forms, g, 3, gz, gy, gx), forms[g, 3, 2] * dx
    du, du_x = _at(forms, g, 4, gz, gy, gx), forms[g, 4, 2] * dx
    middle, middle_x, room = u + 0.5 * du, u_x + 0.5 * du_x, half_u + limits[g, 4]
    low, high = not_negative(room + middle, middle_x, low, high)
    low, high = not_negative(room - middle, -middle_x, low, high)
    v, v_x = _at(forms, g, 6, gz, gy, gx), forms[g, 6, 2] * dx
    dv, dv_x = _at(forms, g, 7, gz, gy, gx), forms[g, 7, 2] * dx
    middle, middle_x, room = v + 0.5 * dv, v_x + 0.5 * dv_x, half_v + limits[g, 5]
    low, high = not_negative(room + middle, middle_x, low, high)
    low, high = not_negative(room - middle, -middle_x, low, high)
    if low > high + 2e-6:
        return n
    root = np.sqrt(rest)
    low, high = max(low, (-gx - root) / dx), min(high, (-gx + root) / dx)
    first, last = max(first, int(np.ceil(low - 1e-6))), min(last, int(np.floor(high + 1e-6)))
    if first > last:
        return n
    e, e_x = _at(forms, g, 2, gz, gy, gx), forms[g, 2, 2] * dx
    eu, eu_x = _at(forms, g, 5, gz, gy, gx), forms[g, 5, 2] * dx
    ev, ev_x = _at(forms, g, 8, gz, gy, gx), forms[g, 8, 2] * dx
    # In label samples: s_0 + t s_1 along the curve, u and v likewise.
    s_1 = (spans[g, 1] - spans[g, 0]) * scale[0]
    s_0 = (spans[g, 0] - offset[0] + 0.5) * scale[0]
    v_1, u_1 = scale[1] / pitch, scale[2] / pitch
    v_0, u_0 = (0.5 * rows - offset[1]) * scale[1], (0.5 * columns - offset[2]) * scale[2]
    # How far from the middle of a sample one may be.
    s_sure = 0.5 - limits[g, 1] * scale[0] if sure else -1.0
    u_sure, v_sure = 0.5 - limits[g, 2] * u_1, 0.5 - limits[g, 3] * v_1
    u_in, v_in = half_u - limits[g, 2], half_v - limits[g, 3]
    u_out, v_out = half_u + limits[g, 2], half_v + limits[g, 3]
    count = last - first + 1
    n_sure = 0
    # Without branches, several voxels at a time.
    for j in range(count):
        i = float(first + j)
        ahead, apart = a + i * a_x, w + i * w_x
        t = ahead / apart
        t += t * (1.0 - t) * (e + i * e_x) / apart
        bow = t * (1.0 - t)
        at_u = u + i * u_x + t * (du + i * du_x) + bow * (eu + i * eu_x)
        at_v = v + i * v_x + t * (dv + i * dv_x) + bow * (ev + i * ev_x)
        in_s, in_v, in_u = s_0 + t * s_1, v_0 + at_v * v_1, u_0 + at_u * u_1
        k, row, column = np.floor(in_s), np.floor(in_v), np.floor(in_u)
        inside = (
            (abs(in_s - k - 0.5) < s_sure)
            & (abs(in_v - row - 0.5) < v_sure)
            & (abs(in_u - column - 0.5) < u_sure)
            & (abs(at_u) < u_in)
            & (abs(at_v) < v_in)
            & (ahead > rounding)
            & (apart - ahead > rounding)
            & (claims[iz, iy, first + j] == 0)
        )
        beside = (abs(at_u) > u_out) | (abs(at_v) > v_out)
        state = -1.0 if beside else (1.0 if inside else 0.0)
        n_sure += state > 0.0
        known = (k >= 0.0) & (k < n_slices) & (row >= 0.0) & (row < n_rows)
        known &= (column >= 0.0) & (column < n_columns)
        predicted[0, j] = min(max(k, 0.0), n_slices - 1.0)
        predicted[1, j] = row * n_columns + column if known else _BEYOND
        predicted[2, j] = state
    if n_sure == count:
        for j in range(count):
            ix = first + j
            claims[iz, iy, ix] = 1
            owner[iz, iy, ix] = g
            address[iz, iy, ix] = pages[int(predicted[0, j])] + int(predicted[1, j])
        return n
    for j in range(count):
        ix = first + j
        if predicted[2, j] > 0.0:
            claims[iz, iy, ix] = 1
            owner[iz, iy, ix] = g
            address[iz, iy, ix] = pages[int(predicted[0, j])] + int(predicted[1, j])
        elif predicted[2, j] == 0.0:
            found_at[n] = ix
            n += 1
    return n


@njit(cache=True, nogil=True)
def _at(forms, g, form, gz, gy, gx):
    """Value of a group's linear function at an offset from the centre of its ball."""
    return (
        forms[g, form, 3] + gz * forms[g, form, 0] + gy * forms[g, form, 1] + gx * forms[g, form, 2]
    )


@njit(cache=True, nogil=True)
def _address(k, row, column, pages, n_slices, n_rows, n_columns):
    """Where in the pages of labels a sample is; negative beyond a cropped grid."""
    k, row, column = int(k), int(row), int(column)
    if 0 <= k < n_slices and 0 <= row < n_rows and 0 <= column < n_columns:
        return pages[k] + row * n_columns + column
    return -1


@njit(cache=True, nogil=True)
def _settle(n, found, found_at, iz, iy, planes, spans, closed, pitch, rows, columns, origin,
            resolution, pages, offset, scale, n_slices, n_rows, n_columns, claims, address, owner,
            distance):  # fmt: skip
    """Offer voxels of a row the n slices found for them, in order; the nearest centre wins."""
    half_u, half_v = 0.5 * columns * pitch, 0.5 * rows * pitch
    n_segments = planes.shape[0] - 1
    for i in range(n):
        ix, s, u, v, r2 = found_at[i], found[i, 0], found[i, 1], found[i, 2], found[i, 3]
        if not (-half_u <= u < half_u and -half_v <= v < half_v):
            continue
        count = claims[iz, iy, ix]
        if count == 0:
            claims[iz, iy, ix] = 1
        else:
            g = owner[iz, iy, ix]
            if g != _KNOWN:
                # So far a sure claim that nobody had asked for its distance.
                z, y = origin[0] + iz * resolution[0], origin[1] + iy * resolution[1]
                x = origin[2] + ix * resolution[2]
                k, f = passing(planes, spans[g, 0], spans[g, 1], z, y, x)
                distance[iz, iy, ix] = _offsets(planes, k, f, z, y, x)[2]
                owner[iz, iy, ix] = _KNOWN
            if count < 255:
                claims[iz, iy, ix] = count + 1
            if not r2 < distance[iz, iy, ix]:
                continue
        owner[iz, iy, ix] = _KNOWN
        distance[iz, iy, ix] = r2
        # The last half segment of a closed map is the first slice's.
        if closed and s >= n_segments - 0.5:
            s -= n_segments
        # The sums of `locate`, to the last bit: voxels may lie just between two samples.
        s = within(s, n_segments if closed else n_segments + 1)
        row = within(v / pitch + 0.5 * (rows - 1), rows)
        column = within(u / pitch + 0.5 * (columns - 1), columns)
        address[iz, iy, ix] = _address(
            np.floor((s - offset[0] + 0.5) * scale[0]),
            np.floor((row - offset[1] + 0.5) * scale[1]),
            np.floor((column - offset[2] + 0.5) * scale[2]), pages, n_slices, n_rows, n_columns,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def look_up(address, claims, labels, out):
    """Give every claimed voxel the label at its address in the pages (slices, rows', columns')."""
    flat = labels.reshape(-1)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                if claims[z, y, x] > 0 and address[z, y, x] >= 0:
                    out[z, y, x] = flat[address[z, y, x]]
