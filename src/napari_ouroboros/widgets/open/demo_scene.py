"""File > Open Sample: the demo nerve, made in the background; as layers, or with all docks."""

from __future__ import annotations

import weakref
from collections.abc import Callable
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
    return stand_in(viewer, _arranged)


def demo_nerve() -> list[LayerData]:
    """Return an image of the demo nerve, the true labels of its fascicles, and its trace.

    Where it has to be made first, the Open dock does that, with progress and Cancel.
    """
    import napari

    from napari_ouroboros.operations.demo.kept import demo_nerve_state, kept_state

    viewer = napari.current_viewer()
    if viewer is None:
        from napari_ouroboros.reader import read_state_layers

        return read_state_layers(str(demo_nerve_state()))
    state = kept_state()
    if not state.is_file():
        return stand_in(viewer, _alone)
    from napari_ouroboros.widgets.streaming.opening import get_reader

    read = get_reader(str(state))
    assert read is not None
    return read(str(state))


def stand_in(
    viewer: Viewer, open_in: Callable[[Any], None], name: str = "the demo nerve is being opened"
) -> list[LayerData]:
    """Have something opened in a dock as soon as napari has added the layer that is returned."""
    from napari_ouroboros.widgets.scene import scene_of

    mark = object()
    reference = weakref.ref(getattr(viewer, "__wrapped__", viewer))
    scene_of(viewer).deliver(lambda: _open(reference, mark, open_in))
    meta = {
        "name": name,
        "ndim": 3,
        "units": ("nm",) * 3,
        "metadata": {_OURS: {"stands for": mark}},
    }
    return [(np.empty((0, 3)), meta, "points")]


def _open(viewer: weakref.ref[Viewer], mark: object, open_in: Callable[[Any], None]) -> None:
    shown = viewer()
    if shown is not None:
        _remove(shown, mark)
        open_in(shown)


def _arranged(viewer: Any) -> None:
    from napari_ouroboros.widgets.open.dock import OpenDock
    from napari_ouroboros.widgets.spaces import arrange_softly

    def open_(docks: list[Any]) -> None:
        for found in (found for dock in docks for found in dock.findChildren(OpenDock)):
            found.open_demo()

    arrange_softly(viewer, open_)


def _alone(viewer: Any) -> None:
    from napari_ouroboros.widgets.open.dock import OpenDock

    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, OpenDock):
            widget.open_demo()
            return
    _, made = viewer.window.add_plugin_dock_widget(_OURS, "Open a volume")
    if isinstance(made, OpenDock):
        made.open_demo()


def _remove(viewer: Any, mark: object) -> None:
    for layer in list(viewer.layers):
        if layer.metadata.get(_OURS, {}).get("stands for") is mark:
            viewer.layers.remove(layer)
