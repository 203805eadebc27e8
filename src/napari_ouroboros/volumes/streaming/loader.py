"""Chunks of one volume fetched for whoever looks at it: what nobody wants any more is dropped.

Not `napari_ouroboros.volumes.chunks.pool.ChunkPool`: that one serves computations, which name all
they need, wait for it and pin it in slots of one level, first come, first served. A picture never
waits, changes its mind with every step of a slider, mixes levels, and goes on when a chunk cannot
be had. From the pool come the bound of what is on its way, and threads that are daemons.
"""

from __future__ import annotations

import copy
import math
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError, one_line
from napari_ouroboros.volumes.level import Index
from napari_ouroboros.volumes.streaming.decoded import DecodedChunks, shared_chunks
from napari_ouroboros.volumes.streaming.shelf import MISSING, Chunk, Missing, Shelf
from napari_ouroboros.volumes.streaming.source import ComputedSource
from napari_ouroboros.volumes.streaming.status import Status

if TYPE_CHECKING:
    from napari_ouroboros.volumes.streaming.source import ChunkSource

__all__ = ["MISSING", "Chunk", "ChunkLoader", "Missing"]

_IN_FLIGHT_BYTES = 64 * 2**20
_LEAST_IN_FLIGHT = 4
#: Seconds without work after which a thread ends, and the last one drops the connections.
_IDLE = 0.8
#: Seconds before a failed chunk is tried again by itself: doubled each time, up to the second.
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 30.0


class _Failure:
    def __init__(self, problem: str, attempts: int) -> None:
        self.problem = problem
        self.attempts = attempts
        pause = min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE)
        self.due = time.monotonic() + pause


class ChunkLoader:
    """Fetches what is wanted now, the last wish first, in threads of its own.

    Parameters
    ----------
    volume : Volume, or another ChunkSource
        The loader has connections of its own to it.
    n_in_flight : int
        Chunks fetched at one time; fewer where they are large, or where the source says so.
    kept : DecodedChunks, optional
        Where chunks are kept; what all loaders of the process share if not given.

    Attributes
    ----------
    fetched : int
        Chunks that the store was asked for so far.
    """

    def __init__(
        self, volume: ChunkSource, n_in_flight: int = 16, kept: DecodedChunks | None = None
    ) -> None:
        self._volume = own = copy.copy(volume)
        self._kept = shared_chunks() if kept is None else kept
        # Nothing here may hold on to `volume`: the loader of a forgotten one is to go.
        self._shelf = Shelf(self._kept, own.is_empty if isinstance(own, ComputedSource) else None)
        self._owner = self._shelf.owner
        if isinstance(own, ComputedSource):
            n_in_flight = min(n_in_flight, own.n_at_once)
        self._bytes = [
            volume.channels * math.prod(map(min, level.chunk, level.shape)) * volume.dtype.itemsize
            for level in volume.levels
        ]
        least = _LEAST_IN_FLIGHT if max(self._bytes) <= _IN_FLIGHT_BYTES else 1
        few = max(least, _IN_FLIGHT_BYTES // max(self._bytes))
        self._n_in_flight = max(1, min(int(n_in_flight), few))
        self._changed = threading.Condition()
        self._wanted: dict[Hashable, tuple[Chunk, ...]] = {}  # the last wish last
        self._left_out: dict[Hashable, int] = {}
        self._queue: list[Chunk] = []  # the first to fetch last
        self._in_flight: set[Chunk] = set()
        self._failed: dict[Chunk, _Failure] = {}
        self._later: dict[Hashable, tuple[float, tuple[Chunk, ...]]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._threads = 0
        self._resting = 0
        self._closed = False
        self.fetched = 0

    def peek(self, mip: int, index: Index, outdated: bool = True) -> NDArray[Any] | Missing | None:
        """Return a chunk (channels, z, y, x) if it is there, else None. Never waits.

        `outdated`: also as it was before `invalidate`, while there is nothing newer.
        """
        return self._shelf.peek((mip, index), outdated)

    def invalidate(self, chunks: Iterable[Chunk]) -> None:
        """These have changed in the source: what is wanted of them is fetched again.

        To be called once the source hands out the new; until that is there `peek` returns the old.
        """
        with self._changed:
            for chunk in chunks:
                self._shelf.outdate(chunk, on_its_way=chunk in self._in_flight)
                self._failed.pop(chunk, None)
            self._plan()

    def want(self, key: Hashable, chunks: Iterable[Chunk], more: int = 0) -> None:
        """Replace what `key` wants, the most urgent first; what is queued for it alone is dropped.

        Chunks already there cost nothing. Those beyond its share of the memory are left out: they
        would drive out the first ones. `more`: chunks left out already, to be counted with them.
        """
        wish, left_out = self._what_fits(key, chunks)
        with self._changed:
            self._later.pop(key, None)
            self._left_out[key] = left_out + more
            self._set(key, wish)

    def want_later(self, key: Hashable, chunks: Iterable[Chunk], seconds: float) -> None:
        """As `want` after so long, unless something else is wanted for `key` meanwhile."""
        wish, _ = self._what_fits(key, chunks)
        with self._changed:
            if not self._closed:
                self._later[key] = (time.monotonic() + seconds, wish)
                self._wake(1)

    def drop(self, key: Hashable) -> None:
        """Nobody looks there any more."""
        with self._changed:
            self._later.pop(key, None)
            self._left_out.pop(key, None)
            self._kept.set_wish(self._owner, key, 0)
            if self._wanted.pop(key, None) is not None:
                self._plan()
        self._tell()

    def retry(self) -> None:
        """Try at once what failed or was missing."""
        with self._changed:
            self._failed.clear()
            self._shelf.forget_missing()
            self._plan()
        self._tell()

    @property
    def status(self) -> Status:
        """What is loading and what has failed, of what is wanted now."""
        with self._changed:
            wanted = {chunk for wish in self._wanted.values() for chunk in wish}
            failed = [self._failed[chunk] for chunk in wanted if chunk in self._failed]
            # One that is tried again counts as failed until it is there.
            loading = sum(not self._known(chunk) for chunk in wanted)
            problem = max(failed, key=lambda failure: failure.due).problem if failed else ""
            return Status(loading, len(failed), problem, sum(self._left_out.values()))

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted that is neither there nor failed, nor on its way."""
        with self._changed:
            return not (self._queue or self._in_flight or self._later)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a chunk has arrived or failed, from any thread, often."""
        with self._changed:
            self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Do not call it any more. With the last one what is on its way is given up."""
        with self._changed:
            self._listeners = [one for one in self._listeners if one != listener]
            forgotten = not (self._listeners or self._wanted)
            under_way = bool(self._in_flight)
        if forgotten and under_way:
            self._volume.abort()

    def close(self, seconds: float = 0.0) -> bool:
        """Want nothing; wait at most so long for the threads. Whether all have ended.

        What is on its way is given up. Harmless when called twice.
        """
        with self._changed:
            self._closed = True
            for key in self._wanted:
                self._kept.set_wish(self._owner, key, 0)
            self._wanted.clear()
            self._left_out.clear()
            self._later.clear()
            self._listeners.clear()
            self._queue.clear()
            self._changed.notify_all()
        self._volume.abort()
        with self._changed:
            self._changed.wait_for(lambda: not self._threads, seconds)
            return not self._threads

    # Called with the lock held.

    def _set(self, key: Hashable, wish: tuple[Chunk, ...]) -> None:
        if self._closed:
            return
        self._wanted.pop(key, None)
        if wish:
            self._wanted[key] = wish
        self._kept.set_wish(self._owner, key, sum(map(self._bytes_of, wish)))
        self._plan()

    def _plan(self) -> None:
        """Make the queue anew from all wishes."""
        order = dict.fromkeys(
            chunk for wish in reversed(list(self._wanted.values())) for chunk in wish
        )
        self._queue = [
            chunk for chunk in order if chunk not in self._in_flight and not self._known(chunk)
        ][::-1]
        for chunk in [chunk for chunk in self._failed if chunk not in order]:
            del self._failed[chunk]  # who looks there again tries again
        self._wake(len(self._queue))

    def _known(self, chunk: Chunk) -> bool:
        return chunk in self._shelf or chunk in self._failed

    def _wake(self, jobs: int) -> None:
        woken = min(jobs, self._resting)
        self._changed.notify_all()
        for _ in range(min(jobs - woken, self._n_in_flight - self._threads)):
            self._threads += 1
            threading.Thread(
                target=_run,
                args=(weakref.ref(self), self._changed, self._volume),
                daemon=True,
                name="ouroboros-stream",
            ).start()

    def _next(self) -> Chunk | None:
        now = time.monotonic()
        for key, (due, wish) in list(self._later.items()):
            if due <= now:
                del self._later[key]
                self._set(key, wish)
        if not self._queue and self._failed:
            self._queue = [
                chunk
                for chunk, failure in self._failed.items()
                if failure.due <= now and chunk not in self._in_flight
            ]
        while self._queue:
            chunk = self._queue.pop()
            if chunk not in self._shelf and chunk not in self._in_flight:
                self._in_flight.add(chunk)
                self.fetched += 1
                return chunk
        return None

    def _pause(self) -> float | None:
        """Seconds until something is due; None: nothing is."""
        due = [
            failure.due for chunk, failure in self._failed.items() if chunk not in self._in_flight
        ]
        due += [when for when, _ in self._later.values()]
        return max(0.0, min(due) - time.monotonic()) + 0.001 if due else None

    # Called without it.

    def _bytes_of(self, chunk: Chunk) -> int:
        return self._bytes[chunk[0]] if self._shelf.takes_memory(chunk) else 0

    def _what_fits(self, key: Hashable, chunks: Iterable[Chunk]) -> tuple[tuple[Chunk, ...], int]:
        """The first chunks, as many as `key` has a share of the memory for; how many are not."""
        room = self._kept.share(self._owner, key)
        wish: list[Chunk] = []
        left_out = 0
        for chunk in dict.fromkeys(chunks):
            n_bytes = self._bytes_of(chunk)
            room -= n_bytes
            if room < 0 and n_bytes and wish:
                left_out += 1
            else:
                wish.append(chunk)
        return tuple(wish), left_out

    def _check_size(self, mip: int) -> None:
        if self._bytes[mip] > self._kept.limit_bytes:
            one, all_ = (n / 1e6 for n in (self._bytes[mip], self._kept.limit_bytes))
            raise UserError(
                f"one chunk takes {one:,.0f} MB, and all may take {all_:,.0f} MB; allow more in "
                "the preferences (napari-ouroboros, Memory)"
            )

    def _arrived(self, chunk: Chunk, data: NDArray[Any] | None, error: Exception | None) -> None:
        with self._changed:
            self._in_flight.discard(chunk)
            again = False
            if error is None:
                again = self._shelf.put(chunk, data)
            else:
                self._shelf.not_had(chunk)
            before = self._failed.pop(chunk, None)
            if isinstance(error, Cancelled):
                self._plan()  # wanted again, perhaps, since it was given up
            elif error is not None:
                attempts = before.attempts + 1 if before else 1
                self._failed[chunk] = _Failure(one_line(error), attempts)
            else:
                answers_again = bool(self._failed) and before is not None
                if answers_again:
                    self._failed.clear()
                if answers_again or again:
                    self._plan()
        self._tell()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()


def _run(
    reference: weakref.ref[ChunkLoader], changed: threading.Condition, volume: ChunkSource
) -> None:
    """Fetch chunk after chunk; a forgotten loader ends its threads."""
    while True:
        with changed:
            chunk = _wait_for_one(reference, changed)
            if chunk is None:
                # Under the same lock: a wish must not count on a thread that is going.
                last = _leave(reference, changed)
        if chunk is None:
            break
        data: NDArray[Any] | None = None
        error: Exception | None = None
        try:
            loader = reference()
            if loader is not None:
                loader._check_size(chunk[0])
            del loader
            data = volume.fetch_chunk(*chunk)
        except Exception as failure:  # noqa: BLE001  # shown by the sign of what is loading
            error = failure
        told = reference()
        if told is not None:
            told._arrived(chunk, data, error)
        del told, data, error
    if last:
        volume.close()


def _leave(reference: weakref.ref[ChunkLoader], changed: threading.Condition) -> bool:
    """Count a thread out; whether it is the last one."""
    loader = reference()
    if loader is None:
        return True
    loader._threads -= 1
    changed.notify_all()
    return not loader._threads


def _wait_for_one(
    reference: weakref.ref[ChunkLoader], changed: threading.Condition
) -> Chunk | None:
    """Return the next chunk to fetch; None: the thread is to end."""
    rested = time.monotonic()
    while True:
        loader = reference()
        if loader is None or loader._closed:
            return None
        chunk = loader._next()
        if chunk is not None:
            return chunk
        pause = loader._pause()
        if pause is None and time.monotonic() - rested > _IDLE:
            return None
        loader._resting += 1
        del loader
        changed.wait(min(pause if pause is not None else _IDLE, 0.25))
        loader = reference()
        if loader is not None:
            loader._resting -= 1
        del loader
