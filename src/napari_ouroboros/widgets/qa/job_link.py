"""A row of controls that shows a job of the model, for as long as the row lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from qtpy.compat import isalive

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets.controls import JobRow
from napari_ouroboros.widgets.job import Job


class JobLink:
    """Shows progress and end of a job in a row; also while the dock is hidden.

    Parameters
    ----------
    row : JobRow
        Held weakly.
    job : Job
    unit, words : str
        What is counted, and what is being done: "slices", "Checking the image".
    done : str
        What is said when it has ended well.
    failed : callable
        Called with what went wrong.
    cancelled : str
        What is said when it was cancelled.
    """

    def __init__(
        self,
        row: JobRow,
        job: Job,
        unit: str,
        words: str,
        done: str,
        failed: Callable[[Exception], object],
        cancelled: str = "Cancelled.",
    ) -> None:
        self._row = weakref.ref(row)
        self._job = job
        self._unit, self._words, self._done = unit, words, done
        self._failed, self._cancelled = failed, cancelled
        row.cancelled.connect(job.cancel)
        job.started.connect(self._started)
        job.progressed.connect(self._progressed)
        job.ended.connect(self._ended)
        if job.running:
            self._started()

    def close(self) -> None:
        """Stop listening. Harmless when repeated."""
        self._job.started.disconnect(self._started, missing_ok=True)
        self._job.progressed.disconnect(self._progressed, missing_ok=True)
        self._job.ended.disconnect(self._ended, missing_ok=True)

    def _alive(self) -> JobRow | None:
        row = self._row()
        return row if row is not None and isalive(row) else None

    def _started(self) -> None:
        row = self._alive()
        if row is not None:
            row.start(None, self._unit, self._words)

    def _progressed(self, done: int, total: int) -> None:
        row = self._alive()
        if row is not None:
            row.advance(done, total)

    def _ended(self, error: object) -> None:
        row = self._alive()
        if row is None:
            return
        if error is None:
            row.finish(self._done)
        elif isinstance(error, Cancelled):
            row.finish(self._cancelled)
        else:
            row.finish()
            assert isinstance(error, Exception)
            self._failed(error)
