"""Everything open, each in its place: volume, straightened view beside it, the tasks below that."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_ouroboros.widgets.spaces.dock import TITLE, StraightDock, dock_of
from napari_ouroboros.widgets.spaces.flipping import docked, share_room

if TYPE_CHECKING:
    from napari import Viewer

#: The tabs below the straightened view: title as in the plugin's menu, module, class.
TASKS = (
    ("Open a volume", "napari_ouroboros.widgets.open", "OpenDock"),
    ("Trace", "napari_ouroboros.widgets.trace", "TraceDock"),
    ("Straighten", "napari_ouroboros.widgets.straighten", "StraightenDock"),
)


def arrange(viewer: Viewer) -> list[QDockWidget]:
    """Open every dock of ours in the window of a viewer, and give each its place.

    Docks that are open already are moved, not opened twice; the window keeps its size.

    Returns
    -------
    list of QDockWidget
        The straightened view, then the tabs below it.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)  # not the proxy that plugins get
    straight = dock_of(viewer)
    if straight is None:
        straight = StraightDock(viewer)
        main = _add(viewer, straight, TITLE)
    else:
        main = docked(straight)
    window = main.window() if main.isFloating() is False else main.parentWidget()
    size = window.size()
    tasks = [_task(viewer, window, *task) for task in TASKS]
    right = Qt.DockWidgetArea.RightDockWidgetArea
    main.setFloating(False)
    window.addDockWidget(right, main)
    window.splitDockWidget(main, tasks[0], Qt.Orientation.Vertical)
    for before, task in zip(tasks, tasks[1:], strict=False):
        window.tabifyDockWidget(before, task)
    for dock in (main, *tasks):
        dock.show()
    tasks[0].raise_()
    share_room(straight)
    if window.size() != size and not window.isMaximized():
        window.resize(size)
    # Once more when Qt has laid out what is new.
    straight.scene.deliver(lambda: share_room(straight))
    return [main, *tasks]


def _task(
    viewer: Viewer, window: QMainWindow, title: str, module: str, class_name: str
) -> QDockWidget:
    """The dock of a task: the one that is open, else a new one."""
    kind = getattr(import_module(module), class_name)
    for dock in window.findChildren(QDockWidget):
        if any(isinstance(widget, kind) for widget in _inside(dock)):
            dock.setFloating(False)
            return dock
    return _add(viewer, kind(viewer), title)


def _add(viewer: Viewer, widget: QWidget, title: str) -> QDockWidget:
    """Dock a widget under the name by which the plugin's menu knows it.

    Under any other the menu would open a second one.
    """
    dock = viewer.window.add_dock_widget(widget, name=f"{title} (napari-ouroboros)", area="right")
    dock.setWindowTitle(title)  # of the tab, where there is little room
    return dock


def _inside(dock: QDockWidget) -> Iterator[Any]:
    widget = dock.widget()
    if widget is not None:
        yield widget
        yield from widget.findChildren(QWidget)
