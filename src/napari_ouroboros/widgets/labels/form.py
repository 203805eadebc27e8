"""The controls of labels: new ones, from files, between slices, and along another trace."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.operations.outputs import local_path, recipe_path
from napari_ouroboros.widgets.controls import JobRow, named, set_ready, tab_order, wrapping_label
from napari_ouroboros.widgets.labels.trace_back import go_back
from napari_ouroboros.widgets.straighten.id_text import ids_of

if TYPE_CHECKING:
    from napari_ouroboros.widgets.labels.straight_labels import StraightLabels
    from napari_ouroboros.widgets.scene import Scene

DTYPES = ("uint8", "uint16", "uint32", "uint64")
NONE_YET = "Make new labels and paint them in the straightened view with napari's own tools."
EARLIER = (
    "These labels were painted along an earlier trace; they stay with it. Carry them over to the "
    "present one?"
)
IN_3D = (
    "Large labels are shown coarse in 3D, and cannot be painted there. They are as they were when "
    "you go back to 2D."
)
_ROWS = 3
#: Width of the field for ids, beside the button (pixels).
_IDS = 90


class LabelsForm(QWidget):
    """The list of labels, and what can be done with them.

    Parameters
    ----------
    scene : Scene
    """

    #: Something has failed: the exception.
    failed = Signal(object)
    #: Something worth a line: labels were loaded, carried over, filled.
    said = Signal(str)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene, self._book = scene, scene.labels
        self._showing = False
        self._chosen: StraightLabels | None = None
        self._active: StraightLabels | None = None
        self.new = named(
            QToolButton(),
            "new labels",
            "Begin an empty Labels layer in the straightened view. Ids go up to 2^64 - 1; the "
            "arrow offers smaller types.",
        )
        self.new.setText("New labels")
        # napari's theme gives a tool button no ground: it would look less of a button than those
        # beside it that are disabled.
        self.new.setStyleSheet(
            "QToolButton:enabled { background: rgba(128, 128, 128, 90); padding: 4px; }"
            "QToolButton:enabled:hover, QToolButton:focus { background: rgba(128, 128, 128, 140); }"
        )
        self.new.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.new.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        menu = QMenu(self.new)
        self.dtypes = [QAction(dtype, menu) for dtype in DTYPES]
        for action in self.dtypes:
            action.triggered.connect(partial(self._new, action.text()))
            menu.addAction(action)
        self.new.setMenu(menu)
        self.load = named(
            QPushButton("Load…"),
            "load labels",
            "Labels of a file or a folder, with the recipe that lies beside it.",
        )
        self.list = named(
            QListWidget(), "labels", "All labels of this window. Click: paint in these."
        )
        self.hint = wrapping_label()
        self.carry = named(
            QPushButton("Carry over"),
            "carry labels over",
            "Copy these labels to the present trace: what was painted keeps its place in the "
            "volume. What does not fit is counted; the old labels stay.",
        )
        self.back = named(
            QPushButton("Back to that trace"),
            "back to that trace",
            "Make the trace and the slices what they were when these labels were painted. Undo in "
            "the Trace dock takes it back.",
        )
        self.remove = named(
            QPushButton("Remove"), "remove labels", "Take these labels out of the window."
        )
        self.undo = named(
            QPushButton("Bring back"),
            "undo removing or adding",
            "Take back what was added or removed last here.",
        )
        self.ids = named(
            QLineEdit(), "ids to interpolate", "Only these ids, such as: 1, 300. Empty: all."
        )
        self.ids.setPlaceholderText("ids: all")
        self.job = JobRow(
            "Interpolate between slices",
            "Fill the slices between painted ones, each id by itself. Undo (Ctrl-Z) in the "
            "straightened view takes it back.",
            "Labels",
        )
        self._lay_out()
        self.new.clicked.connect(lambda: self._new("uint64"))
        self.load.clicked.connect(self._choose)
        self.list.currentRowChanged.connect(self._picked)
        self.carry.clicked.connect(lambda: self._with_current(self._book.carry_over))
        self.back.clicked.connect(lambda: self._with_current(partial(go_back, scene)))
        self.remove.clicked.connect(lambda: self._with_current(self._book.remove))
        self.undo.clicked.connect(lambda: self._try(self._book.undo))
        self.job.run.connect(self._interpolate)
        self.job.cancelled.connect(self._book.cancel)

    def _lay_out(self) -> None:
        self.list.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addWidget(self.hint)
        column.addLayout(_row(self.new, self.load))
        self.ids.setMaximumWidth(_IDS)
        self.job.add_beside(self.ids)
        column.addWidget(self.job)
        # What is done once a day comes last: in a low dock it is scrolled to.
        column.addLayout(_row(self.carry, self.back))
        column.addLayout(_row(self.remove, self.undo))
        self._column = column
        tab_order(
            self.list, self.new, self.load, self.ids, self.job.button, self.job.cancel_button,
            self.carry, self.back, self.remove, self.undo,
        )  # fmt: skip

    def add_option(self, option: QWidget) -> None:
        """Lay out a switch of the dock below what is done most."""
        self._column.insertWidget(self._column.indexOf(self.job) + 1, option)
        tab_order(self.job.cancel_button, option, self.carry)

    @property
    def current(self) -> StraightLabels | None:
        """The labels that are chosen in the list."""
        return self._chosen

    def attach(self) -> None:
        """Listen, and show how things are."""
        book = self._book
        book.changed.connect(self.refresh)
        book.failed.connect(self._fail)
        book.said.connect(self._say)
        book.jobs.changed.connect(self._job_changed)
        book.jobs.progressed.connect(self.job.advance)
        self._scene.live.changed.connect(self.refresh)
        # Work goes on, and ends, while the dock is hidden.
        self._job_changed(book.running)
        self.refresh()

    def detach(self) -> None:
        """Stop listening; work goes on."""
        book = self._book
        book.changed.disconnect(self.refresh)
        book.failed.disconnect(self._fail)
        book.said.disconnect(self._say)
        book.jobs.changed.disconnect(self._job_changed)
        book.jobs.progressed.disconnect(self.job.advance)
        self._scene.live.changed.disconnect(self.refresh)

    def refresh(self, *_: Any) -> None:
        """Show the labels there are, and what can be done with the chosen ones."""
        entries = self._book.entries
        active, before = self._book.active, self._active
        # Parked ones that were chosen to be looked at stay chosen until others are painted in.
        if active is not before or self._chosen not in entries or self._chosen.is_shown:
            self._chosen = active
        self._active = active
        lines = [_line(entry) for entry in entries]
        self._showing = True
        try:
            while self.list.count() > len(lines):
                self.list.takeItem(self.list.count() - 1)
            for row, line in enumerate(lines):
                if row == self.list.count():
                    self.list.addItem(QListWidgetItem())
                item = self.list.item(row)
                assert item is not None
                if item.text() != line:
                    item.setText(line)
                    item.setToolTip(line)
            # What is marked is what the buttons act on.
            self.list.setCurrentRow(-1 if self._chosen is None else entries.index(self._chosen))
        finally:
            self._showing = False
        self.list.setFixedHeight(self._height(len(lines)))
        self.list.setVisible(bool(lines))
        self._show_ready()

    def _height(self, rows: int) -> int:
        row = max(self.list.sizeHintForRow(0), self.fontMetrics().height() + 4)
        return min(max(rows, 1), _ROWS) * row + 2 * self.list.frameWidth() + 2

    def _show_ready(self) -> None:
        entry, state = self.current, self._scene.live.state
        busy = f"{self._book.running} is still going on." if self._book.running else ""
        no_map = state.problem if state.map is None else ""
        none = "" if entry is not None else "Make or load labels first."
        here = (
            "These labels belong to the present trace already." if entry and entry.is_shown else ""
        )
        away = EARLIER.split(";")[0] + "." if entry and not entry.is_shown else ""
        for widget, why in (
            (self.new, no_map),
            (self.load, busy),
            (self.carry, none or here or no_map or busy),
            (self.back, none or here),
            (self.remove, none),
            (self.undo, "" if self._book.undo_text else "Nothing has been added or removed."),
        ):
            set_ready(widget, not why, why)
        self.undo.setText(_shortened(self._book.undo_text) or "Bring back")
        self.job.set_ready(not (none or away or busy), none or away or busy)
        coarse = IN_3D if entry and entry.stand_in is not None else ""
        self.hint.setText(NONE_YET if entry is None else EARLIER if away and not no_map else coarse)
        self.hint.setVisible(bool(self.hint.text()))

    def _job_changed(self, title: str) -> None:
        if self.job.running:
            self.job.finish()
        if title:
            self.job.start(None, "", title)
        self._show_ready()

    def _picked(self, row: int) -> None:
        entries = self._book.entries
        if self._showing or not 0 <= row < len(entries):
            return
        entry = self._chosen = entries[row]
        if entry.in_view is not None:
            self._scene.straight.layers.selection.active = entry.in_view
        self._show_ready()

    def _fail(self, error: Exception) -> None:
        self.failed.emit(error)

    def _say(self, text: str) -> None:
        self.said.emit(text)

    def _new(self, dtype: str, *_: Any) -> None:
        from napari_ouroboros.widgets.spaces.dock import dock_of

        def make() -> None:
            self._book.new(dtype=dtype)
            straight = dock_of(self._scene.viewer)
            if straight is not None and straight.panels is not None:
                straight.panels.show_space(straightened=True)  # where the brush is

        self._try(make)

    def _interpolate(self) -> None:
        def start(entry: StraightLabels) -> None:
            ids = ids_of(self.ids.text(), entry.array.dtype)
            self._book.interpolate(entry, ids or None)

        self._with_current(start)

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Load labels", "", "Labels (*.tif *.tiff *.npy zarr.json .zarray .zattrs info)"
        )
        if not path:
            return
        # Of a folder, the file that every such folder has.
        if os.path.basename(path) in ("zarr.json", ".zarray", ".zattrs", "info"):
            path = os.path.dirname(path)
        recipe: str | None = None
        if not recipe_path(local_path(path)).is_file():
            recipe, _ = QFileDialog.getOpenFileName(
                self, "The recipe of these labels", str(Path(path).parent),
                "Recipe (*.recipe.json)",
            )  # fmt: skip
            if not recipe:
                return
        self._try(lambda: self._book.load(path, recipe))

    def _with_current(self, act: Callable[[StraightLabels], object]) -> None:
        entry = self.current
        if entry is not None:
            self._try(lambda: act(entry))

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OuroborosError as error:
            self.failed.emit(error)


def _row(*buttons: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for button in buttons:
        button.setMinimumWidth(40)
        row.addWidget(button, 1)
    return row


def _line(entry: StraightLabels) -> str:
    where = "shown" if entry.is_shown else "painted along an earlier trace"
    if entry.stand_in is not None:
        where = "shown coarse in 3D"
    return f"{entry.name} – {where} ({entry.array.dtype})"


def _shortened(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
