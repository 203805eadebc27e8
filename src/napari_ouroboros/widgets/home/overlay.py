"""One labels of the straightened space, streamed into the viewer while they are painted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_ouroboros.layers import array_layers, streamed_levels
from napari_ouroboros.widgets.spaces.helper_layer import add_quietly
from napari_ouroboros.widgets.straighten.links import AppearanceLink
from napari_ouroboros.widgets.streaming import pyramid_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_ouroboros.operations.labels_home import LabelsHome
    from napari_ouroboros.widgets.labels.book import StraightLabels

#: What the two layers of one labels share.
SHARED = (
    "colormap", "opacity", "visible", "contour", "selected_label", "show_selected_label",
)  # fmt: skip


class Overlay:
    """The layer in the viewer, and what ties it to the one that is painted.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    entry : StraightLabels
    home : LabelsHome
        Made for its array and map; closed with this.

    Attributes
    ----------
    layer : Labels
        In the viewer, above the volumes; nobody can paint in it.
    """

    def __init__(self, viewer: ViewerModel, entry: StraightLabels, home: LabelsHome) -> None:
        self.entry, self._home, self._viewer = entry, home, weakref.ref(viewer)
        self._name = entry.name
        self.layer = self._make()
        self._painted: Labels | None = None
        self._link: AppearanceLink | None = None
        self._alike = False  # ever
        self.follow()
        add_streamed(viewer, self.layer, above_volumes(viewer))

    def _make(self) -> Labels:
        from napari.layers import Layer

        pyramid, meta = streamed_levels(self._home.volume, self._name)
        about = {**meta["metadata"]["napari-ouroboros"], "overlay": True}
        meta["metadata"] = {"napari-ouroboros": about}
        ((data, given, kind),) = array_layers(pyramid.levels, meta, "labels")
        layer: Labels = Layer.create(data, given, kind)
        layer.editable = False
        return layer

    def follow(self) -> None:
        """Look like the layer that is painted, and have its name; it may have come or gone."""
        before, self._name = self._name, self.entry.name
        if self._name != before and self.layer.name == before:
            self.layer.name = self._name
        painted = self.entry.layer
        if painted is self._painted:
            return
        self._unlink()
        self._painted = painted
        if painted is not None:
            # What was changed here while the other was away counts.
            first, second = (self.layer, painted) if self._alike else (painted, self.layer)
            self._link = AppearanceLink(first, second, SHARED)
            self._alike = True

    def close(self) -> None:
        """Take the layer away and compute nothing more."""
        self._unlink()
        self._home.close()
        viewer = self._viewer()
        if viewer is not None and self.layer in viewer.layers:
            viewer.layers.remove(self.layer)

    def _unlink(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def add_streamed(viewer: ViewerModel, layer: Layer, index: int) -> None:
    """Add a layer that streams; selection and active layer stay what they are."""
    pyramid = pyramid_of(layer)
    assert pyramid is not None
    # napari would read the finest level first, whatever is visible of it.
    layer.locked_data_level = len(pyramid.levels) - 1
    add_quietly(viewer, layer, index)
    layer.locked_data_level = None


def above_volumes(viewer: ViewerModel) -> int:
    """Above all volumes and what lies on them already, below what we draw and users mark."""
    places = [i for i, layer in enumerate(viewer.layers) if pyramid_of(layer) is not None]
    return max(places, default=-1) + 1
