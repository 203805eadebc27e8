"""Work off the GUI thread: plain threads with a cancel token, and results brought back.

No Qt here: whoever has a GUI hands in what brings a call to its thread (`gui_thread.deliver`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from napari_ouroboros.errors import Cancelled

T = TypeVar("T")

#: Brings a call to the GUI thread; may be called from any thread.
Deliver = Callable[[Callable[[], None]], None]


class Token:
    """Asks a piece of work to stop; every later answer of it is dropped."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until `set`, or so long; whether it is set."""
        return self._event.wait(seconds)


class Either:
    """Set as soon as one of several tokens is: the user's, and that of the worker."""

    def __init__(self, *tokens: Token) -> None:
        self._tokens = tokens

    def is_set(self) -> bool:
        """Whether to stop."""
        return any(token.is_set() for token in self._tokens)


class _Work(Generic[T]):
    """One call, what is done with its result, and its token."""

    def __init__(
        self,
        run: Callable[[Token], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.run, self.done, self.failed = run, done, failed
        self.token = Token()


class Worker:
    """One daemon thread that does one thing at a time; the latest wins, or all in their order.

    Parameters
    ----------
    name : str
        Of the thread.
    deliver : callable
        Brings results to the GUI thread.
    keep_all : bool
        Do everything in order. Default: what has not begun is replaced by what comes after it,
        and what has begun is told to stop.
    finish_begun : bool
        What has begun is finished and its result brought back, though something newer waits: under
        a stream of requests each result comes a little late, but none starves.

    Notes
    -----
    `done` and `failed` are called in the GUI thread, never after `close`, and not for what was
    replaced or cancelled meanwhile.
    """

    def __init__(
        self, name: str, deliver: Deliver, keep_all: bool = False, finish_begun: bool = False
    ) -> None:
        self._name, self._deliver = name, deliver
        self._keep_all, self._finish_begun = keep_all, finish_begun
        self._lock = threading.Condition()
        self._waiting: list[_Work[Any]] = []
        self._current: _Work[Any] | None = None
        self._undelivered: list[_Work[Any]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(
        self,
        run: Callable[[Token], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> Token:
        """Do ``run(token)`` in the thread, then ``done(result)`` or ``failed(error)`` in the GUI's.

        `run` should look at its token and raise `Cancelled`, which nobody is told of.
        """
        work = _Work(run, done, failed)
        with self._lock:
            if self._closed:
                work.token.set()
                return work.token
            if not self._keep_all:
                self._drop(begun=not self._finish_begun)
            self._waiting.append(work)
            if self._thread is None:
                # The thread holds the worker weakly, so that a forgotten one ends by itself.
                self._thread = threading.Thread(
                    target=_loop, args=(weakref.ref(self), self._lock), daemon=True, name=self._name
                )
                self._thread.start()
            self._lock.notify()
        return work.token

    def cancel(self) -> None:
        """Drop what waits or is on its way, and stop what runs."""
        with self._lock:
            self._drop()

    @property
    def idle(self) -> bool:
        """Whether nothing waits, runs or is on its way to the GUI thread."""
        with self._lock:
            return not self._waiting and self._current is None and not self._undelivered

    def close(self, seconds: float = 0.0) -> bool:
        """Stop; wait at most so long for the thread. Whether it has ended. Harmless when repeated.

        With 0 seconds nothing is waited for, as behoves the GUI thread: the token is set, and what
        comes back afterwards is dropped.
        """
        with self._lock:
            self._closed = True
            self._drop()
            self._lock.notify_all()
            thread = self._thread
        if thread is None:
            return True
        if seconds:
            thread.join(seconds)
        return not thread.is_alive()

    def _drop(self, begun: bool = True) -> None:
        for work in self._waiting:
            work.token.set()
        self._waiting.clear()
        if begun:
            current = () if self._current is None else (self._current,)
            for work in (*current, *self._undelivered):
                work.token.set()

    def _finish(self, work: _Work[Any], call: Callable[[], None]) -> None:
        """Bring a call to the GUI thread unless the work has been dropped by then."""
        with self._lock:
            self._undelivered.append(work)

        def deliver() -> None:
            with self._lock:
                self._undelivered.remove(work)
                dropped = work.token.is_set() or self._closed
            if not dropped:
                call()

        self._deliver(deliver)


def _loop(reference: weakref.ref[Worker], lock: threading.Condition) -> None:
    while True:
        with lock:
            while True:
                worker = reference()
                if worker is None or worker._closed:
                    return
                if worker._waiting:
                    work = worker._waiting.pop(0)
                    worker._current = work
                    break
                del worker
                # Woken by `submit`; looks up by itself now and then in case it was forgotten.
                lock.wait(0.5)
        _do(worker, work)
        del worker, work


def _do(worker: Worker, work: _Work[Any]) -> None:
    try:
        result = work.run(work.token)
    except Cancelled:
        pass
    except Exception as error:  # noqa: BLE001 - handed to whoever asked for the work
        # Bound now: Python forgets the name at the end of the block.
        worker._finish(work, lambda error=error: work.failed(error))  # type: ignore[misc]
    else:
        worker._finish(work, lambda: work.done(result))
    finally:
        with worker._lock:
            if worker._current is work:
                worker._current = None
