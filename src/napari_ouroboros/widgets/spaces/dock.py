"""The dock of the straightened view: second canvas, strip below it, position at the bottom."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QSizePolicy, QVBoxLayout, QWidget

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.scene.warm import when_warm
from napari_ouroboros.widgets.spaces.canvas import (
    SidePanels,
    look_away,
    make_canvas,
)
from napari_ouroboros.widgets.spaces.canvas_over_strip import CanvasOverStrip, StripSection
from napari_ouroboros.widgets.spaces.closing import on_window_closed
from napari_ouroboros.widgets.spaces.labels_offer import LabelsOffer
from napari_ouroboros.widgets.spaces.layer_menu import LayerMenu
from napari_ouroboros.widgets.spaces.letting_go import let_go
from napari_ouroboros.widgets.spaces.linked_spaces import LinkedSpaces
from napari_ouroboros.widgets.spaces.narrow_controls import NarrowControls
from napari_ouroboros.widgets.spaces.offer import Offer
from napari_ouroboros.widgets.spaces.overlays import ScaleAndAxes
from napari_ouroboros.widgets.spaces.own_buttons import OwnButtons
from napari_ouroboros.widgets.spaces.own_context import keep_window_to_own_context
from napari_ouroboros.widgets.spaces.place_cameras import PlaceCameras
from napari_ouroboros.widgets.spaces.position_bar import PositionBar
from napari_ouroboros.widgets.spaces.room import Room
from napari_ouroboros.widgets.spaces.second_window import open_in_window
from napari_ouroboros.widgets.spaces.status_hint import StatusHint

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Title of the dock, as in the plugin's menu.
TITLE = "Straightened view"

_TURN_DEPTH = "Depth away from you in the volume's 3D view"
_TURN_TOOLTIP = "Let depth grow away from you in the volume's 3D view, as left and right are then."
_MIRROR = "In 3D napari shows this volume as in a mirror."

_open: WeakKeyDictionary[ViewerModel, ReferenceType[StraightDock]] = WeakKeyDictionary()


def dock_of(viewer: ViewerModel) -> StraightDock | None:
    """The open straightened view of a viewer."""
    reference = _open.get(getattr(viewer, "__wrapped__", viewer))
    return None if reference is None else reference()


class StraightDock(QWidget):
    """The straightened view of a napari viewer.

    Parameters
    ----------
    napari_viewer : ViewerModel
        Whose scene is shown.

    Attributes
    ----------
    view : QtViewer
        The second canvas, on ``scene.straight``.
    links : LinkedSpaces
        What ties the two spaces together: frame, curve, cursor, slices, keys.
    panels : SidePanels or None
        The second space's list and controls; there once the dock is in a window.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.scene = scene_of(napari_viewer)
        self.view = make_canvas(self.scene.straight)
        self._overlays = [
            ScaleAndAxes(model, partial(when_warm, self.scene.deliver))
            for model in (self.scene.viewer, self.scene.straight)
        ]
        self._narrow: list[NarrowControls | OwnButtons] = []
        self.links = LinkedSpaces(self.scene)
        self.panels: SidePanels | None = None
        self.hint: StatusHint | None = None
        #: Whether the straightened space has the width, the focus and the left column.
        self.in_front = False
        #: What the user gave each space, where that is not what it is given by itself.
        self.chosen: dict[bool, Room] = {}
        self.cameras = PlaceCameras(self.scene.straight)
        self._closed = False
        self.links.bind({keys.FLIP: self._flip})
        self.bar = PositionBar(self.scene, self.links)
        self.menu = LayerMenu(self, self.bar.banner)
        self.bar.menu.addAction("Open in a napari window", self._open_in_window)
        self.bar.menu.addAction(_TURN_DEPTH, self._turn_depth)
        self.offer = Offer(_MIRROR, "Turn it", _TURN_TOOLTIP, self._turn_depth)
        self.labels_offer = LabelsOffer(self.scene, self.bar.banner)
        self._offered = False
        self.scene.viewer.dims.events.ndisplay.connect(self._offer_depth)
        self.strip = StripSection(self.scene)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(CanvasOverStrip(self.view, self.strip), 1)
        layout.addWidget(self.offer)
        layout.addWidget(self.labels_offer)
        layout.addWidget(self.bar)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        _open[self.scene.viewer] = ref(self)

    @property
    def main_window(self) -> QMainWindow | None:
        """The window in which the dock is; None before it is docked."""
        widget = self.parentWidget()
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = widget.parentWidget()
        return widget

    @property
    def closed(self) -> bool:
        """Whether it has come to its end."""
        return self._closed

    def event(self, event: Any) -> bool:
        """Find the window when first shown in one; end when taken out of its dock."""
        if event.type() == QEvent.Type.Show and self.panels is None and not self._closed:
            window = self.main_window
            if window is not None:
                self.panels = SidePanels(window, self.view)
                self.hint = StatusHint(window, (self.scene.viewer, self.scene.straight))
                self._narrow = self._narrow_controls(window)
                keep_window_to_own_context(window)
                on_window_closed(window, self.scene.viewer, self.disconnect_all)
                # Once Qt has laid it out: Qt itself would give the dock half of the canvas.
                self.scene.deliver(self._share_room)
        elif event.type() == QEvent.Type.ParentChange and self.panels and self.parent() is None:
            # Closing a dock takes its widget out; a floating dock keeps it.
            self.disconnect_all()
        return bool(super().event(event))

    def disconnect_all(self) -> None:
        """End the second canvas and its links; its layers stay in the scene. Harmless twice."""
        if self._closed:
            return
        self._closed = True
        self.scene.viewer.dims.events.ndisplay.disconnect(self._offer_depth)
        for overlays in self._overlays:
            overlays.close()
        for controls in self._narrow:
            controls.close()
        self.links.close()
        self.bar.close_links()
        self.labels_offer.close_links()
        self.menu.close_links()
        if self.panels is not None:
            self.panels.close()
        if self.hint is not None:
            self.hint.close()
        self.view.close()
        let_go(self.scene.straight)

    def _offer_depth(self) -> None:
        """Once: whether the main viewer's 3D should be no mirror image either."""
        viewer = self.scene.viewer
        depth = str(viewer.scene.camera.orientation[0])
        if not self._offered and viewer.dims.ndisplay == 3 and depth != "away":
            self._offered = True
            self.offer.show()

    def _turn_depth(self) -> None:
        look_away(self.scene.viewer)
        self.offer.hide()

    def _open_in_window(self) -> None:
        open_in_window(self.scene)

    def _narrow_controls(self, window: QMainWindow) -> list[NarrowControls | OwnButtons]:
        straight, controls = self.scene.straight, self.view.controls
        found: list[NarrowControls | OwnButtons] = []
        found += [OwnButtons(straight, controls), NarrowControls(straight, controls)]
        theirs = window.findChild(QDockWidget, "layer controls")
        if theirs is not None and theirs.widget() is not None:
            found.append(NarrowControls(self.scene.viewer, theirs.widget()))
        return found

    def _share_room(self) -> None:
        from napari_ouroboros.widgets.spaces.flipping import share_room

        if not self._closed:
            share_room(self)

    def _flip(self, _viewer: Any = None) -> None:
        from napari_ouroboros.widgets.spaces.flipping import flip

        flip(self.scene.viewer)
