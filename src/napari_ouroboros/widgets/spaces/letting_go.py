"""A model that outlives its canvas: nothing of the canvas may hear of it any more. No Qt.

napari's own viewers end together with their windows, and their widgets never disconnect: those
of a closed canvas raise at the next change of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from napari.components import ViewerModel

_SHOWS = ("napari._qt", "napari._vispy", "vispy")


def let_go(model: ViewerModel) -> None:
    """Disconnect every widget and visual of napari's from a model, its parts and its layers."""
    for overlays in (model.canvas.overlays, model.scene.overlays):
        for overlay in overlays.values():
            # Scale bar, axes and the like have psygnal's signals, and nobody listens to them but
            # the canvas.
            for signal in overlay.events.signals.values():
                signal.disconnect()
    for group in _groups(model):
        for emitter in (group, *group.emitters.values()):
            # Emitters are made when they are first asked for.
            for callback in list(emitter.callbacks) if emitter is not None else ():
                if _module(callback).startswith(_SHOWS):
                    emitter.disconnect(callback)


def _groups(model: ViewerModel) -> Iterator[Any]:
    parts = [
        model, model.layers, model.layers.selection, model.dims, model.cursor, model.tooltip,
        model.scene, model.scene.camera, model.scene.overlays, model.canvas, model.canvas.grid,
        model.canvas.overlays, model.canvas.overlay_tiling, *model.layers,
    ]  # fmt: skip
    for part in parts:
        yield part.events


def _module(callback: Any) -> str:
    """Where what is called was written."""
    if isinstance(callback, tuple):  # a method: its owner, weakly, and its name
        owner = callback[0]() if isinstance(callback[0], ref) else callback[0]
        return str(type(owner).__module__)
    return str(getattr(getattr(callback, "func", callback), "__module__", ""))
