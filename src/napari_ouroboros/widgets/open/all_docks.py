"""The menu's "Open all, arranged": opens every dock in its place, and is gone again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDockWidget, QWidget

from napari_ouroboros.widgets.scene import scene_of

if TYPE_CHECKING:
    from napari.viewer import Viewer


class AllDocks(QWidget):
    """A widget because napari puts only widgets into a plugin's menu.

    As soon as the event loop turns, napari has docked it; then the docks are arranged, and its
    own dock is taken away, so that the menu's entry arranges them again the next time.

    Parameters
    ----------
    napari_viewer : Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.setMaximumHeight(1)
        viewer = weakref.ref(getattr(napari_viewer, "__wrapped__", napari_viewer))
        widget = weakref.ref(self)
        scene_of(napari_viewer).deliver(lambda: _arrange(viewer, widget))


def _arrange(viewer: weakref.ref[Viewer], widget: weakref.ref[AllDocks]) -> None:
    from napari_ouroboros.widgets.spaces import arrange_softly

    shown = viewer()
    if shown is None:
        return
    own = widget()
    if own is not None and isinstance(own.parentWidget(), QDockWidget):
        # napari takes away docks by what is in them.
        shown.window.remove_dock_widget(own)
    arrange_softly(shown)
