"""Which label sample each voxel of a chunk gets: geometry only, kept while labels change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.operations.label_tiles import LabelTiles


class HomePlaces:
    """The voxels of a chunk that have a sample, in the order of the labels' tiles.

    Parameters
    ----------
    voxels, samples : arrays (n,)
        As `Gatherer.samples` returns them.
    tiles : LabelTiles

    Attributes
    ----------
    nbytes : int
        Memory that it takes: 8 bytes for each of the voxels, about.
    """

    def __init__(
        self, voxels: NDArray[np.int64], samples: NDArray[np.int64], tiles: LabelTiles
    ) -> None:
        whole = int(np.prod(tiles.shape, dtype=np.int64))
        narrow = samples.astype(np.uint32 if whole <= 2**32 else np.uint64)
        numbers, places = tiles.of_samples(narrow)
        first = numbers.min() if len(numbers) else 0
        near = numbers - first
        # 16 bits are sorted four times as fast; the tiles of a chunk lie close together.
        if not len(near) or near.max() < 2**16:
            near = near.astype(np.uint16)
        order = np.argsort(near, kind="stable")
        near = near[order]
        starts = np.flatnonzero(np.diff(near, prepend=near[:1] + near.dtype.type(1)))
        self._numbers = [int(first) + int(n) for n in near[starts]]
        self._bounds = [*starts.tolist(), len(near)]
        self._voxels = voxels[order].astype(np.uint32)
        self._places = places[order].astype(np.uint32)
        self.nbytes = self._voxels.nbytes + self._places.nbytes + 64 * len(starts)

    def labels(
        self, tiles: LabelTiles, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> NDArray[Any] | None:
        """Return the chunk `shape` as the labels are now; None where nothing is labelled."""
        out: NDArray[Any] | None = None
        for i, number in enumerate(self._numbers):
            if not tiles.is_painted(number):
                continue
            if out is None:
                out = np.zeros(int(np.prod(shape)), dtype)
            part = slice(self._bounds[i], self._bounds[i + 1])
            out[self._voxels[part]] = tiles.read(number)[self._places[part]]
        return None if out is None or not out.any() else out.reshape(shape)
