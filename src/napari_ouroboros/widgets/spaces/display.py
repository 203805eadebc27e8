"""How a viewer shows the three axes of a volume right now. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.geometry.grid import Grid


@dataclass(frozen=True)
class Shown:
    """What is seen of a volume.

    Attributes
    ----------
    axis : int or None
        Of zyx, across the plane that is seen in 2D; None in 3D.
    at : float
        Where that plane lies, in voxels of the grid.
    pixel : float
        Voxels to a pixel of the canvas, on average of the seen axes.
    """

    axis: int | None
    at: float
    pixel: float


def shown(viewer: ViewerModel, grid: Grid) -> Shown:
    """How `viewer` shows a volume of this grid, whose axes are its last three."""
    dims = viewer.dims
    before = dims.ndim - 3
    seen = [axis - before for axis in dims.displayed if axis >= before]
    resolution = np.asarray(grid.resolution, float)
    pixel = 1.0 / (viewer.scene.camera.zoom * float(np.exp(np.log(resolution[seen]).mean())))
    hidden = [axis for axis in range(3) if axis not in seen]
    if not hidden:
        return Shown(None, 0.0, pixel)
    axis = hidden[0]
    nm = np.zeros(3)
    nm[axis] = dims.point[axis + before]
    at = float(grid.to_index(nm)[axis])
    # As far as the slider goes: a hair beyond would be another step of it.
    return Shown(axis, min(max(at, 0.0), grid.shape[axis] - 1.0), pixel)
