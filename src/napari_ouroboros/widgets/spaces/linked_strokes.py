"""What is painted in the straightened view is brought into sight in the volume. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.widgets.spaces.display import shown
from napari_ouroboros.widgets.spaces.linked_slices import show_point
from napari_ouroboros.widgets.spaces.soon import Soon

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.volumes.labels.label_changes import Change
    from napari_ouroboros.widgets.labels import StraightLabels
    from napari_ouroboros.widgets.scene import Scene

#: Tools of napari's that write labels where the mouse is.
_PAINTING = ("paint", "erase", "fill")
#: This one asks for many clicks, and writes at a double click or a key.
_OUTLINING = "polygon"
#: Voxels, or boxes, of a stroke that are looked up, about.
_MOST = 500


class LinkedStrokes:
    """With "follow" on the volume shows a plane through each stroke, once that is done.

    It stays where some of the stroke lies in the shown plane. Only the mouse on the straightened
    canvas makes a stroke: what is computed, undone, or painted in another window moves nothing.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        #: Labels that are being painted in, and what has been told of it.
        self._painting: StraightLabels | None = None
        self._told: list[Change] = []
        #: The layer in which a polygon has been begun.
        self._outlined: Labels | None = None
        self._end_soon = Soon(scene.deliver, self._end)
        scene.straight.mouse_drag_callbacks.append(self._pressed)
        scene.labels.painted.connect(self._painted)

    def close(self) -> None:
        """Stop listening."""
        self._end_soon.close()
        self._outline(None)
        self._scene.straight.mouse_drag_callbacks.remove(self._pressed)
        self._scene.labels.painted.disconnect(self._painted, missing_ok=True)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:
        layer = self._scene.straight.layers.selection.active
        mode = str(getattr(layer, "mode", ""))
        outlines = mode == _OUTLINING
        self._outline(layer if outlines else None)
        paints = mode in _PAINTING
        self._painting, self._told = self._scene.labels.entry_of(layer) if paints else None, []
        if outlines:
            return
        yield
        while event.type == "mouse_move":
            yield
        # What has been written by now is told before.
        self._end_soon.request()

    def _outline(self, layer: Labels | None) -> None:
        """Wait for the polygon in a layer; None: for no polygon."""
        if layer is self._outlined:
            return
        if self._outlined is not None:
            self._outlined.events.paint.disconnect(self._filled)
        self._outlined = layer
        if layer is not None:
            layer.events.paint.connect(self._filled)

    def _filled(self, event: Any) -> None:
        """A polygon is complete; napari says so before it writes what is in it."""
        self._outline(None)
        if str(event.source.mode) == _OUTLINING:
            self._painting, self._told = self._scene.labels.entry_of(event.source), []
            self._scene.deliver(self._end_soon.request)  # after what is written now is told

    def _painted(self, entry: StraightLabels, change: Change) -> None:
        if entry is self._painting:
            self._told.append(change)

    def _end(self) -> None:
        entry, told = self._painting, self._told
        self._painting, self._told = None, []
        volume, viewer = self._scene.reference, self._scene.viewer
        if entry is None or not told or volume is None or not self._scene.place.follow:
            return
        grid = volume.levels[0]
        plane = shown(viewer, grid)
        if plane.axis is None:
            return
        nm = entry.map.to_volume(np.concatenate([_samples(change) for change in told]))
        away = grid.to_index(nm)[:, plane.axis] - plane.at
        if away.min() > 0.5 or away.max() < -0.5:
            middle = np.linalg.norm(nm - nm.mean(axis=0), axis=1).argmin()
            show_point(viewer, nm[middle])


def _samples(change: Change) -> NDArray[np.float64]:
    """Some (n, 3) of what was written: (slice, row, column)."""
    if change.indices is None:
        # Of each box the corners, which say how far it reaches, and what is between them.
        axes = [[(low, (low + high - 1) / 2, high - 1) for low, high in b] for b in change.parts]
        return np.array([point for three in axes[:_MOST] for point in product(*three)], float)
    every = -(-len(change.indices[0]) // _MOST)
    return np.stack([axis[::every] for axis in change.indices], 1).astype(np.float64)
