"""Many requests, one call: what follows the mouse or a slider is done once a turn of the loop."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ouroboros.widgets.background import Deliver


class Soon:
    """Calls a method when the GUI thread is next free, however often it was asked to.

    Parameters
    ----------
    deliver : callable
        Brings a call to the GUI thread's loop.
    call : bound method
        Held weakly.
    """

    def __init__(self, deliver: Deliver, call: Callable[[], None]) -> None:
        self._deliver = deliver
        self._call = weakref.WeakMethod(call)
        self._waiting = False
        self._closed = False

    def request(self, *_: Any) -> None:
        """Ask for the call; takes whatever an event hands over."""
        if not self._waiting and not self._closed:
            self._waiting = True
            self._deliver(self._run)

    def close(self) -> None:
        """Call no more."""
        self._closed = True

    def _run(self) -> None:
        self._waiting = False
        call = self._call()
        if call is not None and not self._closed:
            call()
