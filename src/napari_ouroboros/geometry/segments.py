"""What the inner loops know of a map's segments beforehand: which ones a point is far from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.vectors import dot, norm

Float = NDArray[np.float64]

#: Neighbouring segments that are passed by as one.
GROUP = 8


@dataclass(frozen=True, eq=False)
class Segments:
    """Bounds of the segments between the planes of a map.

    Attributes
    ----------
    bends : array (n,)
        Quadratic coefficient of (x - c(f)) . T(f) along each segment, in nm.
    slacks : array (n,)
        By how much the offsets u, v of a point can differ between its slice and the segment's
        first plane, in nm.
    balls : array (groups, 5)
        For every GROUP segments: centre and squared radius of a ball around all their samples;
        and a margin: a point in it that is further than this in front of (or behind) the group's
        first and last plane is so for all planes between, and no slice passes it.
    """

    bends: Float
    slacks: Float
    balls: Float


def bound_segments(planes: Float, reach: float) -> Segments:
    """Return the bounds for planes (n + 1, 12) and slices that reach `reach` nm from the curve."""
    n = len(planes) - 1
    if n == 0:
        return Segments(np.empty(0), np.empty(0), np.empty((0, 5)))
    first = np.arange(0, n, GROUP)
    balls = bound_groups(planes, first, np.minimum(first + GROUP, n), reach)
    c, T = planes[:, :3], planes[:, 3:6]
    bends = -dot(np.diff(c, axis=0), np.diff(T, axis=0))
    turn = norm(np.diff(planes[:, 3:], axis=0))
    widest = np.repeat(np.sqrt(balls[:, 3]), GROUP)[:n]
    # A blended axis, made perpendicular, leaves the first by less than twice the turn.
    slacks = np.where(turn < 0.5, norm(np.diff(c, axis=0)) + 2 * widest * turn, np.inf)
    return Segments(bends, slacks, balls)


def bound_groups(
    planes: Float, first: NDArray[np.int64], last: NDArray[np.int64], reach: float
) -> Float:
    """Bounds (groups, 5), as in `Segments.balls`, of the segments between planes first to last."""
    c, T = planes[:, :3], planes[:, 3:6]
    bends = np.append(-dot(np.diff(c, axis=0), np.diff(T, axis=0)), 0.0)
    largest = int((last - first).max(initial=0))
    members = np.minimum(first[:, None] + np.arange(largest + 1), last[:, None])
    low, high = c[members].min(axis=1), c[members].max(axis=1)
    centre = 0.5 * (low + high)
    radius = reach * (1 + 1e-9) + 0.5 * norm(high - low) + 1e-9
    # Plane k is {x : (x - c_k) . T_k = 0}: how it differs from the blend of first and last plane.
    along = dot(c[members] - centre[:, None], T[members])
    t = ((members - first[:, None]) / (last - first)[:, None])[..., None]
    turned = T[members] - (1 - t) * T[first][:, None] - t * T[last][:, None]
    shifted = along - (1 - t[..., 0]) * along[:, :1] - t[..., 0] * along[:, -1:]
    between = np.abs(bends)[members]
    margin = (radius[:, None] * norm(turned) + np.abs(shifted) + between).max(axis=1)
    balls = np.column_stack([centre, radius**2, margin * (1 + 1e-9) + 1e-9 * radius])
    return np.ascontiguousarray(balls)
