"""What an edit of a trace moved, and where the rest of the curve is now."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.vectors import cross, dot, norm
from napari_ouroboros.geometry.walk import Walk

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening

Float = NDArray[np.float64]
Index = NDArray[np.int64]

# Points that agree to this many nm are the same point: layers keep them in other units.
_SAME_NM = 1e-5
# Where in a span the curves are compared: the difference of two cubics is largest at 1/3, 1/2, 2/3.
_PER_SPAN = np.array([0.1, 1 / 3, 0.5, 2 / 3, 0.9])
# A trace that has changed altogether is compared roughly.
_MOST_SPANS_TOGETHER = 50


class Correspondence:
    """Where a curve stayed when its trace was edited: from old arc lengths to new ones.

    Points of the trace that both have, in order, cut both curves into stretches. A stretch has
    stayed if nowhere on it the new curve leaves the old one by more than a tolerance. It does not
    matter how the old curve was parametrised, at which point a closed one began, or whether the
    trace was reversed.

    Parameters
    ----------
    old, new : Curve or Walk
    tolerance_nm : float

    Attributes
    ----------
    backwards : bool
        The new curve runs the other way.
    old, new : Walk
        The curves, both walked in the direction of the new one.
    chain : int array (m, 2)
        Numbers of the points that both have: (old, new) along the walks; on closed curves they go
        on over the seam, and the last is the first again.
    deviation : array (m - 1,)
        Largest distance of the new curve from the old one on each stretch between them, nm.
    stays : bool array (m - 1,)
    old_s, new_s : arrays (m,)
        Arc lengths along the walks of the ends of the stretches.
    """

    def __init__(self, old: Curve | Walk, new: Curve | Walk, tolerance_nm: float) -> None:
        first = old if isinstance(old, Walk) else Walk(old)
        self.new = new if isinstance(new, Walk) else Walk(new)
        self.tolerance_nm = float(tolerance_nm)
        self.chain, self.backwards = _chain(first.curve, self.new.curve)
        self.old = Walk(first.curve, backwards=True) if self.backwards else first
        self._compare()

    @property
    def moved(self) -> Float:
        """Spans (k, 2) of the new curve's arc length that moved, in order; closed: within 0..L."""
        length, spans = self.new.length, []
        m = len(self.chain)
        if not self.new.closed:
            edges = np.concatenate([[0.0], self.new_s, [length]])
            moved = np.concatenate([[m == 0 or self.new_s[0] > 0], ~self.stays, [True]])[: m + 1]
        else:
            start = self.new_s[0] if m else 0.0
            edges = np.append(self.new_s, start + length)
            moved = np.append(~self.stays, [True] * (len(edges) - 1 - len(self.stays)))
        for a, b, does in zip(edges[:-1], edges[1:], moved, strict=True):
            if does and b - a > 1e-12 * length:
                spans.append((a, b))
        joined: list[tuple[float, float]] = []
        for a, b in _within_loop(spans, length) if self.new.closed else spans:
            if joined and a <= joined[-1][1] + 1e-12 * length:
                joined[-1] = (joined[-1][0], b)
            else:
                joined.append((a, b))
        return np.array(joined, np.float64).reshape(-1, 2)

    def to_new(self, s_old: ArrayLike, nearest: bool = False) -> Float:
        """New arc lengths (n,) nm of places on the old curve; NaN where it moved.

        With `nearest` moved places have one as well: as far between what stayed.
        """
        s = np.atleast_1d(np.asarray(s_old, np.float64))
        along = self.old.length - s if self.backwards else s
        found = _mapped(along, self.old, self.new, self.old_s, self.new_s, self.stays, nearest)
        return found

    def to_old(self, s_new: ArrayLike, nearest: bool = False) -> Float:
        """Old arc lengths (n,) nm of places on the new curve; NaN where it moved."""
        s = np.atleast_1d(np.asarray(s_new, np.float64))
        found = _mapped(s, self.new, self.old, self.new_s, self.old_s, self.stays, nearest)
        if self.backwards:
            found = self.old.length - found
        return np.mod(found, self.old.length) if self.old.closed else found

    # -- how ------------------------------------------------------------------------------

    def _compare(self) -> None:
        chain = self.chain
        self.new_s = self.new.arc_length(self.new.parameter_of(chain[:, 1]))
        self.old_s = self.old.arc_length(self.old.parameter_of(chain[:, 0]))
        m = max(len(chain) - 1, 0)
        self.deviation = np.zeros(m)
        self.stays = np.zeros(m, bool)
        if not m:
            return
        # Samples of every stretch, its ends among them: a smoothed curve misses the points.
        spans = np.minimum(np.diff(chain, axis=0).max(axis=1), _MOST_SPANS_TOGETHER)
        samples = {k: np.concatenate([[0.0], _even(k), [1.0]]) for k in set(spans.tolist())}
        fractions = [samples[k] for k in spans.tolist()]
        counts = np.array([len(f) for f in fractions])
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        stretch = np.repeat(np.arange(m), counts)
        u = np.concatenate(fractions)
        t_new = _blend(self.new.parameter_of(chain[:, 1]), stretch, u)
        edges = self.old.parameter_of(chain[:, 0])
        t_old = _blend(edges, stretch, u)
        slack = 0.1 * (edges[stretch + 1] - edges[stretch])
        low, high = edges[stretch] - slack, edges[stretch + 1] + slack
        position = self.new.positions(t_new)
        away = norm(self.old.positions(t_old) - position)
        t_old, away = self._project(position, t_old, away, low, high)
        self.deviation = np.maximum.reduceat(away, first)
        length = np.diff(self.new_s)
        # Slack at the ends: the old place nearest to a new end, not that of the same point.
        ends = self.old.arc_length(np.stack([t_old[first], t_old[first + counts - 1]]).ravel())
        begin, end = np.split(ends, 2)
        same_length = np.abs(end - begin - length) <= 4 * self.tolerance_nm + 1e-3 * length
        self.stays = (self.deviation <= self.tolerance_nm) & same_length
        # Of two stretches that stayed and meet, both ends are the same place.
        after, before = np.flatnonzero(self.stays), np.flatnonzero(self.stays) + 1
        self.old_s[after] = begin[after]
        self.old_s[before] = end[after]

    def _project(
        self, position: Float, t: Float, away: Float, low: Float, high: Float
    ) -> tuple[Float, Float]:
        """Parameters of the old curve's points nearest to positions, and the distances."""
        t, away = t.copy(), away.copy()
        todo = np.flatnonzero(away > 1e-3 * self.tolerance_nm)
        for _ in range(8):
            if not len(todo):
                break
            c, first, second = self.old.derivatives(t[todo])
            gap = c - position[todo]
            bend = dot(first, first) + dot(gap, second)
            speed2 = np.maximum(dot(first, first), 1e-300)
            step = -dot(gap, first) / np.where(bend > 0.2 * speed2, bend, speed2)
            moved = np.clip(t[todo] + step, low[todo], high[todo])
            distance = norm(self.old.positions(moved) - position[todo])
            better = distance < away[todo]
            change = np.abs(moved - t[todo]) * np.sqrt(speed2)
            t[todo] = np.where(better, moved, t[todo])
            away[todo] = np.where(better, distance, away[todo])
            todo = todo[better & (change > 0.02 * self.tolerance_nm)]
        return t, away


def slices_moved(old: Straightening, new: Straightening, tolerance_nm: float) -> Float:
    """For each new slice the old one that shows the same.

    A slice shows the same if the curve has not moved there by more than the tolerance, and the
    old slice that lies nearest along the curve (half a slice away at most; behind the old ones a
    whole one) is turned about it by no more than half a pixel at the corners.

    Parameters
    ----------
    old, new : Straightening
        With pixel size and distance between slices known.
    tolerance_nm : float
        A hundredth of a voxel, say.

    Returns
    -------
    array (n,)
        Positions among the old slices, between them too; the nearest is to be shown. NaN: there
        is none, the slice must be computed.
    """
    nothing = np.full(len(new.frames), np.nan)
    if (old.width, old.height, old.pitch_nm) != (new.width, new.height, new.pitch_nm):
        return nothing
    if old is new:
        return np.arange(len(new.frames), dtype=np.float64)
    found = Correspondence(old.curve, new.curve, tolerance_nm)
    if found.backwards:
        return nothing  # seen from behind
    s = found.to_old(new.frames.s)
    known = ~np.isnan(s)
    at, n = old.frames.s, len(old.frames)
    position = np.full(len(s), np.nan)
    if old.frames.closed:
        ring = np.concatenate([at, [old.curve.length + at[0]]])
        inner = np.mod(s[known] - at[0], old.curve.length) + at[0]
        position[known] = np.interp(inner, ring, np.arange(n + 1))
        nearest = np.round(position[known]).astype(np.int64) % n
    else:
        position[known] = np.interp(s[known], at, np.arange(n))
        nearest = np.round(position[known]).astype(np.int64)
    fresh = new.frames.N[known]
    before, tangent = old.frames.N[nearest], new.frames.T[known]
    turned = np.arctan2(dot(cross(before, fresh), tangent), dot(before, fresh))
    same = np.abs(turned) * new.reach_nm <= 0.5 * new.pitch_nm
    position[np.flatnonzero(known)[~same]] = np.nan
    return position


def _even(spans: int) -> Float:
    return np.asarray((np.arange(spans)[:, None] + _PER_SPAN).ravel() / spans)


def _blend(edges: Float, stretch: Index, u: Float) -> Float:
    # Exact at both ends.
    return np.asarray(edges[stretch] * (1 - u) + edges[stretch + 1] * u)


def _mapped(
    s: Float, here: Walk, there: Walk, from_s: Float, to_s: Float, stays: NDArray[np.bool_],
    nearest: bool,
) -> Float:  # fmt: skip
    """Arc lengths along one walk as those along the other, linear between the stretches' ends."""
    if not len(from_s):
        share = s / here.length * there.length
        return share if nearest else np.full(len(s), np.nan)
    inner = np.mod(s - from_s[0], here.length) + from_s[0] if here.closed else s
    # A place on the edge belongs to the neighbour that stayed.
    rounding = 1e-9 * here.length
    x = np.maximum.accumulate(from_s)
    y = np.maximum.accumulate(to_s)
    value = np.interp(inner, x, y)
    outside = (inner < x[0] - rounding) | (inner > x[-1] + rounding)
    if outside.any() and not here.closed:
        value = np.where(inner < x[0], y[0] * np.clip(inner / max(x[0], 1e-300), 0, 1), value)
        left, room = max(here.length - x[-1], 1e-300), there.length - y[-1]
        tail = y[-1] + max(room, 0.0) * np.clip((inner - x[-1]) / left, 0, 1)
        value = np.where(inner > x[-1], y[-1] if there.closed else tail, value)
    if there.closed:
        value = np.mod(value, there.length)
    if nearest:
        return np.asarray(value)
    known = np.zeros(len(s), bool)
    for nudge in (-rounding, rounding):
        k = np.searchsorted(x, inner + nudge, side="right") - 1
        good = (k >= 0) & (k < len(stays))
        known |= good & stays[np.clip(k, 0, max(len(stays) - 1, 0))] if len(stays) else False
    return np.where(known, value, np.nan)


def _within_loop(spans: list[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    """Spans that go over the seam, cut there; in order."""
    out = []
    for a, b in spans:
        turns = np.floor(a / length)
        a, b = a - turns * length, b - turns * length
        out += [(a, length), (0.0, b - length)] if b > length * (1 + 1e-12) else [(a, b)]
    return sorted(out)


def _chain(old: Curve, new: Curve) -> tuple[Index, bool]:
    """Points (old, new) that both traces have, in order, and whether the new one is reversed."""
    found = _same_points(old.points_nm, new.points_nm)
    n_old, n_new = len(old.points_nm), len(new.points_nm)
    at = np.flatnonzero(found >= 0)
    where = found[at]
    # Which way most neighbours go; two places left of three may have swapped over the seam.
    way = np.sign(_shortest(np.diff(where), n_old, old.closed))
    way *= np.sign(_shortest(np.diff(at), n_new, new.closed))
    backwards = bool((way < 0).sum() > (way > 0).sum())
    if backwards:
        where = n_old - 1 - where
        if old.closed:
            # Backwards a closed walk begins at the same first point.
            where = (where + 1) % n_old
    if len(where) and old.closed:
        where = where[0] + (where - where[0]) % n_old
    keep = _longest_rising(where)
    chain = np.stack([where[keep], at[keep]], axis=1).astype(np.int64).reshape(-1, 2)
    if len(chain) and old.closed and new.closed:
        chain = np.vstack([chain, chain[:1] + [n_old, n_new]])
    return chain, backwards


def _shortest(steps: Index, n: int, closed: bool) -> Index:
    """Steps from point to point, the shorter way round a loop."""
    return np.asarray((steps + n // 2) % n - n // 2 if closed else steps)


def _same_points(old: Float, new: Float) -> Index:
    """For each new point the number of the old one at the same place, or -1."""
    cells = [np.round(points / _SAME_NM).astype(np.int64) for points in (old, new)]
    keys = [list(map(tuple, cell.tolist())) for cell in cells]
    places: dict[tuple[int, ...], list[int]] = {}
    for i, key in enumerate(keys[0]):
        places.setdefault(key, []).append(i)
    several = Counter(keys[1])
    out = np.full(len(new), -1, np.int64)
    last = -1
    for j, key in enumerate(keys[1]):
        here = places.get(key)
        if here is None:
            continue
        if len(here) == 1 and several[key] == 1:
            out[j] = last = here[0]
        else:
            # A trace that passes a place twice: the next time it does so.
            k = bisect_right(here, last)
            out[j] = last = here[k % len(here)]
    return out


def _longest_rising(values: Index) -> Index:
    """Indices of a longest strictly increasing subsequence."""
    if np.all(np.diff(values) > 0):
        return np.arange(len(values))
    tails: list[int] = []
    ends: list[int] = []
    before = [-1] * len(values)
    for i, value in enumerate(values.tolist()):
        k = bisect_left(tails, value)
        before[i] = ends[k - 1] if k else -1
        if k == len(tails):
            tails.append(value)
            ends.append(i)
        else:
            tails[k], ends[k] = value, i
    out = []
    i = ends[-1]
    while i >= 0:
        out.append(i)
        i = before[i]
    return np.array(out[::-1], np.int64)
