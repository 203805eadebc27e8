"""Which samples of a slice come from voxels that are there."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.sampling import TAPS, Interpolation
from napari_ouroboros.operations.slice_grid import affine

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Level


def sound_samples(
    straightening: Straightening,
    level: Level,
    k: int,
    missing: NDArray[np.int64],
    interpolation: Interpolation,
) -> NDArray[np.bool_]:
    """Samples (rows, columns) of slice k inside the level that read no missing chunk.

    Parameters
    ----------
    missing : int array (m, 3)
        Indices zyx of missing chunks.
    """
    _, rows, columns = straightening.shape
    grid = affine(straightening, level, (k, k + 1))
    index = (
        grid.start[0]
        + np.arange(rows)[:, None, None] * grid.drow[0]
        + np.arange(columns)[:, None] * grid.dcolumn[0]
    )
    size = np.asarray(level.shape)
    sound = np.all((index >= -0.5) & (index < size - 0.5), axis=-1)
    if not len(missing):
        return np.asarray(sound)
    before, after = TAPS[interpolation]
    low = np.floor(index + 0.5 if interpolation == "nearest" else index).astype(np.int64)
    chunk = np.minimum(level.chunk, size)
    grid_shape = tuple(-(-size // chunk))
    absent = np.zeros(grid_shape, bool)
    absent[tuple(missing.T)] = True
    for step in product(range(-before, after + 1), repeat=3):
        voxel = np.clip(low + step, 0, size - 1)
        sound &= ~absent[tuple(np.moveaxis(voxel // chunk, -1, 0))]
    return np.asarray(sound)
