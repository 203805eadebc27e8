"""Where indices of the straightened volume lie in the world of the second viewer. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels

from napari_ouroboros.geometry.grid import Grid

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.widgets.scene import Scene


def straight_grid(scene: Scene, map_: Straightening) -> Grid:
    """The grid of (slice, row, column) in the second viewer: that of its lowest image or labels.

    A coarse layer, as in 3D, says of how many samples its own are: ``metadata[...]["steps"]``.
    Without one, spacing and pixel size of the map, index 0 lying at 0.
    """
    for layer in scene.straight.layers:
        if isinstance(layer, Image | Labels) and layer.ndim == 3:
            about = layer.metadata.get("napari-ouroboros", {})
            scale = np.asarray(layer.scale, float) / about.get("steps", 1)
            offset = np.asarray(layer.translate, float) / scale - 0.5
            break
    else:
        scale = np.array([map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm])
        offset = np.full(3, -0.5)
    resolution = (float(scale[0]), float(scale[1]), float(scale[2]))
    return Grid(map_.shape, resolution, (float(offset[0]), float(offset[1]), float(offset[2])))
