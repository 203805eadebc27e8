"""Decoded chunks in memory: one bound for all volumes that are looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes.level import Index

#: Whose chunk, of which level, which one.
Key = tuple[int, int, Index]

DEFAULT_BYTES = 512 * 2**20


class DecodedChunks:
    """Chunks kept until their memory is needed, the longest unused first. Safe between threads.

    Parameters
    ----------
    limit_bytes : int
        Bound of what all of them take, also while one is added.
    """

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self._limit = int(limit_bytes)
        self._held = 0
        self._lock = threading.Lock()
        self._chunks: OrderedDict[Key, NDArray[Any]] = OrderedDict()

    @property
    def limit_bytes(self) -> int:
        """The bound; a smaller one drops what is too much."""
        return self._limit

    @limit_bytes.setter
    def limit_bytes(self, value: int) -> None:
        with self._lock:
            self._limit = int(value)
            self._make_room(0)

    @property
    def held_bytes(self) -> int:
        """What is taken now."""
        return self._held

    def get(self, key: Key) -> NDArray[Any] | None:
        """Return a chunk (channels, z, y, x), or None; it counts as used now."""
        with self._lock:
            chunk = self._chunks.get(key)
            if chunk is not None:
                self._chunks.move_to_end(key)
            return chunk

    def __contains__(self, key: Key) -> bool:
        return key in self._chunks

    def put(self, key: Key, chunk: NDArray[Any]) -> None:
        """Keep a chunk, and drop others for it; one that is larger than the bound is not kept."""
        if isinstance(chunk.base, np.ndarray) and chunk.base.nbytes > chunk.nbytes:
            chunk = chunk.copy()  # or it would hold on to more than what is counted
        with self._lock:
            old = self._chunks.pop(key, None)
            if old is not None:
                self._held -= old.nbytes
            if chunk.nbytes > self._limit:
                return
            self._make_room(chunk.nbytes)
            self._chunks[key] = chunk
            self._held += chunk.nbytes

    def drop(self, owner: int) -> None:
        """Forget all chunks of one owner."""
        with self._lock:
            for key in [key for key in self._chunks if key[0] == owner]:
                self._held -= self._chunks.pop(key).nbytes

    def _make_room(self, n_bytes: int) -> None:
        while self._chunks and self._held + n_bytes > self._limit:
            _, chunk = self._chunks.popitem(last=False)
            self._held -= chunk.nbytes


_shared = DecodedChunks()


def shared_chunks() -> DecodedChunks:
    """The chunks of this process, whatever window shows them: memory is the process's."""
    return _shared
