"""A plain port of what Ouroboros does, written for this benchmark: slices and splat.

Its way: the slices are taken 128 at a time, the box around them is downloaded whole with
cloud-volume, the grid of all sample positions is made, and scipy's `map_coordinates` reads them
(order 3 is its default). Labels go back by splatting: each sample adds its value to the eight
voxels around it, weighted, and the sum is divided by the weights.

Not held against the peer, and left out: the time to compute its rectangles (it gets ours),
processes that are handed the volumes by pickling, a file per slice, a second pass over the
backprojected boxes, labels that are cut off instead of rounded, and accumulators of another dtype
than the weights, which make its `numpy.add.at` three times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.scene import CHUNK, Index

Floats = NDArray[np.float64]
Array = NDArray[Any]
Order = Literal[1, 3]
SLICES_PER_BOX = 128


@dataclass(frozen=True)
class Rectangles:
    """Slices as the peer has them: corners (n, 4, 3) in voxel indices xyz, going round."""

    corners: Floats
    height: int
    width: int

    @classmethod
    def of(cls, straightening: Any, level: Any) -> Rectangles:
        """The rectangles of a `Straightening` on a `Level`: centres of the outermost samples."""
        n, height, width = straightening.shape
        ends = ((0, 0), (0, width - 1), (height - 1, width - 1), (height - 1, 0))
        index = np.array([[(k, *end) for end in ends] for k in range(n)], float)
        corners = level.to_index(straightening.to_volume(index))
        return cls(corners[..., ::-1], height, width)

    def groups(self) -> Iterator[slice]:
        """The slices, 128 at a time."""
        for first in range(0, len(self.corners), SLICES_PER_BOX):
            yield slice(first, first + SLICES_PER_BOX)

    def box(self, slices: slice) -> VoxelBox:
        """The voxels around these slices, with the neighbours that interpolation asks for."""
        corners = self.corners[slices].reshape(-1, 3)
        low = np.floor(corners.min(0)).astype(int)
        return VoxelBox(low, np.floor(corners.max(0)).astype(int) + 2)

    def positions(self, slices: slice, box: VoxelBox) -> Floats:
        """Sample positions (slices, rows, columns, 3) xyz in a box."""
        return np.stack([self._grid(corners - box.low) for corners in self.corners[slices]])

    def _grid(self, corners: Floats) -> Floats:
        across = np.linspace(corners[0], corners[1], self.width)
        down = np.linspace(corners[0], corners[3], self.height)
        return across[None, :] + down[:, None] - corners[0]


class VoxelBox(NamedTuple):
    """First voxel and last + 1, xyz."""

    low: NDArray[np.int_]
    high: NDArray[np.int_]

    @property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = (int(n) for n in self.high - self.low)
        return x, y, z

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


def sample(block: Array, positions: Floats, order: Order) -> Array:
    """Values at positions (..., 3) of a block (x, y, z), in the block's dtype."""
    from scipy.ndimage import map_coordinates

    values = map_coordinates(block, positions.reshape(-1, 3).T, order=order)
    return np.asarray(values).reshape(positions.shape[:-1])


def slice_volume(url: str, rectangles: Rectangles, order: Order) -> Array:
    """All slices (n, rows, columns) of a volume."""
    source = open_source(url)
    parts = []
    for slices in rectangles.groups():
        box = rectangles.box(slices)
        block = download(source, box)
        parts.append(sample(block, rectangles.positions(slices, box), order))
    return np.concatenate(parts)


def backproject(
    labels: Array, rectangles: Rectangles, tuned: bool = False
) -> Iterator[tuple[VoxelBox, Array]]:
    """Splat labels (n, rows, columns), box by box; yields blocks (x, y, z) of their dtype."""
    one_box = splat_tuned if tuned else splat
    for slices in rectangles.groups():
        box = rectangles.box(slices)
        yield box, one_box(labels[slices], rectangles.positions(slices, box), box.shape)


def splat(values: Array, positions: Floats, shape: tuple[int, int, int]) -> Array:
    """Samples at positions (..., 3) spread over the eight voxels around each: weighted means."""
    flat = positions.reshape(-1, 3).T
    low, high = np.floor(flat).astype(int), np.ceil(flat).astype(int)
    upper = flat - low
    sides = ((low, 1 - upper), (high, upper))
    amount = values.reshape(-1)
    totals, weights = np.zeros(shape), np.zeros(shape)
    for x, y, z in product(sides, repeat=3):
        voxel = (x[0][0], y[0][1], z[0][2])
        weight = x[1][0] * y[1][1] * z[1][2]
        np.add.at(totals, voxel, amount * weight)
        np.add.at(weights, voxel, weight)
    hit = weights != 0
    totals[hit] = np.rint(totals[hit] / weights[hit])
    return totals.astype(values.dtype)


def splat_tuned(values: Array, positions: Floats, shape: tuple[int, int, int]) -> Array:
    """The same splat as fast as numpy goes: float32 and flat indices. Not what the peer does."""
    flat = positions.reshape(-1, 3).T
    low = np.floor(flat).astype(int)
    upper = (flat - low).astype(np.float32)
    sides = (1 - upper, upper)
    first = np.ravel_multi_index(tuple(low), shape)
    amount = values.reshape(-1).astype(np.float32)
    totals, weights = np.zeros((2, np.prod(shape)), np.float32)
    for x, y, z in product((0, 1), repeat=3):
        voxel = first + (x * shape[1] + y) * shape[2] + z
        weight = sides[x][0] * sides[y][1] * sides[z][2]
        np.add.at(totals, voxel, amount * weight)
        np.add.at(weights, voxel, weight)
    hit = weights > 0
    totals[hit] = np.rint(totals[hit] / weights[hit])
    return totals.astype(values.dtype).reshape(shape)
