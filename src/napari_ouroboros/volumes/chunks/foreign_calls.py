"""Calls into other people's C++, for which the end of Python waits.

Python stops a daemon thread that comes back from C++ after its end by force. On its way out through
pybind11 (tensorstore, some codecs) that aborts the whole process: exit code 134, whatever was to be
said. So no such call begins once Python is about to end, and the end waits for those under way.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

#: Seconds at most: a codec takes milliseconds, and an end that comes too early is better than none.
_PATIENCE = 10.0


class ForeignCalls:
    """Counts the calls under way; safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._ended = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Make one call inside; in a daemon thread this never returns once Python ends."""
        with self._changed:
            while self._ended and threading.current_thread() is not threading.main_thread():
                self._changed.wait()
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let no further call begin, and wait for those under way."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._under_way, _PATIENCE)


_calls = ForeignCalls()
atexit.register(lambda: _calls.end())


def foreign_call() -> AbstractContextManager[None]:
    """Return the context in which to make a call."""
    return _calls.one()


def _after_fork() -> None:
    """The threads of the calls under way are not in the child."""
    global _calls
    _calls = ForeignCalls()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
