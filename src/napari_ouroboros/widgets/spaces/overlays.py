"""Scale bar and named axes of a canvas: there as soon as there is something to measure. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.background import Deliver

#: napari's picture of the axes has room for three letters; a layer's own axes keep their names.
_SHORT = {"column": "col"}


#: In the order in which they are shown.
_BOTH = ("scale_bar", "axes")


def _at_once(function: Callable[[], None]) -> None:
    function()


class ScaleAndAxes:
    """Shows both in a canvas with the first layer, and takes them away with the last.

    In between they are the user's: what is switched off stays off.

    Parameters
    ----------
    viewer : ViewerModel
    deliver : callable, optional
        Calls a function when the event loop turns: napari needs up to 0.1 s to make each of the
        two, which is not to be added to the layer's own time. Default: at once.
    """

    def __init__(self, viewer: ViewerModel, deliver: Deliver = _at_once) -> None:
        self._viewer = viewer
        self._deliver = deliver
        self._shown = False
        self._closed = False
        axes = viewer.canvas.overlays.axes
        axes.labels = True
        axes.box = False
        brush = viewer.canvas.overlays.get("_brush_circle")
        if brush is not None:
            brush.box = False  # napari leaves it as a black square where the brush was put away
        viewer.layers.events.inserted.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)
        viewer.dims.events.axis_labels.connect(self._shorten)
        self._follow()
        self._shorten()

    def close(self) -> None:
        """Leave everything as it is now."""
        self._closed = True
        self._viewer.layers.events.inserted.disconnect(self._follow)
        self._viewer.layers.events.removed.disconnect(self._follow)
        self._viewer.dims.events.axis_labels.disconnect(self._shorten)

    def _follow(self, _event: Any = None) -> None:
        anything = bool(self._viewer.layers)
        if not anything:
            for name in _BOTH:
                getattr(self._viewer.canvas.overlays, name).visible = False
        elif not self._shown:
            self._later(_BOTH)
        self._shown = anything

    def _later(self, names: tuple[str, ...]) -> None:
        me = ref(self)
        self._deliver(lambda: _show(me, names))

    def _show(self, names: tuple[str, ...]) -> None:
        if self._closed or not self._viewer.layers:
            return
        getattr(self._viewer.canvas.overlays, names[0]).visible = True
        if names[1:]:
            self._later(names[1:])

    def _shorten(self, _event: Any = None) -> None:
        dims = self._viewer.dims
        short = tuple(_SHORT.get(label, label) for label in dims.axis_labels)
        if short != dims.axis_labels:
            dims.axis_labels = short


def _show(overlays: ref[ScaleAndAxes], names: tuple[str, ...]) -> None:
    """Held weakly: what waits for its turn keeps no closed window alive."""
    found = overlays()
    if found is not None:
        found._show(names)
