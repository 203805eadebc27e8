"""What is known of each slice, brought up to date as trace and labels change. No Qt."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.operations.marks import Marks
    from napari_ouroboros.widgets.scene.scene import Scene


class QaModel:
    """Checks and marks of a scene.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    marks : Marks or None
        None: there are no slices.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self.marks: Marks | None = None

    def close(self) -> None:
        """Stop all work."""
