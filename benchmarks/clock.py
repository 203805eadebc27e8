"""Wall and processor time of runs that take turns, and what their ratio is."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One run: seconds on the wall, and seconds of all threads of this process."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some numbers."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2, unit: str = "") -> str:
        """``0.71 (0.66-0.90) s``."""
        shown = f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"
        return f"{shown} {unit}".rstrip()


class Runs:
    """The samples of one thing that was run several times."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    @property
    def wall(self) -> Spread:
        return Spread.of([s.wall for s in self.samples])

    @property
    def cpu(self) -> Spread:
        return Spread.of([s.cpu for s in self.samples])

    def rate(self, amount: float) -> Spread:
        """`amount` per processor second."""
        return Spread.of([amount / s.cpu for s in self.samples])

    def times_faster(self, other: Runs, cpu: bool = False) -> Spread:
        """How much faster than `other`, run by run: both of a pair met the same machine."""
        pairs = zip(self.samples, other.samples, strict=True)
        return Spread.of([b.cpu / a.cpu if cpu else b.wall / a.wall for a, b in pairs])


def measure(run: Callable[[], object]) -> Sample:
    """Run once. Rubbish of the run before is not this one's cost."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Runs]:
    """Run all of them once to warm up, then all of them in turn, again and again."""
    for run in runs.values():
        run()
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            samples[name].append(measure(run))
    return {name: Runs(taken) for name, taken in samples.items()}
