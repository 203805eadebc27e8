"""A curve of any number of slices as so many pixel columns, and flags below it. No Qt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def column_of(slices: Int | Float, n: int, width: int) -> Int:
    """Return the pixel column (0 to width - 1) of the middle of each of `n` slices."""
    at = np.floor((np.asarray(slices, np.float64) + 0.5) * width / max(n, 1)).astype(np.int64)
    return np.clip(at, 0, max(width - 1, 0))


def flag_columns(slices: Int, n: int, width: int) -> Int:
    """Return the columns in which something is to be flagged, each once."""
    return np.unique(column_of(slices, n, width)) if len(slices) else np.zeros(0, np.int64)


def extent(values: Float, from_zero: bool) -> tuple[float, float]:
    """Return the values at the bottom and at the top of a plot."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        return (low, low + 1.0) if from_zero else (low - 0.5, high + 0.5)
    return low, high


def envelope(values: Float, width: int) -> tuple[Float, Float]:
    """Return the smallest and the largest value of each pixel column (width,); NaN for none.

    For more slices than pixels: every outlier is still drawn.
    """
    n = len(values)
    starts = np.searchsorted(column_of(np.arange(n), n, width), np.arange(width))
    low, high = np.full(width, np.nan), np.full(width, np.nan)
    if not n:
        return low, high
    ends = np.append(starts[1:], n)
    there = ends > starts
    # Slices without a value do not count; columns that have none are blank.
    lowest = np.where(np.isfinite(values), values, np.inf)
    highest = np.where(np.isfinite(values), values, -np.inf)
    low[there] = np.minimum.reduceat(lowest, starts[there])
    high[there] = np.maximum.reduceat(highest, starts[there])
    blank = ~np.isfinite(low)
    low[blank] = high[blank] = np.nan
    return low, high
