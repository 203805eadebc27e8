"""A curve walked from point to point of its trace, in either direction, quickly.

A trace of 1000 points is compared with itself after every step of the mouse: the exact arc
lengths of `Curve` would take longer than a frame of the screen.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.geometry.vectors import cross, dot, norm

Float = NDArray[np.float64]
Index = NDArray[np.int64]

# Arc length of a quarter of a span, halved where its speed is no polynomial of low degree: the
# part of degree 5 in the samples tells, with no more of them.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_FIFTH = _WEIGHTS * np.polynomial.legendre.Legendre.basis(5)(_NODES) * 5.5
_NODES, _WEIGHTS = 0.5 * (_NODES + 1), 0.5 * _WEIGHTS
_ROUGH, _MAX_HALVINGS = 1e-7, 12
# Frames are carried in so many steps per span, and in more where they turn by more than this.
_STEPS, _MOST_STEPS = 8, 1024
_MAX_TURN = np.deg2rad(4.0)


class Walk:
    """A curve by the parameter of its spline, walked from its first point or from its last.

    Walking backwards, parameters and arc lengths count from the end, and tangents are turned
    round. On a closed curve parameters and point numbers go on over the seam.

    Parameters
    ----------
    curve : Curve
    backwards : bool
    """

    def __init__(self, curve: Curve, backwards: bool = False) -> None:
        self.curve, self.backwards, self.closed = curve, backwards, curve.closed
        parameters, knots = curve.parameters, curve.knots
        self._end = float(parameters[-1])
        if backwards:
            parameters, knots = self._end - parameters[::-1], self._end - knots[::-1]
        self.parameters = parameters
        edges = np.unique(np.linspace(knots[:-1], knots[1:], 5))
        parts, fifth = self._speeds(edges[:-1], edges[1:])
        for _ in range(_MAX_HALVINGS):
            rough = np.flatnonzero(np.abs(fifth) > _ROUGH * parts.sum())
            if not len(rough):
                break
            a, b = edges[rough], edges[rough + 1]
            middle = 0.5 * (a + b)
            (left, fifth[rough]), (right, fifth_right) = (
                self._speeds(a, middle), self._speeds(middle, b)
            )  # fmt: skip
            parts[rough] = left
            parts = np.insert(parts, rough + 1, right)
            fifth = np.insert(fifth, rough + 1, fifth_right)
            edges = np.insert(edges, rough + 1, middle)
        self._edges = edges
        self._cumulative = np.append(0.0, np.cumsum(parts))
        #: Arc length of the whole curve, nm.
        self.length = float(self._cumulative[-1])

    @property
    def n_points(self) -> int:
        """Points of the trace; a closed one's first is not counted again."""
        return len(self.parameters) - 1 if self.closed else len(self.parameters)

    def parameter_of(self, points: Index) -> Float:
        """Parameters of points, by their numbers."""
        if not self.closed:
            return self.parameters[points]
        n = self.n_points
        return np.asarray(self.parameters[points % n] + (points // n) * self._end)

    def derivatives(self, t: Float) -> tuple[Float, Float, Float]:
        """Position, first and second derivative (n, 3) at parameters (n,)."""
        c, first, second = self.curve.by_parameter(self._own(t))
        return c, -first if self.backwards else first, second

    def positions(self, t: Float) -> Float:
        """Positions (n, 3)."""
        return self.curve.positions_by_parameter(self._own(t))

    def frame_line(self, t: Float) -> tuple[Float, Float]:
        """Positions and unit tangents (n, 3)."""
        own = self._own(t)
        c, first = self.curve.positions_by_parameter(own), self.curve.speeds(own)
        speed = norm(first)
        tangent = (-first if self.backwards else first) / np.maximum(speed, 1e-300)[:, None]
        stands = speed < 1e-12 * self.length / self._end
        if stands.any():
            ahead = self.positions(t[stands] + 1e-6 * self._end) - c[stands]
            back = c[stands] - self.positions(t[stands] - 1e-6 * self._end)
            way = np.where((norm(ahead) > 0)[:, None], ahead, back)
            tangent[stands] = way / np.maximum(norm(way), 1e-300)[:, None]
        return c, tangent

    def arc_length(self, t: Float) -> Float:
        """Arc lengths (n,) nm of parameters; over the seam of a closed curve they go on."""
        turns = np.floor(t / self._end) if self.closed else np.zeros(len(t))
        inner = np.clip(t - turns * self._end, 0.0, self._end)
        i = np.clip(np.searchsorted(self._edges, inner, side="right") - 1, 0, len(self._edges) - 2)
        return np.asarray(
            turns * self.length + self._cumulative[i] + self._between(self._edges[i], inner)
        )

    def parameter_at(self, s: Float) -> Float:
        """Parameters (n,) of arc lengths."""
        turns = np.floor(s / self.length) if self.closed else np.zeros(len(s))
        inner = np.clip(s - turns * self.length, 0.0, self.length)
        i = np.clip(
            np.searchsorted(self._cumulative, inner, side="right") - 1, 0, len(self._edges) - 2
        )
        low, high = self._edges[i], self._edges[i + 1]
        below, above = self._cumulative[i], self._cumulative[i + 1]
        t = low + (high - low) * (inner - below) / np.maximum(above - below, 1e-300)
        for _ in range(30):
            miss = below + self._between(self._edges[i], t) - inner
            low, high = np.where(miss <= 0, t, low), np.where(miss > 0, t, high)
            if np.abs(miss).max(initial=0.0) <= 1e-10 * self.length:
                break
            speed = norm(self.derivatives(t)[1])
            step = t - miss / np.maximum(speed, 1e-300)
            t = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
        return np.asarray(t + turns * self._end)

    def turns(self, start: Float, stop: Float) -> Float:
        """Rotations (n, 3, 3), zyx, that carry a frame from parameters to others without twist.

        Double reflection (Wang, Juettler, Zheng & Liu 2008), all steps at one time.
        """
        out = np.empty((len(start), 3, 3))
        steps = np.full(len(start), _STEPS)
        todo = np.arange(len(start))
        while len(todo):
            rough = []
            for count in np.unique(steps[todo]).tolist():
                part = todo[steps[todo] == count]
                share = np.linspace(0, 1, count + 1)
                t = start[part, None] + (stop - start)[part, None] * share
                both = self.frame_line(t.ravel())
                c, tangent = (a.reshape(len(part), count + 1, 3) for a in both)
                bend = norm(np.diff(tangent, axis=1)).max(axis=1)
                good = (bend <= _MAX_TURN) | (count >= _MOST_STEPS)
                out[part[good]] = _product(_reflected_twice(c[good], tangent[good]))
                halvings = np.ceil(np.log2(bend[~good] / _MAX_TURN))
                steps[part[~good]] = np.minimum(count * 2**halvings, _MOST_STEPS)
                rough.append(part[~good])
            todo = np.concatenate(rough)
        return out

    def turn(self, start: float, stop: float) -> Float:
        """The rotation (3, 3) over several spans."""
        inner = self.parameters
        if self.closed:
            inner = np.concatenate([inner[:-1] - self._end, inner, inner[1:] + self._end])
        low, high = min(start, stop), max(start, stop)
        inner = inner[(inner > low) & (inner < high)]
        edges = np.concatenate([[low], inner, [high]])
        total = _product(self.turns(edges[:-1], edges[1:])[None])[0]
        return total if stop >= start else total.T

    def closing_degrees(self) -> float:
        """The angle by which the carried frame of a closed curve misses its start (forwards)."""
        if self._closing is None:
            forwards = Walk(self.curve) if self.backwards else self
            tangent = forwards.frame_line(np.zeros(1))[1][0]
            normal = any_normal(tangent)
            self._closing = angle(normal, forwards.turn(0.0, self._end) @ normal, tangent)
        return self._closing

    _closing: float | None = None

    def _own(self, t: Float) -> Float:
        inner = np.mod(t, self._end) if self.closed else np.clip(t, 0.0, self._end)
        return np.asarray(self._end - inner if self.backwards else inner)

    def _between(self, a: Float, b: Float) -> Float:
        return self._speeds(a, b)[0]

    def _speeds(self, a: Float, b: Float) -> tuple[Float, Float]:
        """Arc lengths between parameters, and the part of the speed that is of degree 5."""
        t = a[:, None] + (b - a)[:, None] * _NODES
        own = self._end - t if self.backwards else t
        speed = norm(self.curve.speeds(own.ravel())).reshape(t.shape)
        return np.asarray((speed @ _WEIGHTS) * (b - a)), np.asarray((speed @ _FIFTH) * (b - a))


@lru_cache(maxsize=4)
def walk_of(trace: Trace, backwards: bool = False) -> Walk:
    """The walk along a trace; those of the last few are kept, as one is dragged from the other."""
    return Walk(Curve(trace), backwards)


def angle(a: Float, b: Float, about: Float) -> float:
    """Degrees from a to b about an axis, right-handed in xyz."""
    return float(np.degrees(np.arctan2(dot(cross(a, b), about), dot(a, b))))


def any_normal(tangent: Float) -> Float:
    """A unit vector perpendicular to another."""
    axis = np.eye(3)[np.argmin(np.abs(tangent))]
    normal = axis - (axis @ tangent) * tangent
    return np.asarray(normal / norm(normal))


def least_turn(vector: Float, before: Float, after: Float) -> Float:
    """A vector turned with its tangent, from `before` to `after`, by the shortest way."""
    between = before + after
    size = dot(between, between)
    if size < 1e-12:  # turned right round: any way is as short
        return np.asarray(vector - 2 * dot(vector, after) * after)
    # Two reflections: on the plane across `before`, then across the bisector.
    turned = vector - 2 * dot(vector, before) * before
    return np.asarray(turned - 2 / size * dot(turned, between) * between)


def _reflected_twice(c: Float, tangent: Float) -> Float:
    """Rotations (n, steps, 3, 3) of every step."""
    first = np.diff(c, axis=1)
    one = _reflection(first)
    turned = np.einsum("nsij,nsj->nsi", one, tangent[:, :-1])
    return np.asarray(_reflection(tangent[:, 1:] - turned) @ one)


def _reflection(v: Float) -> Float:
    size = dot(v, v)
    scale = np.divide(2.0, size, out=np.zeros_like(size), where=size > 0)
    return np.asarray(np.eye(3) - scale[..., None, None] * v[..., :, None] * v[..., None, :])


def _product(steps: Float) -> Float:
    """Products (n, 3, 3) of rotations (n, steps, 3, 3), the last one leftmost."""
    while steps.shape[1] > 1:
        odd = steps[:, -1:] if steps.shape[1] % 2 else steps[:, :0]
        pairs = steps[:, : steps.shape[1] // 2 * 2]
        steps = np.concatenate([pairs[:, 1::2] @ pairs[:, 0::2], odd], axis=1)
    return steps[:, 0]
