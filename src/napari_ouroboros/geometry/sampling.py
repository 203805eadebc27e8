"""The samples of slices, and the chunks they are made of: compiled, or in numpy until that is so.

Both give the same bits. Arrays only; where chunks come from is the business of others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import sample_plain
from napari_ouroboros.geometry.frames import TRANSPORT, compile_transport
from napari_ouroboros.geometry.warm import CancelSignal, is_ready, wait_until_ready

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Interpolation = Literal["nearest", "linear", "cubic"]

#: Voxels read beside the one at the floor of the index: how many before it, how many after.
TAPS: dict[Interpolation, tuple[int, int]] = {"nearest": (0, 0), "linear": (0, 1), "cubic": (1, 2)}


class SliceGrid(NamedTuple):
    """Array index zyx of slices' samples: start + row * drow + column * dcolumn, each (n, 3)."""

    start: Float
    drow: Float
    dcolumn: Float

    def part(self, first: int, last: int) -> SliceGrid:
        """The slices from `first` up to `last`."""
        return SliceGrid(*(array[first:last] for array in self))


class Pages(NamedTuple):
    """Decoded chunks of an array, and where in memory each lies.

    Attributes
    ----------
    slots : array (slots, channels, z, y, x)
        One chunk each; clipped ones in the low corner.
    table : int32 array over a box of the chunk grid
        The slot of each chunk, -1 for a missing one.
    low : int array (3,)
        Where the box begins, in chunks.
    size, chunk : int arrays (3,)
        Of the whole array, in voxels; a chunk is no larger than the array.
    """

    slots: NDArray[Any]
    table: NDArray[np.int32]
    low: Int
    size: Int
    chunk: Int


def chunks_read(
    grid: SliceGrid, rows: tuple[int, int], columns: tuple[int, int], size: Int, chunk: Int,
    interpolation: Interpolation, *, wait: bool = True, cancel: CancelSignal | None = None,
) -> Int:  # fmt: skip
    """Indices (n, 3) zyx of the chunks that samples read: exactly these.

    Parameters
    ----------
    grid : SliceGrid
    rows, columns : (first, last + 1)
        The part of each slice.
    size, chunk : int arrays (3,)
        Of the array, in voxels.
    wait : bool
        For the compiled kernel; otherwise numpy does it meanwhile.
    """
    before, after = TAPS[interpolation]
    low, high = _chunk_range(grid, rows, columns, size, chunk, before, after)
    marked = np.zeros(np.maximum(high - low + 1, 0), bool)
    if marked.size:
        arguments = (*grid, *rows, *columns, size, chunk, before, after, low, marked)
        if _compiled("mark", None, wait, cancel):
            from napari_ouroboros.geometry.chunk_kernel import mark

            mark(*arguments)
        else:
            sample_plain.mark(*arguments)
    return np.argwhere(marked) + low


def sample(
    pages: Pages, grid: SliceGrid, corner: tuple[int, int], interpolation: Interpolation,
    fill: Any, out: NDArray[Any], *, wait: bool = True, cancel: CancelSignal | None = None,
) -> None:  # fmt: skip
    """Sample slices from row and column `corner` on into `out`.

    Parameters
    ----------
    pages : Pages
        With every chunk of `chunks_read`.
    grid : SliceGrid
    corner : (row, column)
    fill : number
        Of the dtype: outside the array, and for the voxels of missing chunks.
    out : C-contiguous array (slices, rows, columns, channels)
        Of the dtype of the pages.
    wait : bool
        For the compiled kernel; otherwise numpy does it meanwhile.
    """
    dtype = out.dtype
    places = (pages.table, pages.low, pages.chunk, pages.size, *grid, *corner)
    if interpolation == "nearest":
        # Copied bit for bit, so one kernel per width serves signed, unsigned and float.
        bits = np.dtype(f"u{dtype.itemsize}")
        value = np.array(fill, dtype).view(bits)[()]
        nearest = _kernel("nearest", bits, wait, cancel)
        nearest(pages.slots.view(bits), *places, value, out.view(bits))
        return
    whole = dtype.kind in "iu"
    _kernel(interpolation, dtype, wait, cancel)(
        # Of the dtype itself: float64 does not hold every int64.
        pages.slots,
        *places,
        dtype.type(fill),
        whole,
        *(_range(dtype) if whole else (0.0, 0.0)),
        out,
    )


def start_compiling(interpolation: Interpolation, dtype: np.dtype[Any]) -> bool:
    """Begin to make the kernels ready that slices of such a volume need; returns at once.

    Returns
    -------
    bool
        Whether they are ready already.
    """
    marks = _compiled("mark", None, wait=False)
    bits = np.dtype(f"u{dtype.itemsize}")
    samples = _compiled(interpolation, bits if interpolation == "nearest" else dtype, wait=False)
    # Last: its likeness is quick, and a run from the shell has its frames by now.
    is_ready(TRANSPORT, compile_transport)
    return marks and samples


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the greatest float64 that a whole dtype holds."""
    info = np.iinfo(dtype)
    greatest = float(info.max)
    if int(greatest) > info.max:  # 2^63 - 1 becomes 2^63
        greatest = float(np.nextafter(greatest, 0.0))
    return float(info.min), greatest


def _kernel(
    name: Interpolation, dtype: np.dtype[Any], wait: bool, cancel: CancelSignal | None
) -> Callable[..., None]:
    """The compiled function, or its likeness in numpy."""
    module: Any = sample_plain
    if _compiled(name, dtype, wait, cancel):
        if name == "cubic":
            from napari_ouroboros.geometry import cubic_kernel as module
        else:
            from napari_ouroboros.geometry import sample_kernel as module
    return getattr(module, name)


def _compiled(
    name: str, dtype: np.dtype[Any] | None, wait: bool, cancel: CancelSignal | None = None
) -> bool:
    key = ("slices", name, dtype)
    make = partial(_make, name, dtype)
    if wait:
        wait_until_ready(key, make, cancel)
        return True
    return is_ready(key, make)


def _make(name: str, dtype: np.dtype[Any] | None) -> None:
    """Call a kernel on one sample of one voxel, with the types of every later call."""
    ones = np.ones(3, np.int64)
    zero = np.zeros(3, np.int64)
    places = SliceGrid(*np.zeros((3, 1, 3)))
    if dtype is None:
        from napari_ouroboros.geometry.chunk_kernel import mark

        mark(*places, 0, 1, 0, 1, ones, ones, 0, 0, zero, np.zeros((1, 1, 1), bool))
        return
    from napari_ouroboros.geometry import cubic_kernel, sample_kernel

    table = np.zeros((1, 1, 1), np.int32)
    first = (np.zeros((1, 1, 1, 1, 1), dtype), table, zero, ones, ones, *places, 0, 0)
    out = np.zeros((1, 1, 1, 1), dtype)
    if name == "nearest":
        sample_kernel.nearest(*first, dtype.type(0), out)
    else:
        kernel = cubic_kernel.cubic if name == "cubic" else sample_kernel.linear
        kernel(*first, dtype.type(0), True, 0.0, 0.0, out)


def _chunk_range(
    grid: SliceGrid, rows: tuple[int, int], columns: tuple[int, int], size: Int, chunk: Int,
    before: int, after: int,
) -> tuple[Int, Int]:  # fmt: skip
    """First and last chunk of the bounding box of all samples."""
    corners = np.concatenate(
        [
            grid.start + row * grid.drow + column * grid.dcolumn
            for row in (rows[0], rows[1] - 1)
            for column in (columns[0], columns[1] - 1)
        ]
    )
    limit = size - 1
    # One voxel more than is read, whatever the half of `nearest` and rounding do.
    low, high = np.floor(corners.min(0)) - before, np.floor(corners.max(0)) + after + 1
    if np.any(high < 0) or np.any(low > limit):
        return np.zeros(3, np.int64), np.full(3, -1, np.int64)
    return (
        np.clip(low, 0, limit).astype(np.int64) // chunk,
        np.clip(high, 0, limit).astype(np.int64) // chunk,
    )
