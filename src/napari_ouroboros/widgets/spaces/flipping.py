"""Flip: the canvas of the other space takes the room, the focus and the left column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.qt import QtViewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.spaces.dock import StraightDock, dock_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Width in pixels that the space not in focus keeps, and its share where there is less room.
SMALLER, SHARE = 381, 0.388


def flip(viewer: ViewerModel) -> None:
    """Give the other space of a viewer's window the width, the focus and the left column.

    Cameras, sliders, selections, modes and undo of both stay as they are.

    Raises
    ------
    UserError
        The straightened view is not open.
    """
    dock = dock_of(viewer)
    if dock is None or dock.main_window is None or dock.panels is None:
        raise UserError("open the straightened view first: Plugins > Ouroboros > Straightened view")
    to_straightened(dock, not dock.in_front)


def to_straightened(dock: StraightDock, straightened: bool) -> None:
    """Bring one space to the front: the straightened one, or the volume's."""
    window, panels = dock.main_window, dock.panels
    if window is None or panels is None:
        return
    dock.in_front = straightened
    panels.show_space(straightened)
    share_width(window, dock, straightened)
    # The canvas itself takes keys; both models' keys work where the focus is.
    (dock.view if straightened else main_view(window)).canvas.native.setFocus()


def share_width(window: QMainWindow, dock: StraightDock, straightened: bool) -> None:
    """Give one canvas all the width that the other need not have."""
    frame = docked(dock)
    centre = window.centralWidget()
    if frame is None or centre is None or frame.isFloating():
        return
    ours, theirs = dock.view.canvas.native, main_view(window).canvas.native
    # What is between a canvas and its pane is not the canvas'.
    margin = frame.width() - ours.width()
    both = ours.width() + theirs.width()
    smaller = min(SMALLER, round(SHARE * both))
    wanted = both - smaller if straightened else smaller
    window.resizeDocks([frame], [wanted + margin], Qt.Orientation.Horizontal)


def main_view(window: QMainWindow) -> QtViewer:
    """The window's own canvas."""
    return window.centralWidget().findChild(QtViewer)


def docked(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget is in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
