"""File > Open Sample: the whole scene of the demo nerve, made in the background."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ouroboros.layers import LayerData

_OURS = "napari-ouroboros"


def open_demo_scene() -> list[LayerData]:
    """Arrange all docks and open the demo nerve in them; return a layer that stands for it.

    napari wants layers at once. The nerve takes half a minute the first time, and is opened in
    the dock with progress and Cancel; the layer returned goes as soon as the docks are there.
    """
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        from napari_ouroboros.errors import UserError

        raise UserError("the demo scene needs a window; open the other sample for its layers")
    from napari_ouroboros.widgets.scene import scene_of

    mark = object()
    reference = weakref.ref(viewer)
    # When napari has added the layer.
    scene_of(viewer).deliver(lambda: _open(reference, mark))
    meta = {
        "name": "the demo nerve is being opened",
        "ndim": 3,
        "units": ("nm",) * 3,
        "metadata": {_OURS: {"stands for": mark}},
    }
    return [(np.empty((0, 3)), meta, "points")]


def _open(viewer: weakref.ref[Viewer], mark: object) -> None:
    from napari_ouroboros.widgets.open.dock import OpenDock
    from napari_ouroboros.widgets.spaces import arrange

    shown = viewer()
    if shown is None:
        return
    _remove(shown, mark)
    docks = arrange(shown)
    for dock in docks:
        for found in dock.findChildren(OpenDock):
            found.open_demo()
            return


def _remove(viewer: Any, mark: object) -> None:
    for layer in list(viewer.layers):
        if layer.metadata.get(_OURS, {}).get("stands for") is mark:
            viewer.layers.remove(layer)
