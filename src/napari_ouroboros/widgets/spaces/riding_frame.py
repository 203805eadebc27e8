"""The frame: the rectangle of the shown slice, riding along the curve in the volume. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.widgets.spaces import lines
from napari_ouroboros.widgets.spaces.display import shown
from napari_ouroboros.widgets.spaces.drawn_layer import DrawnLayer

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.geometry.grid import Grid
    from napari_ouroboros.widgets.scene import Scene

#: Line width in pixels of the canvas.
_WIDTH = 2.0
_EDGE, _UP, _ARROW = (1.0, 0.85, 0.1), (0.2, 1.0, 0.4), (0.3, 0.8, 1.0)


def _colours(flat: bool) -> Any:
    """RGBA (N_FRAME, 4): in 2D all but the cut is faint."""
    out = np.empty((lines.N_FRAME, 4), np.float32)
    faint = 0.35 if flat else 1.0
    for rows, colour in ((lines.EDGES, _EDGE), (lines.UP, _UP), (lines.ARROW, _ARROW)):
        out[rows] = (*colour, faint)
    out[lines.CUT] = (*_EDGE, 1.0)
    return out


class RidingFrame(DrawnLayer):
    """Draws the shown slice's rectangle, its up side and its direction in the main viewer.

    In 3D as they lie; in 2D, along each axis, the segment where the rectangle cuts the plane that
    is seen, and the rest projected faintly onto it.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene, "slice frame")
        scene.place.slice_changed.connect(self._soon.request)

    def _draw(self, map_: Straightening, grid: Grid) -> None:
        view = shown(self._viewer, grid)
        k = min(max(self._scene.place.slice_index, 0), len(map_.frames) - 1)
        vectors = lines.frame_vectors(map_, k)
        cut = None
        vectors = np.stack([grid.to_index(vectors[:, 0]), vectors[:, 1] / grid.resolution], axis=1)
        if view.axis is not None:
            corners = grid.to_index(lines.corners_nm(map_, k))
            cut = lines.cut_of_polygon(corners, view.axis, view.at)
            vectors = lines.flattened(vectors, view.axis, view.at)
        if cut is not None:
            vectors[lines.CUT] = lines.segments(cut[0], cut[1])
        high = np.asarray(grid.shape, float) - 1.0
        vectors = lines.clipped(vectors, np.zeros(3), high)
        colours = _colours(flat=view.axis is not None)
        self.helper.draw(grid, vectors, colours, _WIDTH * view.pixel)

    def close(self) -> None:
        """Take the frame away and stop listening."""
        self._scene.place.slice_changed.disconnect(self._soon.request)
        super().close()
