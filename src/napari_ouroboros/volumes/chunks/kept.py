"""Arrays that are computed once and kept while there is room, whoever asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")

_ENTRY = 512  # bytes that an entry takes besides its array, about


class Kept(Generic[T]):
    """The last arrays computed, or None; others wait while one thread computes what they want.

    Parameters
    ----------
    limit_bytes : int
        What all of them may take; the one asked for last is kept in any case.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._lock = threading.Lock()
        self._futures: OrderedDict[Hashable, Future[T]] = OrderedDict()  # longest unused first

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value of `key`; what `compute` raises is raised to all, and not kept."""
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
        if mine:
            try:
                value = compute()
            except BaseException as error:
                with self._lock:
                    del self._futures[key]  # the next one who asks tries again
                future.set_exception(error)
                raise
            with self._lock:
                future.set_result(value)
                self._held += _size(value)
                self._make_room(key)
        return future.result()

    def _make_room(self, spared: Hashable) -> None:
        while self._held > self._limit:
            finished = (k for k, future in self._futures.items() if future.done() and k != spared)
            oldest = next(finished, None)
            if oldest is None:
                return
            self._held -= _size(self._futures.pop(oldest).result())


def _size(value: object) -> int:
    return _ENTRY + (value.nbytes if isinstance(value, np.ndarray) else 0)
