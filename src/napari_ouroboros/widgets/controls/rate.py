"""How fast a job goes and how long it still takes, from what was measured. No Qt here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

#: Seconds over which the rate is measured: it follows a server that becomes slow.
_WINDOW = 20.0
#: Before this many seconds nothing is said: the first steps tell little.
_AT_LEAST = 1.0


def duration_text(seconds: float) -> str:
    """Write a duration as people say it: "8 s", "1 min 20 s", "2 h 5 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


class Rate:
    """Counts what is done.

    Parameters
    ----------
    total : int, optional
        None: not known.
    unit : str
        What is counted, in the plural: "slices".
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        total: int | None = None,
        unit: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    def update(self, done: int, total: int | None = None) -> None:
        """So much is done (of so much)."""
        if total is not None:
            self.total = total
        now = self._clock()
        self.done = done
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """The rate of the last 20 s; None as long as nothing can be said."""
        (start, before), (_, done) = self._seen[0], self._seen[-1]
        passed = self._clock() - start
        if passed < _AT_LEAST or done <= before:
            return None
        return (done - before) / passed

    @property
    def seconds_left(self) -> float | None:
        """How long it still takes at that rate."""
        rate = self.per_second
        if rate is None or self.total is None:
            return None
        return max(0, self.total - self.done) / rate

    @property
    def fraction(self) -> float | None:
        """The part that is done, 0 to 1; None as long as the total is not known."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)

    @property
    def text(self) -> str:
        """One line: "120 of 400 slices, 35 slices/s, 8 s left"."""
        unit = f" {self.unit}" if self.unit else ""
        if self.total:
            parts = [f"{self.done:,} of {self.total:,}{unit}"]
        else:
            parts = [f"{self.done:,}{unit}"] if self.done else []
        rate, left = self.per_second, self.seconds_left
        if rate is not None:
            parts.append(f"{rate:.3g}{unit}/s" if rate < 1000 else f"{rate:,.0f}{unit}/s")
        if left is not None:
            parts.append(f"{duration_text(left)} left")
        return ", ".join(parts)
