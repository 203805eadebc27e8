"""What one loader has of its source: chunks that are there, known to be missing, or outdated."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from napari_ouroboros.volumes.level import Index
from napari_ouroboros.volumes.streaming.decoded import DecodedChunks, new_owner

#: A chunk: level and index.
Chunk = tuple[int, Index]


class Missing:
    """Stands for a chunk that the source is known not to have."""


MISSING = Missing()


class Shelf:
    """The chunks of one source. Reading needs no lock; whoever writes holds the loader's.

    Parameters
    ----------
    kept : DecodedChunks
        Where the arrays are.
    is_empty : callable, optional
        ``is_empty(mip, index)``: whether the source knows beforehand that nothing is there.

    Attributes
    ----------
    owner : int
        Whose chunks they are among all that are kept.
    """

    def __init__(
        self, kept: DecodedChunks, is_empty: Callable[[int, Index], bool] | None = None
    ) -> None:
        self.owner = new_owner()
        self._kept = kept
        self._is_empty = is_empty
        self._missing: set[Chunk] = set()
        # What is there or missing as it was; and what changed again while it was on its way.
        self._outdated: set[Chunk] = set()
        self._again: set[Chunk] = set()
        weakref.finalize(self, kept.drop, self.owner)

    def peek(self, chunk: Chunk, outdated: bool = True) -> NDArray[Any] | Missing | None:
        """Return a chunk if it is there, else None; `outdated`: also as it was."""
        # In this order: what is renewed meanwhile must not pass for new.
        if not outdated and chunk in self._outdated:
            return None
        found: NDArray[Any] | None = self._kept.get((self.owner, *chunk))
        return MISSING if found is None and self._is_missing(chunk) else found

    def __contains__(self, chunk: Chunk) -> bool:
        """Whether it need not be fetched."""
        if chunk in self._outdated:
            return False
        return (self.owner, *chunk) in self._kept or self._is_missing(chunk)

    def takes_memory(self, chunk: Chunk) -> bool:
        """Of what is computed most is known to be empty: a wish for that costs nothing."""
        return self._is_empty is None or not self._is_empty(*chunk)

    def put(self, chunk: Chunk, data: NDArray[Any] | None) -> bool:
        """Keep what has come; None: nothing is there. Whether it has changed again meanwhile."""
        again = chunk in self._again
        self._again.discard(chunk)
        if again:
            self._outdated.add(chunk)
        if data is None:
            self._missing.add(chunk)
            self._kept.discard((self.owner, *chunk))
        else:
            self._kept.put((self.owner, *chunk), data)
            self._missing.discard(chunk)
        if not again:
            self._outdated.discard(chunk)
        return again

    def outdate(self, chunk: Chunk, on_its_way: bool) -> None:
        """It has changed in the source; what is on its way may be from before."""
        if on_its_way:
            self._again.add(chunk)
        elif (self.owner, *chunk) in self._kept or chunk in self._missing:
            self._outdated.add(chunk)

    def not_had(self, chunk: Chunk) -> None:
        """What was on its way has not come: the next try is for what is there then."""
        self._again.discard(chunk)

    def forget_missing(self) -> None:
        """Ask again for what was not there."""
        self._missing.clear()

    def _is_missing(self, chunk: Chunk) -> bool:
        return chunk in self._missing or (self._is_empty is not None and self._is_empty(*chunk))
