"""What is known of each slice, brought up to date as trace and labels change. No Qt."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.operations.qa import Rules, following
from napari_ouroboros.widgets.held import held
from napari_ouroboros.widgets.qa.job import Check
from napari_ouroboros.widgets.qa.live_checks import NO_LABELS, Found, LiveChecks, Slices
from napari_ouroboros.widgets.qa.mark_book import MarkBook
from napari_ouroboros.widgets.qa.marks_file import add_marks
from napari_ouroboros.widgets.qa.measuring import Measuring

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.marks import Mark, Marks, Verdict
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.operations.qa import Checks, ImageChecks, RoundTripChecks
    from napari_ouroboros.widgets.scene.live import LiveState
    from napari_ouroboros.widgets.scene.scene import Scene

C = TypeVar("C", "ImageChecks", "RoundTripChecks")

#: Results that come as they are computed are shown so often (seconds).
_SHOWN_EVERY = 0.25
#: For chunks while the image is checked (bytes): each is needed for a few slices only.
_MEMORY = 256 * 2**20
#: Of a trace that is not shown, to find out whether saved marks are its own.
_LINE_POINTS = 4000
MAKING = "The slices are being computed."
NOTHING_SUSPICIOUS = "No slice is suspicious, as far as it has been checked."


class QaModel:
    """Checks and marks of a scene.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    book : MarkBook
        The marks of all traces.
    image, round_trip, table, reading : Check
        The checks on demand, the writing of the table of all slices, the reading of marks.
    measuring : Measuring
    """

    #: More is known of the slices, or they are others.
    changed = Signal()
    marks_changed = Signal()
    #: It is other slices that are suspicious from now on.
    rules_changed = Signal()
    #: What became of marks that were read from a file, in a line.
    marks_read = Signal(str)
    #: A line for the user: an edit of the trace has left marks without a slice.
    said = Signal(str)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self.book = MarkBook()
        self.live_checks = LiveChecks(scene.deliver)
        self.image = Check("ouroboros-check-image", scene.deliver, "a check of the image")
        self.round_trip = Check("ouroboros-follow", scene.deliver, "a check of the way home")
        self.table = Check("ouroboros-table", scene.deliver, "a table of slices")
        self.reading = Check("ouroboros-read-marks", scene.deliver, "marks from a file")
        # What the two checks find is in no file and no session: they may end unasked.
        scene.work.jobs.add(self.table)
        self.measuring = Measuring(scene)
        self._rules = Rules()
        self._deliver = scene.deliver
        self._trace: Any = None
        self._comments: dict[int, str] = {}
        self.book.changed.connect(self.marks_changed.emit)
        self.live_checks.changed.connect(self._found)
        scene.live.changed.connect(self._live_changed)
        scene.labels.changed.connect(self._labels_changed)
        scene.labels.painted.connect(self._painted)
        self._labels_changed()
        self._live_changed(scene.live.state)

    # -- what is known --------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """The scene; RuntimeError once it has gone."""
        return held(self._scene, "the scene of these checks")

    @property
    def map(self) -> Straightening | None:
        """Whose slices are known."""
        found = self.live_checks.found
        return None if found is None else found.slices.map

    @property
    def checks(self) -> Checks | None:
        """All that is known of them; None: nothing yet."""
        found = self.live_checks.found
        return None if found is None else found.checks

    @property
    def reasons(self) -> list[list[str]]:
        """Why each slice deserves a look."""
        found = self.live_checks.found
        return [] if found is None else found.reasons

    @property
    def suspicious(self) -> NDArray[np.int64]:
        """The slices that do."""
        found = self.live_checks.found
        return np.zeros(0, np.int64) if found is None else found.suspicious

    @property
    def labels_sentence(self) -> str:
        """Why nothing is said of labels; "" where something is."""
        found = self.live_checks.found
        return NO_LABELS if found is None else found.labels_sentence

    @property
    def marks(self) -> Marks | None:
        """Marks of these slices; None: there are no slices."""
        return self.book.marks

    @property
    def why_not(self) -> str:
        """Why nothing can be said of the slices that are shown; "" where it can."""
        return "" if self.is_current else self.scene.live.state.problem or MAKING

    @property
    def is_current(self) -> bool:
        """Whether all this is of the slices that are shown."""
        scene = self._scene()
        return scene is not None and self.map is not None and self.map is scene.live.state.map

    @property
    def idle(self) -> bool:
        """Whether nothing is being looked at."""
        jobs = (self.image, self.round_trip, self.table, self.reading, self.measuring.job)
        return self.live_checks.idle and not any(job.running for job in jobs)

    # -- going there ----------------------------------------------------------------------

    def go_to_suspicious(self, step: int = 1) -> bool:
        """Show the next suspicious slice (-1: the one before), around the end; False: none."""
        place = self.scene.place
        k = following(self.reasons, place.slice_index, step) if self.reasons else None
        if k is None:
            return False
        place.go_to_slice(k)
        return True

    # -- marks ----------------------------------------------------------------------------

    def toggle_mark(self, verdict: Verdict, k: int | None = None) -> bool:
        """Mark a slice, by default the one that is shown; once more takes the mark away.

        The comment stays when good becomes bad, and comes back when a mark does. False: there is
        no such slice at the moment.
        """
        k = self.scene.place.slice_index if k is None else k
        if self.marks is None or not self.is_current or not 0 <= k < len(self.reasons):
            return False
        mark = self.marks.get(k)
        if mark is not None and mark.verdict == verdict:
            self._comments[k] = mark.comment
            self.book.clear(k)
        else:
            comment = self._comments.pop(k, "") if mark is None else mark.comment
            self.book.mark(k, verdict, comment)
        return True

    def set_comment(self, k: int, comment: str) -> None:
        """Say something of a slice that is marked."""
        mark = None if self.marks is None else self.marks.get(k)
        if mark is not None and mark.comment != comment:
            self.book.mark(k, mark.verdict, comment)

    def saved_marks(self) -> tuple[Mark, ...]:
        """Return the marks of all traces, for a session."""
        return self.book.saved()

    def bring_back(self, marks: Iterable[Mark]) -> None:
        """Take the marks of a session instead of all that there are."""
        self._comments.clear()
        self.book.bring_back(marks, self._key, self.map, self._other_lines)

    def read_marks(self, path: str | os.PathLike[str]) -> bool:
        """Add the marks of a table to those that are there. False: not now."""
        slices = self._current()
        if slices is None:
            return False
        name = Path(path).name

        def run(_progress: Progress, _cancel: Cancel) -> list[tuple[Mark, int | None]]:
            from napari_ouroboros.operations.marks import read_marks, slices_at

            marks = read_marks(path)
            return list(zip(marks, slices_at(marks, slices.map), strict=True))

        def done(found: list[tuple[Mark, int | None]]) -> None:
            if self.book.map is not slices.map:
                line = f"The trace has changed while {name} was read: read it again."
            else:
                line = f"{name}: {add_marks(self.book, found)}"
            self.marks_read.emit(line)

        return self.reading.start(run, done)

    # -- rules ----------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """From where on a slice is suspicious."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        if rules != self._rules:
            self._rules = rules
            self.live_checks.set_rules(rules)
            self.rules_changed.emit()

    @property
    def limits(self) -> dict[str, tuple[float, ...]]:
        """Limits of the rules that compare numbers, by the name of the check."""
        found = self.live_checks.found
        return {} if found is None else found.limits

    # -- checks on demand -----------------------------------------------------------------

    def check_image(self) -> bool:
        """Read every slice and look at it; results come as they are there. False: not now."""
        slices = self._current()
        if slices is None:
            return False

        def run(progress: Progress, cancel: Cancel) -> ImageChecks:
            from napari_ouroboros.operations.qa import image_checks

            told = self._telling(slices, self.live_checks.set_image)
            return image_checks(
                slices.volume, slices.map, slices.mip, memory=_MEMORY,
                partial=told, progress=progress, cancel=cancel,
            )  # fmt: skip

        return self.image.start(run, lambda found: self._take(slices, found, is_image=True))

    def check_round_trip(self) -> bool:
        """Follow samples of every slice to their voxels and back. False: not now."""
        slices = self._current()
        if slices is None:
            return False

        def run(progress: Progress, cancel: Cancel) -> RoundTripChecks:
            from napari_ouroboros.operations.qa import round_trip_checks

            told = self._telling(slices, self.live_checks.set_round_trip)
            level = slices.volume.mip(slices.mip)
            return round_trip_checks(
                slices.map, level, partial=told, progress=progress, cancel=cancel
            )

        return self.round_trip.start(run, lambda found: self._take(slices, found, is_image=False))

    def write_table(self, path: str | os.PathLike[str]) -> bool:
        """Write one line per slice; `table` tells how it ended."""
        found, marks = self.live_checks.found, self.marks
        if found is None:
            return False
        # As it is now, whatever is marked meanwhile.
        copied = None if marks is None else type(marks).from_list(marks.as_list(), found.slices.map)

        def run(_progress: Progress, _cancel: Cancel) -> None:
            from napari_ouroboros.operations.qa import write_checks

            write_checks(path, found.checks, found.slices.map, found.reasons, copied)

        return self.table.start(run, lambda _: None)

    def close(self) -> None:
        """Stop all work."""
        scene = self._scene()
        if scene is not None:
            scene.live.changed.disconnect(self._live_changed, missing_ok=True)
            scene.labels.changed.disconnect(self._labels_changed, missing_ok=True)
            scene.labels.painted.disconnect(self._painted, missing_ok=True)
        self.measuring.close()
        for job in (self.image, self.round_trip, self.table, self.reading):
            job.close()
        self.live_checks.close()

    # -- following ------------------------------------------------------------------------

    @property
    def _key(self) -> Any:
        """Whose marks are shown: the active trace's."""
        return self if self._trace is None else self._trace

    def _other_lines(self) -> list[NDArray[np.float64]]:
        """Lines of the traces that are not active."""
        curves = [
            trace.state.curve for trace in self.scene.traces.traces if trace is not self._trace
        ]
        return [
            curve.at(np.linspace(0, curve.length, _LINE_POINTS))
            for curve in curves
            if curve is not None
        ]

    def _current(self) -> Slices | None:
        found = self.live_checks.found
        return found.slices if found is not None and self.is_current else None

    def _live_changed(self, state: LiveState, _before: LiveState | None = None) -> None:
        scene = self.scene
        # While a point is dragged, or another trace's map is on its way, all this can wait.
        if state.map is not None and (state.dragging or not scene.live.is_current):
            return
        self.image.cancel()
        self.round_trip.cancel()
        self._trace = scene.traces.active
        volume = scene.live.volume
        self._comments.clear()
        if state.map is None or volume is None:
            self.live_checks.follow(None)
            self.book.show(self._key, None)
            self.changed.emit()
            return
        marks = self.book.of(self._key)
        self.live_checks.follow(Slices(state.map, volume, state.mip, tuple(marks)))

    def _found(self, found: Found) -> None:
        if self.marks is None or self.book.map is not found.slices.map:
            lost = self.book.show(self._key, found.slices.map, found.placed, self._other_lines)
            if lost:
                which = "1 mark lies" if lost == 1 else f"{lost} marks lie"
                self.said.emit(
                    f"{which} where the trace does not pass any more; undo the edit to have "
                    f"{'it' if lost == 1 else 'them'} back."
                )
        self.changed.emit()

    def _labels_changed(self) -> None:
        self.live_checks.set_labels(self.scene.labels.active)

    def _painted(self, entry: Any, change: Any) -> None:
        first, last = change.box[0]
        self.live_checks.painted(entry, first, last)

    # -- what comes of the checks ---------------------------------------------------------

    def _take(self, slices: Slices, found: Any, *, is_image: bool) -> None:
        current = self._current()
        if current is None or current.map is not slices.map:
            return
        take = self.live_checks.set_image if is_image else self.live_checks.set_round_trip
        take(found)

    def _telling(
        self, slices: Slices, take: Callable[[Any], None]
    ) -> Callable[[C, int, int], None]:
        """What is called in the thread with checks that grow: now and then they are shown."""
        last = [time.monotonic()]

        def told(checks: C, _first: int, _last: int) -> None:
            now = time.monotonic()
            if now - last[0] < _SHOWN_EVERY:
                return
            last[0] = now
            copied = type(checks)(**{name: own.copy() for name, own in vars(checks).items()})

            def show() -> None:
                current = self._current()
                if current is not None and current.map is slices.map:
                    take(copied)

            self._deliver(show)

        return told
