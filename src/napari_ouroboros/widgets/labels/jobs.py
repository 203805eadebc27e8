"""One long piece of work on labels at a time: off the GUI thread, with progress and cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from psygnal import Signal

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.job import Job

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.widgets.background import Deliver

T = TypeVar("T")


class LabelJobs(Job):
    """Runs one job after the other has ended; everything here is for the GUI thread.

    Parameters
    ----------
    deliver : callable
    """

    #: A job has begun or ended: its title, "" at the end.
    changed = Signal(str)

    def __init__(self, deliver: Deliver) -> None:
        super().__init__("ouroboros-labels", deliver, "work on labels")
        self._title = ""
        self.ended.connect(self._told)

    @property
    def title(self) -> str:
        """Of the job that runs; "" without one."""
        return self._title if self.running else ""

    def start(
        self,
        title: str,
        work: Callable[[Progress, Cancel], T],
        done: Callable[[T], object],
        failed: Callable[[Exception], object],
    ) -> None:
        """Do ``work(progress, cancel)`` in the worker, then `done` or `failed` here.

        A cancelled job ends in ``failed(Cancelled)``.

        Raises
        ------
        UserError
            Another job runs.
        """
        if self.running:
            raise UserError(f"{self.title} is still going on; wait for it or cancel it first")
        self._title = title
        self.do(work, done, failed)
        self.changed.emit(title)

    def _told(self, _error: object) -> None:
        # What was done with the result may have begun another one, and has told its title.
        if not self.running:
            self.changed.emit("")
