"""Work that goes on in a window: what has to be asked about before the window closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.widgets.job import Job


class RunningJobs:
    """The jobs of a scene. In the GUI thread."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def add(self, job: Job) -> Callable[[], None]:
        """Add a job; call what is returned when it is no more."""
        self._jobs.append(job)

        def remove() -> None:
            if job in self._jobs:
                self._jobs.remove(job)

        return remove

    @property
    def running(self) -> list[str]:
        """What those that go on are called."""
        return [job.called for job in self._jobs if job.running]

    def question(self, then: str) -> str:
        """Return the question whether they are stopped for something; "" where none goes on.

        "A backprojection is running: stop it and close?", `then` being "close".
        """
        running = self.running
        if not running:
            return ""
        what = " and ".join([", ".join(running[:-1]), running[-1]] if running[1:] else running)
        verb, them = ("is", "it") if len(running) == 1 else ("are", "them")
        return f"{what[0].upper()}{what[1:]} {verb} running: stop {them} and {then}?"

    def cancel(self) -> None:
        """Ask all that go on to stop."""
        for job in list(self._jobs):
            if job.running:
                job.cancel()

    def close(self, seconds: float = 0.0) -> None:
        """End them all."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.close(seconds)
