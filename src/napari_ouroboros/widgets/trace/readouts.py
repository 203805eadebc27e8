"""What the dock says of a trace: length, tightest bend, folds. Computed in a worker. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ouroboros.geometry.vectors import norm

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.geometry.folds import FoldReport
    from napari_ouroboros.widgets.trace.state import Keyframe, TraceState


@dataclass(frozen=True, eq=False)
class Readouts:
    """Numbers on one state of a trace.

    Attributes
    ----------
    points, merged : int
        How many there are, and how many of them repeat their neighbour.
    length_nm : float
    slices : int
    bend_nm : float
        Smallest radius of curvature; inf for a straight trace.
    bend_slice, fold_slice : int
        Where that is, and where slices fold most.
    folds : FoldReport
    keyframes : tuple of Keyframe
        Those of the user.
    keyframe_slices : tuple of int
        The slices nearest to them.
    """

    points: int
    merged: int
    length_nm: float
    slices: int
    bend_nm: float
    bend_slice: int
    fold_slice: int
    folds: FoldReport
    keyframes: tuple[Keyframe, ...]
    keyframe_slices: tuple[int, ...]


def measure(state: TraceState, map_: Straightening) -> Readouts:
    """Measure a trace and its map; fold tests of long traces take up to seconds."""
    frames = map_.frames
    curvature = norm(frames.curvature)
    sharpest = int(np.argmax(curvature))
    report = map_.fold_report()
    users = tuple(key for key in state.keyframes if key.by_user)
    return Readouts(
        points=len(state),
        merged=state.trace().n_merged,
        length_nm=frames.length,
        slices=len(frames),
        bend_nm=float(1 / curvature[sharpest]) if curvature[sharpest] > 1e-12 else np.inf,
        bend_slice=sharpest,
        fold_slice=int(np.argmin(np.abs(frames.s - report.worst_s_nm))),
        folds=report,
        keyframes=users,
        keyframe_slices=tuple(int(np.argmin(np.abs(frames.s - k.s_nm))) for k in users),
    )


def fitting_size(width: int, height: int, largest_width: int) -> tuple[int, int]:
    """The largest (width, height) of the same shape that does not fold, at least 1 pixel each."""
    new = max(1, min(width, largest_width))
    return new, max(1, int(height * new / width))
