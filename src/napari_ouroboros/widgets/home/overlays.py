"""Labels of the straightened space, shown in the original while they are painted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene.scene import Scene


class HomeOverlays:
    """A streamed layer in the main viewer for each labels of ``scene.labels``.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)

    def close(self) -> None:
        """Take the layers away and compute nothing more."""
