"""Checks kept up to date in a thread: geometry with the map, labels as they are painted. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import Cancelled, OuroborosError, one_line
from napari_ouroboros.operations.marks import Mark, slices_at
from napari_ouroboros.operations.qa import (
    Checks,
    GeometryChecks,
    ImageChecks,
    LabelChecks,
    RoundTripChecks,
    Rules,
    geometry_checks,
    label_checks,
    limits,
    suspicious,
)
from napari_ouroboros.widgets.background import Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.background import Deliver

#: Strokes are gathered so long (seconds) before their slices are looked at again.
_PATIENCE = 0.15
#: Of new slices the pictures come first: threads that calculate slow each other and the window.
_REST = 0.25
NO_LABELS = "There are no labels: paint some, or load them, and their checks appear here."
LOOKING = "The labels are being looked at."


@dataclass(frozen=True, eq=False)
class Slices:
    """What is checked.

    Attributes
    ----------
    map : Straightening
    volume : Volume
    mip : int
    marks : sequence of Mark
        To be placed on the map.
    """

    map: Straightening
    volume: Volume
    mip: int
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """All that is known of the slices of one map.

    Attributes
    ----------
    slices : Slices
    checks : Checks
    reasons : list of list of str
        Why each slice deserves a look.
    suspicious : int array
        The slices that do.
    labels_sentence : str
        Why nothing is said of labels; "" where something is.
    placed : dict of Mark to slice
        Where the marks are now.
    limits : dict
        Of the rules that compare numbers, by the name of the check.
    """

    slices: Slices
    checks: Checks
    reasons: list[list[str]]
    suspicious: NDArray[np.int64]
    labels_sentence: str = NO_LABELS
    placed: dict[Mark, int | None] = field(default_factory=dict)
    limits: dict[str, tuple[float, ...]] = field(default_factory=dict)


class LiveChecks:
    """Looks at what has changed, in a thread, and again while there is more.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread.
    """

    #: Something new is known: `Found`.
    changed = Signal(object)

    def __init__(self, deliver: Deliver) -> None:
        self._worker = Worker("ouroboros-checks", deliver)
        self._lock = threading.Lock()
        self.found: Found | None = None
        self._slices: Slices | None = None
        self._geometry: GeometryChecks | None = None
        self._image: ImageChecks | None = None
        self._round_trip: RoundTripChecks | None = None
        self._entry: Any = None
        self._labels: LabelChecks | None = None
        self._sentence = NO_LABELS
        #: Slices whose labels have to be looked at; None: none.
        self._dirty: tuple[int, int] | None = None
        self._labels_wanted = False
        self._reasons_wanted = False
        self._busy = False
        self._rules = Rules()

    @property
    def idle(self) -> bool:
        """Whether all is up to date."""
        return not self._busy and self._worker.idle

    def follow(self, slices: Slices | None) -> None:
        """Check the slices of another map; None: there are none."""
        self._worker.cancel()
        self._busy = False
        self._slices = slices
        self.found = None
        self._geometry = self._image = self._labels = self._round_trip = None
        self._labels_wanted = self._entry is not None
        self._sentence = NO_LABELS if self._entry is None else LOOKING
        if slices is not None:
            self._next()

    def set_labels(self, entry: Any) -> None:
        """Look at other labels, an entry of the labels book; None: at none."""
        if entry is self._entry:
            return
        self._entry = entry
        self._labels, self._sentence = None, NO_LABELS if entry is None else LOOKING
        self._labels_wanted = True
        self._restart()

    def painted(self, entry: Any, first: int, last: int) -> None:
        """Slices ``first <= k < last`` of labels have changed."""
        if entry is not self._entry:
            return
        with self._lock:
            old = self._dirty
            self._dirty = (first, last) if old is None else (min(old[0], first), max(old[1], last))
        self._labels_wanted = True
        self._next()

    def set_image(self, checks: ImageChecks | None) -> None:
        """What is known of the image so far."""
        self._image = checks
        self._reasons_wanted = True
        self._next()

    def set_round_trip(self, checks: RoundTripChecks | None) -> None:
        """What is known of the round trip so far."""
        self._round_trip = checks
        self._reasons_wanted = True
        self._next()

    def set_rules(self, rules: Rules) -> None:
        """From now on, slices are suspicious by these rules."""
        self._rules = rules
        self._reasons_wanted = True
        self._next()

    def close(self) -> None:
        """Stop."""
        self._slices = None
        self._worker.close()

    def _restart(self) -> None:
        """Stop what is done for labels that are not asked about any more."""
        self._worker.cancel()
        self._busy = False
        self._next()

    def _next(self) -> None:
        """Do what comes next, if anything does."""
        slices = self._slices
        if slices is None or self._busy:
            return
        # What was known before is told at once; labels may take their time.
        geometry, of_labels = self._geometry, self._geometry is not None and self._labels_wanted
        if geometry is not None and not of_labels and not self._reasons_wanted:
            return
        self._busy = True
        self._reasons_wanted = False
        if of_labels:
            self._labels_wanted = False
        entry = self._entry
        before = self._labels
        sentence, image, round_trip = self._sentence, self._image, self._round_trip
        is_new, rules = geometry is None, self._rules

        def run(token: Token) -> Found:
            if is_new and token.wait(_REST):
                raise Cancelled("there are other slices already")
            known = geometry or geometry_checks(slices.map, slices.volume, slices.mip)
            labels, why = before, sentence
            if of_labels:
                if before is not None:
                    token.wait(_PATIENCE)
                labels, why = self._look_at_labels(entry, slices.map, before, token)
            checks = Checks(known, image, labels, round_trip)
            half_side = 0.5 * slices.map.pitch_nm * min(slices.map.width, slices.map.height)
            lines = limits(checks, rules, half_side)
            reasons = suspicious(checks, rules, half_side_nm=half_side, lines=lines)
            numbers = np.array([k for k, why in enumerate(reasons) if why], np.int64)
            marks = slices.marks if is_new else ()
            placed = dict(zip(marks, slices_at(marks, slices.map), strict=True))
            return Found(slices, checks, reasons, numbers, why, placed, lines)

        def done(found: Found) -> None:
            self._busy = False
            self._geometry = found.checks.geometry
            self._labels, self._sentence = found.checks.labels, found.labels_sentence
            self.found = found
            self.changed.emit(found)
            self._next()

        def failed(error: Exception) -> None:
            self._busy = False
            raise error  # a mistake of ours: napari shows it

        self._worker.submit(run, done, failed)

    def _look_at_labels(
        self, entry: Any, map_: Straightening, before: LabelChecks | None, token: Token
    ) -> tuple[LabelChecks | None, str]:
        """What the labels say, or why they say nothing. In the thread."""
        if entry is None:
            return None, NO_LABELS
        with self._lock:
            dirty, self._dirty = self._dirty, None
        if not same_slices(entry.map, map_):
            return None, (
                f"The labels “{entry.name}” were painted along an earlier trace: nothing is said "
                "of them here. Carry them over, or undo the edit of the trace."
            )
        try:
            if before is not None and dirty is None:
                return before, ""
            found = label_checks(
                entry.array, map_, previous=before, changed=dirty if before else None, cancel=token
            )
        except OuroborosError as error:
            return None, f"The labels “{entry.name}” cannot be checked: {one_line(error)}"
        return found, ""


def same_slices(a: Straightening, b: Straightening) -> bool:
    """Whether two maps have the same samples. Not in the GUI thread: frames are hashed."""
    return a is b or (
        a.shape == b.shape and a.pitch_nm == b.pitch_nm and a.recipe_hash == b.recipe_hash
    )
