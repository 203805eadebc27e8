"""Calls brought to the GUI thread from any other, in order, by a queued Qt signal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal

#: After so many seconds of calls the window gets a turn: Qt itself sends all that is queued, and
#: what is queued meanwhile, before it looks at timers and at mouse and keyboard again.
_TURN = 0.008


class _Messenger(QObject):
    """Lives in the GUI thread; a signal from elsewhere is queued there by Qt."""

    _posted = Signal()

    def __init__(self) -> None:
        super().__init__()
        # Every signal is one ticket for the call that is first by then.
        self._calls: deque[Callable[[], None]] = deque()
        self._tickets = 0  # that wait for the next turn
        self._spent = 0.0
        self._next_turn = QTimer(self, singleShot=True, interval=0)
        self._next_turn.timeout.connect(self._turn)
        self._posted.connect(self._arrived, Qt.ConnectionType.QueuedConnection)

    def post(self, function: Callable[[], None]) -> None:
        self._calls.append(function)
        self._posted.emit()

    def _arrived(self) -> None:
        if not self._tickets and self._spent < _TURN:
            self._call()
            return
        self._tickets += 1
        if not self._next_turn.isActive():
            self._next_turn.start()

    def _turn(self) -> None:
        self._spent = 0.0
        while self._tickets and self._spent < _TURN:
            self._tickets -= 1
            self._order_turn()  # now, because the call may open a dialog with its own event loop
            try:
                self._call()
            finally:
                self._order_turn()  # again: after the timers that have become due meanwhile

    def _order_turn(self) -> None:
        if self._tickets:
            self._next_turn.start()

    def _call(self) -> None:
        start = time.perf_counter()
        try:
            self._calls.popleft()()
        finally:
            self._spent += time.perf_counter() - start


_messenger: _Messenger | None = None


def deliver(function: Callable[[], None]) -> None:
    """Call `function` in the GUI thread as soon as its event loop turns; never at once.

    Calls come in the order in which they were delivered. After a long one the event loop turns,
    and the window paints and answers, before the next.

    From other threads only after `prepare` was called in the GUI thread. Without an application
    (it is being closed) the call is dropped: there is nobody left to see its effect.
    """
    if _messenger is None or QCoreApplication.instance() is None:
        return
    try:
        _messenger.post(function)
    except RuntimeError:  # Qt has deleted the messenger at exit
        return


def prepare() -> None:
    """Make the messenger; to be called in the GUI thread before anything is delivered."""
    global _messenger
    if _messenger is None:
        _messenger = _Messenger()
