"""The point of a curve that is nearest to a point, or to a line of sight."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.vectors import dot, norm

Float = NDArray[np.float64]

# Pieces of every span to begin with; each that may hold the nearest point is cut into four.
_PIECES = 8
_ROUNDS = 12
# A point in the middle of a circle is as near to all of it: so many pieces are followed.
_MOST_PIECES = 256


def nearest_on_curve(
    curve: Curve, point_nm: ArrayLike, direction: ArrayLike | None = None
) -> tuple[float, float, Float]:
    """The point of a curve that is nearest to a point, or to a line.

    No part of the curve is left out that could be nearer: a piece of length l between points at
    distances a and b is nowhere nearer than (a + b - l) / 2. What remains is refined by Newton's
    method.

    Parameters
    ----------
    curve : Curve
        Its arc lengths are integrated at the first call: keep it for the next one.
    point_nm : array (3,)
        zyx, nm.
    direction : array (3,), optional
        The line ``point + t direction`` for every t instead of the point: what lies under the
        mouse in 3D.

    Returns
    -------
    s_nm : float
        Arc length of the nearest point; of several an early one.
    distance_nm : float
        From the point, or from the line.
    position : array (3,)
        Of the nearest point, zyx nm.

    Raises
    ------
    UserError
        The point or direction is not three finite numbers, or the direction is 0.
    """
    across = _Distance(curve, _three(point_nm, "the point"), direction)
    knots = curve.knots
    t = np.unique(np.linspace(knots[:-1], knots[1:], _PIECES + 1))
    low, high = t[:-1], t[1:]
    best = np.inf
    for _ in range(_ROUNDS):
        ends = across(np.concatenate([low, high]))
        a, b = np.split(ends, 2)
        best = min(best, float(ends.min()))
        # The chord is shorter than the piece by less than this once pieces are short.
        bound = 0.5 * (a + b - 1.05 * _lengths(curve, low, high))
        keep = bound <= best
        low, high, bound = low[keep], high[keep], bound[keep]
        if len(low) > _MOST_PIECES:
            keep = np.sort(np.argsort(bound, kind="stable")[:_MOST_PIECES])
            low, high = low[keep], high[keep]
        if np.max(high - low) < 1e-4 * (knots[-1] - knots[0]) / len(knots):
            break
        cut = np.linspace(low, high, 5)
        low, high = cut[:-1].ravel(), cut[1:].ravel()
    t = across.minimum(low, high)
    distance = across(t)
    # Equally near but for rounding: the first along the curve. Of pieces that meet there the one
    # whose connection is perpendicular, since that is known far better than the distance.
    close = t[distance <= distance.min() * (1 + 1e-12) + 1e-12]
    close = close[close <= close.min() + np.max(high - low)]
    at = close[np.argmin(np.abs(across.slope(close)))]
    s = float(curve.arc_length(np.array([at]))[0])
    if curve.closed and s >= curve.length * (1 - 1e-14):
        s = 0.0
    position = curve.by_parameter(np.array([at]))[0][0]
    return min(max(s, 0.0), curve.length), float(across(np.array([at]))[0]), position


class _Distance:
    """Distances of the curve's points from the point, or from the line."""

    def __init__(self, curve: Curve, point: Float, direction: ArrayLike | None) -> None:
        self._curve, self._point = curve, point
        self._along: Float | None = None
        if direction is not None:
            along = _three(direction, "the direction")
            if not norm(along):
                raise UserError("the direction of a line must not be 0")
            self._along = along / norm(along)

    def __call__(self, t: Float) -> Float:
        return norm(self._away(self._curve.positions_by_parameter(t)))

    def _away(self, c: Float) -> Float:
        return self._across(c - self._point)

    def _across(self, vectors: Float) -> Float:
        """What of vectors is perpendicular to the line; all of it for a point."""
        if self._along is None:
            return vectors
        return np.asarray(vectors - dot(vectors, self._along)[:, None] * self._along)

    def minimum(self, low: Float, high: Float) -> Float:
        """Where the distance is least between parameters: Newton, else the better end."""
        t = 0.5 * (low + high)
        width = high - low
        for _ in range(30):
            c, first, second = self._curve.by_parameter(t)
            away = self._away(c)
            slope = dot(away, first)
            bend = dot(self._across(first), first) + dot(away, second)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = np.where(bend > 0, -slope / bend, -np.sign(slope) * width)
            step = np.clip(np.nan_to_num(step), -width, width)
            moved = np.clip(t + step, low, high)
            done = np.abs(moved - t).max() <= 1e-15 * np.abs(high).max()
            t = moved
            if done:
                break
        found = np.stack([t, low, high])
        distances = np.stack([self(row) for row in found])
        distances[1:] += 1e-12 * (1 + distances[0])
        return np.asarray(found[np.argmin(distances, axis=0), np.arange(len(t))])

    def slope(self, t: Float) -> Float:
        """Half the change of the squared distance with arc length; 0 where perpendicular."""
        c, first, _ = self._curve.by_parameter(t)
        return np.asarray(dot(self._away(c), first) / np.maximum(norm(first), 1e-300))


def _lengths(curve: Curve, low: Float, high: Float) -> Float:
    """Lengths of pieces of the curve, a little rough: three Gauss points each."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    t = low[:, None] + (high - low)[:, None] * (0.5 * (nodes + 1))
    speed = norm(curve.speeds(t.ravel())).reshape(t.shape)
    return np.asarray((speed @ (0.5 * weights)) * (high - low))


def _three(values: ArrayLike, what: str) -> Float:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise UserError(f"{what} must be three finite numbers, zyx")
    return array
