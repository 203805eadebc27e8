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
from qtpy.QtCore import QPoint, Qt

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
    qtbot.waitUntil(lambda: "640" in form.width_nm.text(), timeout=20000)
    settings.pitch_nm = 20.0
    assert form.pitch.nm == 20.0
    qtbot.waitUntil(lambda: "mip 1 fits better" in dock.advice.text(), timeout=20000)
    qtbot.mouseClick(dock.take_mip, Qt.MouseButton.LeftButton)
    assert settings.mip == 1
    qtbot.waitUntil(lambda: not dock.take_mip.isVisible(), timeout=20000)
    assert dock.scene.live.state.mip == 1
    assert form.mip.currentText().startswith("1: 16")
    for control in dock.widget().findChildren(type(form.mip)):
        assert control.toolTip()


def test_a_run_from_the_dock(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock, trace = opened(window, qtbot)
    run = dock.run
    assert not run.job.button.isEnabled()
    assert "Choose a file" in run.job.button.toolTip()
    run.path.setText(str(tmp_path / "out.zarr"))
    run.path.editingFinished.emit()
    assert run.format.currentData() == ".zarr"
    qtbot.waitUntil(lambda: "slices" in run.job.cost.text(), timeout=20000)
    qtbot.mouseClick(run.job.button, Qt.MouseButton.LeftButton)
    source = dock.preview.shown[0].source
    qtbot.waitUntil(lambda: source.shows_result, timeout=60000)
    assert "Shown: the result" in run.result.text()
    whole = straighten(source.volume, dock.scene.live.state.map).compute()
    np.testing.assert_array_equal(open_volume(tmp_path / "out.zarr").read(0), whole)
    assert "about" in run.job.cost.text()
    trace.move(1, 10.0)
    qtbot.waitUntil(lambda: "earlier trace" in run.result.text(), timeout=20000)
    assert not source.shows_result


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
    qtbot.wait(50)
    gc.collect()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and gone() is None, timeout=5000)
    again = StraightenDock(window)
    window.window.add_dock_widget(again, name="Straighten")
    assert len(again.preview.shown) == 1
    qtbot.waitUntil(lambda: len(scene.live.changed) == n, timeout=5000)
    assert scene_of(window) is scene
