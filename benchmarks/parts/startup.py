"""How long one waits for `import napari_ouroboros` and for `info`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import Scene

_PROSE = """In new processes, with the files in the system's cache: the import by its own clock,
`info` of a volume on the local disk as a whole command, interpreter included. The quickest run
counts, since others can only make it slower."""

_IMPORT = """
import time
start = time.perf_counter()
import napari_ouroboros
print(time.perf_counter() - start)
"""


def run(bench: Bench) -> Section:
    folder = Scene(1024).write(bench.folder, [])
    times = {
        "import napari_ouroboros": _several(bench, _import_seconds),
        "info of a local volume": _several(bench, lambda: _info_seconds(str(folder))),
    }
    floors = [
        Floor(what, Spread(taken.low, taken.low, taken.high), limit, "s", True, 2)
        for (what, taken), limit in zip(times.items(), (0.3, 1.5), strict=True)
    ]
    rows = [(what, taken.text(3, "s")) for what, taken in times.items()]
    return Section("Start-up", _PROSE, [Table(("what", "seconds"), rows)], floors)


def _several(bench: Bench, run_one: Callable[[], float]) -> Spread:
    run_one()  # the files come into the system's cache
    return Spread.of([run_one() for _ in range(max(bench.repeats, 3))])


def _import_seconds() -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _info_seconds(folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "napari_ouroboros.cli", "info", folder],
        capture_output=True, check=True,
    )  # fmt: skip
    return time.perf_counter() - start
