"""A picture along the slices, from left to right: mouse and keys go from slice to slice."""

from __future__ import annotations

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QWidget

_LARGE_STEP = 10
_KEYS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_PageUp: -_LARGE_STEP,
    Qt.Key.Key_PageDown: _LARGE_STEP,
}


class AlongSlices(QWidget):
    """Click or drag: go to a slice. Left, right: one slice; page up and down: ten; home, end.

    Whoever derives from it says how many slices there are, which is shown, where they are drawn,
    and goes to one.
    """

    @property
    def n_slices(self) -> int:
        """How many there are; 0 where none are."""
        raise NotImplementedError

    @property
    def shown_slice(self) -> int:
        """The one that is shown."""
        raise NotImplementedError

    @property
    def area(self) -> QRect:
        """Where in the widget the slices are drawn."""
        raise NotImplementedError

    def choose(self, k: int) -> None:
        """Go to a slice."""
        raise NotImplementedError

    def slice_at(self, x: float) -> int:
        """Return the slice at a place of the widget."""
        area, n = self.area, self.n_slices
        k = int((x - area.left()) / max(1, area.width()) * n)
        return min(max(k, 0), max(0, n - 1))

    def x_of(self, k: float) -> float:
        """Return where the middle of a slice lies."""
        area = self.area
        return area.left() + (k + 0.5) / max(1, self.n_slices) * area.width()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go to the slice under the mouse."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton and self.n_slices:
            self.choose(self.slice_at(event.position().x()))
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow a drag."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Step along the slices."""
        if event is None or not self.n_slices:
            return
        last = self.n_slices - 1
        key = Qt.Key(event.key())
        if key in _KEYS:
            self.choose(min(max(self.shown_slice + _KEYS[key], 0), last))
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.choose(0 if key == Qt.Key.Key_Home else last)
        else:
            super().keyPressEvent(event)
