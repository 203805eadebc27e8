"""Everything open, each in its place: volume, straightened view beside it, the tasks below that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces.dock import TITLE, StraightDock, dock_of
from napari_ouroboros.widgets.spaces.flipping import docked, share_room

if TYPE_CHECKING:
    from napari import Viewer

#: The tabs below the straightened view: title as in the plugin's menu, module, class.
TASKS = (
    ("Open a volume", "napari_ouroboros.widgets.open", "OpenDock"),
    ("Trace", "napari_ouroboros.widgets.trace", "TraceDock"),
    ("Straighten", "napari_ouroboros.widgets.straighten", "StraightenDock"),
    ("Backproject", "napari_ouroboros.widgets.home", "BackprojectDock"),
    ("QA", "napari_ouroboros.widgets.qa", "QaDock"),
)


def arrange(viewer: Viewer) -> list[QDockWidget]:
    """Open every dock of ours in the window of a viewer, and give each its place.

    Docks that are open already are moved, not opened twice; the window keeps its size. All is
    done when this returns; in a window that somebody looks at, use `arrange_softly`.

    Returns
    -------
    list of QDockWidget
        The straightened view, then the tabs below it.
    """
    return list(_steps(viewer))[-1]


def arrange_softly(
    viewer: Viewer, done: Callable[[list[QDockWidget]], object] | None = None
) -> None:
    """Do as `arrange`, but only the canvas at once; each other dock in a turn of its own.

    Parameters
    ----------
    done : callable, optional
        Called with what `arrange` returns; not called when the window is closed before.
    """
    deliver = scene_of(viewer).deliver
    steps = _steps(viewer)

    def turn(before: list[QDockWidget]) -> None:
        docks = next(steps, None)
        if docks is not None:
            deliver(lambda: turn(docks))
        elif done is not None and len(before) > len(TASKS) and not _is_closed(viewer):
            done(before)

    turn([])


def _steps(viewer: Viewer) -> Iterator[list[QDockWidget]]:
    """Each step yields the docks that are in their places; it ends early with the window."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # not the proxy that plugins get
    straight = dock_of(viewer)
    if straight is None:
        straight = StraightDock(viewer)
        main = _add(viewer, straight, TITLE)
    else:
        main = docked(straight)
    window = main.window() if main.isFloating() is False else main.parentWidget()
    size = window.size()
    main.setFloating(False)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, main)
    main.show()
    docks = [main]
    yield docks
    for task in TASKS:
        if straight.closed or not isalive(window):
            return
        dock = _task(viewer, window, *task)
        if len(docks) == 1:
            window.splitDockWidget(main, dock, Qt.Orientation.Vertical)
        else:
            window.tabifyDockWidget(docks[-1], dock)
        dock.show()
        docks = [*docks, dock]
        docks[1].raise_()
        share_room(straight)
        _keep_size(window, size)
        yield docks
    if straight.closed or not isalive(window):
        return
    share_room(straight)
    _keep_size(window, size)
    # Once more when Qt has laid out what is new. The window may be gone by then, and must not be
    # held until then.
    waiting = ref(straight)

    def once_more() -> None:
        dock = waiting()
        if dock is not None and isalive(dock) and not dock.closed:
            share_room(dock)

    straight.scene.deliver(once_more)
    yield docks


def _is_closed(viewer: Viewer) -> bool:
    straight = dock_of(viewer)
    return straight is None or straight.closed or straight.main_window is None


def _keep_size(window: QMainWindow, size: QSize) -> None:
    if window.size() != size and not window.isMaximized():
        window.resize(size)


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
