"""The plot along the path with the choice of what it shows, and the table of all slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QModelIndex
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_ouroboros.widgets.controls import named, set_ready
from napari_ouroboros.widgets.qa.plot import PathPlot
from napari_ouroboros.widgets.qa.quantities import MEASURED, Curve, curves, profile_curves
from napari_ouroboros.widgets.qa.slice_table import SliceTable
from napari_ouroboros.widgets.qa.table_view import TableView

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import Scene

#: By whom a slice was asked for, as `Place.go_to_slice` is told.
_QA = "qa"
_TABLE = "qa table"


class PathForm:
    """Keeps plot, table and the shown slice the same; its widgets are laid out by the dock.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._curves: list[Curve] = []
        self._key = ""
        self.quantity = named(
            QComboBox(), "what is drawn along the path", "What is drawn along the path."
        )
        self.plot = PathPlot()
        self.table = TableView(
            SliceTable(),
            "all slices",
            "One row per slice. Click: go there in both canvases. A title sorts.",
            widest=(
                "00000",
                "0000.00 µm",
                "labels off the centre (and 2 more)",
                "good",
                "comment" * 3,
            ),
        )
        self.only = named(
            QCheckBox("Only suspicious"), "only suspicious slices", "Leave all others out."
        )
        self.write = named(
            QPushButton("Write CSV…"),
            "write the table of slices",
            "Write one line per slice, with slice, row, column and nm, marks and comments.",
        )
        self.read = named(
            QPushButton("Read marks…"),
            "read marks",
            "Add the marks of a table that was written here; each goes to the slice at its place.",
        )
        self.row = QWidget()
        row = QHBoxLayout(self.row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.only)
        row.addStretch(1)
        row.addWidget(self.read)
        row.addWidget(self.write)
        self.quantity.currentIndexChanged.connect(self._quantity_chosen)
        self.plot.chosen.connect(self._plot_chosen)
        self.table.chosen.connect(self._row_chosen)
        self.only.toggled.connect(self._only_toggled)
        self.write.clicked.connect(self._write)
        self.read.clicked.connect(self._read)

    @property
    def slices(self) -> SliceTable:
        """What is in the table."""
        model = self.table.model()
        assert isinstance(model, SliceTable)
        return model

    def attach(self) -> None:
        """Listen, and show how things are."""
        qa = self._scene.qa
        qa.changed.connect(self.refresh)
        qa.marks_changed.connect(self._marks_changed)
        qa.measuring.changed.connect(self._measures_changed)
        self._scene.place.slice_changed.connect(self._slice_changed)
        self._scene.live.changed.connect(self._live_changed)
        self.refresh()

    def detach(self) -> None:
        """Stop listening."""
        qa = self._scene.qa
        qa.changed.disconnect(self.refresh)
        qa.marks_changed.disconnect(self._marks_changed)
        qa.measuring.changed.disconnect(self._measures_changed)
        self._scene.place.slice_changed.disconnect(self._slice_changed)
        self._scene.live.changed.disconnect(self._live_changed)

    def refresh(self) -> None:
        """Show how things are."""
        qa = self._scene.qa
        map_, checks = qa.map, qa.checks
        known = curves(checks, qa.limits)
        if map_ is None:
            self.plot.set_path(np.zeros(0), 0.0)
            self.slices.show(np.zeros(0), [], [], None)
        else:
            s = map_.frames.s
            self.plot.set_path(s, float(s[-1]) + map_.mean_spacing_nm)
            self.slices.show(s, known, qa.reasons, qa.marks)
        self.plot.set_stale(not qa.is_current)
        set_ready(self.write, map_ is not None, "There are no slices yet.")
        set_ready(self.read, qa.is_current, qa.why_not)
        self._offer(known)
        self._show_flags()
        self._slice_changed(self._scene.place.slice_index, "")

    def _known(self) -> list[Curve]:
        return curves(self._scene.qa.checks, self._scene.qa.limits)

    def choose(self, key: str) -> None:
        """Draw a quantity, if it is there."""
        self._key = key
        self._offer(self._known())

    def show_profile(self) -> None:
        """Draw something of the measured label, if nothing of it is drawn."""
        if not self._key.startswith(MEASURED):
            self.choose(f"{MEASURED}diameter_nm")

    def _offer(self, known: list[Curve]) -> None:
        """List what can be drawn, and draw what was chosen, or the first."""
        qa = self._scene.qa
        measuring, map_ = qa.measuring, qa.map
        profile = measuring.profile()
        # Labels of another trace are of other slices, and not checked.
        same = measuring.entry is measuring.active and not qa.labels_sentence
        if profile is not None and map_ is not None and same:
            assert measuring.label is not None
            known = [*known, *profile_curves(measuring.label, profile, len(map_.frames))]
        self._curves = known
        titles = [curve.quantity.title for curve in known]
        blocked = self.quantity.blockSignals(True)
        if titles != [self.quantity.itemText(i) for i in range(self.quantity.count())]:
            self.quantity.clear()
            self.quantity.addItems(titles)
        keys = [curve.quantity.key for curve in known]
        at = keys.index(self._key) if self._key in keys else 0
        self.quantity.setCurrentIndex(at if known else -1)
        self.quantity.blockSignals(blocked)
        self._draw()

    def _draw(self) -> None:
        at = self.quantity.currentIndex()
        curve = self._curves[at] if 0 <= at < len(self._curves) else None
        self.plot.set_curve(curve)
        self.quantity.setToolTip(
            "What is drawn along the path." if curve is None else curve.quantity.about
        )

    def _show_flags(self) -> None:
        qa = self._scene.qa
        marks = list(qa.marks or ())
        good, bad = (
            np.array([mark.slice for mark in marks if mark.verdict == verdict], np.int64)
            for verdict in ("good", "bad")
        )
        self.plot.set_flags(qa.suspicious, good, bad)

    def _live_changed(self, *_: Any) -> None:
        qa = self._scene.qa
        self.plot.set_stale(not qa.is_current)
        set_ready(self.read, qa.is_current, qa.why_not)

    def _marks_changed(self) -> None:
        self.slices.show_marks(self._scene.qa.marks)
        self._show_flags()
        self._slice_changed(self._scene.place.slice_index, "")

    def _measures_changed(self) -> None:
        self._offer(self._known())

    # -- going there ----------------------------------------------------------------------

    def _slice_changed(self, k: int, by: str) -> None:
        self.plot.set_slice(k)
        if by != _TABLE:
            self.table.mark_row(self.slices.row_of(k))

    def _plot_chosen(self, k: int) -> None:
        self._scene.place.go_to_slice(k, _QA)

    def _row_chosen(self, index: QModelIndex) -> None:
        self._scene.place.go_to_slice(self.slices.slice_of(index.row()), _TABLE)

    def _quantity_chosen(self, at: int) -> None:
        if 0 <= at < len(self._curves):
            self._key = self._curves[at].quantity.key
        self._draw()

    def _only_toggled(self, value: bool) -> None:
        self.slices.only_suspicious = value
        self.table.mark_row(self.slices.row_of(self._scene.place.slice_index))

    def _write(self, *_: Any) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self.table.window(), "Write the table of slices", "slices.csv", "*.csv"
        )
        if name:
            self._scene.qa.write_table(name)

    def _read(self, *_: Any) -> None:
        name, _ = QFileDialog.getOpenFileName(self.table.window(), "Read marks", "", "*.csv")
        if name:
            self._scene.qa.read_marks(name)
