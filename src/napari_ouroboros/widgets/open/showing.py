"""What was prepared is added to a viewer, step by step, so that the window goes on in between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.streaming import add_layers
from napari_ouroboros.widgets.trace.layer_keys import look_at

if TYPE_CHECKING:
    from napari_ouroboros.layers import LayerData
    from napari_ouroboros.widgets.open.preparing import Ready
    from napari_ouroboros.widgets.scene import Scene


def steps(scene: Scene, ready: Ready) -> list[Callable[[], object]]:
    """Return what is to be done one after the other in the GUI thread.

    One layer each: napari needs 0.2 s for one.
    """
    if not ready.layers and scene.reference is None:
        raise UserError("tick a volume, too: a trace needs one to lie in")
    todo: list[Callable[[], object]] = []
    for layer in ready.layers:
        todo.append(partial(_add, scene, layer))
    for name, points in ready.traces:
        todo.append(partial(scene.traces.new, points, name))
    todo.append(lambda: _finish(scene, ready))
    return todo


def _add(scene: Scene, layer: LayerData) -> None:
    add_layers(scene.viewer, [layer])


def _finish(scene: Scene, ready: Ready) -> None:
    viewer = scene.viewer
    map_ = ready.found.map
    if map_ is not None:
        model = scene.traces.active if ready.traces else None
        if model is not None:
            model.set_closed(map_.trace.closed)
            model.set_tolerance(map_.trace.tolerance_nm)
            model.set_up(map_.up)
            for s_nm, degrees in map_.twist or ():
                model.set_keyframe(float(s_nm), float(degrees))
        settings = scene.settings
        settings.width, settings.height = map_.width, map_.height
        settings.pitch_nm, settings.spacing_nm = map_.pitch_nm, map_.spacing_nm
        settings.adaptive_radius_nm = map_.adaptive_radius_nm
    if ready.position_nm is not None and viewer.dims.ndim >= 3:
        look_at(viewer, ready.position_nm)
