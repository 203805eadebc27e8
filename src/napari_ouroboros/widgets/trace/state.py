"""A trace as it is at one moment: immutable, so that undo is taking an older one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.trace import Trace

Float = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Keyframe:
    """How far slices are turned at one place of the curve.

    Attributes
    ----------
    s_nm : float
        Arc length.
    degrees : float
        N is turned towards B by so much, see `Straightening`.
    by_user : bool
        Made by the user. The others keep slices as they were when the curve changed elsewhere.
    """

    s_nm: float
    degrees: float
    by_user: bool


#: From the state before and the new one to the keyframes of the new one.
Rule = Callable[["TraceState", "TraceState"], tuple[Keyframe, ...]]


class _Later(NamedTuple):
    """Keyframes that are worked out when somebody asks, from those of the state before."""

    before: TraceState
    rule: Rule


class TraceState:
    """Points in order and how slices along them are turned.

    Parameters
    ----------
    points_nm : array (n, 3)
        zyx, nm; any number of points, none included.
    closed : bool
    tolerance_nm : float
        How far the curve may leave the points.
    up : array (3,), optional
        Direction zyx that appears upwards in every slice.
    keyframes : sequence of Keyframe, optional
    ids : array (n,), optional
        What tells points apart whatever happens to their order and position.

    Notes
    -----
    Keyframes that follow from an edit of the curve take tens of milliseconds. They are worked
    out when they are first asked for, as a rule in the thread that makes the map; asking from
    several threads at once does no harm.
    """

    def __init__(
        self,
        points_nm: ArrayLike = (),
        closed: bool = False,
        tolerance_nm: float = 0.0,
        up: ArrayLike | None = None,
        keyframes: Sequence[Keyframe] = (),
        ids: ArrayLike | None = None,
    ) -> None:
        points = np.array(points_nm, np.float64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise UserError("the points of a trace must be finite numbers")
        numbers = np.arange(len(points)) if ids is None else np.array(ids, np.int64)
        if len(numbers) != len(points):
            raise UserError(f"{len(points)} points have {len(numbers)} ids")
        points.flags.writeable = numbers.flags.writeable = False
        self.points_nm: Float = points
        self.ids: Ids = numbers
        self.closed = bool(closed)
        self.tolerance_nm = float(tolerance_nm)
        self.up: Float | None = None if up is None else np.array(up, np.float64)
        self._keyframes: tuple[Keyframe, ...] | _Later = tuple(
            sorted(keyframes, key=lambda key: key.s_nm)
        )

    def __len__(self) -> int:
        return len(self.points_nm)

    def __repr__(self) -> str:
        return f"<TraceState of {len(self)} points{', closed' if self.closed else ''}>"

    def changed(
        self,
        points_nm: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        rule: Rule | None = None,
        **settings: object,
    ) -> TraceState:
        """Return this state with other points or settings.

        `rule` says what becomes of the keyframes, they stay without one unless they are given.
        """
        given: dict[str, object] = {
            "closed": self.closed,
            "tolerance_nm": self.tolerance_nm,
            "up": self.up,
            **settings,
        }
        new = TraceState(
            self.points_nm if points_nm is None else points_nm,
            ids=self.ids if ids is None else ids,
            **given,  # type: ignore[arg-type]
        )
        if "keyframes" not in settings:
            new._keyframes = self._keyframes if rule is None else _Later(self, rule)
        return new

    # -- the curve ------------------------------------------------------------------------

    def trace(self) -> Trace:
        """The trace; UserError where points are too few. Neighbours that coincide are merged."""
        return self._trace

    @cached_property
    def _trace(self) -> Trace:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # the dock says how many were merged
            return Trace(self.points_nm, self.closed, self.tolerance_nm)

    @cached_property
    def curve(self) -> Curve | None:
        """The curve; None where points are too few for one."""
        try:
            return Curve(self.trace())
        except UserError:
            return None

    @cached_property
    def points_s(self) -> Float:
        """Arc lengths (n,) of the points; a merged one has that of the point before it."""
        if self.curve is None:
            return np.zeros(len(self))
        kept = self.trace().points_nm
        s = self.curve.arc_length(self.curve.parameters)
        if len(kept) == len(self):
            return np.asarray(s[: len(self)])
        found = np.empty(len(self))
        at = 0
        for i, point in enumerate(self.points_nm):
            if at + 1 < len(kept) and np.array_equal(point, kept[at + 1]):
                at += 1
            found[i] = s[at]
        return found

    def span_of(self, s_nm: float) -> int:
        """Index of the point after which arc length `s_nm` lies; -1: before the first."""
        if self.curve is not None and self.closed:
            s_nm = s_nm % self.curve.length
        if s_nm < 0:
            return -1
        return max(int(np.searchsorted(self.points_s, s_nm, side="right")) - 1, 0)

    # -- the twist ------------------------------------------------------------------------

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """All keyframes by arc length, those of the user and those that hold slices still."""
        waiting: list[tuple[TraceState, _Later]] = []
        state: TraceState = self
        # A loop, since a hundred edits may have been made before somebody asks.
        while isinstance(later := state._keyframes, _Later):
            waiting.append((state, later))
            state = later.before
        found = later
        for state, (before, rule) in reversed(waiting):
            known = state._keyframes
            if isinstance(known, _Later):  # no other thread has been here meanwhile
                known = state._keyframes = rule(before, state)
            found = known
        return found

    @property
    def twist(self) -> list[tuple[float, float]] | None:
        """The keyframes as `Straightening` takes them; None without any."""
        return [(key.s_nm, key.degrees) for key in self.keyframes] or None
