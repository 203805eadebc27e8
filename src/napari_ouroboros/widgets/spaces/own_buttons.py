"""Layer controls whose buttons act on their own layer, not on the window's active one."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractButton, QRadioButton, QWidget

#: What napari's buttons do to a layer, by the name that they have for their picture.
_ACTS = {
    "delete_shape": "remove_selected",
    "move_front": "move_to_front",
    "move_back": "move_to_back",
}
_NORMALS = {"z_button": (1, 0, 0), "y_button": (0, 1, 0), "x_button": (0, 0, 1)}
#: Property of a panel that has been seen to.
_SEEN = "napari-ouroboros own buttons"


class OwnButtons:
    """Lets the buttons in the second canvas' layer controls act on the layer that they belong to.

    napari's actions ask for the active layer of the current viewer, which is the volume's: the
    brush there is an error, and the bin deletes points of the trace.

    Parameters
    ----------
    viewer : ViewerModel
        The second canvas' own.
    controls : QStackedWidget
        Where napari puts the controls of each layer.
    """

    def __init__(self, viewer: ViewerModel, controls: Any) -> None:
        self._viewer, self._controls = viewer, controls
        controls.currentChanged.connect(self._see_to_all)
        self._see_to_all()

    def close(self) -> None:
        """Stop following."""
        self._controls.currentChanged.disconnect(self._see_to_all)

    def _see_to_all(self, _index: int = 0) -> None:
        for panel in map(self._controls.widget, range(self._controls.count())):
            if getattr(panel, "layer", None) is not None and not panel.property(_SEEN):
                panel.setProperty(_SEEN, True)
                self._see_to(panel, panel.layer)

    def _see_to(self, panel: QWidget, layer: Any) -> None:
        for button in panel.findChildren(QAbstractButton):
            name = button.property("mode")
            if isinstance(button, QRadioButton) and name:
                button.clicked.disconnect()  # it sets its layer's mode when it is checked
            elif name in _ACTS and hasattr(layer, _ACTS[name]):
                _use(button, getattr(layer, _ACTS[name]))
        for row in panel.findChildren(QWidget):
            if hasattr(row, "oblique_button"):
                for name, normal in _NORMALS.items():
                    _use(getattr(row, name), partial(setattr, layer.plane, "normal", normal))
                _use(row.oblique_button, partial(self._face, layer))

    def _face(self, layer: Any) -> None:
        """Turn a layer's plane to whoever looks."""
        if self._viewer.dims.ndisplay == 3:
            away = self._viewer.scene.camera.view_direction
            layer.plane.normal = layer._world_to_displayed_data_normal(away, [-3, -2, -1])


def _use(button: QAbstractButton, act: Any) -> None:
    button.clicked.disconnect()
    button.clicked.connect(lambda: act())
