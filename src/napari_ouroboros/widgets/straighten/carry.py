"""The same place of the tissue in another map, so that an edit does not move what is looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening

Float = NDArray[np.float64]

# Centres closer than this share of the distance between slices are the same place.
_SAME = 1e-3


def carried(old: Straightening, new: Straightening, index: float) -> float:
    """Return the slice of `new` that shows what slice `index` of `old` shows.

    Before the part of the curve that moved it is the same distance from the first end, behind it
    the same distance from the last; within, the same share of the way. A trace that was turned
    round is followed.

    Parameters
    ----------
    old, new : Straightening
        With their frames made.
    index : float
        Slice of `old`, between 0 and n - 1.

    Returns
    -------
    float
        Between 0 and n - 1 of `new`.
    """
    if old is new:
        return index
    s_old, s_new = old.frames.s, new.frames.s
    s = float(np.interp(index, np.arange(len(s_old)), s_old))
    tolerance = _SAME * min(old.spacing_nm, new.spacing_nm)
    ends = [old.trace.points_nm[0], old.trace.points_nm[-1]]
    others = [new.trace.points_nm[-1], new.trace.points_nm[0]]
    turned = (
        np.abs(np.subtract(ends, others)).max() < tolerance
        and np.abs(ends[0] - ends[1]).max() > tolerance
    )
    length_old, length_new = float(old.curve.length), float(new.curve.length)
    if turned:
        there = length_new - s * length_new / length_old
        return float(np.interp(there, s_new, np.arange(len(s_new))))
    # Compared where both have slices: on either side of the moved part they lie on one curve.
    first = _agreeing(old, new, np.minimum(length_old, length_new), from_end=False)
    last = _agreeing(old, new, np.minimum(length_old, length_new), from_end=True)
    if s <= first:
        there = s
    elif length_old - s <= last:
        there = length_new - (length_old - s)
    else:
        span_old = length_old - last - first
        span_new = length_new - last - first
        there = first + (s - first) * (max(span_new, 0.0) / span_old if span_old > 0 else 0.0)
    return float(np.interp(there, s_new, np.arange(len(s_new))))


def _agreeing(old: Straightening, new: Straightening, within: float, from_end: bool) -> float:
    """Return up to which distance from an end both curves are the same, to a slice's spacing."""
    step = min(old.spacing_nm, new.spacing_nm)
    distance = np.arange(0.0, within, step)
    a, b = (
        _positions(map_, map_.curve.length - distance if from_end else distance)
        for map_ in (old, new)
    )
    # Between slices their centres are joined by chords, which bends make differ a little.
    differs = np.abs(a - b).max(axis=1) > max(_SAME, 0.02) * step
    n = int(np.argmax(differs)) if differs.any() else len(distance)
    return float(distance[n - 1]) if n else 0.0


def _positions(map_: Straightening, s: Float) -> Float:
    """Positions on the curve, from the slices' centres: (n, 3) zyx nm."""
    frames = map_.frames
    return np.stack([np.interp(s, frames.s, frames.c[:, i]) for i in range(3)], axis=1)
