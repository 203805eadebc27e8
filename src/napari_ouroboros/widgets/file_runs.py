"""Runs to a file: what one will cost, how far it is, and what became of it. No Qt."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from psygnal import Signal

from napari_ouroboros.errors import Cancelled, Notice
from napari_ouroboros.widgets.background import Either, Token, Worker
from napari_ouroboros.widgets.controls.rate import duration_text

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.widgets.background import Deliver


class Request(Protocol):
    """One run, with everything fixed when it is asked for."""

    def cost(self) -> Any:
        """Check everything but what is in the way of the result, and say what a run takes.

        Errors say why a run would fail; what is worth a line is warned of (`Notice`).
        """
        ...

    def run(self, progress: Callable[[int, int], None], cancel: Cancel) -> tuple[Any, int]:
        """Do it; the report, and the bytes that it has moved."""
        ...


R = TypeVar("R", bound=Request)


class FileRuns(Generic[R]):
    """Estimates and runs, one at a time, in threads.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread; all signals are emitted there.
    name : str
        Of the threads.

    Attributes
    ----------
    cost
        What the request of the last estimate said; None: not known.
    bytes_per_second : float or None
        Measured by the last run of this session that ended well.
    """

    #: What a run would cost; None: it could not be told, or not yet.
    cost_changed = Signal(object)
    #: Why a run would fail, and what a run would only notice: one line each.
    warned = Signal(str)
    progressed = Signal(int, int)
    #: A run has ended well: its report.
    finished = Signal(object)
    #: A run has failed, or was cancelled (`Cancelled`): the error.
    failed = Signal(object)

    def __init__(self, deliver: Deliver, name: str) -> None:
        self._deliver = deliver
        self._estimates = Worker(f"{name}-cost", deliver)
        self._runs = Worker(name, deliver, keep_all=True)
        self._token: Token | None = None
        self.cost: Any = None
        self.bytes_per_second: float | None = None

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._token is not None

    def estimate(self, request: R) -> None:
        """Find out what a run would cost; `cost_changed` and `warned` follow."""
        self.cost = None
        self.cost_changed.emit(None)

        def reckon(token: Token) -> tuple[Any, str]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", Notice)
                cost = request.cost()
            notices = [str(w.message) for w in caught if issubclass(w.category, Notice)]
            return cost, "\n".join(notices)

        def done(found: tuple[Any, str]) -> None:
            self.cost = found[0]
            self.cost_changed.emit(found[0])
            self.warned.emit(found[1])

        def failed(error: Exception) -> None:
            self.warned.emit(str(error))

        self._estimates.submit(reckon, done, failed)

    def start(self, request: R) -> None:
        """Run; nothing that looks finished is left unless it ends well."""
        if self.running:
            return

        def report(done: int, total: int) -> None:
            self._deliver(lambda: self._progressed(done, total))

        # Not the worker's own token: of what that one cancels nobody is told.
        stop = self._token = Token()

        def run(closed: Token) -> tuple[Any, float] | Cancelled:
            start = time.monotonic()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Notice)  # said with the cost
                try:
                    ended, n_bytes = request.run(report, Either(stop, closed))
                except Cancelled as error:
                    return error
            return ended, n_bytes / max(time.monotonic() - start, 1e-3)

        def done(found: tuple[Any, float] | Cancelled) -> None:
            self._token = None
            if isinstance(found, Cancelled):
                self.failed.emit(found)
                return
            self.bytes_per_second = found[1]
            self.finished.emit(found[0])

        def failed(error: Exception) -> None:
            self._token = None
            self.failed.emit(error)

        self._runs.submit(run, done, failed)

    def cancel(self) -> None:
        """Ask the run to stop; `failed` follows."""
        if self._token is not None:
            self._token.set()

    def close(self, seconds: float = 0.0) -> bool:
        """Stop everything; nothing is told any more. Wait so long; whether all has ended."""
        self.cancel()
        self._estimates.close()  # told at once; both are waited for
        return all([self._runs.close(seconds), self._estimates.close(seconds)])

    def _progressed(self, done: int, total: int) -> None:
        if self.running:
            self.progressed.emit(done, total)


def size_text(n_bytes: int) -> str:
    """Write a size as people do: "31 MB"."""
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:.3g} kB"
    return f"{n_bytes / 1e6:.3g} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.3g} GB"


def time_text(n_bytes: int, bytes_per_second: float | None) -> str:
    """How long so many bytes take, to be added to a line; "" where no rate was measured yet."""
    if not bytes_per_second:
        return ""
    seconds = n_bytes / bytes_per_second
    return "; about a second" if seconds < 1.5 else f"; about {duration_text(seconds)}"
