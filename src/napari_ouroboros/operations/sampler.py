"""Slices out of a volume: the chunks they need, fetched ahead, and sampled from the pool."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, Notice, SourceError, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.sampling import (
    Interpolation,
    Pages,
    SliceGrid,
    chunks_read,
    sample,
    start_compiling,
)
from napari_ouroboros.operations.boxes import Box
from napari_ouroboros.operations.plan import Cancel, default_threads
from napari_ouroboros.operations.slice_grid import affine, fill_value

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.chunks.pool import ChunkPool, Ticket

Missing = Literal["fill", "error"]

DEFAULT_MEMORY = 1024 * 1024 * 1024
#: Chunks on their way at one time: enough for a far store, few enough for a server.
N_IN_FLIGHT = 32
# Boxes whose chunks are fetched while another one is sampled.
_READ_AHEAD = 4
# What is sampled before other threads have begun.
_FEW_SAMPLES = 100_000


class _Part(NamedTuple):
    """A box, or what of it fits into the pool, whose chunks are on their way."""

    number: int  # of the box
    box: Box
    ids: NDArray[np.int64]
    ticket: Ticket | None  # None: no chunk is needed


class SliceSampler:
    """Reads boxes of the straightened volume, each chunk of the source once while it is needed.

    Parameters
    ----------
    volume : Volume
    straightening : Straightening
        With pixel size and spacing known.
    mip : int
    interpolation : {"nearest", "linear", "cubic"}
    fill : number, optional
        Value outside the volume and of missing chunks. Default 0, NaN for floats.
    missing : {"fill", "error"}, optional
        What to do about chunks that the store does not have. Default: fill, but stop when the
        first box of a run finds none of its chunks.
    memory : int
        Bytes for decoded chunks.
    threads : int, optional
        Sampling threads; default one per processor.
    pool : ChunkPool, optional
        One of that level to share; `memory` does not count then, and `close` leaves it open.
    first, step : int
        Every `step`-th slice from `first` on; boxes count these.
    wait : bool
        For compiled kernels. Otherwise numpy does the work until they are ready: the same
        samples, sooner if they are few.

    Attributes
    ----------
    notices_cuts : bool
        Whether to say, once, that `memory` is too small for whole slices. For runs: what somebody
        just looks at is fast enough.
    """

    def __init__(
        self,
        volume: Volume,
        straightening: Straightening,
        mip: int,
        interpolation: Interpolation,
        fill: float | None = None,
        missing: Missing | None = None,
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
        pool: ChunkPool | None = None,
        first: int = 0,
        step: int = 1,
        wait: bool = True,
    ) -> None:
        if missing not in (None, "fill", "error"):
            raise UserError(f"missing must be 'fill' or 'error'; it is {missing!r}")
        self.volume, self.straightening, self.mip = volume, straightening, mip
        self.level = volume.mip(mip)
        self.interpolation = interpolation
        self.dtype = volume.dtype
        self.fill = fill_value(fill, self.dtype)
        self.missing = missing
        self.threads = threads or default_threads()
        self.memory = memory
        self.first, self.step, self.wait = first, step, wait
        self._size = np.asarray(self.level.shape, np.int64)
        # As large as the pool's slots: no larger than the level itself.
        self._chunk = np.minimum(np.asarray(self.level.chunk, np.int64), self._size)
        self._pool_lock = threading.Lock()
        self._pool, self._pool_is_ours = pool, pool is None
        self._any_chunk = False
        self.notices_cuts = False
        self.missing_chunks: set[tuple[int, int, int]] = set()

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to sample with a pool of its own."""
        return {**self.__dict__, "_pool_lock": None, "_pool": None, "_pool_is_ours": True}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pool_lock = threading.Lock()

    # -- what a box needs -----------------------------------------------------------------

    def chunks(self, box: Box, cancel: Cancel | None = None) -> NDArray[np.int64]:
        """Indices (n, 3) zyx of the chunks that the samples of a box read: exactly these."""
        return chunks_read(
            self._grid(box), box.rows, box.columns, self._size, self._chunk, self.interpolation,
            wait=self.wait, cancel=cancel,
        )  # fmt: skip

    def are_here(self, box: Box) -> bool:
        """Whether every chunk of a box has come, so that `read` fetches nothing."""
        ids = self.chunks(box)
        return not len(ids) or self._open_pool().holds(ids)

    def _grid(self, box: Box) -> SliceGrid:
        # Up to the last one itself: what follows it need not be there.
        first, last = (self.first + self.step * k for k in (box.slices[0], box.slices[1] - 1))
        return affine(self.straightening, self.level, (first, last + 1), self.step)

    # -- reading --------------------------------------------------------------------------

    def read(self, box: Box, cancel: Cancel | None = None) -> NDArray[Any]:
        """One box: (slices, rows, columns, channels) of the volume's dtype."""
        return next(self.stream([box], cancel))

    def stream(self, boxes: Sequence[Box], cancel: Cancel | None = None) -> Iterator[NDArray[Any]]:
        """Boxes one after the other, the chunks of the next ones on their way meanwhile."""
        # The first chunks are on their way while the kernel that samples them is compiled.
        start_compiling(self.interpolation, self.dtype)
        pool = self._open_pool()
        parts = self._fitting(boxes, pool.capacity, cancel)
        coming = next(parts, None)
        ahead: deque[_Part] = deque()
        out: NDArray[Any] | None = None
        current = -1
        with ThreadPoolExecutor(self.threads) as executor:
            try:
                while coming is not None or ahead:
                    while coming is not None and len(ahead) <= _READ_AHEAD:
                        number, box, ids = coming
                        ticket = pool.request(ids) if len(ids) else None
                        if ticket is None and len(ids):
                            break
                        ahead.append(_Part(number, box, ids, ticket))
                        coming = next(parts, None)
                    if not ahead:
                        # Somebody else's slices hold the pool; they are done in a moment.
                        _pause(cancel)
                        continue
                    part = ahead[0]
                    if part.number != current:
                        if out is not None:
                            yield out
                        current = part.number
                        out = np.empty((*boxes[current].shape, self.volume.channels), self.dtype)
                    assert out is not None
                    self._sample_into(out, boxes[current], part, pool, executor, cancel)
                    ahead.popleft()
                    if part.ticket is not None:
                        part.ticket.release()
                if out is not None:
                    yield out
            finally:
                for part in ahead:
                    if part.ticket is not None:
                        part.ticket.release()

    def _fitting(
        self, boxes: Sequence[Box], capacity: int, cancel: Cancel | None
    ) -> Iterator[tuple[int, Box, NDArray[np.int64]]]:
        """Boxes, halved until the chunks of each fit into the pool; lazily."""
        for number, box in enumerate(boxes):
            todo = [box]
            while todo:
                part = todo.pop()
                ids = self.chunks(part, cancel)
                if len(ids) > capacity and max(part.shape) > 1:
                    halves = part.halves()
                    if halves[0].slices == part.slices:
                        self._say_too_little(part, len(ids))
                    todo.extend(reversed(halves))
                    continue
                yield number, part, ids

    def _say_too_little(self, box: Box, chunks: int) -> None:
        """Slices cut into pieces need chunks again that the other pieces have needed already."""
        with self._pool_lock:
            notices, self.notices_cuts = self.notices_cuts, False
        if notices:
            chunk_bytes = int(np.prod(self._chunk)) * self.volume.channels * self.dtype.itemsize
            warnings.warn(
                f"{box.shape[0]} slices need {chunks} chunks at a time, more than --memory "
                f"{self.memory // 2**20} holds: chunks may be fetched many times; --memory "
                f"{-(-2 * chunks * chunk_bytes // 2**20)} is faster",
                Notice,
                stacklevel=2,
            )

    def _sample_into(
        self, out: NDArray[Any], box: Box, part: _Part, pool: ChunkPool,
        executor: ThreadPoolExecutor, cancel: Cancel | None,
    ) -> None:  # fmt: skip
        where = zip(part.box, box, strict=True)
        view = out[tuple(slice(p[0] - b[0], p[1] - b[0]) for p, b in where)]
        if part.ticket is None:
            view[...] = self.fill
            return
        slots = part.ticket.wait(cancel)
        self._note_missing(part.ids, slots)
        pages = pages_of(pool, part.ids, slots, self._size, self._chunk)
        grid = self._grid(part.box)
        # Kernels are compiled for whole arrays only.
        whole = view if view.flags.c_contiguous else np.empty(view.shape, view.dtype)

        def run(first: int, last: int) -> None:
            sample(
                pages, grid.part(first, last), (part.box.rows[0], part.box.columns[0]),
                self.interpolation, self.fill, whole[first:last], wait=self.wait, cancel=cancel,
            )  # fmt: skip

        n = len(whole)
        if whole.size < _FEW_SAMPLES or self.threads == 1:
            run(0, n)
        else:
            step = -(-n // self.threads)
            for job in [executor.submit(run, i, i + step) for i in range(0, n, step)]:
                job.result()
        if whole is not view:
            view[...] = whole

    def _note_missing(self, ids: NDArray[np.int64], slots: NDArray[np.int32]) -> None:
        absent = ids[slots < 0]
        if not self._any_chunk and len(absent) == len(ids) and self.missing is None:
            raise SourceError(
                f"none of the first {len(ids)} chunks is there (for example "
                f"{self._name(absent[0])} of {self.volume.url}); is the address complete? Pass "
                "--missing fill if the volume is really empty here"
            )
        self._any_chunk = True
        if not len(absent):
            return
        if self.missing == "error":
            raise SourceError(
                f"chunk {self._name(absent[0])} of {self.volume.url} is missing; "
                "--missing fill takes missing chunks as empty"
            )
        self.missing_chunks.update((int(z), int(y), int(x)) for z, y, x in absent)

    def _name(self, index: NDArray[np.int64]) -> str:
        z, y, x = (int(i) for i in index)
        return self.volume.chunk_name(self.mip, (z, y, x))

    # -- the pool -------------------------------------------------------------------------

    def _open_pool(self) -> ChunkPool:
        from napari_ouroboros.volumes.chunks.pool import ChunkPool

        with self._pool_lock:
            if self._pool is None:
                self._pool = ChunkPool(self.volume, self.mip, self.memory, N_IN_FLIGHT)
            return self._pool

    @property
    def chunks_fetched(self) -> int:
        """How many chunks came from the source so far."""
        return 0 if self._pool is None else int(self._pool.fetched)

    def close(self) -> None:
        """Stop fetching and give the memory back."""
        with self._pool_lock:
            if self._pool is not None and self._pool_is_ours:
                self._pool.close()

    def __enter__(self) -> SliceSampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pages_of(
    pool: ChunkPool, ids: NDArray[np.int64], slots: NDArray[np.int32], size: NDArray[np.int64],
    chunk: NDArray[np.int64],
) -> Pages:  # fmt: skip
    """The pool's memory with a table of where the chunks `ids` lie in it."""
    low = ids.min(0)
    table = np.full(ids.max(0) - low + 1, -1, np.int32)
    table[tuple((ids - low).T)] = slots
    return Pages(pool.slots, table, low, size, chunk)


def _pause(cancel: Cancel | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled("the job was cancelled; nothing was kept")
    time.sleep(0.01)
