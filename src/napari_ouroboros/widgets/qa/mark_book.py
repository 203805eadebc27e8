"""Marks of slices, trace by trace: they stay at their places while the traces are edited. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.operations.marks import Mark, Marks, slices_at

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.marks import Verdict

#: Gives the lines (n, 3) zyx nm of the traces that are not shown; asked only if it matters.
Others = Callable[[], Sequence[NDArray[np.float64]]]


def _none() -> Sequence[NDArray[np.float64]]:
    return ()


class MarkBook:
    """The marks of all traces; shown are those of one map.

    What an edit leaves without a slice is kept, and is there again when the edit is undone.

    Attributes
    ----------
    marks : Marks or None
        Those of the map that is shown; None: there is none.
    lost : int
        How many marks of its trace have no slice in it.
    """

    #: Slices have been marked, or marks are those of other slices now.
    changed = Signal()

    def __init__(self) -> None:
        self.marks: Marks | None = None
        self.lost = 0
        self._of_trace: weakref.WeakKeyDictionary[Any, list[Mark]] = weakref.WeakKeyDictionary()
        #: Saved ones of which it is not known yet to which trace they belong.
        self._unclaimed: list[Mark] = []
        self._own: list[Mark] = []
        self._map: Straightening | None = None
        #: Whose marks make up that of a slice.
        self._at: dict[int, list[Mark]] = {}

    @property
    def map(self) -> Straightening | None:
        """Whose slices are marked."""
        return self._map

    def of(self, trace: Any) -> list[Mark]:
        """Return the marks that may be those of a trace."""
        return [*self._of_trace.get(trace, ()), *self._unclaimed]

    def show(
        self,
        trace: Any,
        map_: Straightening | None,
        placed: Mapping[Mark, int | None] | None = None,
        others: Others = _none,
    ) -> int:
        """Show the marks of a trace on its map; None: no map.

        Parameters
        ----------
        trace : object
            Held weakly.
        map_ : Straightening or None
        placed : mapping, optional
            What `slices_at` said of some marks, for whoever asked in another thread.
        others : callable, optional
            Lines of the other traces, to which saved marks may belong.

        Returns
        -------
        int
            How many marks more than before have no slice.
        """
        lost = self.lost if self._of_trace.get(trace) is self._own else 0
        before, self._map, self._at = self.marks, map_, {}
        if map_ is None:
            self.marks, self.lost = None, 0
            if before is not None:
                self.changed.emit()
            return 0
        self._own = self._of_trace.setdefault(trace, [])
        self._claim(map_, others)
        known = placed or {}
        left = [mark for mark in self._own if mark not in known]
        found = {**known, **dict(zip(left, slices_at(left, map_), strict=True))}
        self.marks = Marks(map_)
        self.lost = 0
        for i, mark in enumerate(self._own):
            k = found[mark]
            if k is None:
                self.lost += 1
                continue
            self._own[i] = now = Mark(k, mark.centre_nm, mark.verdict, mark.comment)
            self._at.setdefault(k, []).append(now)
            self.marks.join(k, now)
        if before != self.marks:
            self.changed.emit()
        return max(0, self.lost - lost)

    def mark(self, k: int, verdict: Verdict, comment: str) -> None:
        """Mark a slice of the map that is shown."""
        assert self.marks is not None
        self._forget(k)
        mark = self.marks.mark(k, verdict, comment)
        self._own.append(mark)
        self._at[k] = [mark]
        self.changed.emit()

    def add(self, marks: Iterable[Mark]) -> int:
        """Add marks of slices that are shown, beside those that are there; return how many are new.

        What the slice has been told already is not told twice.
        """
        assert self.marks is not None
        new = 0
        for mark in marks:
            there = self._at.setdefault(mark.slice, [])
            joined = self.marks.get(mark.slice)
            told = [*there, *([] if joined is None else [joined])]
            if any((t.verdict, t.comment) == (mark.verdict, mark.comment) for t in told):
                continue
            there.append(mark)
            self._own.append(mark)
            self.marks.join(mark.slice, mark)
            new += 1
        if new:
            self.changed.emit()
        return new

    def clear(self, k: int) -> None:
        """Take the mark of a slice away."""
        assert self.marks is not None
        self._forget(k)
        self.marks.clear(k)
        self.changed.emit()

    def saved(self) -> tuple[Mark, ...]:
        """Return all marks of all traces, each with its slice as it was last shown."""
        return (*self._unclaimed, *(mark for own in self._of_trace.values() for mark in own))

    def bring_back(
        self,
        marks: Iterable[Mark],
        trace: Any,
        map_: Straightening | None,
        others: Others = _none,
    ) -> None:
        """Take saved marks instead of all that there are."""
        self._of_trace.clear()
        self._own = []
        self._unclaimed = list(marks)
        self.lost = 0
        self.show(trace, map_, others=others)
        if map_ is None:  # they are there, though nobody knows yet at which slices
            self.changed.emit()

    def _forget(self, k: int) -> None:
        gone = {id(mark) for mark in self._at.pop(k, ())}
        self._own[:] = [mark for mark in self._own if id(mark) not in gone]

    def _claim(self, map_: Straightening, others: Others) -> None:
        """Saved marks belong to the trace that passes them nearest."""
        if not self._unclaimed:
            return
        from scipy.spatial import cKDTree

        places = np.array([mark.centre_nm for mark in self._unclaimed])
        own = cKDTree(map_.frames.c).query(places)[0]
        rivals = np.full(len(places), np.inf)
        for line in others():
            rivals = np.minimum(rivals, cKDTree(line).query(places)[0])
        reached = slices_at(self._unclaimed, map_)
        left: list[Mark] = []
        for mark, k, d, rival in zip(self._unclaimed, reached, own, rivals, strict=True):
            # Lines are sampled: where they run together this trace has it.
            is_own = k is not None and d <= rival + 0.5 * map_.spacing_nm
            (self._own if is_own else left).append(mark)
        self._unclaimed = left
