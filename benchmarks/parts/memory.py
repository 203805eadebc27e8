"""Peak memory of a run in a process of its own, beyond what importing and one slice take."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks import ours
from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import Scene, Tube

MEGABYTE = 1_000_000
GRANTED_MB = 48
FLOOR_MB = 200
#: How much more a long run may take than a short one.
SAME_MB = 25

_PROSE = f"""Peak resident memory of a process that slices over HTTP into a TIFF, less what it held
after importing everything and reading one slice. `--memory` grants the pool {GRANTED_MB} MB, which
is less than the chunks of either run, so that both fill it. Two runs each."""


def run(bench: Bench) -> Section:
    bench.server.reset(0)
    lengths = (1500, 6000) if bench.quick else (1500, 24_000)
    url = bench.server.url(Scene(2048))
    peaks = {n: [_in_process(n, url, bench.folder) for _ in range(2)] for n in lengths}
    spreads = {n: Spread.of(peaks[n]) for n in lengths}
    rows = [(str(n), spread.text(0, "MB")) for n, spread in spreads.items()]
    floors = [
        Floor(f"{n} slices", spread, FLOOR_MB + GRANTED_MB, "MB", True, 0)
        for n, spread in spreads.items()
    ]
    more = Spread.of([b - a for a, b in zip(peaks[lengths[0]], peaks[lengths[1]], strict=True)])
    floors.append(
        Floor(f"{lengths[1]} slices more than {lengths[0]}", more, SAME_MB, "MB", True, 0)
    )
    return Section("Memory", _PROSE, [Table(("slices", "peak over the base"), rows)], floors)


def _in_process(slices: int, url: str, folder: Path) -> float:
    """Megabytes over the base, in a new process."""
    command = [sys.executable, "-m", "benchmarks.parts.memory", str(slices), url, str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _peak(slices: int, url: str, folder: Path) -> float:
    import psutil

    process = psutil.Process()
    scene = Scene(2048)
    # One slice, all the way into a file: everything is imported and compiled, nothing is kept.
    ours.slice_volume(url, Tube(scene, 16), folder / "one.tif", slices=(0, 1))
    time.sleep(0.2)
    base = process.memory_info().rss
    highest, done = base, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.003):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    tube = Tube(scene, slices, radius=400, rise=150)
    ours.slice_volume(url, tube, folder / "all.tif", memory=GRANTED_MB * MEGABYTE)
    done.set()
    watcher.join()
    return (highest - base) / MEGABYTE


if __name__ == "__main__":
    print(json.dumps(_peak(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
