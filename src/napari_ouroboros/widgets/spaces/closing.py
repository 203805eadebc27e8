"""The end of a window: napari tells docked widgets nothing, so the window's events are watched.

Before a window with unsaved work or running jobs closes, its user is asked. Nobody is asked when
a program closes it (``viewer.close()``, which cannot be taken back): unsaved work is offered at the
next start then.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox

from napari_ouroboros.widgets.scene import close_scene, scene_of
from napari_ouroboros.widgets.session import asking
from napari_ouroboros.widgets.session.stopping import Stopping
from napari_ouroboros.widgets.session.window import SessionWindow

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NAME = "napari-ouroboros closing"


class _Watch(QObject):
    """Sees the events of a window; ends the scene of its viewer when the window goes."""

    def __init__(self, window: QMainWindow, viewer: ViewerModel) -> None:
        super().__init__(window)
        self.setObjectName(_NAME)
        self._window = weakref.ref(window)
        self._viewer = weakref.ref(viewer)
        self._calls: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._asked = False
        self._done = False
        #: The user has decided, or there is no time to: the window closes.
        self._sure = self._staying = False
        #: The question that is shown.
        self.question: QMessageBox | None = None
        self._answer: asking.Answer = "cancel"
        self.stopping = Stopping(self, scene_of(viewer).work)
        self._session = SessionWindow(window, viewer)
        # napari closes its canvas first when a program closes the window.
        centre = window.centralWidget()
        canvas = None if centre is None else centre.findChild(QtViewer)
        for watched in (window, canvas):
            if watched is not None:
                watched.installEventFilter(self)

    def add(self, call: Callable[[], None]) -> None:
        self._calls.append(weakref.WeakMethod(call))

    def eventFilter(self, watched: Any, event: Any) -> bool:
        kind = event.type()
        if isinstance(watched, QtViewer):
            if kind == QEvent.Type.Close:
                self._sure = True
            return False
        if kind == QEvent.Type.Close:
            if self._staying or self._has_to_ask():
                event.ignore()
                return True
            # The window may still say no; only one that closes is hidden next.
            self._asked = True
        elif kind == QEvent.Type.Show:
            self._asked = False
        elif (kind == QEvent.Type.Hide and self._asked) or kind == QEvent.Type.DeferredDelete:
            self._end()
        return False

    # -- the question ---------------------------------------------------------------------

    def _has_to_ask(self) -> bool:
        """Ask if there is something to lose; whether the window stays for now."""
        viewer = self._viewer()
        if self._sure or self._done or viewer is None:
            return False
        if self.question is not None or self.stopping.isActive():
            return True
        work = scene_of(viewer).work
        running = work.jobs.question("close")
        if not running and not work.unsaved and not work.filing.busy:
            return False
        parts = [running] if running else []
        if work.filing.busy:
            parts.append(f"{work.filing.doing} the session is not finished: stop it and close?")
        if work.unsaved:
            name = "the work in this window" if work.file is None else work.file.name
            parts.append(f"Save {name} before it closes?")
        self.question = asking.ask(self._window(), " ".join(parts), work.unsaved, self._answered)
        return True

    def _answered(self, answer: asking.Answer) -> None:
        self.question, self._answer = None, answer
        if answer == "cancel":
            self._stay()
        else:
            # What is stopped takes back what it has half done: saved is what is left then.
            self.stopping.begin(self._stopped)

    def _saved(self, saved: bool) -> None:
        if saved:
            self._answer = "stop"
            self.stopping.begin(self._stopped)
        else:
            self._stay()

    def _stay(self) -> None:
        """Let napari forget that the whole program was to end, if it was: this was "Cancel".

        Else closing this window some time later would still end the program, and close all others
        with it. napari forgets it when just this window is to close, which is not done here.
        """
        window = self._window()
        if window is not None:
            self._staying = True
            try:
                window.close()
            finally:
                self._staying = False

    def _stopped(self, _ended: bool) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        work = scene_of(viewer).work
        if work.unsaved and self._answer == "save":
            asking.save(self._window(), work, self._saved)
        elif work.unsaved and self._answer != "discard":
            self._has_to_ask()  # the user has gone on meanwhile
        else:
            work.filing.discard_own(self._close)

    def _close(self) -> None:
        self._sure = True
        window = self._window()
        if window is not None:
            # Not the window's own `close`, which would forget that napari was to quit.
            QMainWindow.close(window)

    # -- the end --------------------------------------------------------------------------

    def _end(self) -> None:
        if self._done:
            return
        self._done = True
        self.stopping.stop()
        self._session.close()
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
    watch_of(window, viewer).add(call)


def watch_of(window: QMainWindow, viewer: ViewerModel) -> _Watch:
    """Return what watches a window."""
    watch = window.findChild(_Watch, _NAME)
    return _Watch(window, viewer) if watch is None else watch
