"""One long piece of work at a time, with progress and cancel. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from psygnal import Signal

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets.background import Either, Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.widgets.background import Deliver

T = TypeVar("T")


class Job:
    """Work that somebody asked for by a button; all signals come in the GUI thread.

    Parameters
    ----------
    name : str
        Of the thread.
    deliver : callable
        Brings results to the GUI thread.
    """

    started = Signal()
    progressed = Signal(int, int)
    #: It has ended: None where it went well, `Cancelled`, or what went wrong.
    ended = Signal(object)

    def __init__(self, name: str, deliver: Deliver) -> None:
        self._deliver = deliver
        self._worker = Worker(name, deliver, keep_all=True)
        self._stop: Token | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._stop is not None

    def start(self, run: Callable[[Progress, Cancel], T], done: Callable[[T], None]) -> bool:
        """Do ``run(progress, cancel)`` in a thread, then ``done(result)``; False while it runs."""
        if self.running:
            return False
        # Not the worker's own token: of what that one cancels nobody is told.
        stop = self._stop = Token()

        def told(n: int, total: int) -> None:
            self._deliver(lambda: self._progressed(stop, n, total))

        def work(closed: Token) -> T | Cancelled:
            either = Either(stop, closed)
            try:
                return run(told, either)
            except Cancelled as error:
                return error
            except Exception:
                # What is read may have been closed by whoever stopped this.
                if either.is_set():
                    return Cancelled("it was stopped")
                raise

        def finished(found: T | Cancelled) -> None:
            self._stop = None
            if isinstance(found, Cancelled):
                self.ended.emit(found)
                return
            done(found)
            self.ended.emit(None)

        def failed(error: Exception) -> None:
            self._stop = None
            self.ended.emit(error)

        self._worker.submit(work, finished, failed)
        self.started.emit()
        return True

    def cancel(self) -> None:
        """Ask it to stop; `ended` follows."""
        if self._stop is not None:
            self._stop.set()

    def close(self) -> None:
        """Stop; nothing is told any more."""
        self.cancel()
        self._worker.close()

    def _progressed(self, stop: Token, done: int, total: int) -> None:
        if self._stop is stop:
            self.progressed.emit(done, total)
