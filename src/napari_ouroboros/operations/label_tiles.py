"""The chunks of a label array in which something may be painted."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes.level import Box, Index


class PaintedLabels(Protocol):
    """Labels in chunks that know which of them are stored; a `LabelArray` is one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Unsigned."""
        ...

    @property
    def chunks(self) -> tuple[int, int, int]:
        """Shape of a chunk."""
        ...

    def painted_chunks(self) -> Sequence[Box]:
        """Boxes of the chunks that are stored; all else is 0."""
        ...

    def __getitem__(self, key: Any) -> Any:
        """As numpy."""
        ...


class LabelTiles:
    """Chunks of a label array by number, and which of them may hold labels. Thread-safe.

    Parameters
    ----------
    labels : PaintedLabels

    Attributes
    ----------
    shape : (int, int, int)
        Of the labels.
    tile : (int, int, int)
        Shape of every tile; those at the end of the labels are padded with 0.
    grid : (int, int, int)
        How many there are.
    """

    def __init__(self, labels: PaintedLabels) -> None:
        self._labels = labels
        self.shape = _three(labels.shape)
        self.tile = _three(labels.chunks)
        self.grid = _three([-(-n // t) for n, t in zip(self.shape, self.tile, strict=True)])
        self._lock = threading.Lock()
        self._painted: set[int] = set()
        self.add(labels.painted_chunks())

    def add(self, boxes: Iterable[Box]) -> None:
        """Something may be painted in these boxes from now on."""
        numbers = {number for box in boxes for number in self._numbers(box)}
        with self._lock:
            self._painted |= numbers

    def covers(self, box: Box) -> bool:
        """Whether all tiles of a box are known to be painted."""
        return self._painted.issuperset(self._numbers(box))

    def is_painted(self, number: int) -> bool:
        """Whether a tile may hold labels."""
        return number in self._painted

    def painted_boxes(self) -> list[Box]:
        """Boxes of all painted tiles; those one behind the other along the slices as one."""
        with self._lock:
            numbers = np.array(list(self._painted), np.int64)
        if not len(numbers):
            return []
        z, rest = np.divmod(np.sort(numbers), self.grid[1] * self.grid[2])
        order = np.lexsort((z, rest))
        z, rest = z[order], rest[order]
        first = np.flatnonzero((np.diff(z, prepend=-2) != 1) | (np.diff(rest, prepend=-1) != 0))
        last = np.append(first[1:], len(z)) - 1
        y, x = np.divmod(rest[first], self.grid[2])
        low = np.stack([z[first], y, x], axis=1) * self.tile
        high = np.minimum(np.stack([z[last] + 1, y + 1, x + 1], axis=1) * self.tile, self.shape)
        return [
            ((k0, k1), (r0, r1), (c0, c1))
            for (k0, r0, c0), (k1, r1, c1) in zip(low.tolist(), high.tolist(), strict=True)
        ]

    def of_samples(self, samples: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Tile of each sample, and where in its `read` it is.

        Parameters
        ----------
        samples : array (n,) of unsigned integers
            Flat indices in the whole of the labels, C order.

        Returns
        -------
        numbers, places : arrays (n,) of the same dtype
        """
        kind = samples.dtype.type
        _, rows, columns = self.shape
        slices_t, rows_t, columns_t = self.tile
        k, rest = np.divmod(samples, kind(rows * columns))
        r, c = np.divmod(rest, kind(columns))
        (kt, k), (rt, r), (ct, c) = (
            np.divmod(i, kind(t)) for i, t in ((k, slices_t), (r, rows_t), (c, columns_t))
        )
        numbers = (kt * kind(self.grid[1]) + rt) * kind(self.grid[2]) + ct
        return numbers, (k * kind(rows_t) + r) * kind(columns_t) + c

    def read(self, number: int) -> NDArray[Any]:
        """Return a tile as it is now: flat, in C order of `tile`."""
        corner = np.unravel_index(number, self.grid)
        part = tuple(
            slice(int(i) * t, min((int(i) + 1) * t, n))
            for i, t, n in zip(corner, self.tile, self.shape, strict=True)
        )
        labels = np.asarray(self._labels[part])
        if labels.shape != self.tile:
            pads = [(0, t - n) for t, n in zip(self.tile, labels.shape, strict=True)]
            labels = np.pad(labels, pads)
        return labels.reshape(-1)

    def _numbers(self, box: Box) -> list[int]:
        spans = [
            np.arange(max(a, 0) // t, -(-min(b, n) // t))
            for (a, b), t, n in zip(box, self.tile, self.shape, strict=True)
        ]
        z, y, x = np.ix_(*spans)
        numbers: NDArray[np.int64] = (z * self.grid[1] + y) * self.grid[2] + x
        found: list[int] = numbers.reshape(-1).tolist()
        return found


def _three(numbers: Sequence[int]) -> Index:
    z, y, x = numbers
    return int(z), int(y), int(x)
