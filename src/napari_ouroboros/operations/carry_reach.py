"""Which blocks of one map's samples can lie in painted chunks of another: from geometry alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Float = NDArray[np.float64]

# Blocks whose neighbours are looked up at a time.
_BATCH = 4096


def reachable_blocks(
    old: Straightening, painted: Sequence[Box], new: Straightening, block: tuple[int, int, int]
) -> list[Box]:
    """Blocks of the new map's samples of which one may lie in the cells of painted chunks.

    Conservative: boxes in nm around both are compared.

    Parameters
    ----------
    old : Straightening
    painted : sequence of boxes ((k0, k1), (r0, r1), (c0, c1))
        In samples of `old`.
    new : Straightening
    block : (int, int, int)
        Shape of a block of `new`.

    Returns
    -------
    list of boxes
        In samples of `new`, in order.
    """
    from scipy.spatial import cKDTree

    if not painted:
        return []
    low, high = _boxes_nm(old, painted, cells=True)
    centres, radii = (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2
    tree = cKDTree(centres)
    blocks = _grid(new.shape, block)
    found: list[Box] = []
    for start in range(0, len(blocks), _BATCH):
        batch = blocks[start : start + _BATCH]
        first, last = _boxes_nm(new, batch, cells=False)
        middle, reach = (first + last) / 2, np.linalg.norm(last - first, axis=1) / 2
        near = tree.query_ball_point(middle, reach + radii.max())
        for box, a, b, others in zip(batch, first, last, near, strict=True):
            if others and np.any(np.all((low[others] <= b) & (high[others] >= a), axis=1)):
                found.append(box)
    return found


def _grid(shape: tuple[int, int, int], block: tuple[int, int, int]) -> list[Box]:
    axes = [
        [(i, min(i + size, n)) for i in range(0, n, size)]
        for n, size in zip(shape, block, strict=True)
    ]
    return [(k, r, c) for k in axes[0] for r in axes[1] for c in axes[2]]


def _boxes_nm(map_: Straightening, boxes: Sequence[Box], cells: bool) -> tuple[Float, Float]:
    """Corners (low, high) in nm of a box around the samples of each box, or around their cells.

    At whole slices samples are flat patches: their corners bound them. Half way to the next slice
    cells follow blended frames, which leave the chord by less than twice 1 - cos of the angle
    between their axes times the distance from the curve.
    """
    n = map_.shape[0]
    planes = map_.planes[:n]
    pad = 1 if cells else 0
    reach = map_.reach_nm
    low, high = np.empty((len(boxes), 3)), np.empty((len(boxes), 3))
    for number, ((k0, k1), (r0, r1), (c0, c1)) in enumerate(boxes):
        wanted = np.arange(k0 - pad, k1 + pad)
        part = planes[wanted % n if map_.frames.closed else np.unique(np.clip(wanted, 0, n - 1))]
        corners = [
            part[:, :3] + u * part[:, 6:9] + v * part[:, 9:12]
            for v in _edges(r0, r1, map_.height, map_.pitch_nm, pad)
            for u in _edges(c0, c1, map_.width, map_.pitch_nm, pad)
        ]
        points = np.concatenate(corners)
        margin = 1e-6
        if cells:
            turn = 0.0
            for axis in (slice(3, 6), slice(6, 9), slice(9, 12)):
                turning = 1 - np.sum(part[:-1, axis] * part[1:, axis], axis=1)
                turn = max(turn, float(turning.max(initial=0.0)))
            # Past a right angle blended axes may point anywhere. Beyond an end it goes on straight.
            margin += reach * (2.0 if turn >= 0.5 else 2 * turn)
            margin += 0.5 * float(map_.extension.max())
        low[number], high[number] = points.min(axis=0) - margin, points.max(axis=0) + margin
    return low, high


def corners_nm(map_: Straightening, box: Box) -> Float:
    """Corners (n, 3) in nm of each slice of a box of samples, which lie within their hull."""
    (k0, k1), (r0, r1), (c0, c1) = box
    part = map_.planes[k0:k1]
    return np.concatenate(
        [
            part[:, :3] + u * part[:, 6:9] + v * part[:, 9:12]
            for v in _edges(r0, r1, map_.height, map_.pitch_nm, 0)
            for u in _edges(c0, c1, map_.width, map_.pitch_nm, 0)
        ]
    )


def _edges(first: int, stop: int, n: int, pitch: float, pad: int) -> tuple[float, float]:
    middle = 0.5 * (n - 1)
    return (first - 0.5 * pad - middle) * pitch, (stop - 1 + 0.5 * pad - middle) * pitch
