"""Work of a window that was asked to stop is waited for, the window open and alive."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari_ouroboros.widgets.session.work import Work

#: It is waited for this long.
_WAIT_S = 30.0
_LOOK_MS = 30


class Stopping(QTimer):
    """Stops the jobs of a window, and the saving and opening of its session.

    Parameters
    ----------
    parent : QObject
        With it, this ends.
    work : Work
        Held weakly.
    """

    def __init__(self, parent: QObject, work: Work) -> None:
        super().__init__(parent)
        self.setInterval(_LOOK_MS)
        self._work = weakref.ref(work)
        self._until = 0.0
        self._then: Callable[[bool], object] = lambda ended: None
        self.timeout.connect(self._look)

    def begin(self, then: Callable[[bool], object]) -> None:
        """Ask all to stop; ``then(ended)`` when it has, or with False when it has not for long."""
        work = self._work()
        if work is not None and work.filing.busy:
            work.filing.cancel()
        self._then, self._until = then, time.monotonic() + _WAIT_S
        self.start()
        self._look()

    def _look(self) -> None:
        work = self._work()
        if work is not None:
            # Again and again: what waited for a job that has ended begins only now.
            work.jobs.cancel()
        goes_on = work is not None and (bool(work.jobs.running) or work.filing.busy)
        if not goes_on or time.monotonic() > self._until:
            self.stop()
            self._then(not goes_on)
