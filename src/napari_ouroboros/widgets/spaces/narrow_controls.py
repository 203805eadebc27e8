"""Layer controls that leave the canvases their width."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.QtWidgets import QComboBox, QWidget

#: Letters that a list keeps room for.
_LETTERS = 12


class NarrowControls:
    """Lets the lists to choose from in a viewer's layer controls be narrower than their texts.

    A pyramid's list of levels alone makes napari's left column 384 pixels wide, and of 1366 there
    are none left for two canvases.

    Parameters
    ----------
    viewer : ViewerModel
    controls : QWidget
        Where napari puts the controls of each layer.
    """

    def __init__(self, viewer: ViewerModel, controls: QWidget) -> None:
        self._viewer, self._controls = viewer, controls
        # After napari has made the controls, and before they are laid out.
        viewer.layers.events.inserted.connect(self._narrow, position="last")
        self._narrow()

    def close(self) -> None:
        """Stop following."""
        self._viewer.layers.events.inserted.disconnect(self._narrow)

    def _narrow(self, _event: Any = None) -> None:
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        for box in self._controls.findChildren(QComboBox):
            # Not those of fixed choices, made by subclasses: they are narrow by themselves.
            if type(box) is QComboBox and box.sizeAdjustPolicy() != policy:
                box.setSizeAdjustPolicy(policy)
                box.setMinimumContentsLength(_LETTERS)
