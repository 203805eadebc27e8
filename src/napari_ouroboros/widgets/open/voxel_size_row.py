"""The row that asks for the size of a voxel, for a volume that does not say it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_ouroboros.widgets.controls import named
from napari_ouroboros.widgets.open.voxel_size import HOW


class VoxelSizeRow(QWidget):
    """A field for z, y, x and the button that opens with it."""

    #: Return or the button was pressed.
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = named(
            QLineEdit(), "voxel size z, y, x", f"The size of a voxel of the finest level; {HOW}."
        )
        self.edit.setPlaceholderText("z, y, x nm")
        self.button = named(
            QPushButton("Use"), "use this voxel size", "Open the volume with this voxel size."
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.edit, 1)
        row.addWidget(self.button)
        self.edit.returnPressed.connect(self.entered)
        self.button.clicked.connect(self.entered)
