"""Layers of labels put into the straightened space and taken out of it, with nothing else moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels


class Showing:
    """Puts layers into a viewer; selection and camera stay what they are.

    Parameters
    ----------
    straight : ViewerModel

    Attributes
    ----------
    moving : bool
        A layer comes or goes just now, and it is not the user who removes it.
    """

    def __init__(self, straight: ViewerModel) -> None:
        self._straight = straight
        self.moving = False

    def show(self, layer: Labels) -> None:
        """Add a layer above images and labels, below what we draw."""
        from napari.layers import Image
        from napari.layers import Labels as LabelsLayer

        from napari_ouroboros.widgets.spaces.helper_layer import add_quietly

        layers = self._straight.layers
        places = [i for i, x in enumerate(layers) if isinstance(x, Image | LabelsLayer)]
        self.moving = True
        try:
            add_quietly(self._straight, layer, max(places, default=-1) + 1)
        finally:
            self.moving = False

    def park(self, layer: Labels) -> None:
        """Take a layer out; it keeps its look and its history."""
        self.moving = True
        try:
            self._straight.layers.remove(layer)
        finally:
            self.moving = False
