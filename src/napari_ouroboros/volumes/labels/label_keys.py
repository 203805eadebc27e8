"""Indices in the way of numpy, as ranges or points of a three-dimensional array."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Basic:
    """An index of integers, slices, None and an Ellipsis.

    Attributes
    ----------
    ranges : three ranges
        The indices along each axis, increasing.
    key : tuple
        What makes of an array over the ranges that which was asked for.
    """

    ranges: tuple[range, range, range]
    key: tuple[Any, ...]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values that are assigned, as an array over the ranges (a view)."""
        lengths = iter([len(r) for r in self.ranges])
        shape: list[int] = []
        inverse: list[Any] = []
        gone: list[int] = []
        axis = 0
        for one in self.key:
            if one is None:
                shape.append(1)
                inverse.append(0)
                continue
            n = next(lengths)
            if isinstance(one, slice):
                shape.append(n)
                inverse.append(one)
            else:
                gone.append(axis)
            axis += 1
        while values.ndim > len(shape) and values.shape[0] == 1:
            values = values[0]
        spread = np.broadcast_to(values, shape)[tuple(inverse)]
        return np.expand_dims(spread, tuple(gone))


def basic_key(key: Any, shape: tuple[int, int, int]) -> Basic | None:
    """Read an index of integers and slices; None if it has arrays, lists or booleans.

    Raises
    ------
    IndexError
        An integer outside, or too many of them.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if not all(map(_is_basic, keys)):
        return None
    if sum(one is Ellipsis for one in keys) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    given = sum(one is not None and one is not Ellipsis for one in keys)
    if given > len(shape):
        raise IndexError(f"too many indices: there are {len(shape)} axes, not {given}")
    rest = (slice(None),) * (len(shape) - given)
    at = next((i for i, one in enumerate(keys) if one is Ellipsis), None)
    keys = (*keys, *rest) if at is None else (*keys[:at], *rest, *keys[at + 1 :])
    ranges: list[range] = []
    within: list[Any] = []
    for one in keys:
        if one is None:
            within.append(None)
            continue
        n = shape[len(ranges)]
        if isinstance(one, slice):
            found = range(n)[one]
            within.append(slice(None, None, -1 if found.step < 0 else 1))
            ranges.append(found[::-1] if found.step < 0 else found)
        else:
            i = operator.index(one)
            if not -n <= i < n:
                raise IndexError(f"index {i} is outside an axis of length {n}")
            within.append(0)
            ranges.append(range(i % n, i % n + 1))
    k, r, c = ranges
    return Basic((k, r, c), tuple(within))


def _is_basic(one: Any) -> bool:
    if one is None or one is Ellipsis or isinstance(one, slice):
        return True
    if isinstance(one, bool | np.bool_):
        return False
    if isinstance(one, np.ndarray):
        return one.ndim == 0 and one.dtype.kind in "iu"
    return isinstance(one, int | np.integer)


def pick_points(
    key: Any, shape: tuple[int, int, int]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], tuple[int, ...]]:
    """Which voxels any index of numpy picks: three arrays (n,), and the shape of the result.

    numpy itself says so: it picks from arrays of the axes' numbers, which take no memory.
    """
    picked = []
    for axis, n in enumerate(shape):
        numbers = np.arange(n).reshape([n if a == axis else 1 for a in range(len(shape))])
        picked.append(np.asarray(np.broadcast_to(numbers, shape)[key]))
    k, r, c = (p.reshape(-1) for p in picked)
    return (k, r, c), picked[0].shape


def pieces(
    ranges: tuple[range, range, range], chunk: tuple[int, int, int]
) -> Iterator[tuple[tuple[int, int, int], Slices, Slices]]:
    """Chunks that ranges (increasing) meet: index, where within the chunk, where in the ranges."""
    axes = [list(_along(r, size)) for r, size in zip(ranges, chunk, strict=True)]
    for (i, wi, oi), (j, wj, oj), (k, wk, ok) in itertools.product(*axes):
        yield (i, j, k), (wi, wj, wk), (oi, oj, ok)


def _along(numbers: range, size: int) -> Iterator[tuple[int, slice, slice]]:
    at = 0
    while at < len(numbers):
        number = numbers[at] // size
        # The first of the numbers beyond this chunk.
        after = -(-((number + 1) * size - numbers.start) // numbers.step)
        stop = min(after, len(numbers))
        corner = number * size
        within = slice(numbers[at] - corner, numbers[stop - 1] - corner + 1, numbers.step)
        yield number, within, slice(at, stop)
        at = stop


def check_ids(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values as an array of `dtype`, exactly.

    Raises
    ------
    UserError
        One does not fit, or is no whole number.
    """
    values = np.asarray(value)
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "f" and isinstance(value, list | tuple):
        # numpy takes whole numbers beyond int64 beside small ones for floats.
        values = np.asarray(value, object)
    if values.dtype.kind == "O":
        # Whole numbers beyond int64 in a list.
        if not all(isinstance(v, int | np.integer) for v in values.flat):
            raise UserError("labels must be whole numbers")
    elif values.dtype.kind not in "biu":
        raise UserError(
            f"labels must be whole numbers, not {values.dtype}: convert them, for example with "
            f".astype('{dtype}')"
        )
    elif np.can_cast(values.dtype, dtype):
        return values.astype(dtype)
    if values.size:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > np.iinfo(dtype).max:
            raise UserError(
                f"{low if low < 0 else high} cannot be a label here: {dtype} ids are 0 to "
                f"{np.iinfo(dtype).max}"
            )
    return values.astype(dtype)
