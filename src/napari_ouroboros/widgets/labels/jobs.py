"""One long piece of work on labels at a time: off the GUI thread, with progress and cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from psygnal import Signal

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.widgets.background import Either, Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.widgets.background import Deliver

T = TypeVar("T")

#: What is done in the worker.
Work = Callable[["Cancel", "Progress"], T]


class LabelJobs:
    """Runs one job after the other has ended; everything here is for the GUI thread.

    Parameters
    ----------
    deliver : callable
    """

    #: A job has begun or ended: its title, "" at the end.
    changed = Signal(str)
    #: So much of how much is done.
    progressed = Signal(int, int)

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._worker = Worker("ouroboros-labels", deliver, keep_all=True)
        self._stop: Token | None = None
        self._progress: tuple[int, int] | None = None
        #: Title of the job that runs; "" without one.
        self.running = ""
        #: Whether the last job was told to stop, be it when all was computed already.
        self.was_cancelled = False

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is on its way."""
        return not self.running and self._worker.idle

    def start(
        self,
        title: str,
        work: Work[T],
        done: Callable[[T], object],
        failed: Callable[[Exception], object],
    ) -> None:
        """Do ``work(cancel, progress)`` in the worker, then `done` or `failed` here.

        A cancelled job ends in ``failed(Cancelled)``.

        Raises
        ------
        UserError
            Another job runs.
        """
        if self.running:
            raise UserError(f"{self.running} is still going on; wait for it or cancel it first")
        stop = self._stop = Token()

        def run(closed: Token) -> tuple[Any, Cancelled | None]:
            # Cancelled goes by way of a result: a worker tells nobody of it.
            try:
                return work(Either(stop, closed), self._report), None
            except Cancelled as error:
                return None, error

        def ended(found: tuple[Any, Cancelled | None]) -> None:
            self._end()
            if found[1] is not None:
                failed(found[1])
            else:
                done(found[0])

        def broken(error: Exception) -> None:
            self._end()
            failed(error)

        self.running = title
        self._worker.submit(run, ended, broken)
        self.changed.emit(title)

    def cancel(self) -> None:
        """Ask the job to stop; its `failed` follows."""
        if self._stop is not None:
            self._stop.set()

    def close(self) -> None:
        """Stop; nothing is told any more."""
        self.cancel()
        self._worker.close()
        self.running = ""

    def _end(self) -> None:
        self.was_cancelled = self._stop is not None and self._stop.is_set()
        self.running, self._stop = "", None
        self.changed.emit("")

    def _report(self, done: int, total: int) -> None:
        """From the worker; one message waits at a time, however many come."""
        waiting, self._progress = self._progress, (done, total)
        if waiting is None:
            self._deliver(self._tell)

    def _tell(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None and self.running:
            self.progressed.emit(*progress)


class AskedAbout:
    """Long work on labels as one of the things that a window is asked about before it closes.

    Parameters
    ----------
    jobs : LabelJobs
    """

    def __init__(self, jobs: LabelJobs) -> None:
        self._jobs = jobs

    @property
    def running(self) -> bool:
        """Whether something is being done."""
        return bool(self._jobs.running)

    def cancel(self) -> None:
        """Ask it to stop."""
        self._jobs.cancel()

    def close(self, seconds: float = 0.0) -> None:
        """End it; nothing is waited for."""
        self._jobs.close()
