"""The base of our docks: scrolls instead of growing, and listens only while it is shown."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls.ending import calls_at_end
from napari_ouroboros.widgets.controls.fold import Fold

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ScrollDock(QScrollArea):
    """A column of controls in a scroll area, narrow enough for a window of 1366 x 768.

    A subclass adds its controls to `column`, connects what it listens to in `attach`, and
    disconnects it in `detach`.

    Notes
    -----
    napari has no hook for the closing of a dock, and Qt hides a tab that is not on top: `attach`
    and `detach` are called alternately, as the dock is shown and hidden, and `detach` once more
    at the end where that has not been done. `attach` brings everything up to date. What has to
    outlive hiding, like work that goes on, is ended by `at_end`.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._attached = False
        self._viewer: weakref.ref[ViewerModel] | None = None
        self._ends = calls_at_end(self)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes to the controls
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.column.setContentsMargins(6, 4, 6, 4)
        self.column.setSpacing(4)
        self.column.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setWidget(content)

    def attach(self) -> None:
        """Connect, and show how things are now. Called when the dock is shown."""

    def detach(self) -> None:
        """Disconnect all that `attach` connected. Called when the dock is hidden."""

    def ends_with(self, viewer: ViewerModel) -> None:
        """End the scene of a viewer, and listen no more, when its window is closed."""
        self._viewer = weakref.ref(getattr(viewer, "__wrapped__", viewer))

    def at_end(self, call: Callable[[], object]) -> None:
        """Call `call()` when the dock is no more; in any thread, and it must not hold the dock."""
        self._ends.append(call)

    def section(self, title: str, *widgets: QWidget, open_: bool = True) -> Fold:
        """Add controls below a title that folds them away; return it."""
        fold = Fold(title, open_)
        fold.add(*widgets)
        self.column.addWidget(fold)
        return fold

    def minimumSizeHint(self) -> QSize:
        """Small: what does not fit is scrolled to."""
        return QSize(180, 100)

    def sizeHint(self) -> QSize:
        """As wide as two columns of controls; as high as the content asks for."""
        content = self.widget()
        height = content.sizeHint().height() if content is not None else 0
        return QSize(300, max(200, min(height + 10, 700)))

    def showEvent(self, event: QShowEvent | None) -> None:
        """Begin to listen."""
        super().showEvent(event)
        if not self._attached:
            self._attached = True
            self.attach()
            self._watch_window()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Stop listening."""
        self._leave()
        super().hideEvent(event)

    def _watch_window(self) -> None:
        from napari_ouroboros.widgets.spaces.closing import on_window_closed

        viewer = None if self._viewer is None else self._viewer()
        window = self.parentWidget()
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if viewer is not None and window is not None:
            self._viewer = None  # once is enough
            on_window_closed(window, viewer, self._leave)

    def _leave(self) -> None:
        if self._attached:
            self._attached = False
            self.detach()
