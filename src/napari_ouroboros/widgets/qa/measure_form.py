"""Measured labels: a row for each, the profile of one in the plot, and a file of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls import (
    JobRow,
    named,
    set_ready,
    show_soon,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.qa.job_link import JobLink
from napari_ouroboros.widgets.qa.label_table import LabelTable
from napari_ouroboros.widgets.qa.table_view import TableView

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import Scene

_NO_LABELS = "There are no labels to measure: paint some, or load them."


class MeasureForm(QWidget):
    """Measure, the table of labels, and their file.

    Parameters
    ----------
    scene : Scene
    """

    #: The user has picked a label.
    picked = Signal()
    #: The user wants to see it in the plot.
    opened = Signal()
    #: It has failed: the exception.
    failed = Signal(object)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self.job = JobRow(
            "Measure the labels",
            "Length, volume, area, perimeter and diameter of each label, in the original volume.",
            "Measuring",
        )
        self.state = wrapping_label()
        self.table = TableView(
            LabelTable(),
            "measured labels",
            "Click a label: the plot can show it along the path. Double click: see it there.",
            widest=("0" * 10, "0000.00 µm"),
        )
        self.write = named(
            QPushButton("Write CSV…"),
            "write the measures",
            "Write one line per label and slice; what has changed is measured first.",
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.job, self.state, self.table, self.write):
            column.addWidget(widget)
        measuring = scene.qa.measuring
        self.job.run.connect(measuring.measure)
        self.write.clicked.connect(self._write)
        self.table.chosen.connect(self._chosen)
        self.table.activated.connect(self._activated)
        self.links = [
            JobLink(self.job, measuring.job, "parts", "Measuring", "", self.failed.emit,
                    "Cancelled; nothing was written."),
        ]  # fmt: skip
        tab_order(self.job.button, self.job.cancel_button, self.table, self.write)

    @property
    def labels(self) -> LabelTable:
        """What is in the table."""
        model = self.table.model()
        assert isinstance(model, LabelTable)
        return model

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._scene.qa.measuring.changed.connect(self.refresh)
        self.refresh()

    def detach(self) -> None:
        """Stop listening; a measurement goes on."""
        self._scene.qa.measuring.changed.disconnect(self.refresh)

    def refresh(self) -> None:
        """Show how things are."""
        measuring = self._scene.qa.measuring
        active, report = measuring.active, measuring.report
        self.job.set_ready(active is not None, _NO_LABELS)
        set_ready(self.write, active is not None, _NO_LABELS)
        self.table.setVisible(report is not None and bool(report.labels))
        self.state.setText(self._state())
        self.state.setVisible(bool(self.state.text()))
        labels = () if report is None else report.labels
        if list(labels) != self.labels.shown:
            self.labels.show(labels)
        self.table.mark_row(self.labels.row_of(measuring.label))

    def _state(self) -> str:
        measuring = self._scene.qa.measuring
        report, entry = measuring.report, measuring.entry
        if report is None or entry is None:
            return "" if measuring.active is not None else _NO_LABELS
        if not report.labels:
            return f"There is nothing painted in “{entry.name}”."
        found = f"“{entry.name}”: {len(report.labels):,} label{'s' * (len(report.labels) > 1)}."
        if report.slices_folding:
            found += (
                f" {report.slices_folding:,} of the labelled slices fold: what lies behind the "
                "fold is not counted in the volume."
            )
        if not measuring.is_current:
            found += (
                " Painted since: measure again."
                if entry is measuring.active
                else " Other labels are active now."
            )
        return found

    def _chosen(self, index: QModelIndex) -> None:
        self._scene.qa.measuring.label = self.labels.label_of(index.row())
        self.picked.emit()

    def _activated(self, _index: QModelIndex) -> None:
        self.opened.emit()

    def _write(self, *_: Any) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Write the measures", "measures.csv", "*.csv")
        if name:
            self._scene.qa.measuring.write_csv(name)
            show_soon(self.job)
