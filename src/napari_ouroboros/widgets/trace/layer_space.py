"""Between the rows of a layer, in its voxels, and nm of the volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

Float = NDArray[np.float64]


class LayerSpace:
    """The affine map of a layer of three dimensions as it is now.

    Layers whose unit is a length are converted; the world of others is taken as nm.
    """

    def __init__(self, layer: Layer) -> None:
        corners = np.vstack([np.zeros(3), np.eye(3)])
        world = np.array([layer.data_to_world(corner) for corner in corners], np.float64)
        world *= [_nm(unit) for unit in layer.units]
        self._origin = world[0]
        self._matrix = (world[1:] - world[0]).T
        self._inverse = np.linalg.inv(self._matrix)

    def to_nm(self, rows: ArrayLike) -> Float:
        """Rows (..., 3) -> zyx nm."""
        return np.asarray(np.asarray(rows, np.float64) @ self._matrix.T + self._origin)

    def to_data(self, points_nm: ArrayLike) -> Float:
        """Zyx nm (..., 3) -> rows."""
        return np.asarray((np.asarray(points_nm, np.float64) - self._origin) @ self._inverse.T)


def _nm(unit: Any) -> float:
    """How many nm a unit of napari (pint) is; 1 where it is no length."""
    return float((1 * unit).to("nm").magnitude) if unit.is_compatible_with("nm") else 1.0
