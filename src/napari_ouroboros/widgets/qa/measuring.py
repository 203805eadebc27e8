"""The labels of the moment measured, and whether they have been painted since. No Qt."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.widgets.qa.job import Check

if TYPE_CHECKING:
    from napari_ouroboros.operations.measure_report import MeasureReport, SliceMeasures
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.widgets.labels.book import StraightLabels
    from napari_ouroboros.widgets.scene.scene import Scene


class Measuring:
    """Measures the active labels, always along the trace that they were painted on.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    job : Check
        The measurement, or the writing of its table.
    report : MeasureReport or None
        What was found last, of
    entry : StraightLabels or None
        these labels.
    """

    #: Something else is known, or is not known any more.
    changed = Signal()

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self.job = Check("ouroboros-measure", scene.deliver, "a measurement")
        scene.work.jobs.add(self.job)
        self.report: MeasureReport | None = None
        self.entry: StraightLabels | None = None
        #: Counts what was painted in each; a report is of one count.
        self._painted: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._measured = 0
        self._label: int | None = None
        scene.labels.changed.connect(self._labels_changed)
        scene.labels.painted.connect(self._labels_painted)

    @property
    def active(self) -> StraightLabels | None:
        """Which labels would be measured."""
        scene = self._scene()
        return None if scene is None else scene.labels.active

    @property
    def is_current(self) -> bool:
        """Whether the report is that of the active labels as they are now."""
        return (
            self.report is not None
            and self.entry is self.active
            and self._measured == self._painted.get(self.entry, 0)
        )

    @property
    def label(self) -> int | None:
        """Whose profile is shown in the plot."""
        return self._label

    @label.setter
    def label(self, value: int | None) -> None:
        if value != self._label:
            self._label = value
            self.changed.emit()

    def profile(self) -> SliceMeasures | None:
        """Return the measures along the path of the label that was chosen."""
        if self.report is None or self._label is None:
            return None
        return self.report.profile(self._label)

    def measure(self) -> bool:
        """Measure the active labels; False: there are none, or something is being measured."""
        entry = self.active
        if entry is None:
            return False
        count = self._painted.get(entry, 0)

        def run(progress: Progress, cancel: Cancel) -> MeasureReport:
            return _measured(entry, progress, cancel)

        return self.job.start(run, lambda report: self._take(entry, count, report))

    def write_csv(self, path: str | os.PathLike[str]) -> bool:
        """Write a line per label and slice; measures first what has not been, or has changed."""
        entry = self.active
        if entry is None:
            return False
        count = self._painted.get(entry, 0)
        known = self.report if self.is_current else None

        def run(progress: Progress, cancel: Cancel) -> MeasureReport:
            report = known or _measured(entry, progress, cancel)
            report.write_csv(path)
            return report

        return self.job.start(run, lambda report: self._take(entry, count, report))

    def close(self) -> None:
        """Stop."""
        scene = self._scene()
        if scene is not None:
            scene.labels.changed.disconnect(self._labels_changed, missing_ok=True)
            scene.labels.painted.disconnect(self._labels_painted, missing_ok=True)
        self.job.close()

    def _take(self, entry: StraightLabels, count: int, report: MeasureReport) -> None:
        self.report, self.entry, self._measured = report, entry, count
        known = [label.label for label in report.labels]
        if self._label not in known:
            self._label = known[0] if known else None
        self.changed.emit()

    def _labels_changed(self) -> None:
        scene = self._scene()
        if self.entry is not None and scene is not None and self.entry not in scene.labels.entries:
            self.report = self.entry = self._label = None
        self.changed.emit()

    def _labels_painted(self, entry: Any, _change: Any) -> None:
        was_current = self.is_current
        self._painted[entry] = self._painted.get(entry, 0) + 1
        if was_current and not self.is_current:
            self.changed.emit()


def _measured(entry: StraightLabels, progress: Progress, cancel: Cancel) -> MeasureReport:
    from napari_ouroboros.operations.measure_job import MeasureJob

    with MeasureJob(entry.array, entry.map) as job:
        job.notices = False  # an empty table says it
        return job.run(progress, cancel)
