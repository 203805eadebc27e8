"""Work that goes on in a window, by name: what has to be asked about before the window closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Runs(Protocol):
    """What does work in threads, such as `FileRuns`."""

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        ...

    def cancel(self) -> object:
        """Ask it to stop; returns at once."""
        ...

    def close(self, seconds: float = 0.0) -> object:
        """End it, and wait at most so long for its threads."""
        ...


@dataclass(frozen=True, eq=False)
class Job:
    """Something that may be running.

    Attributes
    ----------
    name : str
        As in a sentence: "a backprojection".
    runs : Runs
    """

    name: str
    runs: Runs


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
        """Names of those that go on."""
        return [job.name for job in self._jobs if job.runs.running]

    def cancel(self) -> None:
        """Ask all that go on to stop."""
        for job in list(self._jobs):
            if job.runs.running:
                job.runs.cancel()

    def close(self, seconds: float = 0.0) -> None:
        """End them all."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.runs.close(seconds)
