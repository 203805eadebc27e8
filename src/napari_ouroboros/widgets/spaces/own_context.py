"""Where there are several canvases, each deletes its own textures and programs only.

When a layer goes, napari at once carries out what its canvas has yet to tell OpenGL, in whichever
context was used last (napari 0.9: ``VispyCanvas._clean_and_update_scenegraph``). That of another
canvas then loses the textures and programs that have the same numbers there, and its next paint
fails with GL_INVALID_VALUE or GL_INVALID_OPERATION.
"""

from __future__ import annotations

from typing import Any

from napari.qt import QtViewer
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QMainWindow

_NAME = "napari-ouroboros own context"


def keep_to_own_context(view: QtViewer) -> None:
    """Use a canvas' own context when layers go from it; harmless twice."""
    if view.findChild(QObject, _NAME) is None:
        _OwnContext(view)


def keep_window_to_own_context(window: QMainWindow) -> None:
    """Do so with the canvas of a window of napari's."""
    centre = window.centralWidget()
    view = None if centre is None else centre.findChild(QtViewer)
    if view is not None:
        keep_to_own_context(view)


class _OwnContext(QObject):
    """Lives as long as its canvas."""

    def __init__(self, view: QtViewer) -> None:
        super().__init__(view)
        self.setObjectName(_NAME)
        self._canvas = view.canvas.view.canvas  # vispy's
        # Before the layer goes, and before the batch ends in which several do.
        view.viewer.layers.events.removing.connect(self._use)

    def _use(self, _event: Any = None) -> None:
        self._canvas.set_current()
