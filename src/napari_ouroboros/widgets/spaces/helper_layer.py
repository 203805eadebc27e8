"""A layer that we draw with: it takes no selection, and what the user does to it is respected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Vectors
from psygnal import Signal

from napari_ouroboros.layers import space

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.geometry.grid import Grid


def is_helper(layer: Layer) -> bool:
    """Whether a layer is one that we draw with."""
    return bool(layer.metadata.get("napari-ouroboros", {}).get("helper"))


def add_quietly(viewer: ViewerModel, layer: Layer, index: int | None = None) -> None:
    """Add a layer on top, or at `index`; selection and active layer stay, without an event."""
    selection = viewer.layers.selection
    before = set(selection)
    with selection.events.blocker_all():
        viewer.layers.insert(len(viewer.layers) if index is None else index, layer)
        selection.clear()
        selection.update(before)


class HelperLayer:
    """One Vectors layer in a viewer: made when first drawn, gone when the user removes it.

    Parameters
    ----------
    viewer : ViewerModel
    name : str
    options : dict
        Of the layer.
    """

    #: The user has removed the layer, or it has come back.
    wanted_changed = Signal(bool)

    def __init__(self, viewer: ViewerModel, name: str, **options: Any) -> None:
        self._viewer = viewer
        self._name, self._options = name, options
        self._wanted = True
        self._ours = False
        self._grid: Grid | None = None
        self.layer: Vectors | None = None
        viewer.layers.events.removed.connect(self._removed)

    @property
    def wanted(self) -> bool:
        """Whether it is drawn. Removing the layer is as good as setting this to False."""
        return self._wanted

    @wanted.setter
    def wanted(self, value: bool) -> None:
        if value != self._wanted:
            self._wanted = value
            if not value:
                self.remove()
            self.wanted_changed.emit(value)

    def draw(self, grid: Grid, vectors: Any, colours: Any = None, width: float = 1.0) -> None:
        """Show vectors (n, 2, 3), zyx in voxels of `grid`, that lie within it.

        Parameters
        ----------
        grid : Grid
            The finest level: its scale, so that the sliders keep their steps.
        colours : array (n, 4), optional
            None: as they were.
        width : float
            In voxels.
        """
        if not self._wanted:
            return
        if self.layer is None:
            self._grid = grid
            layer = Vectors(
                np.array(vectors, np.float64),  # ours to write into
                name=self._name,
                **{**space(grid), "axis_labels": self._viewer.layers.axis_labels[-3:]},
                edge_color="yellow" if colours is None else colours,
                edge_width=width,
                vector_style="line",
                metadata={"napari-ouroboros": {"helper": True}},
                **self._options,
            )
            self.layer = layer
            add_quietly(self._viewer, layer)
            return
        layer = self.layer
        before, self._grid = self._grid, grid
        moved = before is not None and not _same_place(before, grid)
        if moved:
            place = space(grid)
            layer.scale, layer.translate = place["scale"], place["translate"]
        if len(vectors) == len(layer.data):
            # In place: napari's own way draws a thumbnail (25 us a vector) and asks for all
            # layers' extents again, at every step of a slider.
            layer.data[...] = vectors
            if colours is not None:
                layer.edge_color[...] = colours
            layer.refresh(extent=moved, thumbnail=False, highlight=False)
        else:
            layer.data = vectors
            if colours is not None:
                layer.edge_color = colours
        if abs(width - layer.edge_width) > 0.1 * width:
            layer.edge_width = width

    @property
    def visible(self) -> bool:
        """Whether there is a layer to be seen."""
        return self.layer is not None and bool(self.layer.visible)

    @visible.setter
    def visible(self, value: bool) -> None:
        if self.layer is not None and bool(self.layer.visible) != value:
            self.layer.visible = value

    def remove(self) -> None:
        """Take the layer away until it is drawn again."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._ours = True
            self._viewer.layers.remove(layer)
            self._ours = False

    def close(self) -> None:
        """Take the layer away for good."""
        self._viewer.layers.events.removed.disconnect(self._removed)
        self.remove()

    def _removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.layer = None
            if not self._ours:
                self.wanted = False


def _same_place(a: Grid, b: Grid) -> bool:
    return a.resolution == b.resolution and a.voxel_offset == b.voxel_offset
