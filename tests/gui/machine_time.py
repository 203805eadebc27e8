"""Time that no program can help: the processor was elsewhere, or the whole machine stood still."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Schedule:
    """How long a thread was ready to run while its processor ran something else (Linux)."""

    def __init__(self, native_id: int) -> None:
        path = Path(f"/proc/self/task/{native_id}/schedstat")
        self._file = path.open("rb", buffering=0) if path.is_file() else None

    def waited(self) -> float:
        """Seconds so far; always 0 where the kernel does not count them."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file.fileno(), 200, 0).split()[1]) * 1e-9

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


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
