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

from napari_ouroboros.geometry.curve import CurvePoints
from napari_ouroboros.geometry.vectors import dot, norm

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening

Float = NDArray[np.float64]
Index = NDArray[np.int64]

# Self-distances are looked for between all pairs of this many points of the curve, and between
# the near ones of up to this many; of the pairs found the nearest are refined.
_COARSE_POINTS = 1500
_FINE_POINTS = 60_000
_MOST_PAIRS = 1000
# Of a step: closer points of two stretches are one, where the curve crosses itself.
_CROSSING = 1e-6


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
    Pairs of points whose connection is perpendicular to the curve at both are found on grids of
    pairs by the sign changes of the two scalar products (a coarse grid for the whole curve, a
    fine one for what comes within the slices' reach), then refined by Newton's method.
    """
    curve, reach = straightening.curve, straightening.reach_nm
    coarse = _Sampled(straightening, curve.length / _COARSE_POINTS)
    found = [_pairs_of_all(coarse)]
    step = max(reach / 8, curve.length / _FINE_POINTS)
    if step < coarse.step:
        fine = _Sampled(straightening, step)
        found.append(_pairs_within(fine, 2.5 * reach))
    best = room = np.inf
    for pairs in found:
        distance, towards = _refined(straightening, *pairs)
        if len(distance):
            best = min(best, float(distance.min()))
            room = min(room, float((distance / towards).min()))
    return best, room


class _Sampled:
    """The curve at even steps: arc lengths, points, tangents and how far it has turned."""

    def __init__(self, straightening: Straightening, step: float) -> None:
        curve = straightening.curve
        n = max(int(np.ceil(curve.length / step)), 16)
        self.closed = curve.closed
        self.step = curve.length / (n if curve.closed else n - 1)
        self.s = np.asarray(np.arange(n) * self.step, np.float64)
        points = curve.evaluate(self.s)
        self.c, self.T = points.c, points.T
        bend = norm(points.curvature) * self.step
        angle = np.arccos(np.clip(dot(self.T[:-1], self.T[1:]), -1, 1))
        # A hairpin between two samples shows in their tangents only.
        self.turn = np.append(0.0, np.cumsum(np.maximum(bend[:-1], angle)))

    def facing(self, i: Index, j: Index) -> NDArray[np.bool_]:
        """Which pairs have a good part of a half turn between them: others are neighbours."""
        way = np.abs(self.turn[j] - self.turn[i])
        if self.closed:
            way = np.minimum(way, self.turn[-1] - way)
        return way >= 0.5 * np.pi

    def following(self, i: Index) -> Index:
        """The next sample; over the seam of a closed curve."""
        return (i + 1) % len(self.s) if self.closed else np.minimum(i + 1, len(self.s) - 1)


def _pairs_of_all(at: _Sampled) -> tuple[Float, Float, float]:
    """Arc lengths of pairs in whose cell of the full grid both scalar products change sign."""
    along = dot(at.c, at.T)
    # first[i, j] = (c_i - c_j) . T_i; the second product is -first[j, i].
    sign = along[:, None] - at.T @ at.c.T >= 0
    if at.closed:
        ring = np.append(np.arange(len(at.s)), 0)
        sign = sign[np.ix_(ring, ring)]
    here = sign[:-1, :-1]
    changes = (here != sign[1:, :-1]) | (here != sign[:-1, 1:]) | (here != sign[1:, 1:])
    i, j = np.nonzero(np.triu(changes & changes.T, 2))
    return _chosen(at, i, j)


def _pairs_within(at: _Sampled, radius: float) -> tuple[Float, Float, float]:
    """The same for pairs nearer than `radius`."""
    from scipy.spatial import cKDTree

    i, j = cKDTree(at.c).query_pairs(radius, output_type="ndarray").T
    i, j = np.minimum(i, j), np.maximum(i, j)
    keep = at.facing(i, j)
    i, j = i[keep], j[keep]
    corners = [(a, b) for a in (i, at.following(i)) for b in (j, at.following(j))]
    first = np.array([dot(at.c[a] - at.c[b], at.T[a]) >= 0 for a, b in corners])
    second = np.array([dot(at.c[a] - at.c[b], at.T[b]) >= 0 for a, b in corners])
    changes = first.any(axis=0) & ~first.all(axis=0) & second.any(axis=0) & ~second.all(axis=0)
    return _chosen(at, i[changes], j[changes])


def _chosen(at: _Sampled, i: Index, j: Index) -> tuple[Float, Float, float]:
    """Of the facing pairs the nearest ones: a coil has thousands that are all the same."""
    keep = at.facing(i, j)
    i, j = i[keep], j[keep]
    nearest = np.argsort(norm(at.c[i] - at.c[j]), kind="stable")[:_MOST_PAIRS]
    return at.s[i[nearest]], at.s[j[nearest]], at.step


def _refined(straightening: Straightening, a: Float, b: Float, step: float) -> tuple[Float, Float]:
    """Distances of the doubly-critical pairs near arc lengths a, b, and the slices' reach there."""
    if not len(a):
        return np.empty(0), np.empty(0)
    curve = straightening.curve
    start = np.stack([a, b], axis=1) + 0.5 * step
    at = start.copy()
    for _ in range(20):
        gap, p, q = _gap(straightening, at)
        value = np.stack([dot(gap, p.T), dot(gap, q.T)], axis=1)
        across = dot(p.T, q.T)
        jacobian = np.empty((len(at), 2, 2))
        jacobian[:, 0, 0] = 1.0 + dot(gap, p.curvature)
        jacobian[:, 0, 1] = -across
        jacobian[:, 1, 0] = across
        jacobian[:, 1, 1] = -1.0 + dot(gap, q.curvature)
        # Least squares: two parallel limbs are critical along a whole line.
        move = -np.einsum("nij,nj->ni", np.linalg.pinv(jacobian, rcond=1e-9), value)
        move *= np.minimum(1.0, step / np.maximum(np.abs(move).max(axis=1), 1e-300))[:, None]
        at += move
        if not curve.closed:
            at = np.clip(at, 0.0, curve.length)
        if np.abs(move).max() < 1e-9 * step:
            break
    gap, p, q = _gap(straightening, at)
    distance = norm(gap)
    off = np.maximum(np.abs(dot(gap, p.T)), np.abs(dot(gap, q.T)))
    wandered = np.abs(at - start).max(axis=1)
    apart = np.abs(at[:, 0] - at[:, 1])
    if curve.closed:
        apart = np.minimum(apart % curve.length, -apart % curve.length)
    # Points that have run into each other are at distance 0 of themselves, no pair.
    other = apart > np.maximum(1.5 * distance, 1e-3 * step)
    near = off <= np.maximum(1e-3 * distance, _CROSSING * step)
    good = near & other & (wandered <= 4 * step)
    reach = _reach(straightening, at[good, 0], gap[good]) + _reach(
        straightening, at[good, 1], gap[good]
    )
    return distance[good], reach


def _gap(straightening: Straightening, at: Float) -> tuple[Float, CurvePoints, CurvePoints]:
    """Vectors between pairs of points at arc lengths (n, 2), and the curve at both."""
    p = straightening.curve.evaluate(at[:, 0])
    q = straightening.curve.evaluate(at[:, 1])
    return p.c - q.c, p, q


def _reach(straightening: Straightening, s: Float, way: Float) -> Float:
    """How far the slices at arc lengths s reach along directions in their planes, in nm.

    Where the curve crosses itself there is no direction: as far as the slice reaches at all.
    """
    frames = straightening.frames
    k = np.clip(np.searchsorted(frames.s, s), 0, len(frames) - 1)
    length = norm(way)
    half = 0.5 * np.array([straightening.width, straightening.height]) * straightening.pitch_nm
    # Times the length of the way, which may be 0.
    reach = np.abs(dot(frames.N[k], way)) * half[0] + np.abs(dot(frames.B[k], way)) * half[1]
    crossing = length <= _CROSSING * straightening.spacing_nm
    return np.where(crossing, np.hypot(*half), reach / np.where(crossing, 1.0, length))
