"""Very many points of the straightened view, in the thread of the window."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from napari_ouroboros import Straightening, Trace
from napari_ouroboros.widgets.home.point_maps import look_again
from napari_ouroboros.widgets.session.points import TakenPoints

POINTS = 100_000
TAKEN_MS, NEW_MS = 30, 50

_PROSE = f"""{POINTS:,} points in a layer of napari's. *Taken*: for a session, as happens some
seconds after each edit. *New*: finding out along which trace each was set, when all have just
come. CPU of the one thread."""


def run(bench: Bench) -> Section:
    from napari.layers import Points

    rng = np.random.default_rng(1)
    map_ = Straightening(Trace(np.array([[0.0, 0, 0], [0, 0, 900]])), 32, 32, 8.0, 8.0)

    def layer() -> Points:
        return Points(rng.uniform(0, 20, (POINTS, 3)))

    known = layer()
    look_again(known, map_)
    n = max(bench.repeats, 3)
    new = Spread.of([_ms(partial(look_again, layer(), map_)) for _ in range(n)])
    taken = Spread.of(
        [_ms(lambda: TakenPoints.of(known, look_again(known, map_), None)) for _ in range(n)]
    )
    rows = [("taken for a session", taken.text(1, "ms")), ("new ones", new.text(1, "ms"))]
    floors = [
        Floor("points taken", taken, TAKEN_MS, "ms", True),
        Floor("points that are new", new, NEW_MS, "ms", True),
    ]
    return Section("Very many points", _PROSE, [Table(("what", "CPU"), rows)], floors)


def _ms(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return (time.thread_time() - start) * 1e3
