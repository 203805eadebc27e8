"""The kernels of `chunk_kernel`, `sample_kernel` and `cubic_kernel` in numpy, bit for bit.

For the first slices, while numba compiles, and as a second writing of the same rules: every sum
is made of the same float64 operations in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

# Samples at one time: temporaries of some 10 MB.
_AT_ONCE = 100_000


def mark(
    start: Float, drow: Float, dcolumn: Float, row0: int, row1: int, column0: int, column1: int,
    size: Int, chunk: Int, before: int, after: int, box_low: Int, marked: NDArray[np.bool_],
) -> None:  # fmt: skip
    """See `chunk_kernel.mark`."""
    shift = 0.5 if before + after == 0 else 0.0
    shape = row1 - row0, column1 - column0
    for _, index in _indices((start, drow, dcolumn), row0, column0, shape, shift):
        index = index[_inside(index - shift, size)]
        floor = np.floor(index).astype(np.int64)
        # From the first to the last chunk, one by one: there may be several between.
        first = np.maximum(floor - before, 0) // chunk
        last = np.minimum(floor + after, size - 1) // chunk
        for step in np.ndindex(*(last - first).max(axis=0, initial=0) + 1):
            cell = np.minimum(first + step, last) - box_low
            marked[tuple(cell.T)] = True


def nearest(
    slots: NDArray[Any], table: NDArray[np.int32], box_low: Int, chunk: Int, size: Int,
    start: Float, drow: Float, dcolumn: Float, row0: int, column0: int, fill: Any,
    out: NDArray[Any],
) -> None:  # fmt: skip
    """See `sample_kernel.nearest`."""
    for part, index in _indices((start, drow, dcolumn), row0, column0, out.shape[1:3], 0.5):
        # With the half added already: the same sum that the kernel compares.
        inside = np.all((index >= 0.0) & (index < size), axis=-1)
        values = np.full((*inside.shape, out.shape[3]), fill, out.dtype)
        at = index[inside].astype(np.int64)
        values[inside] = _voxels(slots, table, box_low, chunk, size, at, fill)
        out[part] = values


def linear(
    slots: NDArray[Any], table: NDArray[np.int32], box_low: Int, chunk: Int, size: Int,
    start: Float, drow: Float, dcolumn: Float, row0: int, column0: int, fill: float, whole: bool,
    lowest: float, highest: float, out: NDArray[Any],
) -> None:  # fmt: skip
    """See `sample_kernel.linear`."""
    for part, index in _indices((start, drow, dcolumn), row0, column0, out.shape[1:3], 0.0):
        inside = _inside(index, size)
        at = index[inside]
        low = np.floor(at).astype(np.int64)
        weight = (at - low)[..., None]

        def voxels(z: int, y: int, x: int, low: Int = low) -> Float:
            return _voxels(slots, table, box_low, chunk, size, low + (z, y, x), fill, np.float64)

        def along_x(z: int, y: int, w: Float = weight[:, 2]) -> Float:
            first = voxels(z, y, 0)
            return first + w * (voxels(z, y, 1) - first)

        def along_y(z: int, w: Float = weight[:, 1]) -> Float:
            first = along_x(z, 0)
            return first + w * (along_x(z, 1) - first)

        first = along_y(0)
        value = first + weight[:, 0] * (along_y(1) - first)
        out[part] = _settled(value, inside, fill, whole, lowest, highest, out.dtype)


def cubic(
    slots: NDArray[Any], table: NDArray[np.int32], box_low: Int, chunk: Int, size: Int,
    start: Float, drow: Float, dcolumn: Float, row0: int, column0: int, fill: float, whole: bool,
    lowest: float, highest: float, out: NDArray[Any],
) -> None:  # fmt: skip
    """See `cubic_kernel.cubic`."""
    for part, index in _indices((start, drow, dcolumn), row0, column0, out.shape[1:3], 0.0):
        inside = _inside(index, size)
        at = index[inside]
        low = np.floor(at).astype(np.int64)
        t = (at - low)[..., None]
        weights = (
            ((1.0 - 0.5 * t) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1.0,
            ((2.0 - 1.5 * t) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        )
        value = np.zeros((len(at), out.shape[3]))
        for i, wz in enumerate(weights):
            planes = np.zeros_like(value)
            for j, wy in enumerate(weights):
                rows = np.zeros_like(value)
                for m, wx in enumerate(weights):
                    tap = low + (i - 1, j - 1, m - 1)
                    voxel = _voxels(slots, table, box_low, chunk, size, tap, fill, np.float64)
                    rows += wx[:, 2] * voxel
                planes += wy[:, 1] * rows
            value += wz[:, 0] * planes
        out[part] = _settled(value, inside, fill, whole, lowest, highest, out.dtype)


def _indices(
    grid: tuple[Float, Float, Float], row0: int, column0: int, shape: tuple[int, ...], shift: float
) -> Iterator[tuple[tuple[slice, slice], Float]]:
    """Parts of the slices, and the array indices (..., 3) of their samples plus `shift`."""
    start, drow, dcolumn = grid
    rows, columns = shape
    at_once = max(1, _AT_ONCE // max(1, columns))
    columns_ = np.arange(column0, column0 + columns, dtype=np.float64)[:, None]
    for k in range(len(start)):
        for top in range(0, rows, at_once):
            n = min(at_once, rows - top)
            rows_ = np.arange(row0 + top, row0 + top + n, dtype=np.float64)[:, None]
            base = start[k] + rows_ * drow[k] + shift
            yield (
                (slice(k, k + 1), slice(top, top + n)),
                (base[:, None] + columns_ * dcolumn[k])[None],
            )


def _inside(index: Float, size: Int) -> NDArray[np.bool_]:
    return np.asarray(np.all((index >= -0.5) & (index < size - 0.5), axis=-1))


def _voxels(
    slots: NDArray[Any], table: NDArray[np.int32], box_low: Int, chunk: Int, size: Int, at: Int,
    fill: Any, dtype: type | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Voxels (n, channels) at whole indices (n, 3), clamped to the volume; `fill` where missing."""
    at = np.clip(at, 0, size - 1)
    cell = at // chunk
    z, y, x = (at - cell * chunk).T
    slot = table[tuple((cell - box_low).T)]
    values = slots[np.maximum(slot, 0), :, z, y, x].astype(dtype or slots.dtype)
    values[slot < 0] = fill
    return values


def _settled(
    value: Float, inside: NDArray[np.bool_], fill: float, whole: bool, lowest: float,
    highest: float, dtype: np.dtype[Any],
) -> NDArray[Any]:  # fmt: skip
    """Samples in the dtype, rounded half up and clamped if it is whole; `fill` outside."""
    if whole:
        value = np.minimum(np.maximum(np.floor(value + 0.5), lowest), highest)
    out = np.full((*inside.shape, value.shape[1]), fill, dtype)
    out[inside] = value
    return out
