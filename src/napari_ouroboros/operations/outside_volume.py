"""What of the slices lies in the volume, and which level suits them: from geometry alone."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.slice_grid import affine

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume

_COUNTED_AT_ONCE = 200_000_000


def outside(volume: Volume, straightening: Straightening, mip: int = 0) -> NDArray[np.int64]:
    """Count the samples of every slice that lie beyond the volume, from geometry alone.

    Returns
    -------
    array (slices,) of int64
    """
    level = volume.mip(mip)
    map_ = straightening.resolved(level.resolution)
    n, rows, columns = map_.shape
    out = np.zeros(n, np.int64)
    grid = affine(map_, level, (0, n))
    size = np.asarray(level.shape, np.int64)
    corners = np.stack(
        [
            grid.start + row * grid.drow + column * grid.dcolumn
            for row in (0, rows - 1)
            for column in (0, columns - 1)
        ]
    )
    # A slice whose corners lie inside, by more than rounding could matter, lies inside.
    safe = np.all((corners >= -0.5 + 1e-6) & (corners < size - 0.5 - 1e-6), axis=(0, 2))
    look = np.flatnonzero(~safe)
    if not len(look):
        return out
    from napari_ouroboros.geometry.chunk_kernel import count_outside

    step = max(1, _COUNTED_AT_ONCE // (rows * columns))
    # In parts, so that Ctrl-C gets its turn: the kernel itself cannot be stopped.
    for part in (look[i : i + step] for i in range(0, len(look), step)):
        count = np.empty(len(part), np.int64)
        start, drow, dcolumn = (array[part] for array in grid)
        count_outside(start, drow, dcolumn, rows, columns, size, count)
        out[part] = count
    return out


def check_reach(volume: Volume, map_: Straightening, mip: int) -> NDArray[np.int64]:
    """Error for a trace wholly outside, notices for one partly outside or a finer mip at hand."""
    level = volume.mip(mip)
    count = outside(volume, map_, mip)
    total = map_.height * map_.width * len(count)
    if count.sum() == total:
        low, high = (np.round(b).astype(np.int64).tolist() for b in level.bounds_nm)
        points = map_.trace.points_nm
        raise UserError(
            "the trace lies wholly outside the volume: its points span "
            f"{points.min(0).round().astype(np.int64).tolist()} to "
            f"{points.max(0).round().astype(np.int64).tolist()} nm (zyx), the volume {low} to "
            f"{high}; are the units of the points right?"
        )
    if count.any():
        share = 100 * count.sum() / total
        warnings.warn(
            f"{share:.2g} % of the samples, in {np.count_nonzero(count)} of {len(count)} slices, "
            "lie outside the volume and get the fill value",
            Notice,
            stacklevel=3,
        )
    if map_.pitch_nm > 2 * min(level.resolution):
        better = best_mip(volume, map_.pitch_nm)
        advice = (
            f"mip {better} fits better (--mip auto takes it)"
            if better > mip
            else "there is no coarser mip; smaller pixels would not skip any"
        )
        warnings.warn(
            f"pixels of {map_.pitch_nm:g} nm skip voxels of mip {mip} "
            f"({min(level.resolution):g} nm): {advice}",
            Notice,
            stacklevel=3,
        )
    return count


def best_mip(volume: Volume, pitch_nm: float) -> int:
    """The coarsest mip whose voxels are not coarser than a pixel."""
    fitting = [
        mip
        for mip, level in enumerate(volume.levels)
        if min(level.resolution) <= pitch_nm * (1 + 1e-9)
    ]
    return max(fitting, default=0)
