"""Everything open, each in its place: volume, straightened view beside it, the tasks below that."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_ouroboros.widgets.spaces.dock import TITLE, StraightDock, dock_of
from napari_ouroboros.widgets.spaces.flipping import docked, share_width

if TYPE_CHECKING:
    from napari import Viewer

#: The tabs below the straightened view: title as in the plugin's menu, module, class.
TASKS = (
    ("Open a volume", "napari_ouroboros.widgets.open", "OpenDock"),
    ("Trace", "napari_ouroboros.widgets.trace", "TraceDock"),
    ("Straighten", "napari_ouroboros.widgets.straighten", "StraightenDock"),
)
#: Of the height of the right column, for the straightened view.
_SHARE = 0.68


def arrange(viewer: Viewer) -> list[QDockWidget]:
    """Open every dock of ours in the window of a viewer, and give each its place.

    Docks that are open already are moved, not opened twice; the window keeps its size.

    Returns
    -------
    list of QDockWidget
        The straightened view, then the tabs below it.
    """
    straight = dock_of(viewer)
    if straight is None:
        straight = StraightDock(viewer)
        main = viewer.window.add_dock_widget(straight, name=TITLE, area="right")
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
    _share(window, straight, main, tasks)
    if window.size() != size and not window.isMaximized():
        window.resize(size)
    # Once more when Qt has laid out what is new.
    straight.scene.deliver(lambda: _share(window, straight, main, tasks))
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
    return viewer.window.add_dock_widget(kind(viewer), name=title, area="right")


def _inside(dock: QDockWidget) -> Iterator[Any]:
    widget = dock.widget()
    if widget is not None:
        yield widget
        yield from widget.findChildren(QWidget)


def _share(
    window: QMainWindow, straight: StraightDock, main: QDockWidget, tasks: list[QDockWidget]
) -> None:
    share_width(window, straight, straight.in_front)
    height = main.height() + tasks[0].height()
    window.resizeDocks(
        [main, tasks[0]],
        [round(_SHARE * height), round((1 - _SHARE) * height)],
        Qt.Orientation.Vertical,
    )
