"""The part of the dock that brings points home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.widgets.controls import named, set_ready, tab_order

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_ouroboros.widgets.home.points import Brought
    from napari_ouroboros.widgets.scene import Scene

_NONE = "Add a Points layer in the straightened view first."


class PointsForm(QWidget):
    """Which points, and where to.

    Parameters
    ----------
    scene : Scene
    """

    #: It did not work: the exception.
    failed = Signal(object)
    #: What became of it, in a line.
    said = Signal(str)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points = scene.overlays.points
        self._layers: list[Points] = []
        self.layer = named(
            QComboBox(), "points to bring home", "Which points of the straightened view go home."
        )
        self.layer.setMinimumContentsLength(8)
        self.layer.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.bring = named(
            QPushButton("Bring points home"),
            "bring points home",
            "Show them in the original, with their features.",
        )
        self.save = named(
            QPushButton("Save CSV…"),
            "save points",
            "Write them with slice, row and column, and with their place in nm.",
        )
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Points", self.layer)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bring, 1)
        row.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addLayout(row)
        self.bring.clicked.connect(self._bring)
        self.save.clicked.connect(self._save)
        tab_order(self.layer, self.bring, self.save)

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._points.changed.connect(self.refresh)
        self._points.brought.connect(self._brought)
        self._points.written.connect(self._written)
        self._points.failed.connect(self._failed)
        self.refresh()

    def detach(self) -> None:
        """Stop listening."""
        self._points.changed.disconnect(self.refresh)
        self._points.brought.disconnect(self._brought)
        self._points.written.disconnect(self._written)
        self._points.failed.disconnect(self._failed)

    def refresh(self) -> None:
        """Offer the layers that there are."""
        before = self.chosen
        self._layers = self._points.layers
        self.layer.clear()
        self.layer.addItems([str(layer.name) for layer in self._layers])
        if before in self._layers:
            self.layer.setCurrentIndex(self._layers.index(before))
        for control in (self.layer, self.bring, self.save):
            set_ready(control, bool(self._layers), _NONE)

    @property
    def chosen(self) -> Points | None:
        """The layer whose points go home."""
        i = self.layer.currentIndex()
        return self._layers[i] if 0 <= i < len(self._layers) else None

    def _bring(self) -> None:
        if self.chosen is not None:
            self._points.bring(self.chosen)

    def _save(self) -> None:
        # A window beside ours and not a modal call, so that nothing waits for it.
        dialog = QFileDialog(self, "Save points")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter("Points in both spaces (*.csv)")
        dialog.setDefaultSuffix("csv")
        dialog.fileSelected.connect(self._write)
        dialog.open()

    def _write(self, path: str) -> None:
        if self.chosen is not None:
            self._points.write(self.chosen, Path(path))

    def _failed(self, error: Exception) -> None:
        self.failed.emit(error)

    def _brought(self, layer: Any, brought: Brought) -> None:
        self.said.emit(f"Brought home: {brought.text}.")

    def _written(self, path: Path, brought: Brought) -> None:
        self.said.emit(f"Written: {path} with {brought.text}.")
