"""A plain port of what Ouroboros does, written for this benchmark: slices and splat.

Its way: the slices are taken 128 at a time, the box around them is downloaded whole with
cloud-volume, a grid of all sample positions is made, and scipy's `map_coordinates` reads them.
Labels go back by splatting: each sample adds its value to the eight voxels around it, weighted,
and what has weight is divided by it.

Nothing here is slower than it need be in numpy and scipy. What the peer does on top (processes
that are handed the volumes by pickling, a file per slice, a cache on disk) is left out, and so is
the time to compute its rectangles: it samples ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.scene import CHUNK, Index

Floats = NDArray[np.float64]
Array = NDArray[Any]
SLICES_PER_BOX = 128


@dataclass(frozen=True)
class Rectangles:
    """Slices in voxel indices xyz: corner of sample (0, 0), step of a row, step of a column."""

    start: Floats  # (n, 3)
    row: Floats
    column: Floats
    height: int
    width: int

    @classmethod
    def of(cls, straightening: Any, level: Any) -> Rectangles:
        """The rectangles of a `Straightening` in a `Level`."""
        from napari_ouroboros.operations.sampler import affine

        grid = affine(straightening, level, (0, straightening.shape[0]))
        start, row, column = (np.ascontiguousarray(a[:, ::-1]) for a in grid)
        return cls(start, row, column, straightening.height, straightening.width)

    def groups(self) -> Iterator[slice]:
        """The slices, 128 at a time."""
        for first in range(0, len(self.start), SLICES_PER_BOX):
            yield slice(first, first + SLICES_PER_BOX)

    def positions(self, slices: slice) -> Floats:
        """Sample positions (3, slices, rows, columns), xyz."""
        rows, columns = np.arange(self.height), np.arange(self.width)
        return np.stack(
            [
                self.start[slices, axis, None, None]
                + self.row[slices, axis, None, None] * rows[:, None]
                + self.column[slices, axis, None, None] * columns
                for axis in range(3)
            ]
        )

    def box(self, slices: slice) -> VoxelBox:
        """The voxels around the corners of these slices, one more on every side."""
        rows, columns = np.array([0, self.height - 1]), np.array([0, self.width - 1])
        corners = (
            self.start[slices, None, None]
            + self.row[slices, None, None] * rows[:, None, None]
            + self.column[slices, None, None] * columns[:, None]
        ).reshape(-1, 3)
        low = np.floor(corners.min(0)).astype(int)
        high = np.floor(corners.max(0)).astype(int) + 2
        return VoxelBox(low, high)


class VoxelBox(NamedTuple):
    """First voxel and last + 1, xyz."""

    low: NDArray[np.int_]
    high: NDArray[np.int_]

    def chunks(self) -> set[Index]:
        """Chunks (z, y, x) that a download of the box fetches."""
        (x0, y0, z0), (x1, y1, z1) = self.low // CHUNK, (self.high - 1) // CHUNK + 1
        return {
            (z, y, x)
            for z in range(int(z0), int(z1))
            for y in range(int(y0), int(y1))
            for x in range(int(x0), int(x1))
        }


def open_source(url: str) -> Any:
    """The volume as cloud-volume opens it."""
    from cloudvolume import CloudVolume

    return CloudVolume(f"precomputed://{url}", mip=0, progress=False)


def download(source: Any, box: VoxelBox) -> Array:
    """The voxels of a box, (x, y, z)."""
    from cloudvolume import Bbox

    cutout = source.download(Bbox(box.low, box.high))
    return np.asarray(cutout)[..., 0]


def sample(block: Array, positions: Floats, order: Literal[1, 3]) -> Array:
    """Values at positions (3, ...) of a block (x, y, z), in the block's dtype."""
    from scipy.ndimage import map_coordinates

    flat = positions.reshape(3, -1)
    return np.asarray(map_coordinates(block, flat, order=order)).reshape(positions.shape[1:])


def slice_volume(url: str, rectangles: Rectangles, order: Literal[1, 3]) -> Array:
    """All slices (n, rows, columns) of a volume."""
    source = open_source(url)
    parts = []
    for slices in rectangles.groups():
        box = rectangles.box(slices)
        positions = rectangles.positions(slices)
        positions -= box.low[:, None, None, None]
        parts.append(sample(download(source, box), positions, order))
    return np.concatenate(parts)


def backproject(labels: Array, rectangles: Rectangles) -> Iterator[tuple[VoxelBox, Array]]:
    """Splat labels (n, rows, columns), box by box; yields blocks (x, y, z) of their dtype."""
    for slices in rectangles.groups():
        box = rectangles.box(slices)
        positions = rectangles.positions(slices)
        positions -= box.low[:, None, None, None]
        yield box, splat(labels[slices], positions, tuple(int(n) for n in box.high - box.low))


def splat(values: Array, positions: Floats, shape: tuple[int, ...]) -> Array:
    """Samples at positions (3, ...) spread over the eight voxels around each: weighted means."""
    flat = positions.reshape(3, -1)
    corner = np.floor(flat).astype(np.int64)
    upper = (flat - corner).astype(np.float32)
    parts = (1 - upper, upper)
    first = (corner[0] * shape[1] + corner[1]) * shape[2] + corner[2]
    amount = values.reshape(-1).astype(np.float32)
    weights = np.zeros(shape, np.float32).reshape(-1)
    totals = np.zeros_like(weights)
    for x, y, z in np.ndindex(2, 2, 2):
        weight = parts[x][0] * parts[y][1] * parts[z][2]
        at = first + ((x * shape[1] + y) * shape[2] + z)
        np.add.at(weights, at, weight)
        np.add.at(totals, at, weight * amount)
    hit = weights > 0
    out = np.zeros_like(weights)
    out[hit] = totals[hit] / weights[hit]
    return out.astype(values.dtype).reshape(shape)
