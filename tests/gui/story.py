"""What a person does in the window, step by step, and what has to be true after each step.

The tests, the mutants and the script that makes the pictures of the docs tell the same story.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QMenu,
    QMenuBar,
    QScrollArea,
    QTabBar,
    QWidget,
)
from real_events import (
    Person,
    middle,
    on_screen,
    qt_viewer,
    settle,
    still,
    wait_until,
    way,
    world_at,
)
from scene_server import Served

from napari_ouroboros import Straightening, straighten
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.open import OpenDock
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock, lines
from napari_ouroboros.widgets.straighten import StraightenDock
from napari_ouroboros.widgets.straighten.previews import live_preview_of
from napari_ouroboros.widgets.streaming import watch
from napari_ouroboros.widgets.trace import TraceDock


class Story:
    """One window and the person before it.

    Parameters
    ----------
    viewer : napari.Viewer
        Shown.
    person : Person
    served : Served
        Where the volume comes from.
    """

    def __init__(self, viewer: Any, person: Person, served: Served) -> None:
        self.viewer, self.person, self.served = viewer, person, served
        self.window = viewer.window._qt_window
        person.focus(self.window)

    # -- the window -------------------------------------------------------------------------

    @property
    def scene(self) -> Any:
        return scene_of(self.viewer)

    def dock(self, kind: type[QWidget]) -> Any:
        """The widget of ours of a kind that is in the window."""
        (found,) = [each for each in QApplication.allWidgets() if isinstance(each, kind)]
        return found

    @property
    def straight(self) -> Any:
        """The dock of the straightened view."""
        return self.dock(StraightDock)

    def bring_to_front(self, kind: type[QWidget]) -> Any:
        """Click the tab of a dock, if it is behind others."""
        widget = self.dock(kind)
        holder = widget
        while not isinstance(holder, QDockWidget):
            holder = holder.parentWidget()
        if widget.visibleRegion().isEmpty():
            for bar in self.window.findChildren(QTabBar):
                titles = [bar.tabText(k) for k in range(bar.count())]
                if bar.isVisible() and holder.windowTitle() in titles:
                    index = titles.index(holder.windowTitle())
                    self.person.click_at(tab_of(bar, index))
                    break
        wait_until(lambda: not widget.visibleRegion().isEmpty(), f"{holder.windowTitle()} in front")
        return widget

    def press(self, button: QWidget) -> None:
        """Click a control, scrolling to it first if need be."""
        self.reveal(button)
        assert button.isEnabled(), f"{button.text()!r} is disabled: {button.toolTip()}"
        self.person.click_on(button)

    def reveal(self, control: QWidget) -> None:
        """Scroll a control of a dock into sight, by the wheel as a person would."""
        area = control.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is None:
            return
        self.person.turn_to(control)
        view = area.viewport()
        for _ in range(40):
            y = control.mapTo(view, QPoint(0, control.height() // 2)).y()
            if 4 <= y <= view.height() - 4:
                return
            bar = area.verticalScrollBar()
            value = bar.value()
            # Beside the controls, which would take the wheel for themselves.
            self.person.scroll(middle(bar), -1 if y > 0 else 1)
            if bar.value() == value:
                break
        raise AssertionError(f"{control!r} cannot be scrolled into sight")

    def menu(self, *titles: str) -> None:
        """Choose an entry of the menu bar."""
        bar = self.window.menuBar()
        (first,) = [a for a in bar.actions() if plain(a) == titles[0]]
        self.person.click_at(entry_of(bar, first))
        for title in titles[1:]:
            popup = wait_until(
                lambda t=title: self._popup_with(t),
                f"the menu with {title!r}",  # type: ignore[misc]
            )
            (action,) = [a for a in popup.actions() if plain(a) == title]
            self.person.click_at(entry_of(popup, action))

    @staticmethod
    def _popup_with(title: str) -> QMenu | None:
        for widget in QApplication.topLevelWidgets():
            shown = isinstance(widget, QMenu) and widget.isVisible()
            if shown and title in map(plain, widget.actions()):
                return widget
        return None

    # -- the steps --------------------------------------------------------------------------

    def open_all_docks(self) -> None:
        """Plugins > napari-ouroboros > Open all, arranged."""
        self.menu("Plugins", "napari-ouroboros", "Open all, arranged")
        wait_until(
            lambda: (
                {StraightDock, OpenDock, TraceDock, StraightenDock}
                <= {type(widget) for widget in QApplication.allWidgets() if widget.isVisible()}
                or None
            ),
            "all docks",
        )
        settle()

    def open_by_link(self, link: str, layers: int = 1) -> None:
        """Paste a Neuroglancer link and press Return."""
        dock = self.bring_to_front(OpenDock)
        self.person.click_on(dock.address.edit)
        self.person.paste(link)
        self.person.key("Return")
        wait_until(lambda: len(self.scene.volume_layers) == layers, "the volume to be open")
        wait_until(lambda: not dock.job.running, "the opening to be done")
        wait_until(lambda: watch(self.viewer).settled, "the volume to be seen")

    def begin_trace(self) -> None:
        """Press "New trace"; a click then appends a point."""
        dock = self.bring_to_front(TraceDock)
        self.press(dock.empty.button if dock.empty.button.isVisible() else dock.new)
        wait_until(lambda: self.scene.traces.tool == "append", "the tool for appending")

    def append(self, world: Any) -> None:
        """Click a point of the volume's canvas."""
        n = len(self.points)
        self.person.click_world(self.viewer, world)
        wait_until(lambda: len(self.points) == n + 1, "the point to be appended")

    def insert(self, world: Any) -> None:
        """Choose Insert, and click beside the curve."""
        dock = self.bring_to_front(TraceDock)
        self.press(dock.tools.tools["insert"])
        wait_until(lambda: self.scene.traces.tool == "insert", "the tool for inserting")
        n = len(self.points)
        self.person.click_world(self.viewer, world)
        wait_until(lambda: len(self.points) == n + 1, "the point to be inserted")

    def drag(self, index: int, to: Any) -> None:
        """Choose Move, and drag a point; look at what is shown before it is let go."""
        dock = self.bring_to_front(TraceDock)
        self.press(dock.tools.tools["move"])
        wait_until(lambda: self.scene.traces.tool == "move", "the tool for moving")
        start = wait_until(
            still(lambda: on_screen(self.viewer, self.points[index])), "the point to be still"
        )
        with self.person.dragging(way(start, on_screen(self.viewer, to))):
            self.dragging = self.scene.traces.active.dragging
            wait_until(lambda: self.scene.live.state.dragging, "the map to follow the drag")
        wait_until(lambda: not self.scene.live.state.dragging, "the map after the drag")

    def flip(self) -> None:
        """Press the key that flips, over whichever canvas has the focus."""
        before = self.straight.in_front
        self.person.key(keys.FLIP)
        wait_until(lambda: self.straight.in_front != before, "the flip")
        settle()

    def go_to_slice(self, index: int) -> None:
        """Click on the strip along the curve."""
        canvas = self.strip
        self.person.click_at(
            lambda: canvas.mapToGlobal(QPoint(round(canvas.x_of(index)), canvas.height() // 3))
        )
        wait_until(lambda: abs(self.scene.place.slice_index - index) <= 3, "the slice to be shown")

    def straighten_to(self, path: Path) -> None:
        """Type a file's name into the Straighten dock, press the button, and wait for the file."""
        dock = self.bring_to_front(StraightenDock)
        run = dock.run
        self.reveal(run.path)
        self.person.click_on(run.path)
        self.person.type(str(path))
        self.person.key("Return")
        wait_until(run.job.button.isEnabled, "the button that runs")
        self.press(run.job.button)
        wait_until(lambda: "Shown: the result" in run.result.text(), "the result to be shown")
        wait_until(lambda: not run.job.running, "the job to be done")

    # -- what is there ----------------------------------------------------------------------

    @property
    def points(self) -> NDArray[np.float64]:
        """The trace's points, zyx nm."""
        return np.asarray(self.scene.traces.active.state.points_nm)

    @property
    def strip(self) -> Any:
        """The widget of the strip along the curve."""
        from napari_ouroboros.widgets.straighten.strip_view import StripCanvas

        return self.dock(StripCanvas)

    def settled(self, seconds: float = 20.0) -> None:
        """Wait until every picture is of this moment."""
        scene = self.scene
        preview = live_preview_of(scene)
        wait_until(lambda: scene.live.idle, "the map of this moment", seconds)
        wait_until(lambda: scene.live.state.map is not None, "a map", seconds)
        wait_until(lambda: preview.idle and not preview.is_stale, "the slice", seconds)
        feed = self.strip.feed
        if feed is not None:
            wait_until(lambda: feed.idle and not feed.is_stale, "the strip", seconds)
        wait_until(lambda: self.straight.links.idle, "the linked spaces", seconds)
        wait_until(lambda: watch(self.viewer).settled, "the volume", seconds)
        settle()

    def truth(self) -> tuple[Straightening, int]:
        """The map by the public Python API, from the points and settings that are shown."""
        state, s = self.scene.traces.active.state, self.scene.settings
        map_ = Straightening(
            state.trace(), s.width, s.height, s.pitch_nm, s.spacing_nm, s.adaptive_radius_nm,
            up=state.up, twist=state.twist,
        )  # fmt: skip
        mip = self.scene.live.state.mip
        return map_.resolved(self.served.volume.levels[mip].resolution), mip

    def shown_slice(self) -> NDArray[Any]:
        """What the straightened canvas shows of the first image."""
        layer = self.straight_image
        assert layer.visible
        return np.asarray(layer._slice.image.raw)

    @property
    def straight_image(self) -> Any:
        """The straightened image layer."""
        found = [
            layer
            for layer in self.scene.straight.layers
            if layer._type_string == "image" and layer.visible
        ]
        assert found, "no straightened image"
        return found[0]

    # -- what has to be true ----------------------------------------------------------------

    def check_preview(self) -> None:
        """The shown slice is `straighten()` at the mip that it claims; so is the strip."""
        map_, mip = self.truth()
        layer = self.straight_image
        assert layer.metadata["napari-ouroboros"]["mip"] == mip
        k = int(self.scene.straight.dims.current_step[0])
        assert k == self.scene.place.slice_index
        whole = straighten(self.served.volume, map_, mip=mip)
        np.testing.assert_array_equal(self.shown_slice(), np.asarray(whole[k]))
        (strip,) = self.strip.feed.strips
        middle_row = self.scene.settings.height // 2
        expected = np.asarray(straighten(self.served.volume, map_, mip=strip.mip)[:: strip.step])
        np.testing.assert_array_equal(strip.data, expected[:, middle_row])

    def check_cursor(self, at: tuple[float, float] = (0.3, 0.4)) -> None:
        """The mouse in the straightened slice is marked at the same tissue in the volume."""
        native = qt_viewer(self.scene.straight).canvas.native
        k = int(self.scene.straight.dims.current_step[0])
        scale = np.asarray(self.straight_image.scale)
        where = self.straight_image.data_to_world(
            (k, at[0] * self.scene.settings.height, at[1] * self.scene.settings.width)
        )
        screen = wait_until(
            still(lambda: on_screen(self.scene.straight, where)),
            "the straightened view to be still",
        )
        assert native.rect().contains(native.mapFromGlobal(screen))
        self.person.move(screen)
        index = world_at(self.scene.straight, screen) / scale
        map_, _ = self.truth()
        nm = map_.to_volume((k, index[1], index[2]))

        def mark() -> Any:
            layer = self.helper("cursor")
            if layer is None or not layer.visible:
                return None
            starts, ways = layer.data[:, 0], layer.data[:, 1]
            long = np.abs(ways).max(axis=1) > 0
            centre = layer.data_to_world((starts + ways / 2)[long].mean(axis=0))
            shown = list(self.viewer.dims.displayed)
            return np.abs(np.asarray(centre) - nm)[shown].max() < 1.5 * max(scale)

        wait_until(mark, "the mark of the cursor in the volume", seconds=5)

    def check_frame(self) -> None:
        """The rectangle of the shown slice is drawn where that slice lies in the volume."""
        layer = wait_until(lambda: self.helper("frame"), "a frame", 5)
        wait_until(lambda: layer.visible, "the frame to be seen", 5)
        map_, _ = self.truth()
        k = self.scene.place.slice_index
        h, w = self.scene.settings.height, self.scene.settings.width
        corners = np.array(
            [map_.to_volume((k, row, column)) for row, column in
             ((-0.49, -0.49), (-0.49, w - 0.51), (h - 0.51, w - 0.51), (h - 0.51, -0.49))]
        )  # fmt: skip
        shown = list(self.viewer.dims.displayed)

        def away() -> float:
            drawn = np.array([layer.data_to_world(start) for start in layer.data[lines.EDGES, 0]])
            return float(np.abs(drawn[:, shown] - corners[:, shown]).max())

        wait_until(lambda: away() <= 1.5 * map_.pitch_nm, "the frame to be at its slice", 5)

    @property
    def middle_of_canvas(self) -> QPoint:
        """On the screen, of the volume's canvas."""
        return middle(qt_viewer(self.viewer).canvas.native)

    def wait_for_3d(self) -> None:
        """Wait until the volume is seen in three dimensions."""
        wait_until(lambda: self.viewer.dims.ndisplay == 3, "three dimensions")
        wait_until(lambda: watch(self.viewer).settled, "the volume in 3D")
        settle(turns=40)

    def helper(self, word: str) -> Any:
        """The layer that we draw with in the volume's canvas, by what it is called."""
        from napari_ouroboros.widgets.spaces.helper_layer import is_helper

        found = [x for x in self.viewer.layers if is_helper(x) and word in x.name]
        return found[0] if found else None


def tab_of(bar: QTabBar, index: int) -> Callable[[], QPoint]:
    """Say where on the screen a tab is."""
    return lambda: bar.mapToGlobal(bar.tabRect(index).center())


def entry_of(menu: QMenu | QMenuBar, action: QAction) -> Callable[[], QPoint]:
    """Say where on the screen an entry of a menu is."""
    return lambda: menu.mapToGlobal(menu.actionGeometry(action).center())


def plain(action: QAction) -> str:
    """Text of a menu's entry without the mark of its key and the plugin's name after it."""
    return str(action.text()).replace("&", "").removesuffix(" (napari-ouroboros)")
