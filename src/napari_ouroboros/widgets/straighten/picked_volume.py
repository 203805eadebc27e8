"""A segmentation of which only the picked ids are there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes import Volume
from napari_ouroboros.volumes.level import Index
from napari_ouroboros.widgets.straighten.content import only


class PickedVolume(Volume):
    """Reads as the volume it was made from, with every id but the picked ones set to 0."""

    _picked: frozenset[int]

    @classmethod
    def of(cls, volume: Volume, picked: frozenset[int]) -> PickedVolume:
        """Make one; it opens its own connections."""
        new = cls.__new__(cls)
        new.__setstate__({**volume.__getstate__(), "_picked": picked})
        return new

    def fetch_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Return one chunk with the picked ids alone."""
        chunk = super().fetch_chunk(mip, index)
        return None if chunk is None else np.ascontiguousarray(only(chunk, self._picked))
