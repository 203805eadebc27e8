"""What can be streamed: whatever hands out chunks, fetched or computed. No store is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes.level import Index, Level


class ChunkSource(Protocol):
    """Levels of chunks; `napari_ouroboros.volumes.Volume` is one. Safe between threads.

    A loader works on a ``copy.copy`` of it, which must be usable beside the first.
    """

    @property
    def url(self) -> str:
        """Names it."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """The finest first."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the voxels."""
        ...

    @property
    def channels(self) -> int:
        """Values per voxel."""
        ...

    def mip(self, mip: int) -> Level:
        """Return level `mip`; UserError if there is none."""
        ...

    def fetch_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Return one chunk (channels, z, y, x), clipped at the end; None: nothing is there."""
        ...

    def fetch_chunks(
        self, mip: int, indices: Iterable[Index]
    ) -> Iterator[tuple[Index, NDArray[Any] | None]]:
        """Yield (index, chunk or None) for each index, in any order."""
        ...

    def close(self) -> None:
        """Nobody has asked for a while: let go of what can be had again."""
        ...

    def abort(self) -> None:
        """Give up what is under way, as far as it would take long."""
        ...


@runtime_checkable
class ComputedSource(ChunkSource, Protocol):
    """A source whose chunks are computed: it knows where nothing is, and they may change.

    When they do, it says so to its loader (`ChunkLoader.invalidate`).
    """

    @property
    def n_at_once(self) -> int:
        """Chunks that are worth computing at one time: about one per processor."""
        ...

    def is_empty(self, mip: int, index: Index) -> bool:
        """Whether a chunk is known to hold nothing. Asked in the thread of a window."""
        ...
