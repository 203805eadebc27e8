"""What a write to labels changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: First and last + 1 of slices, rows and columns.
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Change:
    """What a write changed; voxels that got the id that they had are no change.

    Attributes
    ----------
    box : ((k0, k1), (r0, r1), (c0, c1))
        The smallest box around them: first and last + 1.
    indices : (slices, rows, columns) or None
        Three int arrays (n,): exactly the voxels, where they were written one by one
        (by arrays of indices or a mask).
    parts : tuple of boxes
        The same chunk by chunk: a write to places far apart is not all that lies between.
    """

    box: Box
    indices: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None
    parts: tuple[Box, ...]


def changed_part(
    differs: NDArray[np.bool_], ranges: tuple[range, range, range], where: tuple[slice, ...]
) -> Box:
    """The smallest box around what differs in a part (`where`) of an array over ranges."""
    edges = []
    for axis, (numbers, part) in enumerate(zip(ranges, where, strict=True)):
        others = tuple(a for a in range(3) if a != axis)
        at = np.flatnonzero(differs.any(axis=others)) + part.start
        edges.append((numbers[int(at[0])], numbers[int(at[-1])] + 1))
    return edges[0], edges[1], edges[2]


def around(points: Sequence[NDArray[np.int64]]) -> Box:
    """The smallest box around points, given axis by axis."""
    k, r, c = ((int(p.min()), int(p.max()) + 1) for p in points)
    return k, r, c


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around boxes."""
    edges = np.array(boxes)
    low, high = edges[:, :, 0].min(axis=0), edges[:, :, 1].max(axis=0)
    k, r, c = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, r, c
