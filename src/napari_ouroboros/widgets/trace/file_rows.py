"""Bringing traces in from states, links and CSV, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.widgets.controls import named, set_ready
from napari_ouroboros.widgets.trace.importing import Candidate

_IMPORT = "Neuroglancer state or points (*.json *.csv *.tsv *.txt);;All files (*)"
_CSV = "Points in nm and voxels (*.csv)"
_STATE = "Neuroglancer state with points (*.json)"
_POLYLINE = "Neuroglancer state with a polyline (*.json)"


class FileRows(QWidget):
    """A line for a path or link, what was found there, and a button to write.

    Parameters
    ----------
    look, add, write : callable
        Look into a path or link; add a trace that was found; write the active one to a path, in
        a state as a polyline or as points.
    """

    def __init__(
        self,
        look: Callable[[str], None],
        add: Callable[[Candidate], None],
        write: Callable[[str, bool], None],
    ) -> None:
        super().__init__()
        self._look, self._add, self._write = look, add, write
        self._found: Sequence[Candidate] = ()
        self.source = named(
            QLineEdit(), "import from", "Path or link of a Neuroglancer state, or a CSV of points."
        )
        self.source.setPlaceholderText("state, link or CSV")
        self.browse = named(
            QPushButton("Browse…"), "browse", "Choose a state or a CSV to import points from."
        )
        self.look = named(
            QPushButton("Import"), "import", "Read the points and polylines there, as new traces."
        )
        self.found = named(
            QComboBox(), "traces found", "What the file has; choose which to make a trace of."
        )
        self.found.setMinimumContentsLength(12)
        self.found.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.add = named(QPushButton("Add"), "add trace", "Make a trace of what is chosen.")
        self.export = named(
            QPushButton("Export…"),
            "export",
            "Write the points as CSV, or a state of the volume with points or a polyline.",
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for row in ((self.source, self.browse, self.look), (self.found, self.add), (self.export,)):
            line = QHBoxLayout()
            for i, widget in enumerate(row):
                line.addWidget(widget, int(i == 0))
            column.addLayout(line)
        self.browse.clicked.connect(self._browse)
        self.look.clicked.connect(self._on_look)
        self.source.returnPressed.connect(self._on_look)
        self.add.clicked.connect(self._on_add)
        self.export.clicked.connect(self._on_export)
        self.source.textChanged.connect(self._show_ready)
        self.show_found(())
        self._show_ready()

    def controls(self) -> list[QWidget]:
        """In the order of Tab."""
        return [self.source, self.browse, self.look, self.found, self.add, self.export]

    def show_found(self, found: Sequence[Candidate]) -> None:
        """List what a file has, where there is a choice."""
        self._found = found
        self.found.clear()
        self.found.addItems([candidate.text for candidate in found])
        self.found.setVisible(len(found) > 1)
        self.add.setVisible(len(found) > 1)

    def set_busy(self, busy: bool) -> None:
        """Whether a file is being read."""
        set_ready(self.look, not busy and bool(self.source.text().strip()), "It is being read.")

    def set_can_export(self, ready: bool, why: str) -> None:
        """Whether there is a trace to write."""
        set_ready(self.export, ready, why)

    def _show_ready(self, _: str = "") -> None:
        some = bool(self.source.text().strip())
        set_ready(self.look, some, "Give a path or a link first.")

    def _on_look(self) -> None:
        if self.source.text().strip():
            self._look(self.source.text())

    def _on_add(self) -> None:
        row = self.found.currentIndex()
        if 0 <= row < len(self._found):
            self._add(self._found[row])

    def _browse(self) -> None:
        dialog = self._dialog("Import points")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilter(_IMPORT)
        dialog.fileSelected.connect(self._chosen)
        dialog.open()

    def _chosen(self, path: str) -> None:
        self.source.setText(path)
        self._look(path)

    def _on_export(self) -> None:
        dialog = self._dialog("Export the trace")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters([_CSV, _STATE, _POLYLINE])
        dialog.setDefaultSuffix("csv")
        dialog.filterSelected.connect(
            lambda chosen: dialog.setDefaultSuffix("csv" if chosen == _CSV else "json")
        )
        dialog.fileSelected.connect(
            lambda path: self._write(path, dialog.selectedNameFilter() == _POLYLINE)
        )
        dialog.open()

    def _dialog(self, title: str) -> QFileDialog:
        # A window beside ours and not a modal call, so that nothing waits for it.
        dialog = QFileDialog(self, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog
