"""Flip: the canvas of the other space takes the room, the focus and the left column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.qt import QtViewer
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabBar, QWidget

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.spaces.dock import StraightDock, dock_of
from napari_ouroboros.widgets.spaces.room import Room, canvas_width, tasks_height, what_was_chosen

if TYPE_CHECKING:
    from napari.components import ViewerModel


def flip(viewer: ViewerModel) -> None:
    """Give the other space of a viewer's window the width, the focus and the left column.

    Sliders, selections, modes and undo of both stay as they are, and the volume's camera. The
    straightened view's is that of the place that it goes to, see `PlaceCameras`.

    Raises
    ------
    UserError
        The straightened view is not open.
    """
    dock = dock_of(viewer)
    if dock is None or dock.main_window is None or dock.panels is None:
        raise UserError(
            "open the straightened view first: Plugins > napari-ouroboros > Straightened view"
        )
    to_straightened(dock, not dock.in_front)


def to_straightened(dock: StraightDock, straightened: bool, fit: bool = True) -> None:
    """Bring one space to the front: the straightened one, or the volume's.

    Parameters
    ----------
    dock : StraightDock
    straightened : bool
    fit : bool
        Whether the straightened view gets the camera of its place; else it keeps the one it has.
    """
    window, panels = dock.main_window, dock.panels
    if window is None or panels is None:
        return
    moves = straightened != dock.in_front
    if moves:
        _remember(dock)
        dock.cameras.leave(dock.in_front)
    dock.in_front = straightened
    panels.show_space(straightened)
    if dock.hint is not None:
        dock.hint.show_space(straightened)
    share_room(dock)
    if moves and fit:
        # The canvas has its new size once all that is asked for is laid out.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
        dock.cameras.arrive(straightened)
    # The canvas itself takes keys; both models' keys work where the focus is.
    (dock.view if straightened else main_view(window)).canvas.native.setFocus()


def share_room(dock: StraightDock) -> None:
    """Give the space in front what the other need not have, or what the user gave it."""
    window, frame = dock.main_window, docked(dock)
    if window is None or frame is None or window.centralWidget() is None or frame.isFloating():
        return
    chosen = dock.chosen.get(dock.in_front, Room())
    ours, theirs = dock.view.canvas.native, main_view(window).canvas.native
    # What is between a canvas and its pane is not the canvas'.
    margin = frame.width() - ours.width()
    width = canvas_width(ours.width() + theirs.width(), dock.in_front, chosen)
    window.resizeDocks([frame], [width + margin], Qt.Orientation.Horizontal)
    below = _below(window, frame)
    if below is not None:
        both = frame.height() + below.height()
        tasks = max(tasks_height(both, dock.in_front, chosen), below.minimumSizeHint().height())
        # Qt counts the tabs' bar as part of what it belongs to.
        sizes = [both - tasks, tasks + _tab_bar_height(window, below)]
        window.resizeDocks([frame, below], sizes, Qt.Orientation.Vertical)


def _remember(dock: StraightDock) -> None:
    """Keep what the user has made of the room."""
    window, frame = dock.main_window, docked(dock)
    if window is None or frame is None or frame.isFloating():
        return
    ours, theirs = dock.view.canvas.native.width(), main_view(window).canvas.native.width()
    below = _below(window, frame)
    tasks = None if below is None else (below.height(), below.height() + frame.height())
    dock.chosen[dock.in_front] = what_was_chosen(dock.in_front, (ours, ours + theirs), tasks)


def _below(window: QMainWindow, frame: QDockWidget) -> QDockWidget | None:
    """The dock seen below another one in its column."""
    area = window.dockWidgetArea(frame)
    for dock in window.findChildren(QDockWidget):
        if (
            window.dockWidgetArea(dock) == area
            and not dock.isFloating()
            and not dock.visibleRegion().isEmpty()
            and dock.geometry().top() > frame.geometry().bottom()
            and dock.geometry().left() == frame.geometry().left()
        ):
            return dock
    return None


def _tab_bar_height(window: QMainWindow, dock: QDockWidget) -> int:
    if not window.tabifiedDockWidgets(dock):
        return 0
    for bar in window.findChildren(QTabBar):
        if any(bar.tabText(k) == dock.windowTitle() for k in range(bar.count())):
            return int(bar.height())
    return 0


def main_view(window: QMainWindow) -> QtViewer:
    """The window's own canvas."""
    return window.centralWidget().findChild(QtViewer)


def docked(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget is in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
