"""The straightened layers in a napari window of their own: where any plugin can work on them."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.qt import QtViewer
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_ouroboros.widgets.spaces.canvas import look_away
from napari_ouroboros.widgets.spaces.closing import on_window_closed
from napari_ouroboros.widgets.spaces.helper_layer import is_helper
from napari_ouroboros.widgets.spaces.overlays import ScaleAndAxes
from napari_ouroboros.widgets.spaces.own_context import keep_window_to_own_context
from napari_ouroboros.widgets.spaces.taking_back import TakingBack
from napari_ouroboros.widgets.spaces.twin_layers import TwinLayers, twin_of
from napari_ouroboros.widgets.straighten import shown_by

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_ouroboros.widgets.labels import StraightLabels
    from napari_ouroboros.widgets.scene import Scene


def open_in_window(scene: Scene, show: bool = True) -> Viewer:
    """Open a second napari window on the straightened layers, over the same arrays.

    Layers that come later come there as well; removing one there leaves it here. Edits show in
    both. Labels of the same size that a plugin adds there are taken back here.
    """
    import napari

    viewer = napari.Viewer(title="Straightened", show=False)
    look_away(viewer)
    window = window_of(viewer)
    overlays = ScaleAndAxes(viewer)
    keep_window_to_own_context(window)
    link = _Link(scene, viewer, window)
    for layer in scene.straight.layers:
        link.add(layer)
    on_window_closed(window, viewer, link.close)
    overlays.close()  # from here on they are the user's
    viewer.dims.set_point(range(viewer.dims.ndim), scene.straight.dims.point[-viewer.dims.ndim :])
    if show:
        viewer.window.show()
    return viewer


def window_of(viewer: Any) -> QMainWindow:
    """The main window of a viewer."""
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, QMainWindow) and widget.centralWidget() is not None:
            view = widget.centralWidget().findChild(QtViewer)
            if view is not None and view.viewer is viewer:
                return widget
    raise RuntimeError("this viewer has no window")


class _Link(QObject):
    """Twins of all layers of the straightened space; lives with the second window."""

    def __init__(self, scene: Scene, viewer: Viewer, window: QMainWindow) -> None:
        super().__init__(window)
        self._scene = weakref.ref(scene)
        self._deliver, self._book = scene.deliver, scene.labels
        self._straight = scene.straight
        self._viewer: Viewer | None = viewer
        self._twins: list[tuple[Layer, Layer, TwinLayers]] = []
        self._labels: dict[Layer, StraightLabels] = {}
        self._taking = TakingBack(scene, viewer)
        self._straight.layers.events.inserted.connect(self._inserted)
        self._book.changed.connect(self._labels_changed)
        self._book.jobs.changed.connect(self._allow_brushes)

    def add(self, layer: Layer) -> None:
        if self._viewer is None or is_helper(layer) or layer not in self._straight.layers:
            return
        entry = self._book.entry_of(layer)
        if entry is not None and entry.layer is not None:
            layer = entry.layer  # in 3D another one may stand in for it
        if self._taking.has(layer) or any(layer is known for known, *_ in self._twins):
            return
        scene = self._scene()
        shown = None if scene is None else shown_by(scene, layer)
        twin = twin_of(layer, shown)
        self._taking.leave(twin)
        self._viewer.add_layer(twin)
        self._twins.append((layer, twin, TwinLayers(layer, twin, self._deliver, shown)))
        if entry is not None:
            self._labels[layer] = entry
            self._taking.pair(twin, entry)
            self._allow_brushes()

    def close(self) -> None:
        self._straight.layers.events.inserted.disconnect(self._inserted)
        self._book.changed.disconnect(self._labels_changed, missing_ok=True)
        self._book.jobs.changed.disconnect(self._allow_brushes, missing_ok=True)
        self._taking.close()
        for _, _, twins in self._twins:
            twins.close()
        self._twins.clear()
        self._viewer = None

    def _inserted(self, event: Any) -> None:
        # What was taken back from there is known by then, and needs no second layer there.
        self._deliver(partial(self.add, event.value))

    def _allow_brushes(self, _job: str = "") -> None:
        """Nobody paints in labels that are filled in: cancelled, that stroke would go as well."""
        for layer, twin, _ in self._twins:
            if layer in self._labels:
                twin.editable = self._labels[layer] is not self._book.filling

    def _labels_changed(self) -> None:
        """Labels of an earlier trace do not lie on these slices; other layers stay there."""
        for found in list(self._twins):
            layer, twin, twins = found
            if layer in self._labels and self._labels[layer].layer is not layer:
                twins.close()
                self._twins.remove(found)
                del self._labels[layer]
                self._taking.unpair(twin)
                if self._viewer is not None and twin in self._viewer.layers:
                    self._viewer.layers.remove(twin)
