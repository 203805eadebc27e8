"""Time that no program can help: the processor was elsewhere, or the whole machine stood still."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


class Schedule:
    """How long a thread was ready to run while its processor ran something else (Linux)."""

    def __init__(self, native_id: int) -> None:
        path = Path(f"/proc/self/task/{native_id}/schedstat")
        self._file = path.open("rb", buffering=0) if path.is_file() else None

    def waited(self) -> float:
        """Seconds so far; always 0 where the kernel does not count them."""
        return self._seconds(1)

    def ran(self) -> float:
        """Seconds on a processor so far; always 0 where the kernel does not count them."""
        return self._seconds(0)

    def _seconds(self, which: int) -> float:
        if self._file is None:
            return 0.0
        return int(os.pread(self._file.fileno(), 200, 0).split()[which]) * 1e-9

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Others:
    """How long each other thread of this process was ready to run and did not (Linux).

    One of them may have the interpreter meanwhile, and then no thread runs any Python.
    """

    def __init__(self, but: Collection[int]) -> None:
        self._but = {str(native_id) for native_id in but}

    def waited(self) -> dict[str, float]:
        """Seconds so far, by thread; nothing where the kernel does not count them."""
        found = {}
        for task in Path("/proc/self/task").glob("*/schedstat"):
            if task.parent.name not in self._but:
                with suppress(OSError):  # it has ended just now
                    found[task.parent.name] = int(task.read_bytes().split()[1]) * 1e-9
        return found

    def since(self, before: dict[str, float]) -> tuple[float, dict[str, float]]:
        """Seconds of the one that waited longest since `before`, and the counts of now."""
        now = self.waited()
        return max((n - before.get(task, n) for task, n in now.items()), default=0.0), now


_BEATING = """
import sys, time
last = time.monotonic()
while sys.stdout:
    time.sleep(0.005)
    now = time.monotonic()
    if now - last > 0.025:
        print(last, now, flush=True)
    last = now
"""


class Machine:
    """A process that does nothing but beat: when it stands still, so does the machine."""

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BEATING], stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.terminate()
        text, _ = self._process.communicate()
        # The last line may have been cut off.
        lines = [line.split() for line in text.splitlines() if line.count(" ") == 1]
        self._still = [(float(start), float(end)) for start, end in lines]

    def still(self, start: float, end: float) -> float:
        """Seconds between these times of `time.monotonic` in which it stood still."""
        return sum(max(0.0, min(b, end) - max(a, start)) for a, b in self._still)
