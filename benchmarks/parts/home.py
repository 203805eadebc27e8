"""From a stroke in the straightened labels to the chunk of the original volume that shows it."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import VOXEL_NM, Scene, Tube
from napari_ouroboros import Straightening, Trace, Volume, open_volume
from napari_ouroboros.layers import volume_layers
from napari_ouroboros.operations.labels_home import LabelsHome
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.streaming import DecodedChunks

SLICES, WIDTH, BRUSH = 10_000, 200, 20
SEEN_MS, CHUNK_MS = 300, 150

_PROSE = f"""Labels of {SLICES} x {WIDTH} x {WIDTH} samples, uint64, on disk, half of the slices
painted with a disc before. A stroke of a brush of {BRUSH} is painted, and the time runs from
before the write until every chunk is there anew that shows it and is looked at: the written
chunks on disk, which chunks of all mips it reaches, and their voxels gathered, exactly as
`backproject` would. *Looked at again*: the chunk was shown before, so which sample each voxel has
is known. *First look*: a stroke where nothing was painted or looked at. *Made*: until the first
picture can be asked for, when half of the labels is painted already. *Seen*: the stroke is
painted through napari's own layer, and the time runs until the plane that napari draws of the
volume has it, by the very objects that the window uses: 60 ms at least lie between two pictures."""


def run(bench: Bench) -> Section:
    scene = Scene(4096)
    bench.server.reset(0)
    volume = open_volume(bench.server.url(scene))
    slices = SLICES // 10 if bench.quick else SLICES
    points = Tube(scene, slices, radius=250.0, rise=385.0).points_nm
    map_ = Straightening(Trace(points), WIDTH, WIDTH, VOXEL_NM, VOXEL_NM)
    labels = LabelArray.create(bench.folder / "labels", map_.shape, "uint64")
    rows = columns = np.arange(WIDTH) - WIDTH / 2
    disc = np.add.outer(rows**2, columns**2) < (WIDTH / 5) ** 2
    for k in range(0, map_.shape[0] // 2, 16):
        labels[k : k + 16] = np.broadcast_to(disc * np.uint64(2**60 + k), (16, *disc.shape))
    start = time.perf_counter()
    home = LabelsHome(labels, map_, volume, DecodedChunks())
    made = time.perf_counter() - start
    strokes = _Strokes(home, labels, map_)
    strokes.paint(labels.shape[0] // 4)
    n = 5 if bench.quick else 31
    again, first, thread = [], [], []
    for i in range(n):
        again.append(strokes.paint(labels.shape[0] // 4 + i % 7))
        thread.append(strokes.in_the_window)
        first.append(strokes.paint(int((0.55 + 0.4 * i / n) * labels.shape[0])))
    home.close()
    with _Window(volume, labels, map_) as window:
        seen = [window.paint(labels.shape[0] // 4 + i % 7) for i in range(n)]
    times = {
        "stroke, seen": Spread.of(seen),
        "stroke, looked at again": Spread.of(again),
        "stroke, first look": Spread.of(first),
        "of it in the thread that paints": Spread.of(thread),
        "made": Spread.of([1000 * made]),
    }
    rows_ = [(what, taken.text(1, "ms")) for what, taken in times.items()]
    floors = [
        Floor("stroke to chunk", times["stroke, looked at again"], CHUNK_MS, "ms", True),
        Floor("stroke to chunk, first look", times["stroke, first look"], CHUNK_MS, "ms", True),
        Floor("stroke to seen", times["stroke, seen"], SEEN_MS, "ms", True),
    ]
    return Section(
        "Labels at home while they are painted", _PROSE,
        [Table(("until the picture is there", "wall"), rows_)], floors,
    )  # fmt: skip


def _brush(k: int, row: float, column: float) -> Any:
    """Indices of a disc in slice k, as napari's brush has them."""
    r = np.arange(-BRUSH, BRUSH + 1)
    inside = np.argwhere(np.add.outer(r**2, r**2) <= BRUSH**2) - BRUSH
    return np.full(len(inside), k), *(inside + (int(row), int(column))).T


class _Strokes:
    """A brush, and somebody who looks at the plane of the volume through it."""

    def __init__(self, home: LabelsHome, labels: LabelArray, map_: Straightening) -> None:
        self._home, self._labels, self._map = home, labels, map_
        self._arrived = threading.Event()
        home.loader.subscribe(self._arrived.set)
        self._id = 2**61
        self.in_the_window = 0.0

    def paint(self, k: int) -> float:
        """Paint in slice k; milliseconds until all that shows it is there."""
        row, column = 0.6 * self._labels.shape[1], 0.45 * self._labels.shape[2]
        at = _brush(k, row, column)
        level = self._home.volume.levels[0]
        voxel = np.round(level.to_index(self._map.to_volume((k, row, column)))).astype(int)
        wish = self._plane(voxel)
        self._home.loader.want("window", wish)
        self._wait(wish)
        self._id += 1
        start = time.perf_counter()
        self._labels[at] = np.uint64(self._id)
        self.in_the_window = 1000 * (time.perf_counter() - start)
        self._wait(wish)
        taken = 1000 * (time.perf_counter() - start)
        shown = [self._home.loader.peek(mip, index, outdated=False) for mip, index in wish]
        assert any(isinstance(a, np.ndarray) and (a == self._id).any() for a in shown)
        return taken

    def _plane(self, voxel: Any) -> list[Any]:
        """The chunks of mip 0 of the plane z through a voxel, four by four of them."""
        grid = self._home.volume.levels[0].chunk_grid
        z, y, x = (int(v) // 64 for v in voxel)
        return [
            (0, (z, j, i))
            for j in range(max(0, y - 2), min(grid[1], y + 2))
            for i in range(max(0, x - 2), min(grid[2], x + 2))
        ]

    def _wait(self, wish: list[Any]) -> None:
        while not self._home.loader.idle or any(
            self._home.loader.peek(mip, index, outdated=False) is None for mip, index in wish
        ):
            self._arrived.wait(0.05)
            self._arrived.clear()


class _Window:
    """The viewer's model and ours; the calling thread takes the place of the GUI's."""

    def __init__(self, volume: Volume, labels: LabelArray, map_: Straightening) -> None:
        from napari.components import ViewerModel
        from napari.layers import Labels, Layer

        from napari_ouroboros.widgets.home.overlay import Overlay
        from napari_ouroboros.widgets.labels import StraightLabels
        from napari_ouroboros.widgets.streaming import Watcher

        self._calls: queue.PriorityQueue[tuple[float, int, Callable[[], None]]] = (
            queue.PriorityQueue()
        )
        self._count = itertools.count()
        self._map = map_
        self._viewer = ViewerModel()
        self._watcher = Watcher(self._viewer, lambda call: self._later(0.0, call), self._later)
        self._volume_layer = Layer.create(*volume_layers(volume, "em")[0])
        self._viewer.add_layer(self._volume_layer)
        self._painted = Labels(labels)
        entry = StraightLabels(labels, map_, "labels", self._painted)
        self._home = LabelsHome(labels, map_, volume)
        self._overlay = Overlay(self._viewer, entry, self._home)
        self._id = 2**62

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._calls.put((time.monotonic() + seconds, next(self._count), call))

    def paint(self, k: int) -> float:
        """Paint in slice k; milliseconds until the plane that is shown has it."""
        row, column = 0.6 * self._map.shape[1], 0.45 * self._map.shape[2]
        nm = self._map.to_volume((k, row, column))
        self._viewer.dims.set_point(0, nm[0])
        voxel = np.asarray(self._overlay.layer.world_to_data(nm))
        corners = np.array([np.maximum(voxel - 256, 0), voxel + 256]).astype(int)
        for layer in (self._volume_layer, self._overlay.layer):
            layer.corner_pixels = corners
            layer.data_level = 0
        self._turn_until(lambda: self._watcher.settled)
        self._id += 1
        start = time.perf_counter()
        self._painted.data_setitem(_brush(k, row, column), np.uint64(self._id))
        self._turn_until(self._is_seen)
        return 1000 * (time.perf_counter() - start)

    def _is_seen(self) -> bool:
        return bool((np.asarray(self._overlay.layer._slice.image.raw) == self._id).any())

    def _turn_until(self, done: Callable[[], bool]) -> None:
        while not done():
            try:
                due, number, call = self._calls.get(timeout=0.001)
            except queue.Empty:
                continue
            if due > time.monotonic():
                self._calls.put((due, number, call))
                time.sleep(0.0005)
            else:
                call()

    def __enter__(self) -> _Window:
        return self

    def __exit__(self, *_: object) -> None:
        self._overlay.close()
        self._watcher.close()
