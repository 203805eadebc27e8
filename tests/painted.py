"""Labels of straightened volumes for tests, and the grids of a volume that they go home to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracles import Helix

from napari_ouroboros import Straightening, Trace, backproject, open_volume
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.outputs import CHUNK
from napari_ouroboros.volumes.level import Level

Array = NDArray[Any]


class Grids:
    """The levels of a volume without a voxel: all that labels at home ask of their source."""

    url = "grids"

    def __init__(self, *grids: Grid) -> None:
        self.levels = tuple(
            Level(g.shape, g.resolution, g.voxel_offset, chunk=CHUNK, key=f"mip{i}")
            for i, g in enumerate(grids)
        )

    def mip(self, mip: int) -> Level:
        return self.levels[mip]


def grids_around(
    map_: Straightening, resolution: Sequence[float], mips: int = 2, room: int = 2
) -> Grids:
    """Levels that hold the tube; each twice as coarse as the one before, on all axes."""
    found = []
    for k in range(mips):
        step = np.asarray(resolution, float) * 2**k
        low = np.floor((map_.frames.c.min(0) - map_.reach_nm) / step) - room
        high = np.ceil((map_.frames.c.max(0) + map_.reach_nm) / step) + room
        z, y, x = (high - low).astype(int).tolist()
        a, b, c = low.astype(int).tolist()
        found.append(Grid((z, y, x), tuple(step.tolist()), (a, b, c)))
    return Grids(*found)


def helix(width: int = 41, pitch: float = 4.0, turns: float = 7.0, rise: float = 25.0) -> Any:
    """Turns 2 pi x `rise` apart: slices that reach farther are contested."""
    line = Helix(60.0, rise).position(np.linspace(0, turns, 120)) + 1000.0
    return Straightening(Trace(line), width, width - 6, pitch, pitch)


def ring() -> Straightening:
    """A closed trace, slices beyond its own centre: folded and contested."""
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    points = 90 * np.stack([0.2 * np.cos(2 * angle), np.sin(angle), np.cos(angle)], 1) + 700.0
    return Straightening(Trace(points, closed=True), 50, 44, 4.0, 5.0)


def gone_home(
    labels: Any, map_: Straightening, like: Any, mip: int, folder: Path
) -> tuple[Array, Any]:
    """What `backproject` writes at a mip, whole (z, y, x), and its report."""
    report = backproject(labels, map_, folder, like, mip)
    volume = open_volume(folder)
    try:
        return np.asarray(volume.read(0)), report
    finally:
        volume.close()


def part_of(whole: Array, level: Level, index: tuple[int, int, int]) -> Array:
    """One chunk of a whole level."""
    return whole[tuple(slice(a, b) for a, b in level.chunk_box(index))]
