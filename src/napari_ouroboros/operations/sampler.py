"""Slices out of a volume: the chunks they need, fetched ahead, and sampled from the pool."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.plan import Cancel, default_threads

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Level, Volume

Interpolation = Literal["nearest", "linear"]
Missing = Literal["fill", "error"]

DEFAULT_MEMORY = 1024 * 1024 * 1024
# Boxes whose chunks are fetched while another one is sampled.
_READ_AHEAD = 3


class Box(NamedTuple):
    """A box of the straightened volume: first and last + 1 of slices, rows and columns."""

    slices: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        n, rows, columns = (b - a for a, b in self)
        return n, rows, columns

    def as_tuple(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Plain ranges, for the writers."""
        return self.slices, self.rows, self.columns

    def halves(self) -> tuple[Box, Box]:
        """The box cut in two across its longest side."""
        axis = int(np.argmax(self.shape))
        a, b = self[axis]
        middle = (a + b) // 2
        first, second = list(self), list(self)
        first[axis], second[axis] = (a, middle), (middle, b)
        return Box(*first), Box(*second)


# Samples of one box of the lazy array and of one slab of a stream: some milliseconds of work.
_BOX_SAMPLES = 4_000_000


def check_slice(straightening: Straightening, volume: Volume, memory: int) -> None:
    """UserError for slices that one at a time are too large for `memory` bytes."""
    rows, columns = straightening.height, straightening.width
    needed = rows * columns * volume.channels * volume.dtype.itemsize
    if needed > memory:
        raise UserError(
            f"one slice of {columns} x {rows} pixels takes {needed / 1e6:.0f} MB of memory; make "
            "--width and --height smaller, or --memory larger"
        )


def slabs(shape: tuple[int, int, int], channels: int = 1) -> list[Box]:
    """Cut a straightened volume into slabs of whole slices, some million samples each."""
    n, rows, columns = shape
    step = max(1, _BOX_SAMPLES // (rows * columns * channels))
    return [Box((k, min(k + step, n)), (0, rows), (0, columns)) for k in range(0, n, step)]


class _Affine(NamedTuple):
    """Array index zyx of slices' samples: start + row * drow + column * dcolumn, each (n, 3)."""

    start: NDArray[np.float64]
    drow: NDArray[np.float64]
    dcolumn: NDArray[np.float64]


def affine(straightening: Straightening, level: Level, slices: tuple[int, int]) -> _Affine:
    """Return where the samples of slices lie in a level, as one affine grid per slice."""
    k0, k1 = slices
    frames, pitch = straightening.frames, straightening.pitch_nm
    resolution = np.asarray(level.resolution, float)
    drow = frames.B[k0:k1] * pitch / resolution
    dcolumn = frames.N[k0:k1] * pitch / resolution
    v, u = -0.5 * (straightening.height - 1), -0.5 * (straightening.width - 1)
    start = level.to_index(frames.c[k0:k1]) + v * drow + u * dcolumn
    return _Affine(*(np.ascontiguousarray(a) for a in (start, drow, dcolumn)))


def choose_interpolation(
    volume: Volume, interpolation: str | None, kind: str | None = None
) -> Interpolation:
    """Nearest for segmentations and uint64, else linear; an error for linear on labels."""
    labels = "segmentation" in (volume.kind, kind) or volume.dtype == np.uint64
    if interpolation is None:
        return "nearest" if labels else "linear"
    if interpolation not in ("nearest", "linear"):
        raise UserError(f"interpolation must be 'nearest' or 'linear'; it is {interpolation!r}")
    if labels and interpolation != "nearest":
        raise UserError(
            f"{interpolation} interpolation would invent label ids: this volume is a "
            "segmentation; use nearest"
        )
    return "nearest" if interpolation == "nearest" else "linear"


class SliceSampler:
    """Reads boxes of the straightened volume, each chunk of the source once while it is needed.

    Parameters
    ----------
    volume : Volume
    straightening : Straightening
        With pixel size and spacing known.
    mip : int
    interpolation : {"nearest", "linear"}
    fill : number, optional
        Value outside the volume and of missing chunks. Default 0, NaN for floats.
    missing : {"fill", "error"}, optional
        What to do about chunks that the store does not have. Default: fill, but stop when the
        first box of a run finds none of its chunks.
    memory : int
        Bytes for decoded chunks.
    threads : int, optional
        Sampling threads; default one per processor.
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
    ) -> None:
        if missing not in (None, "fill", "error"):
            raise UserError(f"missing must be 'fill' or 'error'; it is {missing!r}")
        self.volume, self.straightening, self.mip = volume, straightening, mip
        self.level = volume.mip(mip)
        self.interpolation = interpolation
        self.dtype = volume.dtype
        self.fill = _fill_value(fill, self.dtype)
        self.missing = missing
        self.threads = threads or default_threads()
        self.memory = memory
        self._pool_lock = threading.Lock()
        self._pool: Any = None
        self._any_chunk = False
        self.missing_chunks: set[tuple[int, int, int]] = set()

    # -- what a box needs -----------------------------------------------------------------

    def chunks(self, box: Box) -> NDArray[np.int64]:
        """Indices (n, 3) zyx of the chunks that the samples of a box read: exactly these."""
        from napari_ouroboros.geometry.sample_kernel import mark

        grid = affine(self.straightening, self.level, box.slices)
        low, high = self._chunk_range(grid, box)
        marked = np.zeros(np.maximum(high - low + 1, 0), bool)
        if not marked.size:
            return np.empty((0, 3), np.int64)
        mark(
            *grid, *box.rows, *box.columns, np.asarray(self.level.shape),
            np.asarray(self.level.chunk), 0 if self.interpolation == "nearest" else 1, low, marked,
        )  # fmt: skip
        return np.argwhere(marked) + low

    def _chunk_range(self, grid: _Affine, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last chunk of the bounding box of all samples."""
        (row0, row1), (column0, column1) = box.rows, box.columns
        corners = np.stack(
            [
                grid.start + r * grid.drow + c * grid.dcolumn
                for r in (row0, row1 - 1)
                for c in (column0, column1 - 1)
            ]
        ).reshape(-1, 3)
        limit = np.asarray(self.level.shape) - 1
        chunk = np.asarray(self.level.chunk)
        low, high = np.floor(corners.min(0)), np.floor(corners.max(0)) + 1
        if np.any(high < 0) or np.any(low > limit):
            return np.zeros(3, np.int64), np.full(3, -1, np.int64)
        return (
            np.clip(low, 0, limit).astype(np.int64) // chunk,
            np.clip(high, 0, limit).astype(np.int64) // chunk,
        )

    # -- reading --------------------------------------------------------------------------

    def read(self, box: Box, cancel: Cancel | None = None) -> NDArray[Any]:
        """One box: (slices, rows, columns, channels) of the volume's dtype."""
        return next(self.stream([box], cancel))

    def stream(self, boxes: Sequence[Box], cancel: Cancel | None = None) -> Iterator[NDArray[Any]]:
        """Boxes one after the other, the chunks of the next ones on their way meanwhile."""
        pool = self._open_pool()
        parts = self._fitting(boxes, pool.capacity)
        coming = next(parts, None)
        ahead: deque[tuple[int, Box, Any, Any]] = deque()
        out: NDArray[Any] | None = None
        current = -1
        with ThreadPoolExecutor(self.threads) as executor:
            try:
                while coming is not None or ahead:
                    while coming is not None and len(ahead) <= _READ_AHEAD:
                        number, part, ids = coming
                        ticket = pool.request(ids) if len(ids) else None
                        if ticket is None and len(ids):
                            break
                        ahead.append((number, part, ids, ticket))
                        coming = next(parts, None)
                    if not ahead:
                        # Somebody else's slices hold the pool; they are done in a moment.
                        _pause(cancel)
                        continue
                    number, part, ids, ticket = ahead[0]
                    if number != current:
                        if out is not None:
                            yield out
                        current = number
                        out = np.empty((*boxes[number].shape, self.volume.channels), self.dtype)
                    assert out is not None
                    self._sample_into(out, boxes[number], part, ids, ticket, pool, executor, cancel)
                    ahead.popleft()
                    if ticket is not None:
                        ticket.release()
                if out is not None:
                    yield out
            finally:
                for _, _, _, ticket in ahead:
                    if ticket is not None:
                        ticket.release()

    def _fitting(
        self, boxes: Sequence[Box], capacity: int
    ) -> Iterator[tuple[int, Box, NDArray[np.int64]]]:
        """Boxes, halved until the chunks of each fit into the pool; lazily."""
        for number, box in enumerate(boxes):
            todo = [box]
            while todo:
                part = todo.pop()
                ids = self.chunks(part)
                if len(ids) > capacity and max(part.shape) > 1:
                    todo.extend(reversed(part.halves()))
                    continue
                yield number, part, ids

    def _sample_into(
        self, out: NDArray[Any], box: Box, part: Box, ids: NDArray[np.int64], ticket: Any,
        pool: Any, executor: ThreadPoolExecutor, cancel: Cancel | None,
    ) -> None:  # fmt: skip
        view = out[tuple(slice(p[0] - b[0], p[1] - b[0]) for p, b in zip(part, box, strict=True))]
        if ticket is None:
            view[...] = self.fill
            return
        slots = ticket.wait(cancel)
        self._note_missing(ids, slots)
        low = ids.min(0)
        table = np.full(ids.max(0) - low + 1, -1, np.int32)
        table[tuple((ids - low).T)] = slots
        grid = affine(self.straightening, self.level, part.slices)
        corner = part.rows[0], part.columns[0]
        n = len(view)
        step = -(-n // self.threads)
        jobs = [
            executor.submit(
                self._kernel, pool.slots, table, low,
                _Affine(*(a[i : i + step] for a in grid)), corner, view[i : i + step],
            )
            for i in range(0, n, step)
        ]  # fmt: skip
        for job in jobs:
            job.result()

    def _kernel(
        self, slots: NDArray[Any], table: NDArray[np.int32], low: NDArray[np.int64],
        grid: _Affine, corner: tuple[int, int], out: NDArray[Any],
    ) -> None:  # fmt: skip
        from napari_ouroboros.geometry import sample_kernel

        size = np.asarray(self.level.shape)
        # As large as the pool's slots: no larger than the level itself.
        chunk = np.minimum(self.level.chunk, size)
        if self.interpolation == "nearest":
            # Copied bit for bit, so one kernel per width serves signed, unsigned and float.
            bits = np.dtype(f"u{self.dtype.itemsize}")
            fill = np.array(self.fill, self.dtype).view(bits)[()]
            sample_kernel.nearest(
                slots.view(bits), table, low, chunk, size, *grid, *corner, fill, out.view(bits)
            )
            return
        whole = self.dtype.kind in "iu"
        info = np.iinfo(self.dtype) if whole else None
        sample_kernel.linear(
            slots, table, low, chunk, size, *grid, *corner, float(self.fill), whole,
            float(info.min) if info else 0.0, float(info.max) if info else 0.0, out,
        )  # fmt: skip

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
        from napari_ouroboros.volumes.precomputed import chunk_name

        z, y, x = (int(i) for i in index)
        return chunk_name(self.level, (z, y, x))

    # -- the pool -------------------------------------------------------------------------

    def _open_pool(self) -> Any:
        from napari_ouroboros.volumes.pool import ChunkPool

        with self._pool_lock:
            if self._pool is None:
                self._pool = ChunkPool(self.volume, self.mip, self.memory)
            return self._pool

    @property
    def chunks_fetched(self) -> int:
        """How many chunks came from the source so far."""
        return 0 if self._pool is None else int(self._pool.fetched)

    def close(self) -> None:
        """Stop fetching and give the memory back."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.close()

    def __enter__(self) -> SliceSampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pause(cancel: Cancel | None) -> None:
    import time

    from napari_ouroboros.errors import Cancelled

    if cancel is not None and cancel.is_set():
        raise Cancelled("the job was cancelled; nothing was kept")
    time.sleep(0.01)


def _fill_value(fill: float | None, dtype: np.dtype[Any]) -> Any:
    """The fill as a value of the dtype; UserError if it cannot hold it."""
    if fill is None:
        return np.nan if dtype.kind == "f" else 0
    if dtype.kind == "f":
        return float(fill)
    info = np.iinfo(dtype)
    if not (np.isfinite(fill) and int(fill) == fill and info.min <= fill <= info.max):
        raise UserError(f"--fill {fill} does not fit the volume's {dtype}: whole numbers from "
                        f"{info.min} to {info.max} do")  # fmt: skip
    return int(fill)
