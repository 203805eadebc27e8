"""Qt's event loop played by a list, for what runs off the GUI thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class GuiLoop:
    """Calls brought from other threads, made one after the other when the loop turns."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def deliver(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < give_up, f"still waiting for {what}"
            self.turn()
            threading.Event().wait(0.005)
