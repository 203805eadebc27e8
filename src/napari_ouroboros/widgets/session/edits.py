"""What counts as an edit of a session: everything that is heard of in a scene. No Qt."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.widgets.scene.scene import Scene
    from napari_ouroboros.widgets.trace.model import TraceModel

#: Of a layer: what a session keeps of it.
_LOOK = ("name", "visible", "opacity", "blending", "contrast_limits", "gamma", "colormap", "affine")
_LABELS_LOOK = (*_LOOK, "selected_label")
_POINTS = (
    "name", "visible", "opacity", "scale", "translate", "rotate", "shear", "affine",
    "data", "features", "size", "symbol", "face_color", "border_color",
)  # fmt: skip


class Edits:
    """Calls `edited` after everything in a scene that a session keeps, places and cameras excepted.

    Parameters
    ----------
    scene : Scene
        Held weakly; to be complete when this is made.
    edited : callable
        In the thread in which it was edited.
    labels_seen : callable
        After labels have come, gone, or are shown again; in the GUI thread.
    removing : callable
        Before a layer of the viewer is removed; in the GUI thread.
    """

    def __init__(
        self,
        scene: Scene,
        edited: Callable[[], object],
        labels_seen: Callable[[], object],
        removing: Callable[[], object],
    ) -> None:
        self._scene = weakref.ref(scene)
        self._edited, self._labels_seen, self._removing = edited, labels_seen, removing
        self._models: list[TraceModel] = []
        self._layers: list[tuple[Layer, tuple[str, ...]]] = []
        self._there: object = None
        for signal, slot in self._connections(scene):
            signal.connect(slot)
        self._layers_changed()

    def close(self) -> None:
        """Stop listening."""
        scene = self._scene()
        if scene is not None:
            for signal, slot in self._connections(scene):
                signal.disconnect(slot)
        for model in self._models:
            model.changed.disconnect(self._on_edit)
        for layer, names in self._layers:
            _disconnect(layer, names, self._on_edit)
        self._models, self._layers = [], []

    def _connections(self, scene: Scene) -> list[tuple[Any, Any]]:
        return [
            (scene.viewer.layers.events.removing, self._about_to_go),
            (scene.volumes_changed, self._layers_changed),
            (scene.chosen_changed, self._on_edit),
            (scene.viewer.layers.events.reordered, self._on_edit),
            (scene.straight.layers.events.reordered, self._on_edit),
            (scene.settings.events, self._on_edit),
            (scene.traces.traces_changed, self._layers_changed),
            (scene.traces.active_changed, self._on_edit),
            (scene.labels.changed, self._labels_changed),
            (scene.labels.painted, self._on_edit),
            (scene.overlays.points.changed, self._layers_changed),
            (scene.qa.marks_changed, self._compare),
            (scene.qa.rules_changed, self._on_edit),
            (scene.place.follow_changed, self._on_edit),
        ]

    def _on_edit(self, *_: Any) -> None:
        self._edited()

    def _about_to_go(self, *_: Any) -> None:
        self._removing()

    def _layers_changed(self, *_: Any) -> None:
        self._follow()
        self._compare()

    def _compare(self, *_: Any) -> None:
        """Tell of what has come, gone or moved; that labels are hidden and shown is no edit."""
        scene = self._scene()
        if scene is None:
            return
        there = (
            [id(layer) for layer in scene.volume_layers],
            [id(model) for model in scene.traces.traces],
            [(id(entry), entry.name) for entry in scene.labels.entries],
            [id(layer) for layer in scene.overlays.points.layers],
            # By what was said: in which slice of which trace that lies is found out in time.
            frozenset(mark.said for mark in scene.qa.saved_marks()),
        )
        before, self._there = self._there, there
        if there != before:
            self._edited()

    def _labels_changed(self, *_: Any) -> None:
        self._labels_seen()
        self._layers_changed()

    def _follow(self) -> None:
        """Listen to what is there now, and no more to what has gone."""
        scene = self._scene()
        if scene is None:
            return
        traces = scene.traces.traces
        for model in self._models:
            if model not in traces:
                model.changed.disconnect(self._on_edit)
        for model in traces:
            if model not in self._models:
                model.changed.connect(self._on_edit)
        self._models = list(traces)

        wanted: list[tuple[Layer, tuple[str, ...]]] = [(x, _LOOK) for x in scene.volume_layers]
        for model in traces:
            layer = scene.traces.layer_of(model)
            if layer is not None:
                wanted.append((layer, ("name", "visible")))
        for entry in scene.labels.entries:
            if entry.layer is not None:
                wanted.append((entry.layer, _LABELS_LOOK))
        wanted += [(layer, _POINTS) for layer in scene.overlays.points.layers]
        known = {id(layer) for layer, _ in self._layers}
        still = {id(layer) for layer, _ in wanted}
        for layer, names in self._layers:
            if id(layer) not in still:
                _disconnect(layer, names, self._on_edit)
        for layer, names in wanted:
            if id(layer) not in known:
                for name in names:
                    if name in layer.events:
                        layer.events[name].connect(self._on_edit)
        self._layers = wanted


def _disconnect(layer: Layer, names: tuple[str, ...], slot: Callable[..., object]) -> None:
    for name in names:
        if name in layer.events:
            layer.events[name].disconnect(slot)
