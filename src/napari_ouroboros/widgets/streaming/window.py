"""A real window: the sign in its status bar, and the end of everything when it is closed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMainWindow

from napari_ouroboros.widgets.controls.ending import calls_at_end
from napari_ouroboros.widgets.streaming.sign import LoadingSign

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.streaming.watching import Watcher


def main_window(viewer: ViewerModel) -> QMainWindow | None:
    """The main window of a viewer; None: it has none, or none any more."""
    menu = getattr(getattr(viewer, "window", None), "file_menu", None)
    found = None if menu is None else menu.parentWidget()
    return found if isinstance(found, QMainWindow) else None


def furnish(viewer: ViewerModel, watcher: Watcher) -> None:
    """Put a sign into the window of a viewer, and close its watcher with the window."""
    window = main_window(viewer)
    if window is None:
        return
    sign = LoadingSign(watcher, window)
    window.statusBar().addPermanentWidget(sign)
    reference = weakref.ref(watcher)

    def end() -> None:
        watcher = reference()
        if watcher is not None:
            watcher.close()

    calls_at_end(window).append(end)
