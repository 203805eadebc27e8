"""Which blocks of a volume the tube of a straightening reaches into: the cost follows the tube."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.grid import Grid

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening

Float = NDArray[np.float64]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


class TouchedChunk(NamedTuple):
    """A block of voxels and the segments that may reach into it."""

    chunk: tuple[int, int, int]
    segments: NDArray[np.int64]


def touched_chunks(
    straightening: Straightening, grid: Grid, chunk: tuple[int, int, int]
) -> list[TouchedChunk]:
    """Chunks of a grid that may hold a voxel centre of the tube, in order along the trace.

    Conservative and tight: the boxes around every segment of the map (its two slices and the
    bulge between them), and its bounding sphere.

    Parameters
    ----------
    straightening : Straightening
    grid : Grid
        Where the voxels lie.
    chunk : (int, int, int)
        Size of a chunk in voxels, zyx; chunk (0, 0, 0) starts at array index 0.

    Returns
    -------
    list of TouchedChunk
        ``chunk`` zyx index; ``segments`` increasing, -1 and the last one being the
        straight extensions of an open trace.
    """
    size = np.asarray(chunk)
    numbers, low, high, centre, radius = _segment_boxes(straightening)
    first = np.ceil(grid.to_index(low) - 1e-6)
    last = np.floor(grid.to_index(high) + 1e-6)
    inside = np.all((last >= first) & (last >= 0) & (first < grid.shape), axis=1)
    limit = np.asarray(grid.shape) - 1
    first = np.clip(first, 0, limit).astype(np.int64) // size
    last = np.clip(last, 0, limit).astype(np.int64) // size
    pairs = [
        (numbers[i], z, y, x)
        for i in np.flatnonzero(inside)
        for z in range(first[i, 0], last[i, 0] + 1)
        for y in range(first[i, 1], last[i, 1] + 1)
        for x in range(first[i, 2], last[i, 2] + 1)
    ]
    if not pairs:
        return []
    table = np.array(pairs, np.int64)
    # Of the box only what the sphere around the segment reaches.
    row = table[:, 0] - numbers[0]
    corner = table[:, 1:] * size
    near = np.clip(
        centre[row],
        grid.to_nm(corner),
        grid.to_nm(np.minimum(corner + size, grid.shape) - 1),
    )
    table = table[np.sum((near - centre[row]) ** 2, axis=1) <= radius[row] ** 2]
    order = np.lexsort((table[:, 0], table[:, 3], table[:, 2], table[:, 1]))
    table = table[order]
    breaks = np.flatnonzero(np.any(np.diff(table[:, 1:], axis=0) != 0, axis=1)) + 1
    chunks = [
        TouchedChunk((int(part[0, 1]), int(part[0, 2]), int(part[0, 3])), part[:, 0].copy())
        for part in np.split(table, breaks)
        if len(part)
    ]
    return sorted(chunks, key=lambda item: (item.segments[0], item.chunk))


def block_box(
    index: tuple[int, int, int], chunk: tuple[int, int, int], shape: tuple[int, int, int]
) -> Box:
    """Array indices of a chunk, clipped at the end of an array of `shape`."""
    z, y, x = ((i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunk, shape, strict=True))
    return z, y, x


def _segment_boxes(
    straightening: Straightening,
) -> tuple[NDArray[np.int64], Float, Float, Float, Float]:
    """Numbers of the segments, their boxes (low, high), sphere centres and radii, all nm."""
    planes, frames = straightening.planes, straightening.frames
    half_u = 0.5 * straightening.width * straightening.pitch_nm
    half_v = 0.5 * straightening.height * straightening.pitch_nm
    if not frames.closed:
        before, after = planes[:1].copy(), planes[-1:].copy()
        before[:, :3] -= 0.5 * straightening.extension[0] * before[:, 3:6]
        after[:, :3] += 0.5 * straightening.extension[1] * after[:, 3:6]
        planes = np.vstack([before, planes, after])
    spread = np.abs(planes[:, 6:9]) * half_u + np.abs(planes[:, 9:12]) * half_v
    low, high = planes[:, :3] - spread, planes[:, :3] + spread
    # A blended axis is longer than its chord by the cosine of half the angle between the two.
    turn = np.zeros(len(planes) - 1)
    for axis in (planes[:, 3:6], planes[:, 6:9], planes[:, 9:12]):
        turn = np.maximum(turn, 1 - np.sum(axis[:-1] * axis[1:], axis=1))
    reach = straightening.reach_nm
    # Past a right angle between neighbours anything within the reach may be passed.
    bulge = np.where(turn < 0.5, reach * 2 * turn, reach)[:, None] + 1e-6
    numbers = np.arange(len(planes) - 1) - (0 if frames.closed else 1)
    c = planes[:, :3]
    return (
        numbers,
        np.minimum(low[:-1], low[1:]) - bulge,
        np.maximum(high[:-1], high[1:]) + bulge,
        0.5 * (c[:-1] + c[1:]),
        0.5 * np.linalg.norm(np.diff(c, axis=0), axis=1) + reach * (1 + 1e-9) + 1e-6,
    )


def runs(values: NDArray[np.int64], gap: int = 1) -> Iterator[tuple[int, int]]:
    """Split increasing integers into runs (first, last) with no step over `gap`."""
    breaks = np.flatnonzero(np.diff(values) > gap) + 1
    for part in np.split(values, breaks):
        if len(part):
            yield int(part[0]), int(part[-1])
