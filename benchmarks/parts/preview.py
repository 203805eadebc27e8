"""One slice after the curve has changed, as a window that follows the mouse asks for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import numpy as np

from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import VOXEL_NM, Scene, Tube
from napari_ouroboros import Straightening, Trace, Volume, open_volume
from napari_ouroboros.operations.preview import Preview

LATENCY_MS = 40
WIDTH = 200
WARM_MS, COLD_MS = 20, 300

_PROSE = f"""One point of a trace of 40 points moves, and the middle one of 1500 slices is asked
for, {WIDTH} x {WIDTH} pixels, uint8, linear: curve, frames and samples. *Warm*: its chunks are in
the pool; the highest is a slice that reached into one more chunk and waited for it. *Cold*: the
pool is empty and every request is answered {LATENCY_MS} ms late. *Coarser first*: also cold, from a
mip twice as coarse, as a preview draws while it waits."""


def run(bench: Bench) -> Section:
    scene = Scene(1024)
    bench.server.reset(LATENCY_MS)
    volume = open_volume(bench.server.url(scene))
    maps = _moving(Tube(scene, 1500))
    repeats = 7 if bench.quick else 21
    with Preview(volume) as preview:
        _milliseconds(preview, next(maps))
        warm = Spread.of([_milliseconds(preview, next(maps)) for _ in range(repeats)])
    times = {
        "warm": warm,
        "cold": _cold(volume, maps, repeats, 0),
        "cold, coarser first": _cold(volume, maps, repeats, 1),
    }
    floors = [
        Floor(f"{what} slice", times[what], limit, "ms", True)
        for what, limit in (("warm", WARM_MS), ("cold", COLD_MS))
    ]
    rows = [(what, taken.text(1, "ms")) for what, taken in times.items()]
    return Section("Live preview", _PROSE, [Table(("slice", "wall"), rows)], floors)


def _moving(tube: Tube) -> Iterator[Straightening]:
    """The tube's map, each time with a middle point elsewhere by a voxel or so."""
    points = tube.points_nm[np.linspace(0, len(tube.points_nm) - 1, 40).round().astype(int)]
    for step in count():
        moved = points.copy()
        moved[20] += VOXEL_NM * np.array([np.sin(step), np.cos(step), np.sin(2 * step)])
        yield Straightening(Trace(moved), WIDTH, WIDTH, VOXEL_NM, VOXEL_NM)


def _milliseconds(preview: Preview, map_: Straightening, mip: int = 0) -> float:
    start = time.perf_counter()
    preview.slice(map_, len(map_.frames) // 2, mip)
    return 1000 * (time.perf_counter() - start)


def _cold(volume: Volume, maps: Iterator[Straightening], repeats: int, mip: int) -> Spread:
    taken = []
    for _ in range(repeats):
        with Preview(volume) as preview:
            taken.append(_milliseconds(preview, next(maps), mip))
    return Spread.of(taken)
