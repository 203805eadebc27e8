"""Where a result goes: its format, a path that is typed or chosen, and why it cannot go there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QWidget,
)

from napari_ouroboros.errors import UserError, one_line
from napari_ouroboros.operations.outputs import local_path
from napari_ouroboros.widgets.controls.manners import named, set_ready, wrapping_label

#: What results can be, and the end of their names.
FORMATS: dict[str, str | None] = {
    "TIFF (.tif)": ".tif",
    "OME-Zarr (.zarr)": ".zarr",
    "Neuroglancer precomputed (folder)": "",
}
_ENDS = (".tif", ".tiff", ".zarr")


class Destination(QObject):
    """The controls of a destination; whoever has them lays them out with `add_to`.

    Parameters
    ----------
    parent : QWidget
        Whose controls they are.
    title : str
        Of the dialogs: "Straighten".
    name : str
        What a result is called if nobody says otherwise.
    formats : mapping of str to str or None
        Titles, and the end of the names; None: no file is named.

    Attributes
    ----------
    format : QComboBox
    path : QLineEdit
    choose : QPushButton
    problem : QLabel
        Why nothing can be written to what is typed; hidden where it can.
    """

    #: Another format or path.
    changed = Signal()

    def __init__(
        self, parent: QWidget, title: str, name: str, formats: Mapping[str, str | None] = FORMATS
    ) -> None:
        super().__init__(parent)
        self._owner, self._title, self._name = parent, title, name
        self.format = named(QComboBox(), "format", "What the result is written as.")
        for text, suffix in formats.items():
            self.format.addItem(text, suffix)
        self.path = named(QLineEdit(), "file", "Where the result goes.")
        self.path.setPlaceholderText("where to")
        self.choose = named(QPushButton("Choose…"), "choose the file", "Choose where it goes.")
        self.problem = wrapping_label()
        self.problem.hide()
        self.format.currentIndexChanged.connect(self._format_chosen)
        self.path.editingFinished.connect(self._path_entered)
        self.choose.clicked.connect(self._choose)

    def add_to(self, form: QFormLayout, format_title: str, path_title: str) -> None:
        """Lay out format and path as two rows of a form."""
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path, 1)
        row.addWidget(self.choose)
        form.addRow(format_title, self.format)
        form.addRow(path_title, row)

    @property
    def suffix(self) -> str | None:
        """The end of names of the chosen format; None: no file is named."""
        found: str | None = self.format.currentData()
        return found

    @property
    def text(self) -> str:
        """What is typed."""
        return self.path.text().strip()

    @property
    def why_not(self) -> str:
        """Why nothing can be written to what is typed; "" where it can, or nothing is."""
        try:
            if self.text and self.suffix is not None:
                local_path(os.path.expanduser(self.text))
        except UserError as error:
            return one_line(error)
        return ""

    @property
    def target(self) -> Path:
        """The path that is typed; a name in the working directory where none is, or none can be."""
        text = self.text
        if not text or self.why_not:
            text = f"{self._name}{self.suffix or ''}"
        return local_path(os.path.expanduser(text))

    @property
    def not_yet(self) -> str:
        """What is missing before anything can be written; "" where nothing is."""
        if self.suffix is None or (self.text and not self.why_not):
            return ""
        return self.why_not or "Choose a file first."

    def may_replace(self, path: Path) -> bool:
        """Ask whether what is there may be replaced."""
        answer = QMessageBox.question(
            self._owner,
            self._title,
            f"{path.name} is there already. Replace it by the new result?",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def show(self) -> None:
        """Show why it cannot go there, and whether a file is named at all."""
        self.problem.setText(self.why_not)
        self.problem.setVisible(bool(self.why_not))
        for control in (self.path, self.choose):
            set_ready(control, self.suffix is not None, "This needs no file.")

    def _format_chosen(self) -> None:
        text = self.text
        if text and self.suffix is not None:
            base, end = os.path.splitext(text)
            if end.lower() in _ENDS:
                text = base.removesuffix(".ome")
            self.path.setText(text + self.suffix)
        self.changed.emit()

    def _path_entered(self) -> None:
        end = os.path.splitext(self.text)[1].lower()
        suffix = {".tiff": ".tif"}.get(end, end)
        found = self.format.findData(suffix if suffix in (".tif", ".zarr") else "")
        blocked = self.format.blockSignals(True)
        self.format.setCurrentIndex(found)
        self.format.blockSignals(blocked)
        self.changed.emit()

    def _choose(self) -> None:
        suffix = self.suffix or ""
        # We ask ourselves before anything is replaced: folders are asked about as well.
        name, _ = QFileDialog.getSaveFileName(
            self._owner, f"{self._title} to", self.text or f"{self._name}{suffix}", "",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )  # fmt: skip
        if name:
            has_end = os.path.splitext(name)[1].lower() in _ENDS
            self.path.setText(name if has_end or not suffix else name + suffix)
            self._path_entered()
