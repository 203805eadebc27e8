"""Decoded chunks in a fixed number of slots: memory has a bound, whatever is read.

A caller pins the chunks it is about to read with `ChunkPool.request`, waits for them, reads
``pool.slots`` directly, and releases them. What nobody pins stays until its slot is needed, the
longest unused first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import Cancelled, OuroborosError, UserError
from napari_ouroboros.volumes.level import Index
from napari_ouroboros.volumes.stores.inflight import POLL_SECONDS, CancelSignal, check_cancel

if TYPE_CHECKING:
    from napari_ouroboros.volumes.volume import Volume

MISSING = -1
_IN_FLIGHT_BYTES = 64 * 2**20
_LEAST_IN_FLIGHT = 4


class _Entry:
    """A chunk that is in a slot, or on its way into one."""

    __slots__ = ("error", "index", "pins", "ready", "slot", "started", "waiting")

    def __init__(self, index: Index, slot: int) -> None:
        self.index = index
        self.slot = slot  # MISSING once the store is known to have no such chunk
        self.pins = 0
        self.started = False
        self.ready = False
        self.error: Exception | None = None
        self.waiting: list[Ticket] = []


class Ticket:
    """Chunks pinned for one caller. Release it, or use it as a context manager."""

    def __init__(self, pool: ChunkPool, entries: list[_Entry | None]) -> None:
        self._pool = pool
        self._entries = entries  # None: known to be missing
        self._unready = 0
        self._changed = threading.Event()
        self._released = False

    @property
    def ready(self) -> bool:
        """Whether `wait` would return, or raise, at once."""
        return self._changed.is_set()

    def wait(self, cancel: CancelSignal | None = None) -> NDArray[np.int32]:
        """Return the slot of each chunk of the request, -1 for those missing in the store.

        The slots hold these chunks until `release`.

        Raises
        ------
        SourceError, UserError
            Of the first chunk that could not be had; a later request tries it again.
        Cancelled
            ``cancel.is_set()`` became true (asked at least every 0.1 s), or the pool was closed.
        """
        if self._released:
            raise RuntimeError("the ticket has been released")
        while not self._changed.is_set():
            check_cancel(cancel)
            # Also without a signal: a wait without end cannot be interrupted on Windows.
            self._changed.wait(POLL_SECONDS)
        check_cancel(cancel)
        return self._pool._slots_of(self._entries)

    def release(self) -> None:
        """Unpin the chunks. Harmless when called twice."""
        if not self._released:
            self._released = True
            self._pool._release(self)

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class ChunkPool:
    """A fixed number of slots for the decoded chunks of one level. Safe to share between threads.

    Parameters
    ----------
    volume : Volume
        Where the chunks come from.
    mip : int
        Its level.
    memory_bytes : int
        Bound of `slots`. Besides, up to `n_in_flight` chunks are being fetched or decoded.
    n_in_flight : int
        Chunks fetched at one time, each in a daemon thread; fewer where they are so large that they
        would take more than 64 MB, but not fewer than 4.

    Attributes
    ----------
    slots : array (slots, channels, z, y, x)
        Of the volume's dtype; one chunk each. A chunk clipped by the volume's end lies in the low
        corner; what is beyond is undefined. Memory is only touched as slots are used.
    capacity : int
        Number of slots: what fits into `memory_bytes`, never more than the level has chunks.
    fetched : int
        Chunks that came from the store so far.
    missing : set of (z, y, x)
        Chunks that were asked for and that the store does not have.
    bytes_decoded : int
        Size of the fetched chunks as arrays.

    Raises
    ------
    UserError
        Not even one chunk fits; no such level.
    """

    def __init__(self, volume: Volume, mip: int, memory_bytes: int, n_in_flight: int = 16) -> None:
        level = volume.mip(mip)
        self._volume = volume
        self._mip = mip
        self._grid = np.array(level.chunk_grid)
        shape = (
            volume.channels,
            *(min(c, n) for c, n in zip(level.chunk, level.shape, strict=True)),
        )
        self._slot_bytes = int(np.prod(shape)) * volume.dtype.itemsize
        chunks = int(np.prod(self._grid))
        self.capacity = min(int(memory_bytes // self._slot_bytes), chunks)
        if self.capacity < 1:
            raise self._too_small(1)
        self.slots: NDArray[Any] = np.empty((self.capacity, *shape), volume.dtype)
        self.fetched = 0
        self.missing: set[Index] = set()
        self.bytes_decoded = 0

        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._free = list(range(self.capacity - 1, -1, -1))  # the used ones are used again first
        self._entries: dict[Index, _Entry] = {}
        self._unpinned: OrderedDict[Index, _Entry] = OrderedDict()  # longest unused first
        self._queue: deque[_Entry] = deque()
        self._tickets: set[Ticket] = set()
        few = max(_LEAST_IN_FLIGHT, _IN_FLIGHT_BYTES // self._slot_bytes)
        self._n_in_flight = max(1, min(int(n_in_flight), few))
        self._threads = 0
        self._resting = 0
        self._closed = False

    def request(self, ids: ArrayLike) -> Ticket | None:
        """Pin chunks, and start to fetch those that are not there.

        Parameters
        ----------
        ids : array of int (n, 3)
            Chunk indices zyx; the same one may occur again.

        Returns
        -------
        Ticket or None
            ``None``: they do not fit beside what is pinned now; release something first.

        Raises
        ------
        UserError
            They can never fit; the message says which ``--memory`` would do.
        IndexError
            There is no such chunk.
        Cancelled
            The pool was closed.
        """
        indices = np.asarray(ids)
        if indices.size == 0:
            indices = np.empty((0, 3), np.int64)
        if indices.ndim != 2 or indices.shape[1] != 3 or indices.dtype.kind not in "iu":
            raise IndexError(f"chunk indices must be whole numbers (n, 3), zyx: {indices.shape}")
        outside = ((indices < 0) | (indices >= self._grid)).any(axis=1)
        if outside.any():
            bad = tuple(int(i) for i in indices[np.argmax(outside)])
            raise IndexError(f"chunk {bad} is outside the grid {tuple(self._grid.tolist())}")
        keys: list[Index] = [(z, y, x) for z, y, x in indices.tolist()]
        with self._lock:
            if self._closed:
                raise Cancelled("the chunk pool was closed")
            wanted = dict.fromkeys(key for key in keys if key not in self.missing)
            if len(wanted) > self.capacity:
                raise self._too_small(len(wanted))
            new = [key for key in wanted if key not in self._entries]
            kept = sum(key in self._unpinned for key in wanted)
            if len(new) > len(self._free) + len(self._unpinned) - kept:
                return None
            for key in wanted:
                self._unpinned.pop(key, None)  # first, so that making room spares them
            for key in new:
                entry = self._entries[key] = _Entry(key, self._take_slot())
                self._queue.append(entry)
            ticket = Ticket(self, [self._entries.get(key) for key in keys])
            for key in wanted:
                entry = self._entries[key]
                entry.pins += 1
                if not entry.ready:
                    entry.waiting.append(ticket)
                    ticket._unready += 1
            if not ticket._unready:
                ticket._changed.set()
            self._tickets.add(ticket)
            self._wake_threads(len(new))
            return ticket

    def holds(self, ids: ArrayLike) -> bool:
        """Whether a request for these chunks would be ready at once. Nothing is fetched.

        Parameters
        ----------
        ids : array of int (n, 3)
            Chunk indices zyx.
        """
        with self._lock:
            for key in map(tuple, np.asarray(ids).tolist()):
                entry = self._entries.get(key)
                if key not in self.missing and (entry is None or not entry.ready):
                    return False
        return True

    def close(self) -> None:
        """Stop fetching; those who wait get `Cancelled`. Harmless when called twice."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            for ticket in self._tickets:
                ticket._changed.set()
            self._work.notify_all()

    def __enter__(self) -> ChunkPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _too_small(self, chunks: int) -> UserError:
        mb = -(-chunks * self._slot_bytes // 10**6)
        what = "one chunk needs" if chunks == 1 else f"{chunks} chunks are needed at once:"
        return UserError(f"too little memory: {what} {mb} MB; use --memory {mb} or more")

    # From here on, everything but `_slots_of` and `_run` is called with the lock held.

    def _slots_of(self, entries: list[_Entry | None]) -> NDArray[np.int32]:
        with self._lock:
            for entry in entries:
                if entry is not None and entry.error is not None:
                    error = entry.error
                    # A new one for each who waits: tracebacks grow on what is raised.
                    if isinstance(error, OuroborosError):
                        raise type(error)(*error.args) from error
                    raise error
            if any(entry is not None and not entry.ready for entry in entries):
                raise Cancelled("the chunk pool was closed")
            slots = [MISSING if entry is None else entry.slot for entry in entries]
        return np.array(slots, np.int32)

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        _, entry = self._unpinned.popitem(last=False)
        # If it is on its way, its thread finds that its entry is no longer in the table.
        del self._entries[entry.index]
        return entry.slot

    def _release(self, ticket: Ticket) -> None:
        with self._lock:
            self._tickets.discard(ticket)
            for entry in dict.fromkeys(ticket._entries):
                if entry is None:
                    continue
                entry.pins -= 1
                if not entry.ready and ticket in entry.waiting:
                    entry.waiting.remove(ticket)
                if entry.pins or self._entries.get(entry.index) is not entry:
                    continue  # still pinned; or failed or missing, and so without a slot
                if entry.started:
                    self._unpinned[entry.index] = entry
                else:
                    del self._entries[entry.index]
                    self._free.append(entry.slot)

    def _wake_threads(self, jobs: int) -> None:
        # Counted here, not by the woken: the next request must not count on them again.
        woken = min(jobs, self._resting)
        self._resting -= woken
        self._work.notify(woken)
        for _ in range(min(jobs - woken, self._n_in_flight - self._threads)):
            self._threads += 1
            threading.Thread(target=self._run, daemon=True, name="ouroboros-pool").start()

    def _next_entry(self) -> _Entry | None:
        """Wait for an entry to fetch; ``None`` when the pool is closed."""
        while not self._closed:
            while self._queue:
                entry = self._queue.popleft()
                if self._entries.get(entry.index) is entry:  # else released before its turn
                    entry.started = True
                    return entry
            self._resting += 1
            self._work.wait()
        return None

    def _run(self) -> None:
        """Fetch chunk after chunk; runs in the fetching threads."""
        while True:
            with self._lock:
                entry = self._next_entry()
            if entry is None:
                return
            chunk: NDArray[Any] | None = None
            error: Exception | None = None
            try:
                chunk = self._volume.fetch_chunk(self._mip, entry.index)
            except Exception as failure:  # noqa: BLE001  # raised to those who wait for the chunk
                error = failure
            with self._lock:
                self._arrived(entry, chunk, error)
            del entry, chunk, error

    def _arrived(self, entry: _Entry, chunk: NDArray[Any] | None, error: Exception | None) -> None:
        if chunk is not None:
            self.fetched += 1
            self.bytes_decoded += chunk.nbytes
        elif error is None:
            self.missing.add(entry.index)
        if self._entries.get(entry.index) is not entry:
            return  # nobody wanted it any more, and its slot has gone to another
        if chunk is not None:
            _, z, y, x = chunk.shape
            self.slots[entry.slot, :, :z, :y, :x] = chunk
        else:
            del self._entries[entry.index]
            self._unpinned.pop(entry.index, None)
            self._free.append(entry.slot)
            entry.slot = MISSING
        entry.error = error
        entry.ready = True
        for ticket in entry.waiting:
            ticket._unready -= 1
            if error is not None or not ticket._unready:
                ticket._changed.set()
        entry.waiting.clear()
