"""A check or a table that somebody asked for by a button. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets.job import Job

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress

T = TypeVar("T")


class Check(Job):
    """Work that keeps nothing: what goes wrong after it was stopped is of no interest."""

    def start(self, run: Callable[[Progress, Cancel], T], done: Callable[[T], object]) -> bool:
        """Do ``run(progress, cancel)`` in a thread, then ``done(result)``; False while it runs."""

        def work(progress: Progress, cancel: Cancel) -> T:
            try:
                return run(progress, cancel)
            except Exception as error:
                # What is read may have been closed by whoever stopped this.
                if cancel.is_set() and not isinstance(error, Cancelled):
                    raise Cancelled("it was stopped") from error
                raise

        return self.do(work, done)
