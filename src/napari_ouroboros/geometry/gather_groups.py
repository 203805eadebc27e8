"""Neighbouring segments taken together, as many as the curve's bends allow (the gather's aid).

Within a group the planes' equations and the offsets u, v of a fixed point change smoothly with the
slice index. They are modelled as parabolas through the group's first, middle and last plane; how
far the model can be off for any point near the tube is bounded from all the planes in between.
The map itself knows no groups: where such a bound leaves a sample in doubt, the segment decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.segments import bound_groups
from napari_ouroboros.geometry.vectors import dot, norm

Float = NDArray[np.float64]

# What it costs, in ns, to ask a group about a row of voxels, one of its voxels where the model is
# sure of the sample, and where it is not; and what a segment and a voxel cost without a model.
_GROUP_COST, _SURE_COST, _DOUBT_COST = 50.0, 3.0, 80.0
_BENT_COST, _BENT_VOXEL_COST = 10.0, 30.0
_LARGEST = 32
# Segments that no model describes are looked at one by one; passed by together.
_BENT = 8
# A group's own share of a right answer: planes are this part of their distance in its middle apart.
_APART = 0.25
_EPSILON = float(np.finfo(float).eps)


class Groups(NamedTuple):
    """Groups of consecutive segments, in order; every segment is in one of them.

    Attributes
    ----------
    of_segment : array (segments,)
        Each segment's group.
    spans : array (groups, 2)
        First segment, and the one behind the last.
    balls : array (groups, 5)
        As `segments.Segments.balls`, of these groups.
    forms : array (groups, 9, 4)
        Functions of x, linear: gradient (zyx), and value at the ball's centre. In threes for the
        distance to the plane, u and v: the value A in the first plane, its change D, its bend E;
        at the fraction t of the group the model says A + t D + t (1 - t) E.
    limits : array (groups, 7)
        least : the model holds for points whose first plane is this much further ahead than the
        last one (inf: for none); errors of the slice index, of u and of v in nm; how far u and v
        can be from their values A + D / 2 anywhere in the group; and 1 where the model holds in
        all of the ball, else 0.
    rounding : float
        What rounding can do to any of these lengths, in nm, with much to spare.
    """

    of_segment: NDArray[np.int64]
    spans: NDArray[np.int64]
    balls: Float
    forms: Float
    limits: Float
    rounding: float


def group_segments(planes: Float, reach: float, pitch: float) -> Groups:
    """Group the segments between planes (n + 1, 12) for slices that reach `reach` nm.

    pitch: width of a sample in nm; the models are as good as samples of that size need.
    """
    n = len(planes) - 1
    rounding = 1e-6 * pitch + 256 * _EPSILON * (float(np.abs(planes[:, :3]).max()) + reach)
    parts = []
    free = np.ones(n, bool)
    # Voxels that a row has in a segment, about: samples and voxels are of one size.
    voxels = np.maximum(norm(np.diff(planes[:, :3], axis=0)) / pitch, 1)
    # The least that the parts of a group cost, size by size.
    cheapest = _BENT_COST + _BENT_VOXEL_COST * voxels
    for size in (2**i for i in range(_LARGEST.bit_length())):
        start = np.arange(0, n - size + 1, size)
        forms, limits, share = _model(planes, start, size, reach, rounding)
        doubt = 2 * (limits[:, 1] + limits[:, 2:4].sum(axis=1) / pitch)
        each = share * (_SURE_COST + np.minimum(doubt, 1) * _DOUBT_COST)
        each += (1 - share) * _BENT_VOXEL_COST
        inside = voxels[: len(start) * size].reshape(-1, size).sum(axis=1)
        cost = _GROUP_COST + np.where(share < 1, size * _BENT_COST, 0) + inside * each
        cost[~np.isfinite(limits[:, 0])] = np.inf
        good = cost <= cheapest[: len(start)]
        parts.append((np.column_stack([start, start + size])[good], forms[good], limits[good]))
        cheapest[: len(start)] = np.minimum(cost, cheapest[: len(start)])
        cheapest = cheapest[: len(start)][: len(start) // 2 * 2].reshape(-1, 2).sum(axis=1)
    # Of the groups that were cheaper than their parts the largest; never two over each other.
    for i in range(len(parts) - 1, -1, -1):
        spans = parts[i][0]
        keep = free[spans[:, 0]]
        parts[i] = tuple(a[keep] for a in parts[i])
        for first, stop in parts[i][0]:
            free[first:stop] = False
    rest = np.flatnonzero(free)
    breaks = (np.diff(rest) > 1) | (np.diff(rest // _BENT) > 0)
    runs = [run for run in np.split(rest, np.flatnonzero(breaks) + 1) if len(run)]
    bent = np.array([(run[0], run[-1] + 1) for run in runs], np.int64).reshape(-1, 2)
    parts.append((bent, np.zeros((len(bent), 9, 4)), np.tile([*[np.inf] * 6, 0.0], (len(bent), 1))))
    spans, forms, limits = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(spans[:, 0])
    spans = spans[order]
    return Groups(
        np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0]),
        spans,
        bound_groups(planes, spans[:, 0], spans[:, 1], reach),
        np.ascontiguousarray(forms[order]),
        np.ascontiguousarray(limits[order]),
        rounding,
    )


def _model(
    planes: Float, start: NDArray[np.int64], size: int, reach: float, rounding: float
) -> tuple[Float, Float, Float]:
    """`forms` and `limits` of the groups of `size` segments that begin at `start`.

    And the part of each one's ball, by width, in which the model holds.
    """
    members = start[:, None] + np.arange(size + 1)
    c = planes[members, :3]
    low, high = c.min(axis=1), c.max(axis=1)
    centre = 0.5 * (low + high)
    radius = reach * (1 + 1e-9) + 0.5 * norm(high - low) + 1e-9
    t = np.linspace(0, 1, size + 1)[:, None]
    dc = np.diff(c, axis=1)
    # |x - c| for any x in the ball, and the error of a blended axis made perpendicular: with
    # steps dT, dN, dB the parts dN dT / 4 + dN^2 / 8 of it, and for the third one dT^2 / 8 more.
    farthest = radius + norm(c - centre[:, None]).max(axis=1)
    turn = norm(np.diff(planes[members, 3:], axis=1))
    squared = 0.5 * farthest * turn.max(axis=1) ** 2
    forms, off, change, bend = [], [], [], []
    for axis in (3, 6, 9):
        vectors = planes[members, axis : axis + 3]
        values = np.concatenate(
            [vectors, dot(centre[:, None] - c, vectors)[..., None]], axis=2
        )  # (group, plane, 4)
        first, step = values[:, 0], values[:, -1] - values[:, 0]
        # Within a segment the blends of centre and axis make a parabola of their own.
        own = dot(dc, np.diff(vectors, axis=1))
        if size == 1:
            arch = np.zeros_like(first)
            arch[:, 3] = own[:, 0]
        else:
            arch = 4 * (values[:, size // 2] - first - 0.5 * step)
        model = first[:, None] + t * step[:, None] + t * (1 - t) * arch[:, None]
        at_planes = _most(values - model, radius[:, None]).max(axis=1)
        gap = np.zeros((*own.shape, 4))
        gap[..., 3] = own
        between = 0.25 * _most(gap - arch[:, None] / size**2, radius[:, None]).max(axis=1)
        forms += [first, step, arch]
        off.append(at_planes + between + (0 if axis == 3 else squared))
        change.append(_most(step, radius))
        bend.append(_most(arch, radius))
        if axis == 3:
            ahead = -step
            steps = values[:, :-1] - values[:, 1:] - ahead[:, None] / size
            uneven = _most(steps, radius[:, None]).max(axis=1)
            steepest = np.abs(own).max(axis=1)
    least = _APART * ahead[:, 3]
    # Every plane of the group further ahead than the next, and each segment passed once only.
    proper = (least > size * (uneven + steepest) + 4 * size * rounding) & (bend[0] < 0.4 * least)
    proper &= turn.max(axis=1) < 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        # One step from the linear solution leaves bend^2 / 4 least of the parabola's equation.
        shift = bend[0] / (4 * least)
        error = (off[0] + bend[0] * shift * (1 + shift) + rounding) / (least - bend[0])
    error = np.where(proper, error, np.inf)
    limits = np.empty((len(start), 7))
    limits[:, 0] = np.where(proper, least, np.inf)
    limits[:, 1] = size * error + 1e-6
    for i in (1, 2):
        slope = change[i] + bend[i]
        limits[:, 1 + i] = np.where(proper, off[i] + slope * np.where(proper, error, 0), np.inf)
        limits[:, 1 + i] += rounding
        limits[:, 3 + i] = 0.5 * change[i] + 0.25 * bend[i] + limits[:, 1 + i]
    spare, swing = ahead[:, 3] - least, radius * norm(ahead[:, :3])
    share = 0.5 + 0.5 * np.clip(spare / np.maximum(swing, rounding), -1, 1)
    limits[:, 6] = proper & (spare > swing + rounding)
    return np.stack(forms, axis=1), limits, share


def _most(forms: Float, radius: Float) -> Float:
    """Largest size of linear functions (..., 4) in the balls."""
    most: Float = np.abs(forms[..., 3]) + radius * norm(forms[..., :3])
    return most
