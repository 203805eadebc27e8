"""The Straighten dock and the strip in a real window."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.precomputed import write_by_hand
from psygnal import Signal
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox
from real_events import on_screen, settle, wait_until, way

from napari_ouroboros import Trace, open_volume, straighten
from napari_ouroboros.widgets.scene import close_scene, scene_of
from napari_ouroboros.widgets.straighten import StraightenDock, StripView
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")

SHAPE, STEP = (60, 64, 70), 8.0
POINTS = np.array([[5.0, 20, 20], [20, 30, 40], [40, 35, 30], [55, 30, 50]]) * STEP


class PlainState:
    def __init__(self, points: Any) -> None:
        self.points_nm, self.up, self.twist = np.asarray(points, float), None, None

    def trace(self) -> Trace:
        return Trace(self.points_nm)


class PlainTrace:
    changed = Signal()

    def __init__(self, points: Any) -> None:
        self.state, self.dragging = PlainState(points), False

    def move(self, index: int, by: float) -> None:
        points = self.state.points_nm.copy()
        points[index] += by
        self.state = PlainState(points)
        self.changed.emit()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    fine = rng.integers(0, 255, (1, *SHAPE), np.uint8)
    write_by_hand(
        tmp_path / "em", [fine, fine[:, ::2, ::2, ::2].copy()], chunk=(16, 16, 16),
        offsets=[(0, 0, 0)] * 2, resolutions=[(STEP,) * 3, (2 * STEP,) * 3],
    )  # fmt: skip
    return tmp_path


@pytest.fixture
def window(make_napari_viewer_proxy: Any, folder: Path) -> Any:
    viewer = make_napari_viewer_proxy(show=True)
    volume = open_volume(folder / "em")
    add_layers(viewer, prepare_volume(volume, "em"))
    yield viewer
    close_scene(viewer)
    unwatch(viewer)
    volume.close()


def opened(viewer: Any, qtbot: Any) -> tuple[StraightenDock, PlainTrace]:
    dock = StraightenDock(viewer)
    viewer.window.add_dock_widget(dock, name="Straighten")
    trace = PlainTrace(POINTS)
    dock.scene.settings.width, dock.scene.settings.height = 31, 24
    dock.scene.live.set_trace(trace)
    qtbot.waitUntil(lambda: len(dock.preview.shown) == 1 and dock.preview.idle, timeout=20000)
    return dock, trace


def test_settings_follow_and_are_followed(window: Any, qtbot: Any) -> None:
    dock, _ = opened(window, qtbot)
    form, settings = dock.slices, dock.scene.settings
    form.width_px.setValue(40)
    assert settings.width == 40
    form.pitch.edit.setFocus()
    form.pitch.edit.setText("2 px")
    qtbot.keyClick(form.pitch.edit, Qt.Key.Key_Return)
    assert settings.pitch_nm == 16.0
    qtbot.waitUntil(lambda: "640" in form.size_nm.text(), timeout=20000)
    settings.pitch_nm = 20.0
    assert form.pitch.nm == 20.0
    qtbot.waitUntil(lambda: "mip 1 fits better" in dock.advice.text(), timeout=20000)
    qtbot.mouseClick(dock.take_mip, Qt.MouseButton.LeftButton)
    assert settings.mip == 1
    qtbot.waitUntil(lambda: not dock.take_mip.isVisible(), timeout=20000)
    wait_until(lambda: dock.scene.live.state.mip == 1, "the map of the other level")
    wait_until(lambda: form.mip.currentText().startswith("1: 16"), "the level in the list")
    for control in dock.widget().findChildren(type(form.mip)):
        assert control.toolTip()


def test_a_run_from_the_dock(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock, trace = opened(window, qtbot)
    run = dock.run
    assert not run.job.button.isEnabled()
    assert "Choose a file" in run.job.button.toolTip()
    run.path.setText("gs://bucket/out.zarr")
    run.path.editingFinished.emit()
    wait_until(lambda: "not to gs://" in run.path_problem.text(), "what is wrong")
    assert not run.job.button.isEnabled()
    assert "not to gs://" in run.job.button.toolTip()
    run.path.setText(str(tmp_path / "out.zarr"))
    run.path.editingFinished.emit()
    assert run.format.currentData() == ".zarr"
    qtbot.waitUntil(lambda: "slices" in run.job.cost.text(), timeout=20000)
    qtbot.mouseClick(run.job.button, Qt.MouseButton.LeftButton)
    source = dock.preview.shown[0].source
    qtbot.waitUntil(lambda: source.shows_result, timeout=60000)
    wait_until(lambda: "Shown: the result" in run.result.text(), "the line that says so")
    whole = straighten(source.volume, dock.scene.live.state.map).compute()
    np.testing.assert_array_equal(open_volume(tmp_path / "out.zarr").read(0), whole)
    wait_until(lambda: "about" in run.job.cost.text(), "the cost")
    trace.move(1, 10.0)
    qtbot.waitUntil(lambda: "earlier trace" in run.result.text(), timeout=20000)
    wait_until(lambda: not source.shows_result, "the preview again")


def test_a_click_in_the_strip_goes_to_the_slice(window: Any, qtbot: Any) -> None:
    dock, _ = opened(window, qtbot)
    strip = StripView(dock.scene)
    window.window.add_dock_widget(strip, name="strip", area="bottom")
    canvas = strip.canvas
    qtbot.waitUntil(lambda: canvas.feed is not None and bool(canvas.feed.strips), timeout=20000)
    x = canvas.width() // 3
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(x, 10))
    k = dock.scene.place.slice_index
    assert k == canvas.slice_at(x) > 0
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    assert dock.scene.place.slice_index == k + 1
    qtbot.keyClick(canvas, Qt.Key.Key_End)
    assert dock.scene.place.slice_index == canvas.n_slices - 1
    qtbot.waitUntil(lambda: canvas.feed.idle, timeout=20000)
    before = canvas.grab().toImage().pixelColor(x, 10)
    layer = dock.preview.shown[0].layer
    layer.contrast_limits = (0, 1)
    after = canvas.grab().toImage().pixelColor(x, 10)
    assert after.red() == 255 != before.red()


def test_closed_and_opened_again(window: Any, qtbot: Any) -> None:
    dock, _ = opened(window, qtbot)
    scene = dock.scene
    n = len(scene.live.changed)
    window.window.remove_dock_widget(dock)
    dock.close()
    gone = weakref.ref(dock)
    dock.deleteLater()
    del dock
    qtbot.waitUntil(lambda: gc.collect() >= 0 and gone() is None, timeout=20000)
    again = StraightenDock(window)
    window.window.add_dock_widget(again, name="Straighten")
    wait_until(lambda: len(again.preview.shown) == 1, "the preview")
    qtbot.waitUntil(lambda: len(scene.live.changed) == n, timeout=20000)
    assert scene_of(window) is scene


def box_on_screen() -> Any:
    """The question that waits for an answer, if it can be clicked."""
    box = QApplication.activeModalWidget()
    return box if isinstance(box, QMessageBox) and box.isVisible() else None


def answer(person: Any, which: Any, asked: list[str]) -> QTimer:
    """Answer the question when it comes, by a click of the mouse on its button."""
    timer = QTimer()

    def look() -> None:
        box = box_on_screen()
        if box is not None:
            timer.stop()
            asked.append(box.text())
            person.click_on(box.button(which))

    timer.timeout.connect(look)
    timer.start(50)
    return timer


def test_it_asks_before_it_replaces_and_stops_on_cancel(
    window: Any, qtbot: Any, person: Any, tmp_path: Path
) -> None:
    dock, _ = opened(window, qtbot)
    run, path = dock.run, tmp_path / "out.tif"
    person.focus(dock.window())
    path.write_bytes(b"mine")
    run.path.setText(str(path))
    run.path.editingFinished.emit()
    wait_until(lambda: run.job.button.isEnabled(), "the button")
    asked: list[str] = []
    timer = answer(person, QMessageBox.StandardButton.No, asked)
    person.click_on(run.job.button)
    wait_until(lambda: asked and box_on_screen() is None, "the question")
    assert "out.tif is there already" in asked[0]
    assert not run.runs.running
    assert path.read_bytes() == b"mine"

    # Long enough to be stopped: a million pixels in each of many slices.
    settings = dock.scene.settings
    settings.width = settings.height = 1500
    settings.spacing_nm = 1.0
    wait_until(lambda: dock.scene.live.is_current, "the map of large slices")
    wait_until(lambda: dock.preview.idle, "its preview")
    timer = answer(person, QMessageBox.StandardButton.Yes, asked)
    person.click_on(run.job.button)
    wait_until(lambda: run.runs.running, "the run")
    person.click_on(run.job.cancel_button)
    wait_until(lambda: not run.runs.running, "the run to stop")
    wait_until(lambda: "cancelled" in dock.banner.text, "the line that says so")
    assert path.read_bytes() == b"mine"
    assert [file.name for file in tmp_path.iterdir() if "out" in file.name] == ["out.tif"]

    settings.width, settings.height, settings.spacing_nm = 31, 24, None
    wait_until(lambda: dock.scene.live.is_current and dock.preview.idle, "the small map")
    timer = answer(person, QMessageBox.StandardButton.Yes, asked)
    person.click_on(run.job.button)
    source = dock.preview.shown[0].source
    wait_until(lambda: source.shows_result, "the result")
    assert len(asked) == 3
    assert path.read_bytes() != b"mine"
    timer.stop()


def test_a_click_on_a_label_picks_its_id(
    window: Any, qtbot: Any, person: Any, folder: Path
) -> None:
    rng = np.random.default_rng(5)
    ids = rng.choice(np.array([7, 2**40, 2**64 - 1], np.uint64), (6, 8, 7))
    cells = np.ascontiguousarray(ids.repeat(10, 0).repeat(8, 1).repeat(10, 2)[None])
    write_by_hand(
        folder / "cells", [cells], chunk=(16, 16, 16), offsets=[(0, 0, 0)],
        resolutions=[(STEP,) * 3], kind="segmentation",
    )  # fmt: skip
    volume = open_volume(folder / "cells")
    (layer,) = add_layers(window, prepare_volume(volume, "cells"))
    dock = StraightenDock(window)
    window.window.add_dock_widget(dock, name="Straighten")
    dock.scene.live.set_trace(PlainTrace(POINTS))
    wait_until(lambda: len(dock.preview.shown) == 2 and dock.preview.idle, "the preview")
    person.focus(dock.window())
    window.layers.selection.active = window.layers[0]
    source = dock.preview.feed_of(layer)
    model = window.__wrapped__  # what stands behind the proxy
    person.click_on(dock.layers.by_click)
    wait_until(lambda: dock.layers.by_click.isChecked(), "picking by click")
    window.reset_view()
    settle()
    shown = round(window.dims.point[0] / STEP - 0.5)
    for place in ((20, 20), (20, 50), (45, 33), (60, 12)):
        label = int(cells[0, shown, place[0], place[1]])
        before = set(source.picks.ids)
        point = (np.array([shown, *place]) + 0.5) * STEP
        person.click_world(model, point)
        wanted = before ^ {label}
        wait_until(lambda: set(source.picks.ids) == wanted, f"the id {label}")  # noqa: B023
    person.drag(way(on_screen(model, point), on_screen(model, point + [0, 0, 120])))
    settle()
    assert set(source.picks.ids) == wanted  # to move the picture is no click
    said = ", ".join(map(str, source.picks.ids))
    wait_until(lambda: dock.layers.ids.text() == said, "the ids in the dock")
    volume.close()


def test_a_mip_that_another_volume_does_not_have_is_said(window: Any, qtbot: Any) -> None:
    dock, _ = opened(window, qtbot)
    dock.scene.settings.mip = 7
    qtbot.waitUntil(lambda: "no mip 7" in dock.state.label.text(), timeout=20000)
    wait_until(lambda: not dock.run.job.button.isEnabled(), "nothing to run")
    dock.slices.mip.setCurrentIndex(dock.slices.mip.findData(1))
    live = dock.scene.live
    wait_until(lambda: live.state.map is not None and live.state.mip == 1, "the map of the level")
