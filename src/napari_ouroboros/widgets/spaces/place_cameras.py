"""The camera of a canvas that has two places in the window, a small and a large one. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ouroboros.widgets.spaces.camera import on_canvas

if TYPE_CHECKING:
    from napari.components import ViewerModel


@dataclass(frozen=True)
class _View:
    """What is looked at, and how."""

    axes: tuple[int, ...]
    extent: tuple[float, ...]
    centre: tuple[float, ...]
    zoom: float

    @classmethod
    def of(cls, model: ViewerModel) -> _View:
        camera = model.scene.camera
        extent = tuple(np.asarray(model.layers.extent.world, float).ravel().tolist())
        return cls(model.dims.displayed, extent, camera.center, float(camera.zoom))

    def same_things(self, other: _View) -> bool:
        """Whether another one looks at the same things from the same side."""
        return self.axes == other.axes and self.extent == other.extent


class PlaceCameras:
    """Each place has the camera that it was left with.

    The first time in a place, and when what is seen has another size than it had there: all of it
    fills the canvas if all of it was seen before; else the same part is seen as before.

    Parameters
    ----------
    model : ViewerModel
    """

    def __init__(self, model: ViewerModel) -> None:
        self._model = model
        self._kept: dict[bool, _View] = {}
        self._all_seen, self._reach = False, 1.0

    def leave(self, place: bool) -> None:
        """The canvas is about to go elsewhere."""
        if self._model.layers:
            self._kept[place] = _View.of(self._model)
            self._all_seen, self._reach = self._sees_all(), self._canvas_reach()

    def arrive(self, place: bool) -> None:
        """The canvas has come to a place, and has the size that it has there."""
        if not self._model.layers:
            return
        camera, kept = self._model.scene.camera, self._kept.get(place)
        if kept is not None and kept.same_things(_View.of(self._model)):
            camera.center, camera.zoom = kept.centre, kept.zoom
        elif self._all_seen:
            self._model.fit_to_view()
        else:
            camera.zoom *= self._canvas_reach() / self._reach

    def _sees_all(self) -> bool:
        low, high = self._model.layers.extent.world
        middle = np.array(self._model.dims.point, float)
        for corner in (low, high):
            point = middle.copy()
            shown = list(self._model.dims.displayed)
            point[shown] = corner[shown]
            offset, half = on_canvas(self._model, point)
            if (np.abs(offset) > half).any():
                return False
        return True

    def _canvas_reach(self) -> float:
        """Of the size of what is shown, how large it can be on the canvas."""
        low, high = self._model.layers.extent.world
        size = np.maximum((high - low)[list(self._model.dims.displayed)][-2:], 1e-12)
        return float((np.asarray(self._model.canvas.size, float) / size).min())
