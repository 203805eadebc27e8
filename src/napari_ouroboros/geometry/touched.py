"""Which blocks of a volume the tube of a straightening reaches into: the cost follows the tube."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.grid import Grid

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening

Float = NDArray[np.float64]
# Segments whose boxes are opened at once: memory does not grow with the trace.
_BATCH = 4096
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
    size, shape = np.asarray(chunk), np.asarray(grid.shape)
    numbers, low, high, centre, radius = _segment_boxes(straightening)
    parts = [slice(i, i + _BATCH) for i in range(0, len(numbers), _BATCH)]
    found = [
        _pairs(numbers[part], low[part], high[part], centre[part], radius[part], grid, size)
        for part in parts
    ]
    chunks, segments = (np.concatenate(column) for column in zip(*found, strict=True))
    if not len(chunks):
        return []
    # Chunks by number, and the segments of each in order.
    order = np.lexsort((segments, chunks))
    chunks, segments = chunks[order], segments[order]
    breaks = np.flatnonzero(np.diff(chunks)) + 1
    starts = np.concatenate([[0], breaks])
    index = np.stack(np.unravel_index(chunks[starts], tuple(-(-shape // size))), axis=1)
    touched = [
        TouchedChunk((int(z), int(y), int(x)), own)
        for (z, y, x), own in zip(index, np.split(segments, breaks), strict=True)
    ]
    return sorted(touched, key=lambda item: (item.segments[0], item.chunk))


def _pairs(
    numbers: NDArray[np.int64],
    low: Float,
    high: Float,
    centre: Float,
    radius: Float,
    grid: Grid,
    size: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of chunks (in C order), and of the segments that may reach into them."""
    shape = np.asarray(grid.shape)
    first = np.ceil(grid.to_index(low) - 1e-6)
    last = np.floor(grid.to_index(high) + 1e-6)
    inside = np.flatnonzero(np.all((last >= first) & (last >= 0) & (first < shape), axis=1))
    first = np.clip(first[inside], 0, shape - 1).astype(np.int64) // size
    last = np.clip(last[inside], 0, shape - 1).astype(np.int64) // size
    # Every chunk of every box: the number within its box counted up, then taken apart.
    extent = last - first + 1
    counts = extent.prod(axis=1)
    row = np.repeat(np.arange(len(inside)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    z, rest = np.divmod(within, extent[row, 1] * extent[row, 2])
    y, x = np.divmod(rest, extent[row, 2])
    index = first[row] + np.stack([z, y, x], axis=1)
    # Of the box only what the sphere around the segment reaches.
    row = inside[row]
    corner = index * size
    near = np.clip(
        centre[row], grid.to_nm(corner), grid.to_nm(np.minimum(corner + size, shape) - 1)
    )
    reached = np.sum((near - centre[row]) ** 2, axis=1) <= radius[row] ** 2
    chunks = np.ravel_multi_index(tuple(index[reached].T), tuple(-(-shape // size)))
    return chunks, numbers[row[reached]]


def block_box(
    index: tuple[int, int, int], chunk: tuple[int, int, int], shape: tuple[int, int, int]
) -> Box:
    """Array indices of a chunk, clipped at the end of an array of `shape`."""
    z, y, x = ((i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunk, shape, strict=True))
    return z, y, x


def block_bounds(
    indices: Iterable[tuple[int, int, int]], chunk: tuple[int, int, int], shape: Sequence[int]
) -> Box | None:
    """Array indices of the box around chunks, clipped as in `block_box`; None without any."""
    table = np.array(sorted(indices))
    if not len(table):
        return None
    z, y, x = (
        (int(a) * c, min((int(b) + 1) * c, n))
        for a, b, c, n in zip(table.min(0), table.max(0), chunk, shape, strict=True)
    )
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
