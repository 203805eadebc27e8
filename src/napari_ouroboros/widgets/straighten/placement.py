"""Where the volume of a layer lies in nm of the reference volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.volumes import Volume

#: A matrix that differs from a translation by less than this moves nothing by a voxel.
_TOLERANCE = 1e-6


def shift_between(layer: Layer, reference: Layer) -> NDArray[np.float64] | None:
    """Return where nm 0 of a layer's volume lies in nm of the reference's; None: the same place.

    Raises
    ------
    UserError
        The layers are turned or scaled against each other.
    """
    ours, theirs = (np.asarray(x.affine.affine_matrix, np.float64) for x in (layer, reference))
    between = (np.linalg.inv(theirs) @ ours)[-4:, -4:]
    if np.abs(between[:3, :3] - np.eye(3)).max() > _TOLERANCE:
        raise UserError(
            f"{layer.name} is turned or scaled against {reference.name}; only volumes that are "
            "shifted can be straightened together: straighten it by itself"
        )
    shift = between[:3, 3]
    return None if np.abs(shift).max() < _TOLERANCE else shift


def reference_layer(layers: list[Layer], volume: Volume | None, volume_of: object) -> Layer | None:
    """Return the lowest layer that shows the reference volume."""
    assert callable(volume_of)
    return next((layer for layer in layers if volume_of(layer) is volume), None)
