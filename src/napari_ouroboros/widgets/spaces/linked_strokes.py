"""What is painted in the straightened view is brought into sight in the volume. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.widgets.spaces.display import shown
from napari_ouroboros.widgets.spaces.linked_slices import show_point

if TYPE_CHECKING:
    from napari_ouroboros.volumes.labels.label_changes import Change
    from napari_ouroboros.widgets.labels import StraightLabels
    from napari_ouroboros.widgets.scene import Scene

#: Tools of napari's that write labels.
_PAINTING = ("paint", "erase", "fill", "polygon")
#: Voxels, or boxes, of a stroke that are looked up, about.
_MOST = 500


class LinkedStrokes:
    """With "follow" on the volume shows a plane through each stroke; it moves once a stroke.

    It stays where some of what is painted first lies in the shown plane. Only a press of the mouse
    on the straightened canvas begins a stroke: what is computed, undone, or painted in another
    window moves nothing.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        #: Labels in which a stroke has begun, until the first of it has been painted.
        self._begun: StraightLabels | None = None
        scene.straight.mouse_drag_callbacks.append(self._pressed)
        scene.labels.painted.connect(self._painted)

    def close(self) -> None:
        """Stop listening."""
        self._scene.straight.mouse_drag_callbacks.remove(self._pressed)
        self._scene.labels.painted.disconnect(self._painted, missing_ok=True)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:
        layer = self._scene.straight.layers.selection.active
        paints = str(getattr(layer, "mode", "")) in _PAINTING
        self._begun = self._scene.labels.entry_of(layer) if paints else None
        yield

    def _painted(self, entry: StraightLabels, change: Change) -> None:
        if entry is not self._begun:
            return
        self._begun = None
        volume, viewer = self._scene.reference, self._scene.viewer
        if volume is None or not self._scene.place.follow:
            return
        grid = volume.levels[0]
        plane = shown(viewer, grid)
        if plane.axis is None:
            return
        nm = entry.map.to_volume(_samples(change))
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
