"""The end of a window: napari tells docked widgets nothing, so the window's events are watched."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow

from napari_ouroboros.widgets.scene import close_scene

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NAME = "napari-ouroboros closing"


class _Watch(QObject):
    """Sees the events of a window; ends the scene of its viewer when the window goes."""

    def __init__(self, window: QMainWindow, viewer: ViewerModel) -> None:
        super().__init__(window)
        self.setObjectName(_NAME)
        self._viewer = weakref.ref(viewer)
        self._calls: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._asked = False
        self._done = False
        window.installEventFilter(self)

    def add(self, call: Callable[[], None]) -> None:
        self._calls.append(weakref.WeakMethod(call))

    def eventFilter(self, watched: Any, event: Any) -> bool:
        kind = event.type()
        if kind == QEvent.Type.Close:
            # The window may still say no; only one that closes is hidden next.
            self._asked = True
        elif kind == QEvent.Type.Show:
            self._asked = False
        elif (kind == QEvent.Type.Hide and self._asked) or kind == QEvent.Type.DeferredDelete:
            self._end()
        return False

    def _end(self) -> None:
        if self._done:
            return
        self._done = True
        for reference in self._calls:
            call = reference()
            if call is not None:
                call()
        self._calls.clear()
        viewer = self._viewer()
        if viewer is not None:
            close_scene(viewer)


def on_window_closed(window: QMainWindow, viewer: ViewerModel, call: Callable[[], None]) -> None:
    """Call a method (held weakly) once when the window closes, then end its viewer's scene.

    Parameters
    ----------
    window : QMainWindow
        In which the widget is docked: its ``window()`` once it is shown.
    viewer : ViewerModel
        The window's own.
    call : bound method
    """
    watch = window.findChild(_Watch, _NAME)
    if watch is None:
        watch = _Watch(window, viewer)
    watch.add(call)
