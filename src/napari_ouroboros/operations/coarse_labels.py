"""Labels made coarse, for a look at all of them: small, in memory, and kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes.labels.label_changes import Box
from napari_ouroboros.volumes.stores.inflight import check_cancel

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.volumes.labels.label_array import LabelArray

# Of how often `fill` tells that there is more to see.
_TOLD_TIMES = 8


class CoarseLabels:
    """One id for each block of labels: the largest that is painted in it.

    So every id is one that is painted there, never a mixture; what is painted shows however thin it
    is, where every so many-th voxel would miss it; and the answer does not hang on the order in
    which chunks are read. The price: what is seen is up to a block thicker than it is, and where
    two labels meet within a block the larger id takes it.

    Block i lies around voxel ``i * step``, as samples that are every so many-th voxel do: it is
    ``i * step - step // 2`` up to ``(i + 1) * step - step // 2``, the last one up to the end.

    Parameters
    ----------
    array : LabelArray
        Only its painted chunks are read.
    steps : (slices, rows, columns)
        Size of a block in voxels.

    Attributes
    ----------
    data : array (slices, rows, columns)
        A block's id each, ``ceil(length / step)`` along every axis; 0 until `fill`. It is written
        to in the thread of `fill` and `update`, each id at once: whoever looks meanwhile sees
        old ids and new ones, and no others.
    """

    def __init__(self, array: LabelArray, steps: tuple[int, int, int]) -> None:
        self._array, self.steps = array, steps
        shape = [-(-n // step) for n, step in zip(array.shape, steps, strict=True)]
        self.data: NDArray[Any] = np.zeros(shape, array.dtype)

    def fill(self, cancel: Cancel, more: Callable[[], object]) -> None:
        """Read all that is painted; `more` is called now and then while there is more to see.

        Raises
        ------
        Cancelled
            ``cancel.is_set()`` became true.
        SourceError
            A chunk is broken.
        """
        boxes = self._array.painted_chunks()
        often = max(1, -(-len(boxes) // _TOLD_TIMES))
        for number, box in enumerate(boxes, 1):
            check_cancel(cancel)
            blocks = self.blocks_of(box)
            found = self.data[_slices(blocks)]
            np.maximum(found, self._reduced(self._array[_slices(box)], box), out=found)
            if number % often == 0:
                more()

    def update(self, parts: Sequence[Box], cancel: Cancel) -> None:
        """Look again at the blocks of parts that were written to, erased ones among them.

        Parameters
        ----------
        parts : sequence of boxes
            None larger than a few chunks: each is read whole, with the rest of its blocks.
        """
        for blocks in dict.fromkeys(map(self.blocks_of, parts)):
            check_cancel(cancel)
            box = self._voxels_of(blocks)
            self.data[_slices(blocks)] = self._reduced(self._array[_slices(box)], box)

    def blocks_of(self, box: Box) -> Box:
        """The blocks that a box of voxels meets."""
        k, r, c = (
            (self._block(axis, first), self._block(axis, stop - 1) + 1)
            for axis, (first, stop) in enumerate(box)
        )
        return k, r, c

    def _block(self, axis: int, voxel: int) -> int:
        step = self.steps[axis]
        return min((voxel + step // 2) // step, self.data.shape[axis] - 1)

    def _first(self, axis: int, block: int) -> int:
        """The first voxel of a block; of the one after the last, where the labels end."""
        if block == self.data.shape[axis]:
            return self._array.shape[axis]
        return max(block * self.steps[axis] - self.steps[axis] // 2, 0)

    def _voxels_of(self, blocks: Box) -> Box:
        k, r, c = (
            (self._first(axis, first), self._first(axis, stop))
            for axis, (first, stop) in enumerate(blocks)
        )
        return k, r, c

    def _reduced(self, values: NDArray[Any], box: Box) -> NDArray[Any]:
        """The largest id of each block that a box meets, as far as it lies in the box."""
        for axis, (first, stop) in enumerate(self.blocks_of(box)):
            if self.steps[axis] > 1:
                starts = [max(self._first(axis, i) - box[axis][0], 0) for i in range(first, stop)]
                values = np.maximum.reduceat(values, starts, axis=axis)
        return values


def _slices(box: Box) -> tuple[slice, slice, slice]:
    k, r, c = (slice(*edges) for edges in box)
    return k, r, c
