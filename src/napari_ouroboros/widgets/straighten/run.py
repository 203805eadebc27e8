"""A run to a file: what it will cost, how far it is, and what became of it. No Qt."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_ouroboros.errors import Cancelled, Notice
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.straighten.picked_volume import PickedVolume

if TYPE_CHECKING:
    from napari_ouroboros.operations.straighten_job import StraightenJob, StraightenReport
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.straighten.content import LiveContent
    from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed

#: What results can be, and the end of their names.
FORMATS = {
    "TIFF (.tif)": ".tif",
    "OME-Zarr (.zarr)": ".zarr",
    "Neuroglancer precomputed (folder)": "",
}


@dataclass(frozen=True, eq=False)
class Request:
    """One run, with everything fixed when it is asked for.

    Attributes
    ----------
    path : Path
    source : VolumeFeed
        Which volume.
    content : LiveContent
        The map, the level, the interpolation and the picked ids.
    overwrite : bool
    """

    path: Path
    source: VolumeFeed
    content: LiveContent
    overwrite: bool = False

    def job(self) -> StraightenJob:
        """Check everything. Errors and notices as `StraightenJob` has them."""
        from napari_ouroboros.operations.straighten_job import StraightenJob

        content = self.content
        volume = content.volume
        if content.picked:
            volume = PickedVolume.of(volume, content.picked)
        picked = f" ids {','.join(map(str, sorted(content.picked)))}" if content.picked else ""
        return StraightenJob(
            self.path,
            volume,
            content.map,
            content.mip,
            content.interpolation,
            kind=self.source.kind,
            overwrite=self.overwrite,
            command=f"napari: Straighten{picked}",
        )


@dataclass(frozen=True)
class Cost:
    """What a run takes, from geometry alone.

    Attributes
    ----------
    slices, chunks, bytes_to_fetch, bytes_to_write : int
        Bytes as they are in memory, before compression.
    """

    slices: int
    chunks: int
    bytes_to_fetch: int
    bytes_to_write: int

    def text(self, bytes_per_second: float | None = None) -> str:
        """One line; time only from a rate that was measured."""
        total = self.bytes_to_fetch + self.bytes_to_write
        seconds = "–" if not bytes_per_second else f"about {_duration(total / bytes_per_second)}"
        return (
            f"{self.slices:,} slices, {self.chunks:,} chunks, {_size(self.bytes_to_fetch)} to "
            f"fetch, {_size(self.bytes_to_write)} to write; time: {seconds}"
        )


class StraightenRuns:
    """Estimates and runs, one at a time, in threads.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread; all signals are emitted there.
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

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._estimates = Worker("ouroboros-cost", deliver)
        self._runs = Worker("ouroboros-straighten", deliver, keep_all=True)
        self._token: Token | None = None
        self.cost: Cost | None = None
        #: Measured by the last run of this session that ended well.
        self.bytes_per_second: float | None = None

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._token is not None

    def estimate(self, request: Request) -> None:
        """Find out what a run would cost; `cost_changed` and `warned` follow."""
        self.cost = None
        self.cost_changed.emit(None)

        def reckon(token: Token) -> tuple[Cost, str]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", Notice)
                # Whether something is in the way is asked when the run begins.
                job = replace(request, overwrite=True).job()
                plan = job.plan()
            notices = [str(w.message) for w in caught if issubclass(w.category, Notice)]
            slices = job.shape[0]
            cost = Cost(slices, plan.chunks_to_fetch, plan.bytes_to_fetch, plan.bytes_to_write)
            return cost, "\n".join(notices)

        def done(found: tuple[Cost, str]) -> None:
            self.cost = found[0]
            self.cost_changed.emit(found[0])
            self.warned.emit(found[1])

        def failed(error: Exception) -> None:
            self.warned.emit(str(error))

        self._estimates.submit(reckon, done, failed)

    def start(self, request: Request) -> None:
        """Run; nothing that looks finished is left unless it ends well."""
        if self.running:
            return

        def report(done: int, total: int) -> None:
            self._deliver(lambda: self._progressed(done, total))

        # Not the worker's own token: of what that one cancels nobody is told.
        stop = self._token = Token()

        def run(closed: Token) -> tuple[StraightenReport, float] | Cancelled:
            start = time.monotonic()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Notice)  # said with the cost
                try:
                    job = request.job()
                    plan = job.plan()
                    ended = job.run(report, _Either(stop, closed), start)
                except Cancelled as error:
                    return error
            seconds = max(ended.seconds, 1e-3)
            return ended, (plan.bytes_to_fetch + plan.bytes_to_write) / seconds

        def done(found: tuple[StraightenReport, float] | Cancelled) -> None:
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

    def close(self) -> None:
        """Stop everything; nothing is told any more."""
        self.cancel()
        self._estimates.close()
        self._runs.close()

    def _progressed(self, done: int, total: int) -> None:
        if self.running:
            self.progressed.emit(done, total)


class _Either:
    """Set as soon as one of two tokens is."""

    def __init__(self, first: Token, second: Token) -> None:
        self._tokens = (first, second)

    def is_set(self) -> bool:
        return any(token.is_set() for token in self._tokens)


def _size(n_bytes: int) -> str:
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:.3g} kB"
    return f"{n_bytes / 1e6:.3g} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.3g} GB"


def _duration(seconds: float) -> str:
    from napari_ouroboros.widgets.controls.rate import duration_text

    return duration_text(seconds)
