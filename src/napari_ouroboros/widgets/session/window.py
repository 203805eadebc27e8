"""What a window knows of its session: its title, and which space is in front."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import one_line
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.session.asking import unsaved_line

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QMainWindow

    from napari_ouroboros.session import Abandoned
    from napari_ouroboros.widgets.session.work import Work

_WHERE = 'The dock "Open a volume" has it: Restore or Discard.'


class SessionWindow:
    """Puts the session's name into the title of a window, marked while it is unsaved.

    Parameters
    ----------
    window : QMainWindow
    viewer : ViewerModel
        The window's own; both are held weakly.
    """

    def __init__(self, window: QMainWindow, viewer: ViewerModel) -> None:
        self._window, self._viewer = weakref.ref(window), weakref.ref(viewer)
        self._work: Work = scene_of(viewer).work
        self._shown = False
        self._work.in_front = self._in_front
        self._work.filing.show_front = self._show_front
        self._work.changed.connect(self._show)
        self._work.filing.found.connect(self._found)
        self._work.filing.failed.connect(self._failed)
        self._work.failed.connect(self._could_not_keep)
        self._last_line = ""
        self._work.filing.look_once()
        # After napari, which has just put its own there.
        viewer.events.title.connect(self._show, position="last")
        self._show()

    def close(self) -> None:
        """Leave the title to napari."""
        self._work.changed.disconnect(self._show)
        self._work.filing.found.disconnect(self._found)
        self._work.filing.failed.disconnect(self._failed)
        self._work.failed.disconnect(self._could_not_keep)
        viewer = self._viewer()
        if viewer is not None:
            viewer.events.title.disconnect(self._show)

    def _show(self, _event: Any = None) -> None:
        window, viewer = self._window(), self._viewer()
        file, unsaved = self._work.file, self._work.unsaved
        if window is None or viewer is None or not (self._shown or file or unsaved):
            return  # a window without a session has the title that it always had
        self._shown = True
        name = "" if file is None else f"{file.name} – "
        # Qt's own place for the mark; with an underscore of its own, a name would have none.
        window.setWindowTitle(f"{name.replace('[*]', '[*][*]')}{viewer.title}[*]")
        window.setWindowModified(unsaved)

    def _found(self, found: list[Abandoned]) -> None:
        """Say that there is unsaved work where no dock is open that offers it."""
        from napari.utils.notifications import show_info

        from napari_ouroboros.widgets.session.form import SessionForm

        window = self._window()
        if found and window is not None and window.findChild(SessionForm) is None:
            show_info(f"{unsaved_line(found[0])} {_WHERE}")

    def _failed(self, error: Exception, _again: object) -> None:
        self._tell_error(one_line(error) or type(error).__name__)

    def _could_not_keep(self, line: str) -> None:
        # It is tried again and again.
        if line != self._last_line:
            self._tell_error(f"Unsaved work could not be kept: {line}")
        self._last_line = line

    def _tell_error(self, line: str) -> None:
        """Say it where no dock is seen that does."""
        from napari.utils.notifications import show_error

        from napari_ouroboros.widgets.session.form import SessionForm

        window = self._window()
        if window is not None and not any(f.attached for f in window.findChildren(SessionForm)):
            show_error(line)

    def _in_front(self) -> str:
        from napari_ouroboros.widgets.spaces.dock import dock_of

        viewer = self._viewer()
        dock = None if viewer is None else dock_of(viewer)
        return "straightened" if dock is not None and dock.in_front else "volume"

    def _show_front(self, front: str) -> None:
        from napari_ouroboros.widgets.spaces.dock import dock_of
        from napari_ouroboros.widgets.spaces.flipping import to_straightened

        viewer = self._viewer()
        dock = None if viewer is None else dock_of(viewer)
        if dock is not None and dock.in_front != (front == "straightened"):
            # The session's camera is that of its place.
            to_straightened(dock, front == "straightened", fit=False)
