"""The curve through a trace: position, tangent and curvature by exact arc length."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.geometry.vectors import cross, dot, norm

if TYPE_CHECKING:
    from scipy.interpolate import BSpline

Float = NDArray[np.float64]
#: What SciPy's splines have in common: ``spline(t, derivative)`` -> (n, 3).
Spline = Callable[..., Float]

#: Slices beyond this are a mistake in the units, not a wish.
MAX_SLICES = 50_000_000

# Gauss-Legendre on [0, 1]; 5 points on 16 sub-intervals of every span: 3e-10 relative or better.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1), 0.5 * _WEIGHTS
_SUB_INTERVALS = 16
_MAX_HALVINGS = 12


class CurvePoints(NamedTuple):
    """A curve at given arc lengths, zyx: position and curvature vector in nm, unit tangent."""

    c: Float
    T: Float
    curvature: Float


class Curve:
    """A smooth curve through the points of a trace, by arc length s in nm.

    A cubic spline with a continuous second derivative (quadratic through 3 points, straight
    through 2; periodic when the trace is closed). Arc length is integrated by Gauss quadrature
    on every span and inverted by Newton's method.

    Parameters
    ----------
    trace : Trace
        Points in zyx nm.
    """

    def __init__(self, trace: Trace) -> None:
        self.closed = trace.closed
        # Relative to the first point: float64 then resolves a trace at 1e7 nm as well as one at 0.
        self._origin = trace.points_nm[0].copy()
        #: The trace's points (n, 3), zyx nm.
        self.points_nm = trace.points_nm
        self._spline, self._knots, self._parameters = _fit(trace, trace.points_nm - self._origin)

    @cached_property
    def _arc(self) -> _Integral:
        return _Integral(lambda t: norm(self._spline(t, 1)), self._knots)

    @property
    def length(self) -> float:
        """Arc length in nm."""
        return self._arc.total

    @property
    def parameters(self) -> Float:
        """The spline's parameter at the trace's points; closed: and at the first one again."""
        return self._parameters

    @property
    def knots(self) -> Float:
        """Parameters between which the curve is one polynomial each."""
        return self._knots

    def by_parameter(self, t: Float) -> tuple[Float, Float, Float]:
        """Position in nm, first and second derivative, (n, 3) each, at parameters (n,)."""
        return self._spline(t) + self._origin, self._spline(t, 1), self._spline(t, 2)

    def positions_by_parameter(self, t: Float) -> Float:
        """Positions (n, 3) in nm at parameters (n,)."""
        return np.asarray(self._spline(t) + self._origin)

    def speeds(self, t: Float) -> Float:
        """First derivatives (n, 3) at parameters (n,)."""
        return self._spline(t, 1)

    def arc_length(self, t: Float) -> Float:
        """Arc lengths (n,) nm of parameters (n,)."""
        return self._arc.value(t)

    def evaluate(self, s_nm: ArrayLike) -> CurvePoints:
        """Position, unit tangent and curvature vector at arc lengths (n,) nm.

        A closed curve is periodic; an open one goes on straight beyond its ends.
        """
        s = np.atleast_1d(np.asarray(s_nm, float))
        inner = np.mod(s, self.length) if self.closed else np.clip(s, 0.0, self.length)
        return self._at_parameter(self._arc.invert(inner), beyond=s - inner)

    def _at_parameter(self, t: Float, beyond: Float | None = None) -> CurvePoints:
        position, first, second = self._spline(t), self._spline(t, 1), self._spline(t, 2)
        speed = norm(first)
        tangent = first / np.maximum(speed, 1e-300)[:, None]
        cusp = speed < 1e-12 * self.length / (self._knots[-1] - self._knots[0])
        if cusp.any():
            # The spline stands still there; the direction in which it goes on is its tangent.
            tangent[cusp] = self._tangent_after_cusp(t[cusp])
        with np.errstate(divide="ignore", invalid="ignore"):
            # kappa N = (C'' - (C''.T) T) / |C'|^2
            bend = (second - dot(second, tangent)[:, None] * tangent) / (speed**2)[:, None]
        bend[cusp] = 0.0
        if beyond is not None and not self.closed and np.any(beyond):
            out = beyond != 0
            position[out] += beyond[out, None] * tangent[out]
            bend[out] = 0.0
        return CurvePoints(position + self._origin, tangent, bend)

    def _tangent_after_cusp(self, t: Float) -> Float:
        step = 1e-4 * (self._knots[-1] - self._knots[0])
        ahead = self._spline(np.minimum(t + step, self._knots[-1])) - self._spline(
            np.minimum(t, self._knots[-1] - step)
        )
        return ahead / np.maximum(norm(ahead), 1e-300)[:, None]

    def at(self, s_nm: ArrayLike) -> Float:
        """Positions (n, 3), zyx nm, at arc lengths (n,) nm."""
        return self.evaluate(s_nm).c

    def tangent(self, s_nm: ArrayLike) -> Float:
        """Unit tangents (n, 3), zyx."""
        return self.evaluate(s_nm).T

    def curvature(self, s_nm: ArrayLike) -> Float:
        """Curvature vectors (n, 3), zyx, 1/nm: towards the centre of curvature, length 1/radius."""
        return self.evaluate(s_nm).curvature

    def positions(self, spacing_nm: float, adaptive_radius_nm: float | None = None) -> Float:
        """Arc lengths (n,) nm of slices that lie `spacing_nm` apart.

        Equidistant, or with `adaptive_radius_nm` closer where the curve bends: by arc length
        times ``1 + kappa r``, so that nothing within r of the curve is sampled coarser than
        `spacing_nm`. Open: ``floor(L/d + 1e-6) + 1`` slices, the first on the first point.
        Closed: ``round(L/d)`` slices, evenly spread over the loop, at least 3.
        """
        if not (np.isfinite(spacing_nm) and spacing_nm > 0):
            raise UserError(f"the distance between slices must be over 0 nm; it is {spacing_nm}")
        if adaptive_radius_nm is None:
            measure = self._arc
        else:
            if not (np.isfinite(adaptive_radius_nm) and adaptive_radius_nm >= 0):
                raise UserError(f"the adaptive radius must be 0 nm or more: {adaptive_radius_nm}")
            measure = self._stretched(float(adaptive_radius_nm))
        ratio = measure.total / spacing_nm
        if ratio > MAX_SLICES:
            raise UserError(
                f"a curve of {self.length:.6g} nm at {spacing_nm:g} nm between slices is "
                f"{ratio:.3g} slices; is the distance in nm?"
            )
        if self.closed:
            n = round(ratio)
            if n < 3:
                raise UserError(
                    f"a closed trace of {self.length:.6g} nm has room for {n} slices at "
                    f"{spacing_nm:g} nm; at least 3 are needed: take a smaller distance"
                )
            wanted = np.arange(n) * (measure.total / n)
        else:
            wanted = np.arange(int(np.floor(ratio + 1e-6)) + 1) * spacing_nm
            wanted = np.minimum(wanted, measure.total)
        if measure is self._arc:
            return np.asarray(wanted, np.float64)
        return self._arc.value(measure.invert(np.asarray(wanted, np.float64)))

    def _stretched(self, radius: float) -> _Integral:
        def weight(t: Float) -> Float:
            first, second = self._spline(t, 1), self._spline(t, 2)
            speed = norm(first)
            turn = norm(cross(first, second)) / np.maximum(speed, 1e-12 * self.length) ** 2
            return speed + radius * turn

        return _Integral(weight, self._knots)


def _fit(trace: Trace, points: Float) -> tuple[Spline, Float, Float]:
    """Return the spline, its break points, and the parameters of the points."""
    from scipy.interpolate import CubicSpline, make_interp_spline

    if trace.closed:
        points = np.vstack([points, points[:1]])
    steps = norm(np.diff(points, axis=0))
    if trace.parametrisation == "centripetal":
        steps = np.sqrt(steps)
    t = np.concatenate([[0.0], np.cumsum(steps)])
    # The scale of a parameter is free; about one nm per unit keeps derivatives well scaled.
    t *= norm(np.diff(points, axis=0)).sum() / t[-1]
    degree = min(3, len(points) - 1)
    if trace.tolerance_nm > 0 and len(points) > degree:
        smooth = _smoothing_spline(t, points, degree, trace.tolerance_nm, trace.closed)
        if smooth is not None:
            return smooth, np.unique(np.clip(smooth.t, t[0], t[-1])), t
    if trace.closed:
        return CubicSpline(t, points, bc_type="periodic"), t, t
    return make_interp_spline(t, points, k=degree), t, t


def _smoothing_spline(
    t: Float, points: Float, degree: int, tolerance: float, closed: bool
) -> BSpline | None:
    """Return the smoothest FITPACK spline that stays within `tolerance` of every point."""
    from scipy.interpolate import BSpline, splprep

    def fit(s: float) -> BSpline:
        fitted = splprep(
            list(points.T), u=t, k=degree, s=s, per=int(closed), full_output=1, quiet=2
        )
        knots, coefficients, k = fitted[0][0]
        return BSpline(knots, np.asarray(coefficients).T, k)

    def within(spline: BSpline) -> bool:
        return bool(norm(spline(t) - points).max() <= tolerance)

    # s bounds the sum of squares: tolerance^2 is always safe, n tolerance^2 the most there can be.
    low, high = np.log(tolerance**2 * 0.999), np.log(len(points) * tolerance**2)
    best = None
    candidate = fit(float(np.exp(high)))
    if within(candidate):
        return candidate
    for _ in range(24):
        middle = 0.5 * (low + high)
        candidate = fit(float(np.exp(middle)))
        if within(candidate):
            best, low = candidate, middle
        else:
            high = middle
    if best is None:
        candidate = fit(float(tolerance**2 * 0.99))
        best = candidate if within(candidate) else None
    return best


class _Integral:
    """The integral of a positive function over the spans of a spline, and its inverse."""

    def __init__(self, weight: Callable[[Float], Float], knots: Float) -> None:
        self._weight = weight
        edges = np.unique(np.linspace(knots[:-1], knots[1:], _SUB_INTERVALS + 1))
        parts = self._between(edges[:-1], edges[1:])
        for _ in range(_MAX_HALVINGS):
            # Halve where two halves disagree with the whole: near a cusp 16 are too few.
            middle = 0.5 * (edges[:-1] + edges[1:])
            left = self._between(edges[:-1], middle)
            right = self._between(middle, edges[1:])
            rough = np.abs(left + right - parts) > 1e-13 * parts.sum()
            if not rough.any():
                break
            parts = np.insert(np.where(rough, left, parts), np.flatnonzero(rough) + 1, right[rough])
            edges = np.insert(edges, np.flatnonzero(rough) + 1, middle[rough])
        self._edges = edges
        self._cumulative = np.concatenate([[0.0], np.cumsum(parts)])
        self.total = float(self._cumulative[-1])

    def _between(self, a: Float, b: Float) -> Float:
        t = a[:, None] + (b - a)[:, None] * _NODES
        values = self._weight(t.ravel()).reshape(t.shape)
        return np.asarray((values @ _WEIGHTS) * (b - a))

    def value(self, t: Float) -> Float:
        """Return the integral from the start to parameters (n,)."""
        i = np.clip(np.searchsorted(self._edges, t, side="right") - 1, 0, len(self._edges) - 2)
        return np.asarray(self._cumulative[i] + self._between(self._edges[i], t))

    def invert(self, s: Float) -> Float:
        """Return the parameters (n,) at which the integral is `s`: Newton, held in its bracket."""
        i = np.clip(np.searchsorted(self._cumulative, s, side="right") - 1, 0, len(self._edges) - 2)
        start, stop = self._edges[i], self._edges[i + 1]
        below, above = self._cumulative[i], self._cumulative[i + 1]
        low, high = start.copy(), stop.copy()
        t = start + (stop - start) * (s - below) / np.maximum(above - below, 1e-300)
        for _ in range(50):
            miss = below + self._between(start, t) - s
            low, high = np.where(miss <= 0, t, low), np.where(miss > 0, t, high)
            if np.all(np.abs(miss) <= 1e-13 * self.total):
                break
            with np.errstate(divide="ignore", invalid="ignore"):
                newton = t - miss / self._weight(t)
            t = np.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))
        return np.asarray(t)
