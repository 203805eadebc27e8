"""One job at a time off the GUI thread, that can be dropped while it hangs on a silent server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from napari_ouroboros.widgets.background import Deliver, Token, Worker

T = TypeVar("T")


class Jobs:
    """Runs one job; a new one, or `cancel`, forgets the one before at once.

    A thread that waits for a silent server cannot be stopped, so what comes next gets a thread of
    its own, and the old one ends by itself when the server's time is up.
    """

    def __init__(self, name: str, deliver: Deliver) -> None:
        self._name, self._deliver = name, deliver
        self._worker: Worker | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing runs or is on its way."""
        return self._worker is None or self._worker.idle

    def run(
        self,
        run: Callable[[Token], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> Token:
        """See `Worker.submit`."""
        self.cancel()
        self._worker = Worker(self._name, self._deliver)
        return self._worker.submit(run, done, failed)

    def cancel(self) -> None:
        """Forget what runs. Harmless when nothing does."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
