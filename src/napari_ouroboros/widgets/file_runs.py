"""Runs to a file: what one will cost, how far it is, and what became of it. No Qt."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from psygnal import Signal

from napari_ouroboros.errors import Notice
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.controls.rate import duration_text
from napari_ouroboros.widgets.job import Job

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress
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


class FileRuns(Job, Generic[R]):
    """Estimates and runs, one at a time, in threads.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread; all signals are emitted there.
    name : str
        Of the threads.
    called : str
        As in a sentence: "a backprojection".

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
    #: A run has ended well: its report.
    finished = Signal(object)
    #: A run has failed, or was cancelled (`Cancelled`): the error.
    failed = Signal(object)

    def __init__(self, deliver: Deliver, name: str, called: str) -> None:
        super().__init__(name, deliver, called)
        self._estimates = Worker(f"{name}-cost", deliver)
        self.cost: Any = None
        self.bytes_per_second: float | None = None

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

        def run(progress: Progress, cancel: Cancel) -> tuple[Any, float]:
            start = time.monotonic()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Notice)  # said with the cost
                report, n_bytes = request.run(progress, cancel)
            return report, n_bytes / max(time.monotonic() - start, 1e-3)

        def done(found: tuple[Any, float]) -> None:
            self.bytes_per_second = found[1]
            self.finished.emit(found[0])

        self.do(run, done, self.failed.emit)

    def close(self, seconds: float = 0.0) -> bool:
        """Stop everything; nothing is told any more. Wait so long; whether all has ended."""
        self._estimates.close()  # told at once; both are waited for
        return all([super().close(seconds), self._estimates.close(seconds)])


def count_text(n: int, unit: str) -> str:
    """Write a number of things as people do: "1 chunk", "1,200 chunks"."""
    return f"{n:,} {unit}{'' if n == 1 else 's'}"


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
