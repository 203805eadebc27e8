"""The second canvas: a `QtViewer` on the straightened space, and its panels for the left column."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from napari.qt import QtViewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QVBoxLayout, QWidget

from napari_ouroboros.widgets.spaces.own_context import keep_to_own_context

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Titles of the second space's panels in the left column.
CONTROLS_TITLE = "straightened: layer controls"
LIST_TITLE = "straightened: layer list"


def look_away(viewer: ViewerModel) -> None:
    """Let depth grow away from whoever looks: napari's default shows xyz data as in a mirror."""
    depth, vertical, horizontal = viewer.scene.camera.orientation
    if str(depth) != "away":
        viewer.scene.camera.orientation = ("away", vertical, horizontal)


def make_canvas(model: ViewerModel) -> QtViewer:
    """A canvas on the straightened space, with list and controls that work on it."""
    view = QtViewer(model)
    keep_to_own_context(view)
    # Before any layer is added: later they raise KeyError. In a dock opened again layers are
    # there already; controls are then made as if none were selected, and told of them.
    selection = model.layers.selection
    before = set(selection)
    selection.clear()
    _ = view.controls, view.layers
    _tell_of_layers(model, view.controls)
    selection.update(before)
    look_away(model)
    # The layers' values under the cursor are read in the GUI thread otherwise, at every move.
    model.cursor.events.position.disconnect(model.update_status_from_cursor)
    return view


def _tell_of_layers(model: ViewerModel, controls: QWidget) -> None:
    """Tell controls of the layers that are there, as if each were inserted now."""
    for callback in model.layers.events.inserted.callbacks:
        owner = callback[0]() if isinstance(callback, tuple) else None
        if owner is controls:
            for layer in model.layers:
                getattr(owner, callback[1])(SimpleNamespace(value=layer))


def _use_model(button: Any, act: Any) -> None:
    """Let a button of napari's act on this canvas: its own action asks for the current viewer."""
    button.clicked.disconnect()
    button.clicked.connect(act)


class LayerPanel(QWidget):
    """Layer list of the second space, with napari's buttons above and below it."""

    def __init__(self, view: QtViewer) -> None:
        super().__init__()
        model = view.viewer
        above, below = view.layerButtons, view.viewerButtons
        _use_model(above.deleteButton, model.layers.remove_selected)
        below.consoleButton.hide()
        _use_model(below.ndisplayButton, lambda: _toggle_3d(model))
        _use_model(below.rollDimsButton, model.dims.roll)
        _use_model(below.transposeDimsButton, model.dims.transpose)
        _use_model(below.resetViewButton, model.reset_view)
        _use_model(below.gridViewButton, lambda: _toggle_grid(model))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 6)
        for widget in (above, view.layers, below):
            layout.addWidget(widget)


def _toggle_3d(model: ViewerModel) -> None:
    model.dims.ndisplay = 5 - model.dims.ndisplay


def _toggle_grid(model: ViewerModel) -> None:
    model.canvas.grid.enabled = not model.canvas.grid.enabled


class SidePanels:
    """The second space's controls and list, as tabs beside napari's own.

    Parameters
    ----------
    window : QMainWindow
    view : QtViewer
        The second canvas.
    """

    def __init__(self, window: QMainWindow, view: QtViewer) -> None:
        self._window = window
        self._ours: list[QDockWidget] = []
        self._theirs: list[QDockWidget] = []
        for title, widget, beside in (
            (CONTROLS_TITLE, view.controls, "layer controls"),
            (LIST_TITLE, LayerPanel(view), "layer list"),
        ):
            dock = QDockWidget(title, window)
            dock.setObjectName(title)
            dock.setFeatures(
                QDockWidget.DockWidgetFeature.DockWidgetMovable
                | QDockWidget.DockWidgetFeature.DockWidgetFloatable
            )
            dock.setWidget(widget)
            window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
            self._ours.append(dock)
            napari = window.findChild(QDockWidget, beside)
            if napari is not None:
                window.tabifyDockWidget(napari, dock)
                self._theirs.append(napari)
        self.show_space(straightened=False)

    def show_space(self, straightened: bool) -> None:
        """Bring the panels of one space to the front."""
        for dock in self._ours if straightened else self._theirs:
            dock.raise_()

    @property
    def straightened_in_front(self) -> bool:
        """Whether the second space's layer list is the one that is seen."""
        return bool(self._ours) and not self._ours[-1].visibleRegion().isEmpty()

    def close(self) -> None:
        """Take the panels out of the window."""
        for dock in self._ours:
            self._window.removeDockWidget(dock)
            dock.deleteLater()
        self._ours, self._theirs = [], []
