"""Which process works in a staging folder, and whether it still runs."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

MARKER = "incomplete"

# Two programs may disagree by some seconds on when a process began (the clock was set since);
# a process number is not given out again within a minute.
_SAME_START_S = 60.0


@dataclass(frozen=True)
class Owner:
    """A process; a number alone would be given out again, so `start` (unix s) goes with it."""

    pid: int
    host: str
    start: float

    @classmethod
    def me(cls) -> Self:
        """Return this process."""
        import psutil

        return cls(os.getpid(), socket.gethostname(), psutil.Process().create_time())

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Whom the marker in `folder` names; None if it was not written to its end.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            There is no marker.
        """
        text = (folder / MARKER).read_bytes()
        try:
            facts = json.loads(text)
            return cls(int(facts["pid"]), str(facts["host"]), float(facts["start"]))
        except (ValueError, KeyError, TypeError):
            return None

    def mark(self, folder: Path) -> None:
        """Write the marker into `folder`."""
        (folder / MARKER).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    def is_here(self) -> bool:
        """Whether the process is or was one of this host."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether that very process, one of this host, still runs."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return bool(abs(process.create_time() - self.start) < _SAME_START_S)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
