"""One long piece of work at a time: in a thread, with progress, Cancel, and an end. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from psygnal import Signal

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets.background import Either, Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.widgets.background import Deliver

T = TypeVar("T")


class Job:
    """Work that somebody has asked for; all signals come in the GUI thread.

    Parameters
    ----------
    name : str
        Of the thread.
    deliver : callable
        Brings results to the GUI thread.
    called : str
        As in a sentence: "a backprojection".

    Attributes
    ----------
    was_cancelled : bool
        Whether what ended last was told to stop, be it when all was done already.
    """

    started = Signal()
    #: So much of how much is done.
    progressed = Signal(int, int)
    #: It has ended: None where it went well, `Cancelled`, or what went wrong.
    ended = Signal(object)

    def __init__(self, name: str, deliver: Deliver, called: str) -> None:
        self.called = called
        self.was_cancelled = False
        self._deliver = deliver
        self._worker = Worker(name, deliver, keep_all=True)
        self._stop: Token | None = None
        self._lock = threading.Lock()
        self._progress: tuple[int, int] | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._stop is not None

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is on its way."""
        return not self.running and self._worker.idle

    def do(
        self,
        run: Callable[[Progress, Cancel], T],
        done: Callable[[T], object],
        failed: Callable[[Exception], object] | None = None,
    ) -> bool:
        """Do ``run(progress, cancel)`` in a thread, then `done` or `failed`; False while it runs.

        What is cancelled ends in ``failed(Cancelled)``. `ended` comes after either.
        """
        if self.running:
            return False
        # Not the worker's own token: of what that one cancels nobody is told.
        stop = self._stop = Token()

        def work(closed: Token) -> tuple[Any, Cancelled | None]:
            try:
                return run(self._report, Either(stop, closed)), None
            except Cancelled as error:
                return None, error

        def came(found: tuple[Any, Cancelled | None]) -> None:
            if found[1] is None:
                self._end(None, lambda: done(found[0]))
            else:
                broken(found[1])

        def broken(error: Exception) -> None:
            self._end(error, lambda: None if failed is None else failed(error))

        self._worker.submit(work, came, broken)
        self.started.emit()
        return True

    def cancel(self) -> None:
        """Ask it to stop; its end follows."""
        if self._stop is not None:
            self._stop.set()

    def close(self, seconds: float = 0.0) -> bool:
        """Stop; nothing is told any more. Wait so long; whether its thread has ended."""
        self.cancel()
        self._stop = None
        return self._worker.close(seconds)

    def _end(self, error: Exception | None, tell: Callable[[], object]) -> None:
        self.was_cancelled = self._stop is not None and self._stop.is_set()
        self._stop = None
        try:
            tell()
        finally:
            self.ended.emit(error)

    def _report(self, done: int, total: int) -> None:
        """From the thread; one message waits at a time, however many come."""
        with self._lock:
            waiting, self._progress = self._progress, (done, total)
        if waiting is None:
            self._deliver(self._tell)

    def _tell(self) -> None:
        with self._lock:
            progress, self._progress = self._progress, None
        if progress is not None and self.running:
            self.progressed.emit(*progress)
