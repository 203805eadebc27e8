"""Scale bar and named axes of a canvas: there as soon as there is something to measure. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: napari's picture of the axes has room for three letters; a layer's own axes keep their names.
_SHORT = {"column": "col"}


class ScaleAndAxes:
    """Shows both in a canvas with the first layer, and takes them away with the last.

    In between they are the user's: what is switched off stays off.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._shown = False
        axes = viewer.canvas.overlays.axes
        axes.labels = True
        axes.box = False
        viewer.layers.events.inserted.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)
        viewer.dims.events.axis_labels.connect(self._shorten)
        self._follow()
        self._shorten()

    def close(self) -> None:
        """Leave everything as it is now."""
        self._viewer.layers.events.inserted.disconnect(self._follow)
        self._viewer.layers.events.removed.disconnect(self._follow)
        self._viewer.dims.events.axis_labels.disconnect(self._shorten)

    def _follow(self, _event: Any = None) -> None:
        overlays = self._viewer.canvas.overlays
        anything = bool(self._viewer.layers)
        if anything != self._shown or not anything:
            self._shown = anything
            overlays.scale_bar.visible = overlays.axes.visible = anything

    def _shorten(self, _event: Any = None) -> None:
        dims = self._viewer.dims
        short = tuple(_SHORT.get(label, label) for label in dims.axis_labels)
        if short != dims.axis_labels:
            dims.axis_labels = short
