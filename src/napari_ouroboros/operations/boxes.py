"""Boxes of a straightened volume: the parts that a run does one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes import Level, Volume

# Samples of one box of the lazy array and of one slab of a stream: some 10 ms of work, so that
# the first is sampled early and little is left to do when the last chunk has come.
_BOX_SAMPLES = 1_000_000


class Box(NamedTuple):
    """A box of the straightened volume: first and last + 1 of slices, rows and columns."""

    slices: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        n, rows, columns = (b - a for a, b in self)
        return n, rows, columns

    def as_tuple(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Plain ranges, for the writers."""
        return self.slices, self.rows, self.columns

    def halves(self) -> tuple[Box, Box]:
        """The box cut in two across its longest side."""
        axis = int(np.argmax(self.shape))
        a, b = self[axis]
        middle = (a + b) // 2
        first, second = list(self), list(self)
        first[axis], second[axis] = (a, middle), (middle, b)
        return Box(*first), Box(*second)


def slabs(shape: tuple[int, int, int], channels: int = 1) -> list[Box]:
    """Cut a straightened volume into slabs of whole slices, about a million samples each."""
    n, rows, columns = shape
    step = max(1, _BOX_SAMPLES // (rows * columns * channels))
    return [Box((k, min(k + step, n)), (0, rows), (0, columns)) for k in range(0, n, step)]


def voxels_of(chunks: NDArray[np.int64], level: Level) -> int:
    """Voxels of chunks (n, 3) zyx, those at the end of the level clipped."""
    chunk = np.asarray(level.chunk)
    corner = chunks.reshape(-1, 3) * chunk
    return int((np.minimum(corner + chunk, level.shape) - corner).prod(axis=1).sum())


def check_slice(straightening: Straightening, volume: Volume, memory: int) -> None:
    """UserError for slices that one at a time are too large for `memory` bytes."""
    rows, columns = straightening.height, straightening.width
    needed = rows * columns * volume.channels * volume.dtype.itemsize
    if needed > memory:
        raise UserError(
            f"one slice of {columns} x {rows} pixels takes {needed / 1e6:.0f} MB of memory; make "
            "--width and --height smaller, or --memory larger"
        )
