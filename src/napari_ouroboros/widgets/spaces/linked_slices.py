"""The slider of the straightened view, the shown slice, and the main viewer following it. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from napari_ouroboros.widgets.spaces.camera import pan_into_view
from napari_ouroboros.widgets.spaces.straight_space import straight_grid

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.scene import Scene

#: Who asked for a slice, as `Place.go_to_slice` is told.
VOLUME, STRAIGHTENED = "volume", "straightened"


def show_point(viewer: ViewerModel, world: ArrayLike) -> None:
    """Show the plane with a point (3,) of the last three axes; pan only if it is off-screen."""
    dims = viewer.dims
    full = np.array(dims.point, float)
    full[-3:] = world
    hidden = list(dims.not_displayed)
    if hidden:
        dims.set_point(hidden, [float(full[axis]) for axis in hidden])
    pan_into_view(viewer, full)


class LinkedSlices:
    """Keeps the second viewer's slider and the scene's shown slice the same.

    With "follow" on the main viewer goes to the centre of the slice, unless it asked for it.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._viewer = scene.viewer
        self._setting = False
        scene.place.slice_changed.connect(self._slice_changed)
        scene.live.changed.connect(self._live_changed)
        scene.straight.dims.events.point.connect(self._slider_moved)
        scene.straight.layers.events.inserted.connect(self._show_slice)
        # The coarse pictures of 3D end before the last slice, and the slider with them.
        scene.straight.dims.events.range.connect(self._show_slice)
        self._show_slice()

    def step(self, by: int) -> None:
        """Go `by` slices on; a closed trace has no end."""
        map_ = self._scene.live.state.map
        if map_ is None:
            return
        n = len(map_.frames)
        k = self._scene.place.slice_index + by
        k = k % n if map_.frames.closed else min(max(k, 0), n - 1)
        self._scene.place.go_to_slice(k)

    def close(self) -> None:
        """Stop listening."""
        self._scene.place.slice_changed.disconnect(self._slice_changed)
        self._scene.live.changed.disconnect(self._live_changed)
        self._scene.straight.dims.events.point.disconnect(self._slider_moved)
        self._scene.straight.layers.events.inserted.disconnect(self._show_slice)
        self._scene.straight.dims.events.range.disconnect(self._show_slice)

    def _slider_moved(self) -> None:
        map_, dims = self._scene.live.state.map, self._scene.straight.dims
        # A viewer without layers has no slider, and goes through several states as one is added.
        if map_ is None or self._setting or dims.ndim != 3:
            return
        if 0 in dims.displayed:
            return  # no slider, but the range of a coarse picture, which cuts off the last slices
        grid = straight_grid(self._scene, map_)
        k = round(float(grid.to_index(dims.point)[0]))
        self._scene.place.go_to_slice(min(max(k, 0), len(map_.frames) - 1), STRAIGHTENED)

    def _slice_changed(self, k: int, by: str) -> None:
        map_ = self._scene.live.state.map
        if map_ is None:
            return
        if by != STRAIGHTENED:
            self._show_slice()
        if by != VOLUME and self._scene.place.follow:
            k = min(max(k, 0), len(map_.frames) - 1)
            show_point(self._viewer, map_.frames.c[k])

    def _show_slice(self, _event: Any = None) -> None:
        map_, straight = self._scene.live.state.map, self._scene.straight
        if map_ is None or straight.dims.ndim != 3 or not straight.layers:
            return
        grid = straight_grid(self._scene, map_)
        nm = grid.to_nm((self._scene.place.slice_index, 0, 0))
        self._setting = True
        try:
            straight.dims.set_point(0, float(nm[0]))
        finally:
            self._setting = False

    def _live_changed(self, *_: Any) -> None:
        """A shorter curve has fewer slices."""
        map_ = self._scene.live.state.map
        if map_ is not None and self._scene.place.slice_index >= len(map_.frames):
            # The main viewer stays: nothing moves by itself.
            self._scene.place.go_to_slice(len(map_.frames) - 1, VOLUME)
