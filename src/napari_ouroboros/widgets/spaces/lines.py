"""What the frame and the curve are drawn with: arrays of vectors. No napari, no Qt.

Vectors are arrays (n, 2, 3), start and direction, zyx, in voxels of the finest level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.geometry import Straightening

Float = NDArray[np.float64]

#: Rows of `frame_vectors`, always all of them: what is not to be seen has length 0.
EDGES = slice(0, 4)
UP = slice(4, 5)
ARROW = slice(5, 8)
CUT = slice(8, 9)
N_FRAME = 9

#: More segments would be seen by nobody, and cost at every step of a slider.
MOST_SEGMENTS = 500


def segments(starts: ArrayLike, ends: ArrayLike) -> Float:
    """Vectors (n, 2, 3) from points to points."""
    start = np.asarray(starts, np.float64).reshape(-1, 3)
    end = np.broadcast_to(np.asarray(ends, np.float64), start.shape)
    return np.stack([start, end - start], axis=1)


def clipped(vectors: Float, low: ArrayLike, high: ArrayLike) -> Float:
    """The parts of vectors inside a box; those outside shrink to a point of it.

    Helper layers would change the sliders if they reached beyond the volume.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    start, way = vectors[:, 0], vectors[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(way != 0, (low - start) / way, np.where(start < low, np.inf, -np.inf))
        second = np.where(way != 0, (high - start) / way, np.where(start > high, -np.inf, np.inf))
    enter = np.maximum(np.minimum(first, second).max(axis=1), 0.0)
    leave = np.minimum(np.maximum(first, second).min(axis=1), 1.0)
    # Beside the box on an axis along which the vector does not run.
    beside = (((start < low) | (start > high)) & (way == 0)).any(axis=1)
    inside = (enter <= leave) & ~beside
    enter, leave = np.where(inside, enter, 0.0), np.where(inside, leave, 0.0)
    # Rounding may leave the box by a last bit, and that would be a step of the slider.
    begin = np.clip(start + enter[:, None] * way, low, high)
    end = np.clip(start + leave[:, None] * way, low, high)
    end = np.where(inside[:, None], end, begin)
    return np.stack([begin, end - begin], axis=1)


def corners_nm(map_: Straightening, k: int) -> Float:
    """Corners (4, 3) zyx nm of slice k, of its pixels' outer edges: up-left first, then around.

    Rows grow along +B, so that the up side is the one towards -B.
    """
    f = map_.frames
    u = 0.5 * map_.width * map_.pitch_nm * f.N[k]
    v = 0.5 * map_.height * map_.pitch_nm * f.B[k]
    c = f.c[k]
    return np.array([c - u - v, c + u - v, c + u + v, c - u + v])


def frame_vectors(map_: Straightening, k: int) -> Float:
    """Slice k as vectors (N_FRAME, 2, 3) in nm: four edges, the up tick, the arrow; no cut."""
    f = map_.frames
    corners = corners_nm(map_, k)
    up = -0.5 * map_.height * map_.pitch_nm * f.B[k]
    centre, size = f.c[k], 0.25 * map_.pitch_nm * (map_.width + map_.height)
    tip = centre + 0.8 * size * f.T[k]
    barb = tip - 0.2 * size * f.T[k]
    side = 0.12 * size * f.N[k]
    out = np.zeros((N_FRAME, 2, 3))
    out[EDGES] = segments(corners, np.roll(corners, -1, axis=0))
    out[UP] = segments(centre + up, centre + 1.25 * up)
    out[ARROW] = segments([centre, tip, tip], [tip, barb + side, barb - side])
    out[CUT] = segments(centre, centre)
    return out


def flattened(vectors: Float, axis: int, at: float) -> Float:
    """Vectors projected along an axis onto the plane at `at`."""
    out = vectors.copy()
    out[:, 0, axis] = at
    out[:, 1, axis] = 0.0
    return out


def cut_of_polygon(corners: ArrayLike, axis: int, at: float) -> Float | None:
    """Ends (2, 3) of the segment in which a convex polygon cuts the plane at `at`; None: nowhere.

    Parameters
    ----------
    corners : array (n, 3)
        In their order around.
    """
    a = np.asarray(corners, np.float64)
    b = np.roll(a, -1, axis=0)
    before, after = a[:, axis] - at, b[:, axis] - at
    # An edge in the plane itself is the segment.
    flat = (before == 0) & (after == 0)
    if flat.any():
        k = int(np.argmax(flat))
        return np.stack([a[k], b[k]])
    crosses = (before < 0) != (after < 0)
    if not crosses.any():
        return None
    t = before[crosses] / (before[crosses] - after[crosses])
    points: Float = a[crosses] + t[:, None] * (b[crosses] - a[crosses])
    return points[[0, -1]]


def curve_vectors(map_: Straightening, folds: NDArray[np.bool_]) -> tuple[Float, NDArray[np.bool_]]:
    """The centre line as vectors (MOST_SEGMENTS, 2, 3) in nm, and which of them folds.

    Always as many, the last ones of length 0 where the curve needs fewer.

    Parameters
    ----------
    map_ : Straightening
    folds : array (slices,)
        Which slices fold. A vector folds with any slice it spans, so that none is lost.
    """
    c = map_.frames.c
    if map_.frames.closed:
        c, folds = np.vstack([c, c[:1]]), np.append(folds, folds[:1])
    n = len(c)
    if n < 2:
        return segments(np.repeat(c, MOST_SEGMENTS, 0), c[0]), np.zeros(MOST_SEGMENTS, bool)
    at = np.arange(n)
    if n - 1 > MOST_SEGMENTS:
        # Half of them by length, half by how much the curve turns: bends stay round.
        way = np.diff(c, axis=0)
        length = np.linalg.norm(way, axis=1)
        way /= np.maximum(length, 1e-300)[:, None]
        turn = np.append(0.0, np.linalg.norm(np.diff(way, axis=0), axis=1))
        share = np.cumsum(length / length.sum() + turn / max(turn.sum(), 1e-300))
        marks = np.linspace(0.0, share[-1], MOST_SEGMENTS + 1)[1:-1]
        at = np.unique(np.concatenate([[0], 1 + np.searchsorted(share, marks), [n - 1]]))
    any_folds = np.maximum.reduceat(folds, at[:-1]) | folds[at[1:]]
    missing = MOST_SEGMENTS + 1 - len(at)
    at = np.append(at, np.full(missing, n - 1))
    any_folds = np.append(any_folds, np.zeros(missing, bool))
    return segments(c[at[:-1]], c[at[1:]]), any_folds
