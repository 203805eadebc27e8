"""Decoded chunks in memory: one bound for all volumes that are looked at."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np

from napari_ouroboros.volumes.level import Index

#: Whose chunk, of which level, which one.
Key = tuple[int, int, Index]


class Held(Protocol):
    """Chunks are arrays (channels, z, y, x); what computes them may keep something else."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        ...


_owners = itertools.count()


def new_owner() -> int:
    """Return a number that nobody else keeps chunks under."""
    return next(_owners)


DEFAULT_BYTES = 512 * 2**20
#: Part of the memory for what is looked at now; the rest is for what comes and goes.
_LOOKED_AT = 0.9


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
        self._chunks: OrderedDict[Key, Held] = OrderedDict()
        self._spare: OrderedDict[Key, Held] = OrderedDict()
        self._wishes: dict[tuple[int, Hashable], int] = {}  # bytes
        self._gone: deque[int] = deque()

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

    def share(self, owner: int, key: Hashable) -> float:
        """Return the bytes that `key` may want at one time, beside all others who want something.

        An equal share, and what the others leave of theirs. Together they would otherwise want
        more than there is room for, and drive out each other's chunks for ever.
        """
        with self._lock:
            self._forget_gone()
            others = [size for who, size in self._wishes.items() if who != (owner, key)]
            room = _LOOKED_AT * self._limit
            equal = room / (len(others) + 1)
            return room - sum(min(size, equal) for size in others)

    def set_wish(self, owner: int, key: Hashable, n_bytes: int) -> None:
        """Note how much `key` wants; 0: nothing any more."""
        with self._lock:
            if n_bytes:
                self._wishes[owner, key] = n_bytes
            else:
                self._wishes.pop((owner, key), None)

    def get(self, key: Key) -> Any:
        """Return what is kept, or None; it counts as used now."""
        with self._lock:
            for kept in (self._chunks, self._spare):
                chunk = kept.get(key)
                if chunk is not None:
                    kept.move_to_end(key)
                    return chunk
            return None

    def __contains__(self, key: Key) -> bool:
        return key in self._chunks

    def put(self, key: Key, chunk: Held, spare: bool = False) -> None:
        """Keep a chunk, and drop others for it; one that is larger than the bound is not kept.

        Parameters
        ----------
        spare : bool
            It is only kept in the room that chunks leave, and dropped before any of them: what
            helps to compute pictures must not drive out those that are looked at.
        """
        if isinstance(chunk, np.ndarray):
            base = chunk.base
            if isinstance(base, np.ndarray) and base.nbytes > chunk.nbytes:
                chunk = chunk.copy()  # or it would hold on to more than what is counted
        with self._lock:
            self._forget(key)
            if chunk.nbytes > self._limit:
                return
            self._make_room(chunk.nbytes, of=(self._spare,) if spare else None)
            if self._held + chunk.nbytes <= self._limit:
                (self._spare if spare else self._chunks)[key] = chunk
                self._held += chunk.nbytes

    def discard(self, key: Key) -> None:
        """Forget one chunk, if it is there."""
        with self._lock:
            self._forget(key)

    def drop(self, owner: int) -> None:
        """Forget all of one owner. May be called wherever garbage is collected."""
        # That may be within this very object, its lock held: then it is done a little later.
        self._gone.append(owner)
        if self._lock.acquire(blocking=False):
            try:
                self._forget_gone()
            finally:
                self._lock.release()

    def _forget_gone(self) -> None:
        while self._gone:
            owner = self._gone.popleft()
            self._wishes = {who: n for who, n in self._wishes.items() if who[0] != owner}
            for key in [key for key in (*self._chunks, *self._spare) if key[0] == owner]:
                self._forget(key)

    def _forget(self, key: Key) -> None:
        for kept in (self._chunks, self._spare):
            old = kept.pop(key, None)
            if old is not None:
                self._held -= old.nbytes

    def _make_room(
        self, n_bytes: int, of: tuple[OrderedDict[Key, Held], ...] | None = None
    ) -> None:
        """Drop the longest unused, of these only if given; first what is spare."""
        self._forget_gone()
        for kept in (self._spare, self._chunks) if of is None else of:
            while kept and self._held + n_bytes > self._limit:
                _, chunk = kept.popitem(last=False)
                self._held -= chunk.nbytes


_shared = DecodedChunks()


def shared_chunks() -> DecodedChunks:
    """The chunks of this process, whatever window shows them: memory is the process's."""
    return _shared
