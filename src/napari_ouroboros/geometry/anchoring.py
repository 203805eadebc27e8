"""Twist keyframes that hold the slices still while the trace is edited.

Rotation-minimising frames are carried from the start of the curve: an edit in one place turns
every slice behind it. Here the turn is measured and taken back by keyframes, so that it is spread
over the spans that moved and the others keep their orientation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import pchip
from napari_ouroboros.geometry.frames import default_normal
from napari_ouroboros.geometry.moved import Correspondence
from napari_ouroboros.geometry.old_turn import OldTurn
from napari_ouroboros.geometry.pchip import Node
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.geometry.vectors import cross, dot
from napari_ouroboros.geometry.walk import Walk, angle, any_normal, least_turn, walk_of

Float = NDArray[np.float64]
Twist = list[tuple[float, float]]

# Frames are compared exactly wherever the curve moved by over this share of the tolerance.
_FRINGE = 0.02
# A smoothed curve moves a little everywhere: what moves by so little of the most is held too.
_SMOOTH_SHARE = 0.05
# Of the tolerance as an angle, for keyframes that are left out or stand in for others.
_SHARE = 0.125
_LEAST_DEGREES = 1e-4


def reanchored(
    old_trace: Trace,
    old_twist: Sequence[tuple[float, float]] | None,
    new_trace: Trace,
    keep_s: Sequence[float],
    reach_nm: float,
    tolerance_nm: float,
) -> tuple[Twist, list[int]]:
    """The twist of an edited trace with which slices that did not move do not turn either.

    Where the curve moved by less than the tolerance a slice keeps its orientation: its corners
    move by about the tolerance, and next to the spans that moved, where the curve's own tangent
    has turned a little, about the curve by no more than by that. Over the spans that moved the
    turn that is left is spread smoothly. A reversed trace keeps the up sides
    (N and T flip, B stays). If everything moved, the place whose tangent changed least keeps its
    orientation.

    In a drag, start from the trace and the twist at its beginning every time: small steps, each
    within the tolerance, would add up.

    Parameters
    ----------
    old_trace, new_trace : Trace
    old_twist : sequence of (s_nm, degrees), optional
        Keyframes of the old trace.
    keep_s : sequence of float
        Arc lengths on the old curve, in nm, of keyframes that are not to be dropped (the user's).
        Where the curve moved they keep their orientation as nearly as their tangent allows.
    reach_nm : float
        How far a slice reaches: half its diagonal.
    tolerance_nm : float
        A hundredth of a voxel, say.

    Returns
    -------
    twist : list of (s_nm, degrees)
        For the new trace, in order; empty if none is needed.
    kept : list of int
        Where in `twist` each of `keep_s` is.
    """
    return _Anchoring(
        walk_of(old_trace), OldTurn, old_twist or [], walk_of(new_trace), keep_s, reach_nm,
        tolerance_nm, old_trace.tolerance_nm > 0 or new_trace.tolerance_nm > 0,
    ).twist()  # fmt: skip


class _Anchoring:
    """One edit. Angles are in degrees, arc lengths along the new curve unless they say old."""

    def __init__(
        self, old: Walk, turn_of: type[OldTurn], old_twist: Sequence[tuple[float, float]],
        new: Walk, keep_s: Sequence[float], reach: float, tolerance: float, smooth: bool,
    ) -> None:  # fmt: skip
        self.new, self.tolerance = new, tolerance
        self.found = found = Correspondence(old, new, tolerance)
        self.old = found.old
        self.turn = turn_of(old, old_twist, found.backwards)
        self.allowed = _SHARE * max(np.degrees(tolerance / max(reach, tolerance)), _LEAST_DEGREES)
        self.drift = new.closing_degrees() / new.length if new.closed else 0.0
        self.stays = found.stays
        if smooth and len(self.stays):
            limit = max(tolerance, _SMOOTH_SHARE * float(found.deviation.max()))
            self.stays = found.stays | (found.deviation <= limit)
        at = self.old.length - np.asarray(keep_s, float) if found.backwards else keep_s
        self.keep_old = np.asarray(at, float).reshape(-1)
        self.keep_new = self._keep_places()
        self.delta = self._deltas()

    # -- how the two carried frames lie to each other ----------------------------------------

    def _deltas(self) -> Float:
        """Angle from the new carried frame to the old one at each point that both have."""
        found, chain = self.found, self.found.chain
        m = len(chain)
        if not m:
            return np.zeros(0)
        t_old = self.old.parameter_of(chain[:, 0])
        t_new = self.new.parameter_of(chain[:, 1])
        start_old, normal_old = self._old_start()
        normal_new = default_normal(self.new.frame_line(np.zeros(1))[1][0])
        one = self.new.turn(0.0, float(t_new[0])) @ normal_new
        other = self.old.turn(start_old, float(t_old[0])) @ normal_old
        changes = np.zeros(m)
        tangents_old, tangents_new = self.old.frame_line(t_old)[1], self.new.frame_line(t_new)[1]
        changes[0] = angle(one, least_turn(other, tangents_old[0], tangents_new[0]),
                           tangents_new[0])  # fmt: skip
        todo = np.flatnonzero((found.deviation > _FRINGE * self.tolerance) | ~found.stays)
        if len(todo):
            carried_old = self._carried(self.old, t_old, chain[:, 0], todo)
            carried_new = self._carried(self.new, t_new, chain[:, 1], todo)
            a, b = tangents_old, tangents_new
            n_new = np.array([any_normal(t) for t in b[todo]])
            n_old = _least_turns(n_new, b[todo], a[todo])
            n_new = np.einsum("nij,nj->ni", carried_new, n_new)
            n_old = np.einsum("nij,nj->ni", carried_old, n_old)
            n_old = _least_turns(n_old, a[todo + 1], b[todo + 1])
            sine = dot(cross(n_new, n_old), b[todo + 1])
            changes[todo + 1] = np.degrees(np.arctan2(sine, dot(n_new, n_old)))
        return np.cumsum(changes)

    def _old_start(self) -> tuple[float, Float]:
        """Where the old carried frame started, as a parameter of the walk, and its normal there."""
        if not self.found.backwards:
            return 0.0, default_normal(self.old.frame_line(np.zeros(1))[1][0])
        end = float(self.old.parameters[-1])
        # N and T flip, B stays.
        return end, -default_normal(-self.old.frame_line(np.array([end]))[1][0])

    @staticmethod
    def _carried(
        walk: Walk, t: Float, numbers: NDArray[np.int64], todo: NDArray[np.int64]
    ) -> Float:
        single = np.diff(numbers)[todo] == 1
        out = np.empty((len(todo), 3, 3))
        if single.any():
            out[single] = walk.turns(t[todo[single]], t[todo[single] + 1])
        for i in np.flatnonzero(~single):
            out[i] = walk.turn(float(t[todo[i]]), float(t[todo[i] + 1]))
        return out

    def _delta_at(self, s: float, s_old: float) -> float:
        """The same angle at some place, carried there from the point before it."""
        if not len(self.delta):
            start_old, n_old = self._old_start()
            t_old, t_new, delta = start_old, 0.0, 0.0
            n_new = default_normal(self.new.frame_line(np.zeros(1))[1][0])
        else:
            k = int(np.clip(np.searchsorted(self.found.new_s, s, side="right") - 1, 0, None))
            t_old, t_new = (
                float(walk.parameter_of(self.found.chain[k : k + 1, i])[0])
                for i, walk in enumerate((self.old, self.new))
            )
            delta = float(self.delta[k])
            a = self.old.frame_line(np.array([t_old]))[1][0]
            b = self.new.frame_line(np.array([t_new]))[1][0]
            n_new = any_normal(b)
            n_old = least_turn(n_new, b, a)
        to_old = float(self.old.parameter_at(np.array([s_old]))[0])
        to_new = float(self.new.parameter_at(np.array([s]))[0])
        before = self.old.frame_line(np.array([to_old]))[1][0]
        after = self.new.frame_line(np.array([to_new]))[1][0]
        if before @ after < -0.98:
            return delta  # turned right round: no way of turning it along is the nearest
        n_old = least_turn(self.old.turn(t_old, to_old) @ n_old, before, after)
        return delta + angle(self.new.turn(t_new, to_new) @ n_new, n_old, after)

    # -- nodes ---------------------------------------------------------------------------------

    def twist(self) -> tuple[Twist, list[int]]:
        nodes = self._runs()
        inside = {node.keep for node in nodes if node.keep >= 0}
        free = [i for i in range(len(self.keep_new)) if i not in inside]
        for i in free:
            s, s_old = float(self.keep_new[i]), float(self.keep_old[i])
            value = self._delta_at(s, s_old) + self.turn.value(s_old) + self.drift * s
            nodes.append(Node(s, value, None, None, i))
        if not nodes:
            nodes = [self._anchor()]
        nodes = _apart(sorted(nodes, key=lambda node: node.s), 4 * self._close)
        nodes, period = self._around(nodes)
        nodes = pchip.companions(nodes, period, self.allowed, self._close)
        values = np.array([node.value for node in nodes])
        if not len(self.keep_new) and np.ptp(values) <= 1e-9:
            mean = float(values[0])
            return ([] if abs(mean) <= 1e-9 else [(0.0, mean)]), []
        kept = {node.keep: i for i, node in enumerate(nodes) if node.keep >= 0}
        return [(n.s, n.value) for n in nodes], [kept[i] for i in range(len(self.keep_new))]

    @property
    def _close(self) -> float:
        """How close a companion is: a slice does not see it."""
        return 0.5 * self.tolerance

    def _runs(self) -> list[Node]:
        """Nodes on the stretches that stayed, neighbouring ones taken together."""
        s, s_old, delta, stays = self.found.new_s, self.found.old_s, self.delta, self.stays
        if not stays.any():
            return []
        first, end = 0, len(stays)
        if self.new.closed and self.old.closed and not stays.all():
            # Once round from where something moved, so that no run is cut at the seam.
            first = int(np.argmin(stays))
            end += first
            s = np.append(s, s[1:] + self.new.length)
            s_old = np.append(s_old, s_old[1:] + self.old.length)
            delta = np.append(delta, delta[1:] + delta[-1] - delta[0])
            stays = np.tile(stays, 2)
        out: list[Node] = []
        edges = np.flatnonzero(np.diff(np.concatenate([[0], stays[first:end], [0]]))) + first
        for k, last in edges.reshape(-1, 2):
            part = slice(k, last + 1)
            run = pchip.merged(self._nodes(s[part], s_old[part], delta[part]), 3.5 * self._close)
            out += pchip.monotone(pchip.thinned(run, self.allowed), self.allowed)
        return out

    def _nodes(self, s: Float, s_old: Float, delta: Float) -> list[Node]:
        """Nodes of the old turn on one run, whose stretches end at these arc lengths."""
        low, high = float(s[0]), float(s[-1])
        to_new, to_old, away = _Linear(s_old, s), _Linear(s, s_old), _Linear(s, delta)
        places: dict[float, int] = {low: -1, high: -1}
        for key in self.turn.keys(float(s_old[0]), float(s_old[-1])):
            places.setdefault(float(np.clip(to_new(key), low, high)), -1)
        for i in self._drifting(delta):
            places.setdefault(float(s[i]), -1)
        for i, place in enumerate(self.keep_new):
            at = float(place)
            if self.new.closed:
                at += self.new.length * np.ceil((low - at) / self.new.length - 1e-9)
            if low - 1e-9 * self.new.length <= at <= high:
                near = min(places, key=lambda p: abs(p - at))
                if abs(near - at) <= 1e-9 * self.new.length and places[near] < 0:
                    places[near] = i
                else:
                    places.setdefault(at, i)
        out = []
        for at in sorted(places):
            before = self.turn.slope(to_old(at), -1) + self.drift if at > low else None
            after = self.turn.slope(to_old(at), 1) + self.drift if at < high else None
            value = away(at) + self.turn.value(to_old(at)) + self.drift * at
            out.append(Node(at, value, before, after, places[at]))
        return out

    def _drifting(self, delta: Float) -> list[int]:
        """Points between which the carried frames still part, though the curve hardly moved."""
        differs = np.abs(np.diff(delta)) > 0.25 * self.allowed
        ends = np.flatnonzero(differs)
        return sorted({*ends.tolist(), *(ends + 1).tolist()} - {0, len(delta) - 1})

    def _keep_places(self) -> Float:
        """Arc lengths on the new curve of `keep_s`, where it has moved as well."""
        own = self.old.length - self.keep_old if self.found.backwards else self.keep_old
        return self.found.to_new(own, nearest=True)

    def _anchor(self) -> Node:
        """Everything moved: the place whose tangent changed least keeps its orientation."""
        if len(self.delta):
            chain = self.found.chain
            before = self.old.frame_line(self.old.parameter_of(chain[:, 0]))[1]
            after = self.new.frame_line(self.new.parameter_of(chain[:, 1]))[1]
            k = int(np.argmax(np.round(dot(before, after), 9)))
            s, s_old, delta = self.found.new_s[k], self.found.old_s[k], self.delta[k]
        else:
            s, s_old = 0.0, 0.0
            delta = self._delta_at(0.0, 0.0)
        return Node(float(s), float(delta + self.turn.value(s_old) + self.drift * s), None, None)

    def _around(self, nodes: list[Node]) -> tuple[list[Node], float | None]:
        """On a closed curve nodes within it, and its length unless whole turns are left over."""
        if not self.new.closed:
            return nodes, None
        length = self.new.length
        first, last = nodes[0], nodes[-1]
        whole = self.stays.all() and len(self.stays) > 0 and self.old.closed
        over = last.value - first.value
        if whole or last.s - first.s >= length - 4 * self._close:
            turns = round(over / 360)
            # The last node is the first again, but for rounding.
            nodes = [*nodes[:-1]]
            nodes[0] = Node(first.s, first.value, last.left, first.right,
                            first.keep if first.keep >= 0 else last.keep)  # fmt: skip
        else:
            turns = self._whole_turns(first, last)
        return _from_zero(nodes, length, 360.0 * turns)

    def _whole_turns(self, first: Node, last: Node) -> int:
        """Turns that the twist makes on the way round."""
        if self.old.closed and len(self.delta) > 1:
            turned = self.delta[-1] - self.delta[0]
            turned += self.turn.loop + self.drift * self.new.length
            return round(turned / 360)
        return round((last.value - first.value) / 360)


class _Linear:
    """Linear between places that do not fall."""

    def __init__(self, x: Float, y: Float) -> None:
        self._x, self._y = np.maximum.accumulate(x), y

    def __call__(self, at: float) -> float:
        return float(np.interp(at, self._x, self._y))


def _least_turns(vectors: Float, before: Float, after: Float) -> Float:
    return np.array([least_turn(v, a, b) for v, a, b in zip(vectors, before, after, strict=True)])


def _apart(nodes: list[Node], least: float) -> list[Node]:
    """No two nodes in one place: the later one goes on a little, or is dropped if nobody's."""
    out: list[Node] = []
    for node in nodes:
        if out and node.s - out[-1].s < least:
            if node.keep < 0 and (out[-1].keep >= 0 or node.right is None):
                continue
            if out[-1].keep < 0 and out[-1].left is None:
                out.pop()
            else:
                s = out[-1].s + least
                node = Node(s, node.value, node.left, node.right, node.keep)
        out.append(node)
    return out


def _from_zero(nodes: list[Node], length: float, turns: float) -> tuple[list[Node], float | None]:
    """Nodes of a loop from 0 to its length; the value gains `turns` on the way round."""
    moved = []
    for node in nodes:
        loops = np.floor(node.s / length)
        s = node.s - loops * length
        if s >= length * (1 - 1e-12):
            s, loops = 0.0, loops + 1
        moved.append(Node(float(s), float(node.value - loops * turns), node.left, node.right,
                          node.keep))  # fmt: skip
    moved.sort(key=lambda node: node.s)
    if not turns:
        return moved, length
    # Whole turns: a key at both ends, the same but for them.
    first, last = moved[0], moved[-1]
    if first.s > 1e-9 * length:
        before = Node(last.s - length, last.value - turns, last.left, last.right)
        share = -before.s / (first.s - before.s)
        if before.right is not None and first.left is not None:
            value, slope = pchip.hermite(np.array(0.0), before.s, first.s, before.value,
                                         first.value, before.right, first.left)  # fmt: skip
            seam = Node(0.0, float(value), float(slope), float(slope))
        else:
            seam = Node(0.0, before.value + share * (first.value - before.value), None, None)
        moved.insert(0, seam)
    first = moved[0]
    moved.append(Node(length, first.value + turns, first.left, None))
    moved[0] = Node(0.0, first.value, None, first.right, first.keep)
    return moved, None
