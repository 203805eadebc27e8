"""From the moved point to the data of the shown slice: the window's own chain, without a window."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import VOXEL_NM, Scene, Tube
from napari_ouroboros import Volume, open_volume
from napari_ouroboros.operations.live_strip import LiveStrip
from napari_ouroboros.operations.preview import Preview
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.scene.live import LiveMap, LiveState
from napari_ouroboros.widgets.scene.settings import SliceSettings
from napari_ouroboros.widgets.trace.model import TraceModel

LATENCIES_MS = (40, 100)
WIDTH, SLICES, POINTS = 200, 1500, 40
WARM_MS, COLD_MS = 50, 500
LONG = 24_000

_PROSE = f"""A point of a trace of {POINTS} points is dragged by a voxel or so. The time runs from
the mouse's event to the data of the middle one of {SLICES} slices, {WIDTH} x {WIDTH} pixels,
uint8, linear, in the thread that draws: trace and its anchored keyframes, curve, frames, map,
chunks, samples, and the two hand-overs between threads, by the very objects that the window uses.
*Warm*: the chunks are here; *cold*: none is, and every request is answered late. Kernels are
compiled. The strip is the longitudinal section of all slices; while dragging only the slices are
computed that moved by over 0.01 voxel. Medians of 30."""


def run(bench: Bench) -> Section:
    scene = Scene(1024)
    repeats = 9 if bench.quick else 30
    times: dict[str, Spread] = {}
    for latency in LATENCIES_MS:
        bench.server.reset(latency)
        volume = open_volume(bench.server.url(scene))
        if latency == LATENCIES_MS[0]:
            with Chain(volume, Tube(scene, SLICES)) as chain:
                chain.drag()
                times["slice, warm"] = Spread.of([chain.drag() for _ in range(repeats)])
        with Chain(volume, Tube(scene, SLICES)) as chain:
            chain.drag()
            cold = [chain.drag(cold=True) for _ in range(repeats)]
        times[f"slice, cold, {latency} ms latency"] = Spread.of(cold)
    floors = [
        Floor(what, taken, WARM_MS if "warm" in what else COLD_MS, "ms", True)
        for what, taken in times.items()
    ]
    bench.server.reset(LATENCIES_MS[0])
    times |= _strips(volume, Tube(scene, SLICES), repeats)
    times[f"edit and map of {LONG} slices"] = _long(volume, scene, repeats)
    rows = [(what, taken.text(1, "ms")) for what, taken in times.items()]
    return Section("Dragging a point", _PROSE, [Table(("until it is there", "wall"), rows)], floors)


class Chain:
    """Trace, map and preview as in the window; the calling thread takes the place of the GUI's."""

    def __init__(self, volume: Volume, tube: Tube, wide: int = WIDTH, points: int = POINTS) -> None:
        self._volume = volume
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        settings = SliceSettings(
            width=wide, height=wide, pitch_nm=VOXEL_NM, spacing_nm=VOXEL_NM, mip=0
        )
        self.preview = Preview(volume)
        self._worker = Worker("slice", self._calls.put, finish_begun=True)
        self._live = LiveMap(settings, self._calls.put)
        self._live.changed.connect(self._map_changed)
        chosen = np.linspace(0, len(tube.points_nm) - 1, points).round().astype(int)
        self._start = tube.points_nm[chosen]
        self._trace = TraceModel("trace", self._start)
        self._trace.reach_nm, self._trace.keep_nm = wide * VOXEL_NM / 2**0.5, 0.01 * VOXEL_NM
        self._steps = count()
        #: The state whose slice has come, and the slice.
        self.shown: tuple[LiveState, NDArray[Any]] | None = None
        self.wants_slice = True
        self._live.set_volume(volume)
        self._live.set_trace(self._trace)
        self._wait(lambda: self.shown is not None)
        self._trace.begin_drag()

    def drag(self, cold: bool = False) -> float:
        """Move the middle point; milliseconds until the slice, or the map, of this step is here."""
        if cold:
            self.preview.close()
            self.preview = Preview(self._volume)
        step = next(self._steps)
        way = VOXEL_NM * np.array([np.sin(step), np.cos(step), np.sin(2 * step)])
        middle = len(self._start) // 2
        before = self.state
        start = time.perf_counter()
        self._trace.drag({middle: self._start[middle] + way})
        self._wait(lambda: self.state is not before)
        if self.wants_slice:
            self._wait(lambda: self.shown is not None and self.shown[0] is self.state)
        return 1000 * (time.perf_counter() - start)

    @property
    def state(self) -> LiveState:
        return self._live.state

    def _map_changed(self, state: LiveState, _: LiveState) -> None:
        map_ = state.map
        if map_ is None or not self.wants_slice:
            return
        preview = self.preview

        def look(token: Token) -> NDArray[Any]:
            return preview.slice(map_, len(map_.frames) // 2, state.mip, cancel=token)

        def show(samples: NDArray[Any]) -> None:
            self.shown = state, samples

        self._worker.submit(look, show, _fail)

    def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            self._calls.get(timeout=60)()

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.changed.disconnect(self._map_changed)
        self._live.close()
        self._worker.close(5)
        self.preview.close()


def _fail(error: Exception) -> None:
    raise error


def _strips(volume: Volume, tube: Tube, repeats: int) -> dict[str, Spread]:
    """The strip of a map that is here: while dragging, and released."""
    with Chain(volume, tube, 100) as chain:
        live = LiveStrip(chain.preview)
        dragged, released = [], []
        for i in range(repeats + 1):
            map_ = chain.state.map
            assert map_ is not None
            start = time.perf_counter()
            live.update(map_)
            if i:
                released.append(1000 * (time.perf_counter() - start))
            chain.drag()
            map_ = chain.state.map
            assert map_ is not None
            start = time.perf_counter()
            live.update(map_, dragging=True)
            if i:
                dragged.append(1000 * (time.perf_counter() - start))
    return {
        "strip, while dragging": Spread.of(dragged),
        "strip, all slices": Spread.of(released),
    }


def _long(volume: Volume, scene: Scene, repeats: int) -> Spread:
    tube = Tube(scene, LONG, radius=300.0, rise=20.0)
    with Chain(volume, tube, 100, points=1000) as chain:
        chain.wants_slice = False
        chain.drag()
        return Spread.of([chain.drag() for _ in range(repeats)])
