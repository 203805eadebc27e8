"""What is drawn over the volume and follows the map, the seen plane and the zoom. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ouroboros.widgets.spaces.helper_layer import HelperLayer
from napari_ouroboros.widgets.spaces.soon import Soon

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.geometry.grid import Grid
    from napari_ouroboros.widgets.scene import Scene


class DrawnLayer:
    """A helper layer of the main viewer, drawn anew once per turn of the event loop.

    Parameters
    ----------
    scene : Scene
    name : str
        Of the layer.
    """

    def __init__(self, scene: Scene, name: str) -> None:
        self._scene = scene
        self._viewer = viewer = scene.viewer
        self.helper = HelperLayer(viewer, name, opacity=1.0, blending="translucent_no_depth")
        self._soon = Soon(scene.deliver, self.draw)
        self._emitters = [
            viewer.dims.events.point,
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.scene.camera.events.zoom,
        ]
        for emitter in self._emitters:
            emitter.connect(self._soon.request)
        scene.live.changed.connect(self._soon.request)
        self.helper.wanted_changed.connect(self._soon.request)
        self._soon.request()

    def draw(self) -> None:
        """Bring the layer up to date; without a map it goes."""
        map_, volume = self._scene.live.state.map, self._scene.reference
        if map_ is not None and volume is not None:
            self._draw(map_, volume.levels[0])
            return
        self.helper.remove()
        if volume is None:
            # All was cleared away, the helper with it: with the next volume it is back.
            self.helper.wanted = True

    def _draw(self, map_: Straightening, grid: Grid) -> None:
        """Draw a map in voxels of the finest level."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the layer away and stop listening."""
        self._soon.close()
        for emitter in self._emitters:
            emitter.disconnect(self._soon.request)
        self._scene.live.changed.disconnect(self._soon.request)
        self.helper.close()
