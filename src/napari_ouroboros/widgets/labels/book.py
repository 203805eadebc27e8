"""The labels of a scene's straightened space: which are shown, which belong to another trace."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.scene.scene import Scene


@dataclass(eq=False)
class StraightLabels:
    """Labels and the recipe that they were made in.

    Attributes
    ----------
    array : LabelArray
    map : Straightening
        With every length settled and its frames made.
    name : str
    layer : Labels or None
        In ``scene.straight``; None: parked, since the slices shown are those of another map.
    """

    array: LabelArray
    map: Straightening
    name: str
    layer: Labels | None = field(default=None)


class LabelsBook:
    """All labels of a scene's straightened space.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    """

    #: Labels have come, gone, been parked, shown again, or renamed. In the GUI thread.
    changed = Signal()
    #: Labels have been written to: ``(entry, change)``; in the GUI thread.
    painted = Signal(object, object)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self.entries: list[StraightLabels] = []

    @property
    def active(self) -> StraightLabels | None:
        """The labels that are painted, measured and checked."""
        return self.entries[-1] if self.entries else None

    def add(self, array: LabelArray, map_: Straightening, name: str) -> StraightLabels:
        """Add labels with the map that they were made in."""
        entry = StraightLabels(array, map_, name)
        self.entries.append(entry)
        self.changed.emit()
        return entry

    def remove(self, entry: StraightLabels) -> None:
        """Remove labels from the window; what was painted stays on the disk."""
        self.entries.remove(entry)
        self.changed.emit()

    def close(self) -> None:
        """Stop listening."""
