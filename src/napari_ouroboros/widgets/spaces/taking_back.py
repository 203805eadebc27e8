"""Labels that somebody computes in the second window, brought back into the scene. No Qt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from napari.layers import Labels, Layer

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.spaces.twin_layers import TwinLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.labels import StraightLabels
    from napari_ouroboros.widgets.scene import Scene


class TakingBack:
    """Makes labels of the book of what comes into another viewer in the shape of the slices.

    The layer there then shows the very same array; what it gets afterwards, whole or stroke by
    stroke, is in the book at once.

    Parameters
    ----------
    scene : Scene
    viewer : ViewerModel
        The other one; held weakly.
    """

    def __init__(self, scene: Scene, viewer: ViewerModel) -> None:
        self._book, self._live, self._deliver = scene.labels, scene.live, scene.deliver
        self._viewer = ref(viewer)
        self._pairs: list[tuple[Layer, StraightLabels]] = []
        self._twins: list[TwinLayers] = []
        self._known: WeakSet[Layer] = WeakSet()
        #: Painted in while they are copied.
        self._painted: WeakSet[Layer] = WeakSet()
        self._closed = False
        viewer.layers.events.inserted.connect(self._inserted)

    def has(self, layer: Layer) -> bool:
        """Whether a layer of the straightened space is shown there by the layer it came from."""
        viewer = self._viewer()
        there = () if viewer is None else viewer.layers
        return any(entry.layer is layer and twin in there for twin, entry in self._pairs)

    def leave(self, layer: Layer) -> None:
        """Take nothing from a layer that is going to come: it shows what the scene has."""
        self._known.add(layer)

    def pair(self, twin: Layer, entry: StraightLabels) -> None:
        """Take what somebody puts in the place of the labels' array over into it."""
        self._pairs.append((twin, entry))
        twin.events.data.connect(self._replaced)

    def unpair(self, twin: Layer) -> None:
        """The layer goes."""
        for pair in list(self._pairs):
            if pair[0] is twin:
                self._pairs.remove(pair)
                twin.events.data.disconnect(self._replaced)

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.events.inserted.disconnect(self._inserted)
        for layer, _ in self._pairs:
            layer.events.data.disconnect(self._replaced)
        for twins in self._twins:
            twins.close()
        self._pairs, self._twins = [], []

    def _inserted(self, event: Any) -> None:
        layer, map_ = event.value, self._live.state.map
        if not isinstance(layer, Labels) or layer in self._known or map_ is None:
            return
        if isinstance(layer.data, LabelArray):
            return
        # Not before its plugin, and napari, have finished with it.
        if not layer.multiscale and tuple(layer.data.shape) == map_.shape:
            self._deliver(partial(self._take, layer))

    def _take(self, layer: Layer) -> None:
        viewer = self._viewer()
        if self._closed or viewer is None or layer not in viewer.layers:
            return
        data = layer.data
        for emitter in (layer.events.paint, layer.events.labels_update):
            emitter.connect(self._edited)
        try:
            self._book.take_in(data, str(layer.name), partial(self._taken, layer, data))
        except OuroborosError as error:
            self._book.failed.emit(error)

    def _taken(self, layer: Layer, data: Any, entry: StraightLabels) -> None:
        viewer = self._viewer()
        for emitter in (layer.events.paint, layer.events.labels_update):
            emitter.disconnect(self._edited)
        if self._closed or viewer is None or layer not in viewer.layers or entry.layer is None:
            return
        # Its plugin has gone on meanwhile, or somebody has painted in what was copied already.
        if layer.data is not data or layer in self._painted:
            self._book.replace(entry, layer.data)
        layer.data = entry.array
        for name in ("scale", "units", "axis_labels"):
            setattr(layer, name, getattr(entry.layer, name))
        self.pair(layer, entry)
        self._twins.append(TwinLayers(entry.layer, layer, self._deliver))

    def _edited(self, event: Any) -> None:
        self._painted.add(event.source)

    def _replaced(self, event: Any) -> None:
        """Somebody has put another array in the place of ours."""
        for layer, entry in self._pairs:
            data = layer.data
            if layer is not event.source or data is entry.array:
                continue
            layer.data = entry.array
            if tuple(data.shape) != entry.array.shape:
                return
            self._book.replace(entry, data)
            return
