"""Where am I: the position under the cursor in both spaces; copied, pasted, jumped to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication, QResizeEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.controls import Banner, named, set_ready, tab_order
from napari_ouroboros.widgets.spaces.linked_slices import STRAIGHTENED
from napari_ouroboros.widgets.spaces.position import (
    HOW_TO_WRITE,
    index_text,
    nm_text,
    read_position,
    voxel_text,
)
from napari_ouroboros.widgets.spaces.soon import Soon

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.scene import Scene
    from napari_ouroboros.widgets.spaces.helper_layer import HelperLayer
    from napari_ouroboros.widgets.spaces.linked_spaces import LinkedSpaces

_FOLLOW = "Let each canvas follow the other: the mark of the cursor, clicks, and the shown slice."
#: From this width in pixels on the position in both spaces is one line.
_WIDE = 700
_NO_VOLUME = "Open a volume first: a position is one in its voxels."


def value_under(viewer: ViewerModel, world: Any) -> str:
    """What the uppermost visible image or labels hold at a point; "" where there is nothing."""
    for layer in reversed(viewer.layers):
        if isinstance(layer, Image | Labels) and layer.visible:
            value = layer.get_value(world, world=True)
            # Of a pyramid napari says the level as well.
            if isinstance(value, tuple):
                value = value[-1]
            if value is not None:
                return f"{layer.name}: {value}"
    return ""


class _Toggle:
    """A line of a menu that is checked while a helper layer is drawn."""

    def __init__(self, menu: QMenu, title: str, helper: HelperLayer) -> None:
        self._helper = helper
        self.action = menu.addAction(title)
        self.action.setCheckable(True)
        self.action.setChecked(helper.wanted)
        self.action.toggled.connect(self._toggled)
        helper.wanted_changed.connect(self._wanted_changed)

    def close(self) -> None:
        self._helper.wanted_changed.disconnect(self._wanted_changed)

    def _toggled(self, value: bool) -> None:
        self._helper.wanted = value

    def _wanted_changed(self, value: bool) -> None:
        self.action.setChecked(value)


class PositionBar(QWidget):
    """One line that says where the cursor is, one to go somewhere.

    Parameters
    ----------
    scene : Scene
    links : LinkedSpaces
    """

    def __init__(self, scene: Scene, links: LinkedSpaces) -> None:
        super().__init__()
        self._scene, self._links = scene, links
        #: In the volume, and below it in the straightened view.
        self.labels = QLabel(), QLabel()
        for label in self.labels:
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.field = named(
            QLineEdit(), "go to position", f"{HOW_TO_WRITE}\nEnter goes there in both canvases."
        )
        self.field.setPlaceholderText("x, y, z  or  z, y, x nm")
        self.copy_button = named(
            QToolButton(),
            "copy position",
            f'Copy where the cursor is as "x, y, z" of Neuroglancer ({keys.COPY_POSITION}).',
        )
        self.copy_button.setText("Copy")
        self.follow = named(QCheckBox("Follow"), "follow", _FOLLOW)
        self.follow.setChecked(scene.place.follow)
        self.menu_button = named(
            QToolButton(), "straightened view: more", "Frame, curve, and what else can be shown."
        )
        self.menu_button.setText("…")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu_button.setMenu(self.menu)
        self.banner = Banner()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 2)
        layout.setSpacing(1)
        layout.addWidget(self.banner)
        self._said = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._said.setSpacing(0)
        for label in self.labels:
            self._said.addWidget(label)
        layout.addLayout(self._said)
        row = QHBoxLayout()
        for widget in (self.field, self.copy_button, self.follow, self.menu_button):
            row.addWidget(widget)
        layout.addLayout(row)
        tab_order(self.field, self.copy_button, self.follow, self.menu_button)
        self.frame_toggle = _Toggle(
            self.menu, "Frame of the shown slice in the volume", links.frame.helper
        )
        self.curve_toggle = _Toggle(
            self.menu, "Curve in the volume, red where slices fold in a bend", links.curve.helper
        )
        self.field.returnPressed.connect(self._go)
        self.copy_button.clicked.connect(self.copy)
        self.follow.toggled.connect(self._follow_toggled)
        self._last_said = ""
        self._soon = Soon(scene.deliver, self._show)
        scene.place.cursor_changed.connect(self._soon.request)
        scene.place.slice_changed.connect(self._soon.request)
        scene.place.follow_changed.connect(self._follow_changed)
        scene.volumes_changed.connect(self._soon.request)
        scene.labels.painted.connect(self._painted)
        links.warm.changed.connect(self._soon.request)
        links.said.connect(self._say)
        scene.live.changed.connect(self._take_back)
        links.bind({keys.COPY_POSITION: self.copy, keys.GO_TO_POSITION: self.paste})
        self._show()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Both lines beside each other where there is room for them."""
        super().resizeEvent(event)
        wide = self.width() >= _WIDE
        kinds = QBoxLayout.Direction
        self._said.setDirection(kinds.LeftToRight if wide else kinds.TopToBottom)

    def close_links(self) -> None:
        """Stop listening."""
        self._soon.close()
        place = self._scene.place
        place.cursor_changed.disconnect(self._soon.request)
        place.slice_changed.disconnect(self._soon.request)
        place.follow_changed.disconnect(self._follow_changed)
        self._scene.volumes_changed.disconnect(self._soon.request)
        self._scene.labels.painted.disconnect(self._painted)
        self._links.warm.changed.disconnect(self._soon.request)
        self._links.said.disconnect(self._say)
        self._scene.live.changed.disconnect(self._take_back)
        for toggle in (self.frame_toggle, self.curve_toggle):
            toggle.close()

    @property
    def nm(self) -> Any:
        """Where the cursor is, zyx nm; without one the centre of the shown slice; or None."""
        place, map_ = self._scene.place, self._links.warm.map
        if place.nm is not None or map_ is None:
            return place.nm
        return map_.frames.c[min(place.slice_index, len(map_.frames) - 1)]

    def copy(self, _viewer: Any = None) -> None:
        """Put the position into the clipboard as Neuroglancer shows it."""
        volume, nm = self._scene.reference, self.nm
        clipboard = QGuiApplication.clipboard()
        if volume is not None and nm is not None and clipboard is not None:
            clipboard.setText(voxel_text(nm, volume.levels[0]))

    def paste(self, _viewer: Any = None) -> None:
        """Go to the position in the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            self.field.setText(clipboard.text().strip())
            self._go()

    def _go(self) -> None:
        volume = self._scene.reference
        if volume is None:
            self.banner.show_error(_NO_VOLUME)
            return
        try:
            nm = read_position(self.field.text(), volume.levels[0])
        except UserError as error:
            self.banner.show_error(str(error))
            return
        low, high = volume.levels[0].bounds_nm
        if ((nm < low) | (nm > high)).any():
            first = voxel_text(low, volume.levels[0])
            last = voxel_text(high, volume.levels[0])
            self.banner.show_error(
                f"{self.field.text()[:80]} lies outside the volume, which goes from {first} "
                f"to {last} (x, y, z in voxels)"
            )
            return
        self.banner.clear()
        self._links.cursor.go_to_nm(nm)

    def _say(self, text: str) -> None:
        """Say why a key could do nothing."""
        self._last_said = text
        self.banner.show_notice(text)

    def _take_back(self) -> None:
        """What a key could not do may be possible with another map."""
        if self._last_said and self.banner.text == self._last_said:
            self.banner.clear()
        self._last_said = ""

    def _follow_toggled(self, value: bool) -> None:
        self._scene.place.follow = value

    def _follow_changed(self, value: bool) -> None:
        self.follow.setChecked(value)

    def _painted(self, *_: Any) -> None:
        self._soon.request()  # the cursor stays, and is over another label

    def _show(self) -> None:
        volume, place, nm = self._scene.reference, self._scene.place, self.nm
        ready = volume is not None
        set_ready(self.field, ready, _NO_VOLUME)
        set_ready(self.copy_button, ready and nm is not None, _NO_VOLUME)
        here = there = ""
        if volume is not None and nm is not None:
            here = f"{nm_text(nm)}  -  voxel {voxel_text(nm, volume.levels[0])}"
            there = f"slice {place.slice_index}" if place.nm is None else ""
            there = there if place.index is None else index_text(place.index)
            there = "  -  ".join(part for part in (there, self._value()) if part)
        for label, text in zip(self.labels, (here, there), strict=True):
            label.setText(text)
            label.setToolTip(f"{text}\n(z, y, x nm; voxel x, y, z as Neuroglancer counts)")

    def _value(self) -> str:
        place = self._scene.place
        if place.nm is None:
            return ""
        if place.came_from == STRAIGHTENED:
            return value_under(self._scene.straight, self._scene.straight.cursor.position)
        viewer = self._scene.viewer
        world = np.array(viewer.dims.point, float)
        world[-3:] = place.nm
        return value_under(viewer, tuple(world.tolist()))
