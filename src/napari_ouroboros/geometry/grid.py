"""Where the voxels of a level lie: the only place that converts between voxels and nm.

Neuroglancer's integers are voxel corners, napari's (and numpy's) are voxel centres, so the
centre of the voxel with array index i lies at ``(voxel_offset + i + 0.5) * resolution`` nm.
Everything in this package is ordered zyx; xyz exists only inside the files of other programs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Grid:
    """A box of voxels in nm, axes ordered zyx.

    Parameters
    ----------
    shape : (int, int, int)
        Number of voxels.
    resolution : (float, float, float)
        Size of a voxel in nm.
    voxel_offset : (float, float, float)
        Position of the outer corner of array index 0, in voxels of this grid. A whole number
        in precomputed volumes.
    """

    shape: tuple[int, int, int]
    resolution: tuple[float, float, float]
    voxel_offset: tuple[float, float, float] = (0, 0, 0)

    @property
    def bounds_nm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper outer corner, each (3,) zyx nm."""
        low = np.asarray(self.voxel_offset, float) * self.resolution
        return low, low + np.asarray(self.shape, float) * self.resolution

    def to_nm(self, index: ArrayLike) -> NDArray[np.float64]:
        """Array index (..., 3) zyx, whole numbers being voxel centres -> zyx nm."""
        return (np.asarray(index, float) + self.voxel_offset + 0.5) * self.resolution

    def to_index(self, points_nm: ArrayLike) -> NDArray[np.float64]:
        """Zyx nm (..., 3) -> array index zyx, whole numbers being voxel centres."""
        return np.asarray(points_nm, float) / self.resolution - self.voxel_offset - 0.5

    def contains(self, points_nm: ArrayLike) -> NDArray[np.bool_]:
        """Which points (..., 3) zyx nm lie between the outer corners (upper end excluded)."""
        index = self.to_index(points_nm)
        return np.all((index >= -0.5) & (index < np.asarray(self.shape) - 0.5), axis=-1)


def corner_to_nm(position: ArrayLike, resolution: ArrayLike) -> NDArray[np.float64]:
    """Neuroglancer position (..., 3) zyx in voxels, whole numbers being corners -> zyx nm."""
    return np.asarray(position, float) * np.asarray(resolution, float)
