"""Calls brought to the GUI thread from any other, in order, by a queued Qt signal."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QObject, Qt, Signal


class _Messenger(QObject):
    """Lives in the GUI thread; a signal from elsewhere is queued there by Qt."""

    call = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.call.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def _run(self, function: Callable[[], None]) -> None:
        function()


_messenger: _Messenger | None = None


def deliver(function: Callable[[], None]) -> None:
    """Call `function` in the GUI thread as soon as its event loop turns; never at once.

    From other threads only after `prepare` was called in the GUI thread. Without an application
    (it is being closed) the call is dropped: there is nobody left to see its effect.
    """
    if _messenger is None or QCoreApplication.instance() is None:
        return
    try:
        _messenger.call.emit(function)
    except RuntimeError:  # Qt has deleted the messenger at exit
        return


def prepare() -> None:
    """Make the messenger; to be called in the GUI thread before anything is delivered."""
    global _messenger
    if _messenger is None:
        _messenger = _Messenger()
