"""Time limits for calls that may never return, and threads that never hold up the exit.

A source can accept a connection and then say nothing; no library here gives up by itself.
So whatever talks to a source runs in a daemon thread, and the caller stops waiting.
(`concurrent.futures` joins its threads when the interpreter exits, which a silent server
would turn into a hang.)
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from napari_ouroboros.errors import SourceError

T = TypeVar("T")

_IDLE_SECONDS = 0.5


class Heartbeat:
    """The moment of the last sign of life: set where the work is done, read by who waits."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def beat(self) -> None:
        """Note a sign of life now."""
        self.last = time.monotonic()


def call(fn: Callable[[], T], timeout: float, what: str, heartbeat: Heartbeat | None = None) -> T:
    """Return ``fn()``, run in a daemon thread, or stop waiting for it.

    Parameters
    ----------
    fn : callable
        Takes no arguments. When the time is over it is left to itself and its result dropped,
        so it should have a limit of its own, if only a rough one.
    timeout : float
        Seconds from the start, or from the last beat of `heartbeat` where one is given.
    what : str
        Begins the error message, such as a URL.

    Raises
    ------
    SourceError
        ``<what> did not answer within <timeout> s``.
    Exception
        Whatever `fn` raised.
    """
    job = _Job(fn)
    start = time.monotonic()
    _idle_worker().jobs.put(job)
    while True:
        last = start if heartbeat is None else max(start, heartbeat.last)
        left = last + timeout - time.monotonic()
        if left <= 0:
            raise SourceError(f"{what} did not answer within {timeout:g} s")
        if job.done.wait(left):
            break
    if job.error is not None:
        try:
            raise job.error
        finally:
            job = None  # type: ignore[assignment]  # the traceback holds this frame: no cycle
    return job.result  # type: ignore[return-value]


class _Job:
    def __init__(self, fn: Callable[[], object]) -> None:
        self.fn = fn
        self.done = threading.Event()
        self.result: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.fn()
        except BaseException as error:  # noqa: BLE001  # handed to the caller, who raises it
            self.error = error
        self.done.set()


class _Worker:
    """One daemon thread that runs job after job; unused for a while, it ends."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="ouroboros-call").start()

    def _run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with _lock:
                    if self in _idle:
                        _idle.remove(self)
                        return
                continue  # somebody has just taken this worker: its job is on the way
            job.run()
            del job  # an idle worker must not keep a result alive
            with _lock:
                _idle.append(self)


_lock = threading.Lock()
_idle: list[_Worker] = []


def _idle_worker() -> _Worker:
    with _lock:
        if _idle:
            return _idle.pop()
    return _Worker()


def _after_fork() -> None:
    """Threads do not survive a fork, so the child starts without any."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
