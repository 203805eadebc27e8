"""One trace that can be edited: every edit makes a new state, every state can come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.vectors import cross, dot, norm
from napari_ouroboros.widgets.trace import twisting
from napari_ouroboros.widgets.trace.state import Keyframe, Rule, TraceState

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening

__all__ = ["Keyframe", "TraceModel", "TraceState"]

Float = NDArray[np.float64]

#: So many steps can be undone.
_HISTORY = 1000


class TraceModel:
    """A trace with undo and redo. No Qt, no napari.

    Parameters
    ----------
    name : str
        As people know it; whoever shows the trace keeps it up to date.
    points_nm : array (n, 3), optional
        zyx, nm.

    Attributes
    ----------
    state : TraceState
        As it is now; to be taken, not to be changed.
    dragging : bool
        Points are being dragged: the next state is a moment away.
    reach_nm : float
        Half the diagonal of a slice, and
    keep_nm : float
        how far its corners may wander where the curve stays: for the slices far from an edit.
    spacing_nm : float
        Distance between slices.
    """

    #: After every change, each step of a drag included.
    changed = Signal()

    def __init__(self, name: str = "trace", points_nm: ArrayLike = ()) -> None:
        self.name = name
        self.state = TraceState(points_nm)
        self.dragging = False
        self.reach_nm, self.keep_nm, self.spacing_nm = 1000.0, 0.1, 0.0
        self._next_id = len(self.state)
        self._undo: list[TraceState] = []
        self._redo: list[TraceState] = []
        self._drag_start: TraceState | None = None
        self._dragged: dict[int, Float] = {}

    def __repr__(self) -> str:
        return f"<TraceModel {self.name!r}: {self.state!r}>"

    # -- history --------------------------------------------------------------------------

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._undo) or self.dragging

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self._redo) and not self.dragging

    def undo(self) -> None:
        """Take the last edit back; in mid-drag, the drag."""
        if self.dragging:
            self.cancel_drag()
        elif self._undo:
            self._redo.append(self.state)
            self.state = self._undo.pop()
            self.changed.emit()

    def redo(self) -> None:
        """Do again what was undone last."""
        if self.can_redo:
            self._undo.append(self.state)
            self.state = self._redo.pop()
            self.changed.emit()

    def begin_with(self, state: TraceState) -> None:
        """Be as in a file that was saved; there is nothing to undo."""
        self.cancel_drag()
        self._undo.clear()
        self._redo.clear()
        # Points of its own: none is one of those that were there before.
        ids = self._new_ids(len(state))
        self.state = state.changed(ids=ids)
        self.changed.emit()

    def become(self, state: TraceState) -> None:
        """Be as another state, points and settings alike; one edit, which `undo` takes back."""
        self._do(state.changed(ids=self._new_ids(len(state))))

    def _do(self, state: TraceState) -> None:
        self.end_drag()
        self._remember(self.state)
        self.state = state
        self.changed.emit()

    def _remember(self, state: TraceState) -> None:
        self._undo.append(state)
        del self._undo[:-_HISTORY]
        self._redo.clear()

    # -- points ---------------------------------------------------------------------------

    def append(self, point_nm: ArrayLike, at_start: bool = False) -> None:
        """Go on to a point (3,) zyx nm from the last one, or from the first."""
        self.insert(point_nm, -1 if at_start else len(self.state) - 1)

    def insert(self, point_nm: ArrayLike, after: int) -> None:
        """Insert one point, or several (m, 3) in order, after point `after`; -1: before all."""
        rows = _points(point_nm)
        s = self.state
        at = min(max(after + 1, 0), len(s))
        new = np.insert(s.points_nm, at, rows, axis=0)
        self._do(self._moved(s, new, np.insert(s.ids, at, self._new_ids(len(rows)))))

    def insert_on_curve(self, s_nm: float) -> int:
        """Insert the point of the curve at an arc length; return its index."""
        curve = self.state.curve
        if curve is None:
            raise UserError("there is no curve yet to insert a point on; append points")
        after = self.state.span_of(s_nm)
        self.insert(curve.at(s_nm)[0], after)
        return after + 1

    def move(self, moves: Mapping[int, ArrayLike]) -> None:
        """Move points: index -> new place (3,) zyx nm."""
        if moves:
            self._do(self._with_moves(self.state, moves))

    def delete(self, indices: Iterable[int]) -> None:
        """Delete points."""
        gone = sorted({int(i) for i in indices})
        if gone:
            s = self.state
            kept = np.delete(np.arange(len(s)), gone)
            self._do(self._moved(s, s.points_nm[kept], s.ids[kept]))

    def set_points(self, points_nm: ArrayLike, ids: ArrayLike | None = None) -> None:
        """Replace all points. `ids`: which of the old ones they are, -1 for new ones."""
        rows = _points(points_nm)
        if ids is None:
            numbers = self._new_ids(len(rows))
        else:
            numbers = np.array(ids, np.int64)
            numbers[numbers < 0] = self._new_ids(int((numbers < 0).sum()))
        self._do(self._moved(self.state, rows, numbers))

    def reverse(self) -> None:
        """Go the other way. A closed trace still begins with its first point."""
        s = self.state
        order = np.arange(len(s))[::-1]
        if s.closed:
            order = np.roll(order, 1)
        self._do(s.changed(s.points_nm[order], s.ids[order], twisting.reversed_twist))

    # -- settings -------------------------------------------------------------------------

    def set_closed(self, closed: bool = True) -> None:
        """Let the trace return to its first point, or end at its last."""
        if bool(closed) != self.state.closed:
            self._do(self.state.changed(rule=self._anchored(), closed=bool(closed)))

    def set_tolerance(self, tolerance_nm: float) -> None:
        """Say how far the curve may leave the points."""
        if not (np.isfinite(tolerance_nm) and tolerance_nm >= 0):
            raise UserError(f"the tolerance must be 0 nm or more; it is {tolerance_nm}")
        if tolerance_nm != self.state.tolerance_nm:
            new = self.state.changed(rule=self._anchored(), tolerance_nm=float(tolerance_nm))
            self._do(new)

    def set_up(self, up: ArrayLike | None) -> None:
        """Choose the direction zyx that appears upwards everywhere; None: no such direction."""
        if up is None and self.state.up is None:
            return
        if up is not None:
            direction = np.array(up, np.float64)
            if direction.shape != (3,) or not np.isfinite(direction).all() or not direction.any():
                raise UserError("up must be a direction of three numbers, zyx, not all 0")
        self._do(self.state.changed(rule=twisting.with_up, up=up))

    # -- twist ----------------------------------------------------------------------------

    def set_keyframe(self, s_nm: float, degrees: float) -> None:
        """Turn the slice at `s_nm` so far, and the others up to the next keyframes along."""
        self._set_keyframe(float(s_nm), lambda old: degrees)

    def turn(self, s_nm: float, degrees: float) -> None:
        """Turn the slice at `s_nm` so much further, and keep it so; 0: keep it as it is."""
        s = float(s_nm)
        self._set_keyframe(s, lambda old: twisting.turned(old, s) + degrees)

    def _set_keyframe(self, s_nm: float, degrees: Callable[[TraceState], float]) -> None:
        apart = 0.5 * self.spacing_nm

        # Worked out with the map: the state before may have keyframes yet to be worked out.
        def rule(old: TraceState, new: TraceState) -> tuple[Keyframe, ...]:
            return twisting.with_keyframe(old, s_nm, degrees(old), apart)

        self._do(self.state.changed(rule=rule))

    def remove_keyframe(self, s_nm: float) -> None:
        """Remove the user's keyframe nearest to `s_nm`."""
        if any(key.by_user for key in self.state.keyframes):
            keys = twisting.without_keyframe(self.state, s_nm)
            self._do(self.state.changed(keyframes=keys))

    # -- dragging -------------------------------------------------------------------------

    def begin_drag(self) -> None:
        """Begin an edit of many steps that is undone in one."""
        self.end_drag()
        self._drag_start, self._dragged = self.state, {}
        self.dragging = True

    def drag(self, moves: Mapping[int, ArrayLike]) -> None:
        """Move points once more, index -> place; all steps count from where the drag began."""
        if self._drag_start is None:
            self.begin_drag()
        assert self._drag_start is not None
        # Checked before it is kept: a bad step must not spoil the next one.
        self._dragged |= {int(i): _points(place)[0] for i, place in moves.items()}
        self.state = self._with_moves(self._drag_start, self._dragged)
        self.changed.emit()

    def end_drag(self) -> None:
        """The points are where they should be."""
        start, self._drag_start = self._drag_start, None
        if self.dragging:
            self.dragging = False
            if start is not None and self.state is not start:
                self._remember(start)
                self.changed.emit()

    def cancel_drag(self) -> None:
        """The points go back to where they were."""
        start, self._drag_start = self._drag_start, None
        if self.dragging:
            self.dragging = False
            if start is not None and self.state is not start:
                self.state = start
                self.changed.emit()

    # -- from the straightened view -------------------------------------------------------

    def centre_here(self, s_nm: float, point_nm: ArrayLike) -> None:
        """Let the curve pass through a point of the slice at `s_nm`.

        The trace's point moves there whose slice this is (within half the distance between
        slices), else one is inserted.
        """
        point = _points(point_nm)[0]
        s = self.state
        if s.curve is None:
            raise UserError("the trace has no curve yet; append points in the volume")
        away = np.abs(s.points_s - s_nm)
        if s.closed:
            away = np.minimum(away, np.abs(s.curve.length - away))
        nearest = int(np.argmin(away))
        if away[nearest] <= 0.5 * self.spacing_nm + 1e-6 * s.curve.length:
            self.move({nearest: point})
        else:
            self.insert(point, s.span_of(s_nm))

    def up_side_here(self, map_: Straightening, slice_index: int, direction: ArrayLike) -> None:
        """Turn a slice of the map so that `direction` (3,) zyx, laid on the slice, points up.

        A keyframe is set there; it turns the slices up to the next keyframes along.
        """
        frames = map_.frames
        i = int(slice_index)
        n, b, t = frames.N[i], frames.B[i], frames.T[i]
        given = np.array(direction, np.float64)
        up = given - (given @ t) * t
        if not norm(up) > 1e-6 * norm(given):
            raise UserError("the direction is that of the trace itself; take one across it")
        # What appears upwards is -B, and N = B x T.
        wanted = cross(-up / norm(up), t)
        change = float(np.degrees(np.arctan2(dot(wanted, b), dot(wanted, n))))
        self.turn(float(frames.s[i]), change)

    # -------------------------------------------------------------------------------------

    def _anchored(self) -> Rule:
        return twisting.anchored(self.reach_nm, self.keep_nm)

    def _moved(self, old: TraceState, points: Float, ids: NDArray[np.int64]) -> TraceState:
        return old.changed(points, ids, self._anchored())

    def _with_moves(self, old: TraceState, moves: Mapping[int, ArrayLike]) -> TraceState:
        points = old.points_nm.copy()
        for index, place in moves.items():
            points[index] = _points(place)[0]
        return self._moved(old, points, old.ids)

    def _new_ids(self, count: int) -> NDArray[np.int64]:
        first, self._next_id = self._next_id, self._next_id + count
        return np.arange(first, first + count)


def _points(values: ArrayLike) -> Float:
    points = np.array(values, np.float64)
    if points.size == 0:
        return points.reshape(0, 3)
    points = np.atleast_2d(points)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise UserError("a point of a trace must be three finite numbers, zyx in nm")
    return points
