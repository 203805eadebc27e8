"""Kernels made ready in the background: numba takes seconds, and a window must not wait for it.

Nothing here knows numba. A kernel has a key, and a function that makes it ready: that imports its
module and calls it once, with arguments of the types it will be called with.
"""

from __future__ import annotations

import atexit
import gc
import os
import queue
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Protocol

from napari_ouroboros.errors import Cancelled

_POLL = 0.1  # seconds between looks at a cancel signal
_IDLE = 0.5  # seconds without work after which the thread ends
_TURN = 0.0005  # seconds after which a kernel in the making lets other threads go on


class CancelSignal(Protocol):
    """Such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the job is to stop."""


class _Kernel:
    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make
        self.done = threading.Event()
        self.error: BaseException | None = None


_lock = threading.Lock()
_kernels: dict[Hashable, _Kernel] = {}
_waiting: queue.SimpleQueue[_Kernel | None] = queue.SimpleQueue()
_worker: threading.Thread | None = None
# Held while a kernel is made, and while this process forks.
_at_work = threading.RLock()


def is_done(key: Hashable) -> bool:
    """Whether a kernel is ready; where nobody has asked for it, nothing is begun."""
    kernel = _kernels.get(key)
    return kernel is not None and kernel.done.is_set() and kernel.error is None


def is_ready(key: Hashable, make: Callable[[], object]) -> bool:
    """Whether a kernel is ready; if not, its turn comes in the background.

    Raises
    ------
    Exception
        What making it ready raised.
    """
    kernel = _kernel(key, make)
    if kernel.error is not None:
        raise kernel.error
    return kernel.done.is_set()


def wait_until_ready(
    key: Hashable, make: Callable[[], object], cancel: CancelSignal | None = None
) -> None:
    """Return once a kernel is ready.

    Raises
    ------
    Cancelled
        ``cancel.is_set()`` became true; the kernel is made ready all the same.
    Exception
        What making it ready raised.
    """
    kernel = _kernel(key, make)
    # In short waits, so that Ctrl-C and cancel get their turn.
    while not kernel.done.wait(_POLL):
        if cancel is not None and cancel.is_set():
            raise Cancelled("the job was cancelled; nothing was kept")
    if kernel.error is not None:
        raise kernel.error


def _kernel(key: Hashable, make: Callable[[], object]) -> _Kernel:
    global _worker
    with _lock:
        kernel = _kernels.get(key)
        if kernel is None:
            kernel = _kernels[key] = _Kernel(make)
            _waiting.put(kernel)
            if _worker is None:
                # One thread: numba compiles one function at a time.
                _worker = threading.Thread(target=_work, daemon=True, name="ouroboros-warm")
                _worker.start()
        return kernel


def _next() -> _Kernel | None:
    """Wait for a kernel to make; None: the thread is to end."""
    global _worker
    try:
        return _waiting.get(timeout=_IDLE)
    except queue.Empty:
        with _lock:
            if _waiting.empty():  # who asks holds the lock, and begins another thread now
                _worker = None
                return None
        return _next()


def _work() -> None:
    while (kernel := _next()) is not None:
        # A collection looks at all that numba makes, and stops every thread for up to 0.4 s: a
        # window would stutter. And each time a window comes back from Qt or OpenGL it waits for
        # the interpreter's turn, of 5 ms if nobody says otherwise.
        collecting, turn = gc.isenabled(), sys.getswitchinterval()
        gc.disable()
        sys.setswitchinterval(min(turn, _TURN))
        try:
            with _at_work:
                kernel.make()
        except BaseException as error:  # noqa: BLE001  # raised to who asks for the kernel
            kernel.error = error
        finally:
            sys.setswitchinterval(turn)
            if collecting:
                gc.enable()
        kernel.done.set()


def _finish() -> None:
    """At the interpreter's exit: a compiler that is still at work would crash it."""
    with _lock:
        worker = _worker
        waiting = [kernel for kernel in _kernels.values() if not kernel.done.is_set()]
        for kernel in waiting:
            kernel.make = _nothing
    if worker is not None:
        _waiting.put(None)
        worker.join()


def _nothing() -> None:
    """Instead of a kernel that nobody will call any more."""


def _before_fork() -> None:
    """Wait for the kernel at work: a child would have half its modules, and locks for ever."""
    _at_work.acquire()


def _after_fork() -> None:
    """Threads do not survive a fork: what was not ready is asked for again."""
    global _lock, _waiting, _worker, _at_work
    _lock, _waiting, _worker = threading.Lock(), queue.SimpleQueue(), None
    _at_work = threading.RLock()
    for key in [key for key, kernel in _kernels.items() if not kernel.done.is_set()]:
        del _kernels[key]


atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_at_work.release, after_in_child=_after_fork
    )
