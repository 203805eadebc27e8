"""How a trace's points look: of one size on the screen, the active trace in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Points

#: Across, on the screen.
_PIXELS = 13
# From 0: where no point is shown, napari draws one of size 0 at the corner of the volume.
_LIMITS = (0, 20)
_ACTIVE, _RESTING = 1.0, 0.5
#: Smaller changes of the zoom keep the size.
_STEP = np.sqrt(2.0)


class LayerLook:
    """Sets size and opacity of a layer. Nothing is connected: whoever knows the zoom tells it."""

    def __init__(self, layer: Points) -> None:
        self._layer = layer
        self._size = 0.0
        layer.canvas_size_limits = _LIMITS
        # In 3D the volume around the points would hide half of each.
        layer.blending = "translucent_no_depth"
        layer.border_width = 0.2
        # A point shows in the planes that it reaches, fainter than in its own.
        layer.projection_mode = "rescale_linear"
        if not len(layer.data) or len(np.unique(layer.face_color, axis=0)) == 1:
            layer.face_color = "yellow"
        layer.current_face_color = "yellow"

    def set_active(self, active: bool) -> None:
        """Whether it is the trace that is edited."""
        self._layer.opacity = _ACTIVE if active else _RESTING

    def set_zoom(self, zoom: float) -> None:
        """Give the points one size on the screen, whatever the zoom (pixels per nm).

        napari finds the point under the mouse by its size in the data, so the size has to be
        about that on the screen; it changes in steps, since every change draws all anew.
        """
        if not (np.isfinite(zoom) and zoom > 0):
            return
        nm = _PIXELS / zoom
        size = nm / float(np.abs(self._layer.scale[-1]))
        size = float(_STEP ** np.round(np.log(size) / np.log(_STEP)))
        if size != self._size:
            self._size = size
            self._layer.size = size
            self._layer.current_size = size
