"""The Backproject dock in a real window."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.precomputed import write_by_hand
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox
from real_events import settle, wait_until

from napari_ouroboros import Straightening, Trace, backproject, open_volume
from napari_ouroboros.operations import backproject_job
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.labels.book import StraightLabels
from napari_ouroboros.widgets.scene import close_scene, scene_of
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, pyramid_of, unwatch

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")

SHAPE, STEP = (60, 64, 70), 8.0
POINTS = np.array([[5.0, 20, 20], [20, 30, 40], [40, 35, 30], [55, 30, 50]]) * STEP
CLICK = Qt.MouseButton.LeftButton


@pytest.fixture
def window(make_napari_viewer_proxy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NAPARI_OUROBOROS_RECOVERY", str(tmp_path / "recovery"))
    fine = np.random.default_rng(2).integers(0, 255, (1, *SHAPE), np.uint8)
    write_by_hand(
        tmp_path / "em", [fine, fine[:, ::2, ::2, ::2].copy()], chunk=(16, 16, 16),
        offsets=[(0, 0, 0)] * 2, resolutions=[(STEP,) * 3, (2 * STEP,) * 3],
    )  # fmt: skip
    viewer = make_napari_viewer_proxy(show=True)
    volume = open_volume(tmp_path / "em")
    add_layers(viewer, prepare_volume(volume, "em"))
    yield viewer
    close_scene(viewer)
    unwatch(viewer)
    volume.close()


def opened(viewer: Any) -> BackprojectDock:
    dock = BackprojectDock(viewer)
    viewer.window.add_dock_widget(dock, name="Backproject")
    wait_until(dock.isVisible, "the dock")
    dock.pages.turn_to(dock.home)
    return dock


def traced(viewer: Any) -> Straightening:
    """The map of the scene's trace, which is made if there is none."""
    scene = scene_of(viewer)
    if scene.traces.active is None:
        scene.traces.new(POINTS)
        s = scene.settings
        s.width, s.height, s.pitch_nm, s.spacing_nm = 31, 24, 6.0, 7.0
    wait_until(lambda: scene.live.idle and scene.live.state.map is not None, "the map")
    return scene.live.state.map


def painted(
    viewer: Any, folder: Path, name: str = "nerve", map_: Straightening | None = None
) -> StraightLabels:
    """Labels of the trace that is shown, or of another one."""
    map_ = map_ or traced(viewer)
    array = LabelArray.create(folder / name, map_.shape, "uint64")
    array[5:60, 5:20, 8:25] = 2**63
    array[10:20, 8:12, 10:14] = 3
    return scene_of(viewer).labels.add(array, map_, name)


def truth_of(entry: StraightLabels, viewer: Any, folder: Path, mip: int = 0, **more: Any) -> Any:
    backproject(np.asarray(entry.array), entry.map, folder, scene_of(viewer).reference, mip, **more)
    return open_volume(folder).read(0)


def pick(combo: Any, text: str) -> None:
    (found,) = [i for i in range(combo.count()) if text in combo.itemText(i)]
    combo.setCurrentIndex(found)


def type_into(qtbot: Any, line: Any, text: str) -> None:
    line.setFocus()
    line.setText(text)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def test_what_is_missing_is_said(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = opened(window)
    button = dock.home.job.button
    assert not button.isEnabled()
    assert "Make labels" in button.toolTip()
    assert not dock.points.bring.isEnabled()
    assert "Points layer" in dock.points.bring.toolTip()
    painted(window, tmp_path)
    qtbot.waitUntil(button.isEnabled, timeout=20000)  # only a layer needs no file
    assert not dock.home.destination.path.isEnabled()
    pick(dock.home.destination.format, "OME-Zarr")
    assert not button.isEnabled()
    assert "Choose a file" in button.toolTip()
    type_into(qtbot, dock.home.destination.path, "gs://bucket/out.zarr")
    assert "not to gs://" in dock.home.destination.problem.text()
    assert dock.home.destination.problem.isVisible()
    type_into(qtbot, dock.home.destination.path, str(tmp_path / "home.tif"))
    assert dock.home.destination.suffix == ".tif"
    assert button.isEnabled()
    assert not dock.home.pyramid.isEnabled()
    type_into(qtbot, dock.home.keep, "1, x")
    assert not button.isEnabled()
    assert "'x' is no id" in dock.home.keep_problem.text()


def test_labels_go_home_and_are_shown(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = opened(window)
    entry = painted(window, tmp_path)
    home = dock.home
    qtbot.waitUntil(lambda: bool(home.promise.text()), timeout=20000)
    assert home.promise.text() == entry.map.exactness(np.array([STEP] * 3)).text
    assert home.job.cost.text().startswith("1 chunk, at most")
    pick(home.mip, "1: 16")
    coarse = entry.map.exactness(np.array([2 * STEP] * 3)).text
    qtbot.waitUntil(lambda: home.promise.text() == coarse, timeout=20000)
    qtbot.mouseClick(home.job.button, CLICK)
    qtbot.waitUntil(lambda: "Shown over the volume" in dock.banner.text, timeout=30000)
    layer = next(x for x in window.layers if x.name == "nerve (backprojected)")
    np.testing.assert_array_equal(
        pyramid_of(layer).volume.read(0), truth_of(entry, window, tmp_path / "truth", 1)
    )
    assert "voxels labelled, in" in home.job.status.text()
    assert "voxels" in home.job.status.text()
    qtbot.waitUntil(lambda: "about" in home.job.cost.text(), timeout=20000)
    # Again, some ids only, into a file that is there: asked, and left alone on no.
    pick(home.destination.format, "precomputed")
    type_into(qtbot, home.destination.path, str(tmp_path / "home"))
    type_into(qtbot, home.keep, "3")
    truth = truth_of(entry, window, tmp_path / "home", 1)
    asked: list[str] = []

    def answer(which: Any) -> Any:
        return staticmethod(lambda *args: asked.append(args[2]) or which)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QMessageBox, "question", answer(QMessageBox.StandardButton.No))
        qtbot.mouseClick(home.job.button, CLICK)
        assert "home is there already" in asked[0]
        assert not home.job.running
        np.testing.assert_array_equal(open_volume(tmp_path / "home").read(0), truth)
        patch.setattr(QMessageBox, "question", answer(QMessageBox.StandardButton.Yes))
        qtbot.mouseClick(home.job.button, CLICK)
    qtbot.waitUntil(lambda: dock.banner.text.endswith("volume: home"), timeout=30000)
    np.testing.assert_array_equal(
        open_volume(tmp_path / "home").read(0), np.where(truth == 3, truth, 0)
    )


def test_which_labels(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = opened(window)
    first, second = painted(window, tmp_path, "a"), painted(window, tmp_path, "b")
    labels = dock.home.labels
    assert [labels.itemText(i) for i in range(labels.count())] == ["a", "b", "all 2 of them"]
    assert dock.home.chosen == [second]  # those that are painted in
    labels.setCurrentIndex(0)
    labels.setCurrentIndex(1)
    earlier = painted(window, tmp_path, "c", Straightening(Trace(POINTS + STEP), 31, 24, 6.0, 7.0))
    labels.setCurrentIndex(2)
    assert labels.currentText() == "c (painted along an earlier trace)"
    labels.setCurrentIndex(3)
    assert dock.home.chosen == [first, second, earlier]
    dock.scene.labels.remove(first)
    assert dock.home.chosen == [second, earlier]


def test_the_overlay_is_switched_here(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = opened(window)
    entry = painted(window, tmp_path)
    overlays = dock.scene.overlays
    qtbot.waitUntil(lambda: overlays.layer_of(entry) is not None, timeout=20000)
    assert dock.live.isChecked()
    dock.live.click()
    assert overlays.layer_of(entry) is None
    overlays.on = True
    assert dock.live.isChecked()


def slowly(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Backprojections wait until they are stopped."""
    begun = threading.Event()
    usual = backproject_job.BackprojectJob._write_unit

    def write(self: Any, blocks: Any, cancel: Any) -> None:
        begun.set()
        while not cancel.is_set():
            threading.Event().wait(0.005)
        usual(self, blocks, cancel)

    monkeypatch.setattr(backproject_job.BackprojectJob, "_write_unit", write)
    return begun


def test_cancel_and_a_dock_that_is_hidden_meanwhile(
    window: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = opened(window)
    painted(window, tmp_path)
    home = dock.home
    qtbot.waitUntil(home.job.button.isEnabled, timeout=20000)
    begun = slowly(monkeypatch)
    qtbot.mouseClick(home.job.button, CLICK)
    qtbot.waitUntil(begun.is_set, timeout=20000)
    assert home.job.cancel_button.isVisible()
    qtbot.mouseClick(home.job.cancel_button, CLICK)
    qtbot.waitUntil(lambda: not home.job.running, timeout=20000)
    assert home.job.status.text() == "Cancelled; nothing was kept."
    assert list(tmp_path.glob("recovery/*/results/*")) == []
    begun.clear()
    qtbot.mouseClick(home.job.button, CLICK)
    qtbot.waitUntil(begun.is_set, timeout=20000)
    dock.hide()
    dock.scene.overlays.runs.cancel()
    qtbot.waitUntil(lambda: not dock.scene.overlays.runs.running, timeout=20000)
    dock.show()
    assert not home.job.running
    assert home.job.status.text() == "Cancelled; nothing was kept."


def test_points_go_home(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = opened(window)
    scene, map_ = dock.scene, traced(window)
    svu = np.array([[3.0, 4, 5], [20, 12, 15], [-4, 2, 2]])
    scene.straight.add_points(svu, scale=(map_.mean_spacing_nm, 6.0, 6.0), name="branches")
    assert dock.points.layer.currentText() == "branches"
    qtbot.mouseClick(dock.points.bring, CLICK)
    qtbot.waitUntil(lambda: "Brought home" in dock.banner.text, timeout=20000)
    assert "2 points; 1 lies outside" in dock.banner.text
    home = next(x for x in window.layers if x.name == "branches (backprojected)")
    nm = np.array([home.data_to_world(p) for p in home.data])
    np.testing.assert_allclose(nm, map_.to_volume(svu[:2]), atol=1e-6)


def test_a_closed_window_leaves_no_thread(
    window: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = opened(window)
    painted(window, tmp_path)
    qtbot.waitUntil(dock.home.job.button.isEnabled, timeout=20000)
    begun = slowly(monkeypatch)
    qtbot.mouseClick(dock.home.job.button, CLICK)
    qtbot.waitUntil(begun.is_set, timeout=20000)
    runs = dock.scene.overlays.runs
    close_scene(window)
    assert runs.close(10)
    assert not [t for t in threading.enumerate() if t.name == "ouroboros-backproject"]
    assert list(tmp_path.glob("recovery/*/results/*")) == []


def test_a_dock_that_is_closed_is_forgotten(window: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = opened(window)
    painted(window, tmp_path)
    gone = weakref.ref(dock)
    window.window.remove_dock_widget(dock)
    dock.close()
    dock.deleteLater()
    del dock

    def forgotten() -> bool:
        gc.collect()
        return gone() is None

    qtbot.waitUntil(forgotten, timeout=10000)
    scene_of(window).labels.changed.emit()
    settle(turns=50)  # Qt destroys what Python knows no more
