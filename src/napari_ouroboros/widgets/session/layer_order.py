"""Which layer lies above which, in both spaces: taken for a session, and brought back. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_ouroboros.widgets.scene.scene import Scene

#: What a session keeps (a volume's layer, a trace, labels, a layer of points), and how it is shown.
Shown = tuple[Any, "Layer | None"]


def shown_in_volume(scene: Scene) -> list[Shown]:
    """Return what a session keeps, and its layers in the viewer."""
    traces, labels = scene.traces, scene.labels.entries
    return [
        *((layer, layer) for layer in scene.volume_layers),
        *((model, traces.layer_of(model)) for model in traces.traces),
        *((entry, scene.overlays.layer_of(entry)) for entry in labels),
    ]


def shown_straightened(scene: Scene) -> list[Shown]:
    """Return what a session keeps, and its layers in the straightened space."""
    from napari_ouroboros.widgets.straighten import straightened

    return [
        *((layer, straightened(scene, layer)) for layer in scene.volume_layers),
        *((entry, entry.in_view) for entry in scene.labels.entries),
        *((layer, layer) for layer in scene.overlays.points.layers),
    ]


def indices(viewer: ViewerModel, shown: Iterable[Shown]) -> dict[Any, int]:
    """Number what is shown, the lowest layer first; layers of others do not count."""
    things = {id(layer): thing for thing, layer in shown if layer is not None}
    ours = [things[id(layer)] for layer in viewer.layers if id(layer) in things]
    return {thing: i for i, thing in enumerate(ours)}


class LayerOrder:
    """Puts layers in the order of a session as they come, until the user gives them another.

    Parameters
    ----------
    scene : Scene
        Held weakly; only its two viewers need be there already.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        # Weakly: a scene lives as long as its viewer, which this is a part of.
        spaces = (scene.viewer, shown_in_volume), (scene.straight, shown_straightened)
        self._spaces = [(weakref.ref(viewer), shown_in) for viewer, shown_in in spaces]
        self._wanted: list[WeakKeyDictionary[Any, int]] = [WeakKeyDictionary() for _ in range(2)]
        self._moving = self._asked = False
        for viewer, _ in spaces:
            viewer.layers.events.inserted.connect(self._inserted)
            viewer.layers.events.reordered.connect(self._reordered)

    def close(self) -> None:
        """Order nothing any more."""
        for there, _ in self._spaces:
            viewer = there()
            if viewer is not None:
                viewer.layers.events.inserted.disconnect(self._inserted)
                viewer.layers.events.reordered.disconnect(self._reordered)
        self._spaces = []

    def begin(self) -> None:
        """Another session comes."""
        for wanted in self._wanted:
            wanted.clear()

    def want(self, thing: Any, volume: int | None = None, straightened: int | None = None) -> None:
        """Let something have these indices, which need not be without gaps, once it is shown."""
        for wanted, index in zip(self._wanted, (volume, straightened), strict=True):
            if index is not None:
                wanted[thing] = index

    def _inserted(self, _event: Any = None) -> None:
        scene = self._scene()
        if scene is not None and not self._asked and any(self._wanted):
            self._asked = True
            scene.deliver(self._arrange)  # who adds a layer is not done with it

    def _reordered(self, event: Any) -> None:
        if self._moving:
            return
        for (there, _), wanted in zip(self._spaces, self._wanted, strict=True):
            viewer = there()
            if viewer is not None and event.source is viewer.layers:
                wanted.clear()

    def _arrange(self) -> None:
        self._asked = False
        scene = self._scene()
        if scene is None:
            return
        self._moving = True
        try:
            with scene.work.quietly():
                for (there, shown_in), wanted in zip(self._spaces, self._wanted, strict=False):
                    viewer = there()
                    if viewer is not None:
                        _arrange(viewer, shown_in(scene), wanted)
        finally:
            self._moving = False


def _arrange(viewer: ViewerModel, shown: list[Shown], wanted: WeakKeyDictionary[Any, int]) -> None:
    """Let layers that are wanted in an order change their places among themselves."""
    rank = {id(x): wanted[thing] for thing, x in shown if x is not None and thing in wanted}
    order = list(viewer.layers)
    places = [i for i, layer in enumerate(order) if id(layer) in rank]
    ours = sorted((order[i] for i in places), key=lambda layer: rank[id(layer)])
    for i, layer in zip(places, ours, strict=True):
        order[i] = layer
    for i, layer in enumerate(order):
        now = viewer.layers.index(layer)
        if now != i:
            viewer.layers.move(now, i)
