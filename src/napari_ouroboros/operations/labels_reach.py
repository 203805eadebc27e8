"""Which chunks of a volume a box of straightened samples can reach: from geometry, at once.

The counterpart of `geometry.touched.touched_chunks`, which asks for the whole tube.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.volumes.level import Box, Index, Level

Float = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Boxes that are opened at once: memory does not grow with the labels.
_BATCH = 4096
#: Room for what rounding can do, in nm and in voxels.
_ROUNDING_NM, _ROUNDING = 1e-6, 1e-6


class LabelReach:
    """Where in the volume boxes of samples lie.

    Parameters
    ----------
    straightening : Straightening
    levels : sequence of Level
        Of the volume: its grids and chunks.
    """

    def __init__(self, straightening: Straightening, levels: Sequence[Level]) -> None:
        self.levels = tuple(levels)
        s = straightening
        self._closed = s.frames.closed
        self._slices, self._rows, self._columns = s.shape
        self._pitch = s.pitch_nm
        planes = s.planes
        if not self._closed:
            # Half a slice goes on straight beyond each end.
            before, after = planes[:1].copy(), planes[-1:].copy()
            before[:, :3] -= 0.5 * s.extension[0] * before[:, 3:6]
            after[:, :3] += 0.5 * s.extension[1] * after[:, 3:6]
            planes = np.vstack([before, planes, after])
        self._planes = planes
        turn = np.zeros(len(planes) - 1)
        for axis in (planes[:, 3:6], planes[:, 6:9], planes[:, 9:12]):
            turn = np.maximum(turn, 1 - np.sum(axis[:-1] * axis[1:], axis=1))
        self._turn = turn

    def chunks(self, boxes: Sequence[Box]) -> tuple[set[Index], ...]:
        """Chunks of each level that hold a voxel whose sample may lie in any of the boxes.

        Conservative: around the part of every segment of the map between the box's sides, with
        the bulge that blended frames have (as in `touched_chunks`).

        Parameters
        ----------
        boxes : sequence of ((k0, k1), (r0, r1), (c0, c1))
            Slices, rows and columns, the last ones excluded.
        """
        found: tuple[set[Index], ...] = tuple(set() for _ in self.levels)
        parts = list(self._parts(boxes))
        if not parts:
            return found
        segments, sides = (np.concatenate(column) for column in zip(*parts, strict=True))
        for start in range(0, len(segments), _BATCH):
            batch = slice(start, start + _BATCH)
            low, high = self._boxes_nm(segments[batch], sides[batch])
            for chunks, level in zip(found, self.levels, strict=True):
                chunks.update(_chunks(low, high, level))
        return found

    def _parts(self, boxes: Sequence[Box]) -> list[tuple[Ints, Float]]:
        """For each box the segments of its slices, and its sides (v0, v1, u0, u1) in nm.

        A segment is a row of `_turn`: it begins at the plane of that row.
        """
        parts = []
        n = self._slices
        for (k0, k1), (r0, r1), (c0, c1) in boxes:
            k0, k1 = max(k0, 0), min(k1, n)
            r0, r1 = max(r0, 0), min(r1, self._rows)
            c0, c1 = max(c0, 0), min(c1, self._columns)
            if k0 >= k1 or r0 >= r1 or c0 >= c1:
                continue
            # A slice's cell reaches half a slice into the segment before it and behind it.
            if self._closed:
                segments = np.unique(np.arange(k0 - 1, k1) % n)
            else:
                segments = np.arange(k0, k1 + 1)  # the extension before slice 0 is row 0
            v = (np.array([r0, r1]) - 0.5 * self._rows) * self._pitch
            u = (np.array([c0, c1]) - 0.5 * self._columns) * self._pitch
            parts.append((segments, np.tile([*v, *u], (len(segments), 1))))
        return parts

    def _boxes_nm(self, segments: Ints, sides: Float) -> tuple[Float, Float]:
        """Corners (low, high) of a box in nm around each segment between its sides."""
        v, u = sides[:, :2], sides[:, 2:]
        low = np.full((len(segments), 3), np.inf)
        high = np.full((len(segments), 3), -np.inf)
        for planes in (self._planes[segments], self._planes[segments + 1]):
            least, most = planes[:, :3].copy(), planes[:, :3].copy()
            for axis, ends in ((planes[:, 6:9], u), (planes[:, 9:12], v)):
                a, b = axis * ends[:, :1], axis * ends[:, 1:]
                least += np.minimum(a, b)
                most += np.maximum(a, b)
            low, high = np.minimum(low, least), np.maximum(high, most)
        reach = np.hypot(np.abs(u).max(axis=1), np.abs(v).max(axis=1))[:, None]
        turn = self._turn[segments][:, None]
        # Blended axes leave their chords by less than twice 1 - cos of the angle between them;
        # past a right angle they may point anywhere.
        bulge = reach * 2 * turn
        first, second = self._planes[segments, :3], self._planes[segments + 1, :3]
        bent = turn >= 0.5
        low = np.where(bent, np.minimum(first, second) - reach, low - bulge)
        high = np.where(bent, np.maximum(first, second) + reach, high + bulge)
        return low - _ROUNDING_NM, high + _ROUNDING_NM


def _chunks(low: Float, high: Float, level: Level) -> list[Index]:
    """Chunks of a level that hold a voxel centre in any of the boxes."""
    shape, size = np.asarray(level.shape), np.asarray(level.chunk)
    first = np.ceil(level.to_index(low) - _ROUNDING)
    last = np.floor(level.to_index(high) + _ROUNDING)
    inside = np.all((last >= first) & (last >= 0) & (first < shape), axis=1)
    first = np.clip(first[inside], 0, shape - 1).astype(np.int64) // size
    last = np.clip(last[inside], 0, shape - 1).astype(np.int64) // size
    if not len(first):
        return []
    # Every chunk of every box: the number within its box counted up, then taken apart.
    extent = last - first + 1
    counts = extent.prod(axis=1)
    row = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    z, rest = np.divmod(within, extent[row, 1] * extent[row, 2])
    y, x = np.divmod(rest, extent[row, 2])
    index = first[row] + np.stack([z, y, x], axis=1)
    numbers = np.unique(np.ravel_multi_index(tuple(index.T), level.chunk_grid))
    z, y, x = np.unravel_index(numbers, level.chunk_grid)
    return list(zip(z.tolist(), y.tolist(), x.tolist(), strict=True))
