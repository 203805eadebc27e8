"""A window of 1366 x 768: what each task is about is in sight, and nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import QDockWidget, QTabBar, QWidget
from real_events import settle, wait_until
from scene_server import served
from test_layout import describe, widget_of

from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.open import OpenDock
from napari_ouroboros.widgets.qa import QaDock
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import arrange, flip
from napari_ouroboros.widgets.straighten import StraightenDock
from napari_ouroboros.widgets.trace import TraceDock

#: What has to be in sight as soon as a dock, and its part, are in front.
IN_SIGHT: list[tuple[type[QWidget], Callable[[Any], list[QWidget]]]] = [
    (OpenDock, lambda d: [d.address.edit, d.address.file_button, d.look_button]),
    (TraceDock, lambda d: [d.which, d.new, *d.tools.controls()]),
    (StraightenDock, lambda d: [d.slices.width_px, d.slices.pitch, d.slices.spacing]),
    (StraightenDock, lambda d: [d.layers.list, d.layers.ids]),
    (StraightenDock, lambda d: [d.run.layer, d.run.format, d.run.path, d.run.job.button]),
    (BackprojectDock, lambda d: [d.labels.new, d.labels.load, d.labels.job.button, d.live]),
    (BackprojectDock, lambda d: [d.home.labels, d.home.destination.path, d.home.job.button]),
    (BackprojectDock, lambda d: [d.points.layer, d.points.bring, d.points.save]),
    (QaDock, lambda d: [d.slice.next, d.slice.good, d.path.quantity, d.path.plot]),
    (QaDock, lambda d: [d.checks.image.button, d.checks.round_trip.button]),
    (QaDock, lambda d: [d.path.only, d.path.read, d.path.write]),
    (QaDock, lambda d: [d.measures.job.button]),
    (QaDock, lambda d: [d.rules.switches["jump"], d.rules.numbers["jump"]]),
]


@pytest.fixture
def arranged(window: Callable[..., Any], demo_nerve: Any) -> Iterator[Any]:
    viewer = window()
    arrange(viewer)
    scene = scene_of(viewer)
    with served(demo_nerve, latency=0.0) as near:
        streaming.add_layers(viewer, streaming.prepare_volume(near.volume, "em"))
        scene.traces.new(near.points_nm)
        wait_until(lambda: scene.live.idle and scene.live.state.map is not None, "a map")
        wait_until(lambda: scene.qa.idle, "its checks")
        yield viewer


def to_front(dock: Any) -> None:
    holder = dock
    while not isinstance(holder, QDockWidget):
        holder = holder.parentWidget()
    holder.raise_()
    wait_until(lambda: not dock.visibleRegion().isEmpty(), "the dock in front")


def where_of(kind: type[QWidget], front: str) -> str:
    return f"{kind.__name__} ({front} in front)"


def test_controls_and_buttons_are_in_sight(arranged: Any) -> None:
    wrong = []
    for front in ("volume", "straightened"):
        for kind, controls in IN_SIGHT:
            dock = widget_of(kind)
            to_front(dock)
            wanted = controls(dock)
            pages = getattr(dock, "pages", None)
            if pages is not None:
                pages.turn_to(wanted[-1])
            settle(turns=5)
            dock.verticalScrollBar().setValue(0)
            seen = dock.viewport().rect()
            for control in wanted:
                rect = QRect(control.mapTo(dock.viewport(), QPoint(0, 0)), control.size())
                if not control.isVisible() or not seen.contains(rect):
                    where = f"{where_of(kind, front)}: {describe(control)}"
                    wrong.append(f"{where} at {rect.getRect()} of {seen.getRect()}")
            if dock.horizontalScrollBar().isVisible():
                wrong.append(f"{where_of(kind, front)} scrolls sideways: {describe(wanted[0])}")
        flip(arranged)
        settle(turns=10)
    main = arranged.window._qt_window
    assert (main.width(), main.height()) == (1366, 768)
    assert not wrong, "\n".join(wrong)


def test_parts_are_turned_by_the_keyboard(arranged: Any, person: Any) -> None:
    dock = widget_of(QaDock)
    to_front(dock)
    bar: QTabBar = dock.pages.bar
    person.focus(dock.window())
    bar.setFocus()
    assert dock.pages.page.isAncestorOf(dock.path.plot)
    person.key("Right")
    wait_until(lambda: bar.currentIndex() == 1, "the next part")
    assert dock.checks.isVisible()
    assert not dock.path.plot.isVisible()


def test_the_hint_of_keys_is_that_of_the_space_in_front(arranged: Any) -> None:
    def hint() -> str:
        bar = arranged.window._qt_window.statusBar()
        return str(bar.findChild(QWidget, "help status").text())

    scene = scene_of(arranged)
    labels = scene.straight.add_labels(
        np.zeros((1, 2, 2), np.uint8),
        scale=scene.straight.layers[0].scale,
        units=scene.straight.layers[0].units,
    )
    flip(arranged)
    wait_until(lambda: hint() == labels.help, "the hint of the labels' keys")
    # What the other space says meanwhile is not for the keys that are at hand.
    arranged.layers.selection.active = scene.volume_layers[0]
    assert hint() == labels.help
    flip(arranged)
    wait_until(lambda: hint() == scene.volume_layers[0].help, "the hint of the volume's keys")


def test_the_plot_is_drawn_in_the_colours_of_the_theme(arranged: Any) -> None:
    plot = widget_of(QaDock).path.plot
    to_front(widget_of(QaDock))

    def has_dark_lines() -> bool:
        picture = plot.grab().toImage()
        return any(
            picture.pixelColor(x, y).lightness() < 90
            for y in range(picture.height())
            for x in range(picture.width())
        )

    arranged.theme = "light"
    wait_until(has_dark_lines, "dark lines on light ground")
