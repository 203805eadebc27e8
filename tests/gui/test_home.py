"""Strokes of a real mouse in the straightened view are seen in the original, at once."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui_watcher import Watcher
from qtpy.compat import isalive
from qtpy.QtWidgets import QMessageBox
from real_events import Person, Waited, on_screen, qt_viewer, settle, wait_until, way
from scene_server import served as serve
from story import Story

from napari_ouroboros import backproject, open_volume
from napari_ouroboros.operations import backproject_job
from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.labels.book import StraightLabels
from napari_ouroboros.widgets.spaces import arrange
from napari_ouroboros.widgets.spaces.closing import watch_of

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")

BIG = 2**63 + 5


def labelled(story: Story) -> StraightLabels:
    """New labels in the straightened space, a brush in the hand."""
    book = story.scene.labels
    book.new()
    wait_until(lambda: book.active is not None and book.active.layer is not None, "the labels")
    entry = book.active
    entry.layer.brush_size = 12
    entry.layer.mode = "paint"
    return entry


def stroke(story: Story, k: int, at: tuple[float, float]) -> None:
    """Draw a short line in the shown slice; `at` are shares of its height and width."""
    s, scale = story.scene.settings, np.asarray(story.straight_image.scale)
    low, high = (
        np.array([k, (at[0] + d) * s.height, (at[1] + d) * s.width]) * scale for d in (-0.05, 0.05)
    )
    path = way(on_screen(story.scene.straight, low), on_screen(story.scene.straight, high))
    story.person.drag(path)


class Seen:
    """Notes when a picture with an id has been drawn in the volume's canvas."""

    def __init__(self, story: Story, entry: StraightLabels) -> None:
        self.layer = story.scene.overlays.layer_of(entry)
        self._entry = entry
        self._canvas = qt_viewer(story.viewer).canvas
        self._canvas.events.draw.connect(self._drawn)
        entry.array.changed.connect(self._painted)
        self.painted = self.drawn = 0.0
        self.value = 0

    def wait_for(self, value: int) -> None:
        """Only what comes after this counts."""
        self.value, self.painted, self.drawn = value, 0.0, 0.0

    def _painted(self) -> None:
        self.painted = self.painted or time.perf_counter()

    def _drawn(self, event: Any) -> None:
        raw = np.asarray(self.layer._slice.image.raw)
        if self.painted and not self.drawn and (raw == np.uint64(self.value)).any():
            self.drawn = time.perf_counter()

    def close(self) -> None:
        self._canvas.events.draw.disconnect(self._drawn)
        self._entry.array.changed.disconnect(self._painted)


@pytest.fixture(autouse=True)
def recovery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_OUROBOROS_RECOVERY", str(tmp_path / "recovery"))


def told(window: Callable[..., Any], person: Person, near: Any) -> tuple[Story, StraightLabels]:
    story = Story(window(), person, near)
    arrange(story.viewer)
    streaming.add_layers(story.viewer, streaming.prepare_volume(near.volume, "em"))
    story.scene.traces.new(near.points_nm)
    story.settled()
    story.go_to_slice(len(story.truth()[0].frames) // 2)
    story.settled()
    entry = labelled(story)
    overlays = story.scene.overlays
    wait_until(lambda: overlays.layer_of(entry) is not None, "the labels in the volume")
    story.settled()
    return story, entry


@pytest.mark.timed
def test_a_stroke_is_seen_in_the_volume_without_a_run(
    window: Callable[..., Any], person: Person, demo_nerve: Path, tmp_path: Path
) -> None:
    with serve(demo_nerve, latency=0.0) as near:
        story, entry = told(window, person, near)
        scene = story.scene
        k = scene.place.slice_index
        # The plane of the volume through the middle of the slice.
        story.viewer.dims.set_point(0, entry.map.frames.c[k][0])
        story.settled()
        before = story.viewer.dims.point, str(story.viewer.scene.camera.model_dump())
        active = story.viewer.layers.selection.active
        seen = Seen(story, entry)
        taken = []
        with Watcher() as watcher, watcher.during("paint"):
            for i, value in enumerate((1, 300, BIG, 7, 8)):
                entry.layer.selected_label = value
                seen.wait_for(value)
                stroke(story, k, (0.5, 0.46 + 0.02 * i))
                assert (entry.array[k] == np.uint64(value)).any(), "the mouse did not paint"
                wait_until(lambda: seen.drawn, "the stroke in the volume", seconds=5)
                taken.append(seen.drawn - seen.painted)
        # napari maps ids to colours on all processors at once, and waits for the busiest of them.
        watcher.check(limit=0.25)
        for gap in watcher.gaps:
            print(gap)
        seen.close()
        print("stroke to drawn, ms:", [round(1000 * t) for t in taken])
        assert statistics.median(taken) < 1.0
        # Exactly, in the same colour, and nothing else has moved.
        story.settled()
        layer = scene.overlays.layer_of(entry)
        backproject(np.asarray(entry.array), entry.map, tmp_path / "out", near.volume, 0)
        home = open_volume(tmp_path / "out")
        mip = layer.data_level
        shown = np.asarray(layer._slice.image.raw)
        ids = set(np.unique(shown).tolist())
        assert {BIG, 8} <= ids <= {0, *np.unique(entry.array).tolist()}
        if mip == 0:
            z = int(story.viewer.dims.current_step[0])
            truth = home.read(0)[z]  # the layer is padded for its coarser levels
            np.testing.assert_array_equal(shown[: truth.shape[0], : truth.shape[1]], truth)
        home.close()
        for value in (1, 300, BIG):
            np.testing.assert_array_equal(layer.get_color(value), entry.layer.get_color(value))
        assert story.viewer.layers.selection.active is active
        assert before == (story.viewer.dims.point, str(story.viewer.scene.camera.model_dump()))
        # Undo by key, over the straightened view.
        person.key("Control-Z")
        wait_until(lambda: not (entry.array[k] == np.uint64(8)).any(), "undo")

        def gone() -> bool:
            return not (np.asarray(layer._slice.image.raw) == np.uint64(8)).any()

        wait_until(gone, "the stroke to go from the volume", seconds=5)


def test_with_the_overlay_off_it_is_not_seen(
    window: Callable[..., Any], person: Person, demo_nerve: Path
) -> None:
    with serve(demo_nerve, latency=0.0) as near:
        story, entry = told(window, person, near)
        layer = story.scene.overlays.layer_of(entry)
        story.scene.overlays.on = False
        settle()
        k = story.scene.place.slice_index
        entry.layer.selected_label = 5
        stroke(story, k, (0.5, 0.5))
        assert (entry.array[k] == 5).any()
        with pytest.raises(Waited):
            wait_until(
                lambda: (np.asarray(layer._slice.image.raw) == 5).any(), "the stroke", seconds=1.5
            )
        assert layer not in story.viewer.layers


def test_closing_during_a_backprojection(
    window: Callable[..., Any],
    person: Person,
    demo_nerve: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked; on yes nothing is left that looks finished, and no thread."""
    begun = threading.Event()
    usual = backproject_job.BackprojectJob._write_unit

    def slowly(self: Any, blocks: Any, cancel: Any) -> None:
        usual(self, blocks, cancel)
        begun.set()
        while not cancel.is_set():
            threading.Event().wait(0.005)

    monkeypatch.setattr(backproject_job.BackprojectJob, "_write_unit", slowly)
    (tmp_path / "to").mkdir()
    with serve(demo_nerve, latency=0.0) as near:
        story, entry = told(window, person, near)
        entry.array[100:400, 20:60, 20:60] = BIG
        dock = story.bring_to_front(BackprojectDock)
        form = dock.home
        form.destination.path.setText(str(tmp_path / "to" / "home"))
        form.destination.path.editingFinished.emit()
        story.press(form.job.button)
        wait_until(begun.is_set, "the backprojection")
        qt, viewer = story.window, story.viewer
        watch = watch_of(qt, viewer)
        qt.close(quit_app=False, confirm_need=False)
        question = wait_until(lambda: watch.question, "the question")
        assert "A backprojection is running: stop it and close?" in question.text()
        assert qt.isVisible()
        assert story.scene.overlays.runs.running
        question.button(QMessageBox.StandardButton.Discard).click()
        wait_until(lambda: not isalive(qt), "the window to close")
        del viewer.window._qt_window  # as napari does when a program closes it
        names = ("ouroboros-backproject", "ouroboros-overlays", "ouroboros-results")
        wait_until(
            lambda: not [t for t in threading.enumerate() if t.name.startswith(names)],
            "the threads to end",
        )
        assert list((tmp_path / "to").iterdir()) == []
        assert not list(tmp_path.glob("recovery/*/results/*"))
