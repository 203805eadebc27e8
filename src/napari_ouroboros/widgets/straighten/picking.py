"""Ids picked by a click on a label, in the volume or in its straightened view. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.widgets.straighten.straight_layer import kind_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_ouroboros.widgets.straighten.live_preview import LivePreview

# Canvas pixels that the mouse may move in a click.
_CLICK = 3.0


class PickByClick:
    """While it is on, a plain click on a label toggles its id in the picked ones.

    Parameters
    ----------
    preview : LivePreview
    """

    def __init__(self, preview: LivePreview) -> None:
        self._preview = preview
        self._viewers: list[ViewerModel] = []

    def set_on(self, on: bool) -> None:
        """Begin or stop to look at clicks."""
        for viewer in self._viewers:
            if self._pressed in viewer.mouse_drag_callbacks:
                viewer.mouse_drag_callbacks.remove(self._pressed)
        self._viewers = []
        if on:
            scene = self._preview.scene
            self._viewers = [scene.viewer, scene.straight]
            for viewer in self._viewers:
                viewer.mouse_drag_callbacks.append(self._pressed)

    def _pressed(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        active = viewer.layers.selection.active
        if active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom":
            return  # another tool is in the hand
        if event.button != 1 or event.modifiers:
            return
        start = np.asarray(event.pos, float)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, float) - start).max() > _CLICK:
                return
            yield
        self.pick(viewer, event)

    def pick(self, viewer: ViewerModel, event: Any) -> None:
        """Toggle the id of the topmost visible label under the mouse."""
        for shown in reversed(self._preview.shown):
            if not shown.source.labels:
                continue
            straight = viewer is self._preview.scene.straight
            layer = shown.layer if straight else shown.volume_layer
            if layer.visible:
                label = _label_at(layer, event)
                # What was picked away in the straightened view can be had back in the volume.
                if label:
                    shown.source.picks.toggle(label)
                    return


def _label_at(layer: Layer, event: Any) -> int:
    value = layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    if isinstance(value, tuple):  # multiscale: (level, value)
        value = value[1]
    return 0 if value is None or kind_of(layer) != "labels" else int(value)
