"""The second canvas above the strip: how the height is shared, until the user says otherwise."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls import Fold
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.straighten import StripView

#: Of the height of both, for the strip's picture; and between which heights in pixels.
_SHARE, _LEAST, _MOST = 0.14, 44, 200


class StripSection(Fold):
    """The strip below a title that folds it away; what runs across it is chosen beside the title.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__("Along the curve")
        self.view = StripView(scene)
        self.add(self.view)
        self.column.setContentsMargins(6, 2, 0, 0)
        column = self.layout()
        assert isinstance(column, QVBoxLayout)
        column.removeWidget(self.button)
        # A line of its own for the choice would be taken from the canvas.
        header = QHBoxLayout()
        header.setSpacing(2)
        header.addWidget(self.button, 1)
        header.addWidget(self.view.axis)
        self.view.axis.setFixedHeight(self.button.sizeHint().height())
        column.insertLayout(0, header)
        self.button.toggled.connect(self.view.axis.setVisible)

    def height_with(self, picture: int) -> int:
        """How high all of it is with a picture of so many pixels."""
        # Just unfolded, Qt has not yet asked what is inside.
        self.layout().activate()
        around = self.minimumSizeHint().height() - self.view.canvas.minimumHeight()
        return around + self.view.canvas.height_with(picture)


class CanvasOverStrip(QSplitter):
    """Gives the canvas what the strip does not need; a strip that was dragged keeps its height.

    Parameters
    ----------
    canvas : QWidget
    strip : StripSection
    """

    def __init__(self, canvas: QWidget, strip: StripSection) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self._strip = strip
        self._chosen: int | None = None
        self.addWidget(canvas)
        self.addWidget(strip)
        self.setStretchFactor(0, 1)
        self.setCollapsible(0, False)
        self.setCollapsible(1, False)
        self.splitterMoved.connect(self._moved)
        strip.button.toggled.connect(self._share)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Share the height that there is now."""
        super().resizeEvent(event)
        self._share()

    def _share(self) -> None:
        height = self.height()
        strip = 1
        if self._strip.is_open:
            picture = min(max(round(_SHARE * height), _LEAST), _MOST)
            strip = self._chosen or self._strip.height_with(picture)
        self.setSizes([max(1, height - strip), strip])

    def _moved(self, _position: int, _index: int) -> None:
        if self._strip.is_open:
            self._chosen = self.sizes()[1]
