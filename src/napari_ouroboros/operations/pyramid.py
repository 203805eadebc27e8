"""Coarser scales of labels that have just been written, each by majority of the finest one's.

Every scale is made from the finest, never from the one before: a majority of majorities is not the
majority. So all write units are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry.touched import block_box
from napari_ouroboros.operations.destination import Scale
from napari_ouroboros.operations.majority import Votes, cells_of, count_votes, elect
from napari_ouroboros.operations.plan import Cancel, Unit
from napari_ouroboros.volumes.level import Box, Index

#: Reads a box of the finest scale, (z, y, x).
Read = Callable[[Box], NDArray[Any]]
#: Writes the chunks of one unit.
Write = Callable[[Sequence[tuple[Box, NDArray[Any]]]], object]


class CoarserScale:
    """What one coarser scale needs of the finest.

    Parameters
    ----------
    finest, scale : Scale
        The majority is taken on both as they are written: what lies over what in the result.
    chunk : (int, int, int)
        Of both.
    touched : iterable of (int, int, int)
        Chunks of the finest scale that may have labels.
    unit : (int, int, int)
        Voxels of a write unit of this scale, whole chunks.
    dtype : dtype
        Of the labels.
    """

    def __init__(
        self,
        finest: Scale,
        scale: Scale,
        chunk: Index,
        touched: Iterable[Index],
        unit: Sequence[int],
        dtype: np.dtype[Any],
    ) -> None:
        self.scale, self.chunk, self.dtype = scale, chunk, dtype
        self._fine_shape = finest.written.shape
        self._cells = cells_of(finest.written, scale.written)
        self._parts: dict[Index, list[Index]] = {}
        for index in touched:
            for coarse in self._covered(index):
                self._parts.setdefault(coarse, []).append(index)
        self._units: dict[Index, list[Index]] = {}
        for coarse in self._parts:
            z, y, x = (i * c // u for i, c, u in zip(coarse, chunk, unit, strict=True))
            self._units.setdefault((z, y, x), []).append(coarse)

    @property
    def most_chunks(self) -> int:
        """Chunks in the largest write unit."""
        return max(map(len, self._units.values()), default=0)

    def units(self, written: Callable[[Index], bool], read: Read, write: Write) -> list[Unit]:
        """Write units, to be run when the finest scale is complete.

        Parameters
        ----------
        written : callable
            Whether a chunk of the finest scale has labels.
        read, write : callable
        """
        return [
            Unit(
                f"mip {self.scale.mip} {'_'.join(map(str, unit))}",
                partial(self._write_unit, chunks, written, read, write),
            )
            for unit, chunks in self._units.items()
        ]

    def _covered(self, index: Index) -> Iterable[Index]:
        """Chunks of this scale that a chunk of the finest one reaches into."""
        spans = []
        box = block_box(index, self.chunk, self._fine_shape)
        shape = self.scale.written.shape
        for (low, high), cells, n, c in zip(box, self._cells, shape, self.chunk, strict=True):
            first, last = int(cells[low]), int(cells[high - 1])
            spans.append(range(max(first, 0) // c, min(last, n - 1) // c + 1 if last >= 0 else 0))
        z, y, x = spans
        return product(z, y, x)

    def _write_unit(
        self,
        chunks: Sequence[Index],
        written: Callable[[Index], bool],
        read: Read,
        write: Write,
        cancel: Cancel,
    ) -> None:
        pieces = []
        for index in chunks:
            parts = list(filter(written, self._parts[index]))
            if parts:
                box = block_box(index, self.chunk, self.scale.written.shape)
                labels = self._majority(box, parts, read, cancel)
                if labels.any():
                    pieces.append((box, labels))
        if pieces:
            write(pieces)

    def _majority(
        self, box: Box, parts: Sequence[Index], read: Read, cancel: Cancel
    ) -> NDArray[Any]:
        cells = [axis - low for axis, (low, _) in zip(self._cells, box, strict=True)]
        shape = [high - low for low, high in box]
        votes: list[Votes] = []
        for index in parts:
            if cancel.is_set():
                raise Cancelled("the job was cancelled; nothing was kept")
            fine = block_box(index, self.chunk, self._fine_shape)
            here = [axis[low:high] for axis, (low, high) in zip(cells, fine, strict=True)]
            votes.append(count_votes(read(fine), here, shape))
        return elect(votes, cells, shape, self.dtype)
