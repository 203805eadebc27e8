"""The status bar's hint of keys is that of the space in front: layers differ in their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QMainWindow

if TYPE_CHECKING:
    from napari.components import ViewerModel


class StatusHint:
    """Shows what the active layer of one of two viewer models says of its keys.

    Parameters
    ----------
    window : QMainWindow
        napari's own, whose status bar shows the hint of the first model.
    models : (ViewerModel, ViewerModel)
        The volume's and the straightened one.
    """

    def __init__(self, window: QMainWindow, models: tuple[ViewerModel, ViewerModel]) -> None:
        self._bar: Any = window.statusBar()
        self._models = models
        self._straightened = False
        for model in models:
            # After napari's own, which shows what its viewer says, whichever space is in front.
            model.events.help.connect(self._show, position="last")

    def show_space(self, straightened: bool) -> None:
        """Show the hint of one space from now on."""
        self._straightened = straightened
        self._show()

    def close(self) -> None:
        """Leave the status bar to napari."""
        for model in self._models:
            model.events.help.disconnect(self._show)

    def _show(self, _event: Any = None) -> None:
        self._bar.setHelpText(self._models[self._straightened].help)
