"""Progress through a job of several parts that take known shares of its time."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.operations.plan import Cancel, Progress

#: What progress is counted in.
TOTAL = 1000


@dataclass(frozen=True)
class Steps:
    """Tells `progress` of the part `start` to `end` (0..1) of a job, and looks at `cancel`."""

    to: Progress | None = None
    cancel: Cancel | None = None
    start: float = 0.0
    end: float = 1.0

    def part(self, start: float, end: float) -> Steps:
        """Return a part of this part."""
        span = self.end - self.start
        return Steps(self.to, self.cancel, self.start + span * start, self.start + span * end)

    def tell(self, fraction: float) -> None:
        """Say how much of this part is done (0..1); Cancelled if that is wanted."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("cancelled; nothing unfinished was kept")
        if self.to is not None:
            self.to(round(TOTAL * (self.start + (self.end - self.start) * fraction)), TOTAL)

    def progress(self, done: int, total: int) -> None:
        """Tell the same in the form that an operation reports."""
        self.tell(done / max(total, 1))
