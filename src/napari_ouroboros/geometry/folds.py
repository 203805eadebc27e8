"""Where slices fold over each other: locally in a bend, and where the curve comes back to itself.

Locally det J = 1 - kappa (u cos phi + v sin phi), so a slice folds where the curvature times the
slice's reach towards the centre of curvature is 1 or more. Hairpins and coils fold without a
sharp bend: half the doubly-critical self-distance is the second limit (Gonzalez & Maddocks,
Global curvature, thickness, and the ideal shapes of knots, PNAS 96, 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.vectors import dot, norm

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening

Float = NDArray[np.float64]

# Self-distances are looked for between this many points of the curve, then refined.
_SELF_DISTANCE_POINTS = 1500
_PER_SLICE_LIMIT = 200_000


@dataclass(frozen=True, eq=False)
class FoldReport:
    """What folds, and what would not.

    Attributes
    ----------
    kappa_w : array (n,)
        Curvature times reach towards the centre of curvature, per slice; 1 or more folds.
    max_kappa_w, worst_s_nm : float
        The largest of them, and its arc length.
    folded_percent : float
        Percentage of slices that fold in a bend.
    self_distance_nm : float
        Smallest distance between two stretches of the curve that face each other; inf if none do.
    largest_width_nm : float
        Largest width (of the same shape of rectangle) that folds neither way; inf if any would do.
    largest_width : int
        The same in pixels of the current pixel size (0: even one pixel folds).
    folds : bool
        Whether slices of the current size fold, locally or not.
    """

    kappa_w: Float
    max_kappa_w: float
    worst_s_nm: float
    folded_percent: float
    self_distance_nm: float
    largest_width_nm: float
    largest_width: int
    folds: bool

    @property
    def text(self) -> str:
        """One line for people."""
        if not self.folds:
            return f"no slice folds (curvature x reach at most {self.max_kappa_w:.2f})"
        parts = []
        if self.max_kappa_w >= 1:
            parts.append(
                f"{self.folded_percent:.1f} % of the slices fold in a bend, the worst at "
                f"{self.worst_s_nm:.0f} nm (curvature x reach {self.max_kappa_w:.2f})"
            )
        else:
            parts.append(f"the trace comes back to within {self.self_distance_nm:.0f} nm of itself")
        parts.append(f"up to {self.largest_width_nm:.0f} nm ({self.largest_width} px) would not")
        return "; ".join(parts)


def fold_report(straightening: Straightening) -> FoldReport:
    """Measure both kinds of folding for a map; see `FoldReport`."""
    s = straightening
    frames = s.frames
    half_u = 0.5 * s.width * s.pitch_nm
    half_v = 0.5 * s.height * s.pitch_nm
    ku = np.abs(dot(frames.curvature, frames.N))
    kv = np.abs(dot(frames.curvature, frames.B))
    kappa_w = ku * half_u + kv * half_v
    worst = int(np.argmax(kappa_w))
    bend_limit = 2 * half_u / kappa_w[worst] if kappa_w[worst] > 0 else np.inf
    distance, room = self_distance(straightening)
    self_limit = 2 * half_u * room
    largest = float(min(bend_limit, self_limit))
    limit_pixels = largest / s.pitch_nm
    pixels = (
        np.iinfo(np.int64).max if not np.isfinite(limit_pixels) else int(np.ceil(limit_pixels)) - 1
    )
    return FoldReport(
        kappa_w=kappa_w,
        max_kappa_w=float(kappa_w[worst]),
        worst_s_nm=float(frames.s[worst]),
        folded_percent=100.0 * float(np.mean(kappa_w >= 1)),
        self_distance_nm=distance,
        largest_width_nm=largest,
        largest_width=max(pixels, 0),
        folds=bool(kappa_w[worst] >= 1 or 2 * half_u > self_limit),
    )


def self_distance(straightening: Straightening) -> tuple[float, float]:
    """Smallest doubly-critical self-distance of the curve in nm, and how much slices may grow.

    The second number is the smallest distance over the reach of the two slices towards each
    other: above 1 slices of the current size do not meet. Both are inf without such a pair.
    Pairs of points whose connection is perpendicular to the curve at both: found on a grid of
    pairs by the sign changes of the two scalar products, then refined by Newton's method.
    """
    curve = straightening.curve
    length = curve.length
    n = _SELF_DISTANCE_POINTS
    s = np.arange(n) * (length / n) if curve.closed else np.linspace(0.0, length, n)
    points = curve.evaluate(s)
    c, T = points.c, points.T
    ring = np.append(np.arange(n), 0) if curve.closed else np.arange(n)
    along = np.sum(c * T, axis=1)
    # first[i, j] = (c_i - c_j) . T_i; the second product is -first[j, i].
    first = along[:, None] - T @ c.T
    sign = (first >= 0)[np.ix_(ring, ring)]
    cells = sign[:-1, :-1]
    changes_first = (cells != sign[1:, :-1]) | (cells != sign[:-1, 1:]) | (cells != sign[1:, 1:])
    candidates = np.argwhere(np.triu(changes_first & changes_first.T, 2))
    best = room = np.inf
    step = length / n if curve.closed else length / (n - 1)
    # Neighbours are critical at distance 0; a facing pair turns by half a circle in between.
    turn = np.concatenate([[0.0], np.cumsum(norm(points.curvature)) * step])
    for i, j in candidates:
        way = turn[j] - turn[i]
        if curve.closed:
            way = min(way, turn[-1] - way)
        if way < 0.5 * np.pi or j - i < 2:
            continue
        found = _refine(straightening, float(s[i]), float(s[j]), step)
        if found is None:
            continue
        distance = float(np.linalg.norm(found))
        best = min(best, distance)
        reach = _reach(straightening, float(s[i]), found) + _reach(
            straightening, float(s[j]), found
        )
        room = min(room, distance / reach)
    return best, room


def _reach(straightening: Straightening, s: float, way: Float) -> float:
    """How far the slice at arc length s reaches along a direction in its plane, in nm."""
    frames = straightening.frames
    k = int(np.clip(np.searchsorted(frames.s, s), 0, len(frames) - 1))
    way = way / np.linalg.norm(way)
    return float(
        abs(frames.N[k] @ way) * 0.5 * straightening.width * straightening.pitch_nm
        + abs(frames.B[k] @ way) * 0.5 * straightening.height * straightening.pitch_nm
    )


def _refine(straightening: Straightening, a: float, b: float, step: float) -> Float | None:
    """Vector between the doubly-critical pair near arc lengths a, b; None if there is none."""
    curve = straightening.curve
    a, b = a + 0.5 * step, b + 0.5 * step
    start = np.array([a, b])
    for _ in range(20):
        p = curve.evaluate(np.array([a, b]))
        gap = p.c[0] - p.c[1]
        value = np.array([gap @ p.T[0], gap @ p.T[1]])
        jacobian = np.array(
            [
                [1.0 + gap @ p.curvature[0], -(p.T[1] @ p.T[0])],
                [p.T[0] @ p.T[1], -1.0 + gap @ p.curvature[1]],
            ]
        )
        # Least squares: two parallel limbs are critical along a whole line.
        move = np.linalg.lstsq(jacobian, -value, rcond=1e-9)[0]
        move *= min(1.0, step / max(float(np.abs(move).max()), 1e-300))
        a, b = a + move[0], b + move[1]
        if not curve.closed:
            a, b = float(np.clip(a, 0, curve.length)), float(np.clip(b, 0, curve.length))
        if np.abs(move).max() < 1e-9 * step:
            break
    p = curve.evaluate(np.array([a, b]))
    gap = p.c[0] - p.c[1]
    distance = float(np.linalg.norm(gap))
    wandered = np.abs(np.array([a, b]) - start).max() > 4 * step
    critical = max(abs(gap @ p.T[0]), abs(gap @ p.T[1])) <= 1e-3 * distance
    return gap if critical and distance > step and not wandered else None
