"""From a stroke in the straightened labels to the chunk of the original volume that shows it."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from benchmarks.clock import Spread
from benchmarks.parts import Bench
from benchmarks.report import Floor, Section, Table
from benchmarks.scene import VOXEL_NM, Scene, Tube
from napari_ouroboros import Straightening, Trace, open_volume
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
picture can be asked for, when half of the labels is painted already."""


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
    times = {
        "stroke, looked at again": Spread.of(again),
        "stroke, first look": Spread.of(first),
        "of it in the thread that paints": Spread.of(thread),
        "made": Spread.of([1000 * made]),
    }
    rows_ = [(what, taken.text(1, "ms")) for what, taken in times.items()]
    floors = [
        Floor("stroke to chunk", times["stroke, looked at again"], CHUNK_MS, "ms", True),
        Floor("stroke to chunk, first look", times["stroke, first look"], SEEN_MS, "ms", True),
    ]
    return Section(
        "Labels at home while they are painted", _PROSE,
        [Table(("until the picture is there", "wall"), rows_)], floors,
    )  # fmt: skip


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
        r, c = (np.arange(-BRUSH, BRUSH + 1) for _ in range(2))
        inside = np.argwhere(np.add.outer(r**2, c**2) <= BRUSH**2) - BRUSH
        at = (np.full(len(inside), k), *(inside + (int(row), int(column))).T)
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
        shown = [self._home.loader.peek(*chunk, outdated=False) for chunk in wish]
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
            self._home.loader.peek(*chunk, outdated=False) is None for chunk in wish
        ):
            self._arrived.wait(0.05)
            self._arrived.clear()
