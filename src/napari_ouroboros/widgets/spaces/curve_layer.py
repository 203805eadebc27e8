"""The centre line in the volume, coloured where slices of the current width fold in a bend. No Qt.

Where the curve comes back to itself slices may fold over others, too: the Trace dock tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.vectors import dot
from napari_ouroboros.widgets.spaces import lines
from napari_ouroboros.widgets.spaces.display import shown
from napari_ouroboros.widgets.spaces.drawn_layer import DrawnLayer
from napari_ouroboros.widgets.spaces.point_marks import point_marks

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.geometry.grid import Grid
    from napari_ouroboros.widgets.scene import Scene

_WIDTH = 2.0
_SOUND, _FOLDS = (0.25, 0.75, 1.0), (1.0, 0.25, 0.25)
_POINT = (1.0, 0.85, 0.1)
#: Of what lies as far from the seen plane as a slice reaches, and beyond.
_FAINTEST = 0.2


def folding_slices(map_: Straightening) -> NDArray[np.bool_]:
    """Which slices (n,) run into their neighbours: curvature times reach is 1 or more."""
    f = map_.frames
    across = np.abs(dot(f.curvature, f.N)) * map_.width
    along = np.abs(dot(f.curvature, f.B)) * map_.height
    return np.asarray(0.5 * map_.pitch_nm * (across + along) >= 1.0)


class CurveLayer(DrawnLayer):
    """Draws the curve in the main viewer: in 3D as it lies, in 2D projected onto the seen plane.

    What is projected is the fainter, the farther it lies from the plane. So are the crosses at the
    points of the trace off the plane, which napari does not show.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._vectors: lines.Float = np.zeros((lines.MOST_SEGMENTS, 2, 3))
        self._folds: NDArray[np.bool_] = np.zeros(lines.MOST_SEGMENTS, bool)
        self._of: tuple[Straightening, Grid] | None = None
        super().__init__(scene, "curve")

    def _draw(self, map_: Straightening, grid: Grid) -> None:
        if self._of != (map_, grid):
            vectors, self._folds = lines.curve_vectors(map_, folding_slices(map_))
            start, way = grid.to_index(vectors[:, 0]), vectors[:, 1] / grid.resolution
            high = np.asarray(grid.shape, float) - 1.0
            self._vectors = lines.clipped(np.stack([start, way], axis=1), np.zeros(3), high)
            self._of = (map_, grid)
        view = shown(self._viewer, grid)
        vectors = self._vectors
        marks, away = point_marks(self._points_nm, grid, view, self._viewer.scene.camera.zoom)
        colours = np.ones((len(vectors) + len(marks), 4), np.float32)
        colours[: len(vectors), :3] = np.where(self._folds[:, None], _FOLDS, _SOUND)
        colours[len(vectors) :, :3] = _POINT
        if view.axis is not None:
            middle = vectors[:, 0, view.axis] + 0.5 * vectors[:, 1, view.axis]
            of_curve = np.abs(middle - view.at) * grid.resolution[view.axis]
            away = np.concatenate([of_curve, away])
            colours[:, 3] = np.clip(1.0 - away / map_.reach_nm, _FAINTEST, 1.0)
            vectors = lines.flattened(vectors, view.axis, view.at)
        vectors = np.concatenate([vectors, marks])
        self.helper.draw(grid, vectors, colours, _WIDTH * view.pixel)

    @property
    def _points_nm(self) -> lines.Float:
        trace = self._scene.traces.active
        return np.empty((0, 3)) if trace is None else np.asarray(trace.state.points_nm, np.float64)
