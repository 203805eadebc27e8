"""The QA dock in a real window: clicked and typed at."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.precomputed import write_by_hand
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QDockWidget
from real_events import middle, qt_viewer, settle, wait_until
from tests.operations.qa.conftest import CHUNK, SHAPE, STEP, tissue
from tests.widgets.qa.conftest import ENDS

from napari_ouroboros import open_volume
from napari_ouroboros.operations.qa import Rules
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.qa import QaDock
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import arrange
from napari_ouroboros.widgets.spaces.straight_space import straight_grid
from napari_ouroboros.widgets.straighten.strip_view import StripCanvas
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume

N = SHAPE[0]


class Window:
    """A window with tissue of which two slices are shifted, a trace, and the QA dock in front."""

    def __init__(self, viewer: Any, person: Any, folder: Path) -> None:
        voxels = tissue()
        for k in (13, 31):
            voxels[k] = np.roll(voxels[k], (5, -4), (0, 1))
        write_by_hand(
            folder / "em", [voxels[None]], chunk=CHUNK, resolutions=[(STEP,) * 3]
        )  # fmt: skip
        self.viewer, self.person = getattr(viewer, "__wrapped__", viewer), person
        self.volume = open_volume(folder / "em")
        add_layers(self.viewer, prepare_volume(self.volume, "em"))
        self.scene = scene_of(self.viewer)
        s = self.scene.settings
        s.width, s.height, s.pitch_nm, s.spacing_nm = 21, 21, STEP, STEP
        self.scene.traces.new(ENDS, "trace")
        docks = arrange(self.viewer)
        window = self.viewer.window._qt_window
        (self.dock,) = window.findChildren(QaDock)
        (holder,) = [dock for dock in docks if dock.isAncestorOf(self.dock)]
        person.focus(window)
        wait_until(lambda: self.scene.qa.is_current and self.scene.qa.idle, "the checks")
        wait_until(lambda: self.scene.straight.layers, "the straightened image")
        settle(turns=20)
        holder.raise_()
        wait_until(lambda: not self.dock.visibleRegion().isEmpty(), "the QA dock in front")
        settle(turns=20)

    def check_the_image(self) -> None:
        self.person.click_on(self.dock.checks.image.button)
        wait_until(lambda: len(self.scene.qa.suspicious), "suspicious slices")
        wait_until(lambda: self.scene.qa.idle, "the end of the check")
        settle()

    @property
    def shown(self) -> tuple[int, int]:
        """The slices that the two canvases show."""
        grid = straight_grid(self.scene, self.scene.live.state.map)
        k = round(float(grid.to_index(self.scene.straight.dims.point)[0]))
        return round(float(self.viewer.dims.point[0]) / STEP - 0.5), k


@pytest.fixture
def qa_window(window: Callable[..., Any], person: Any, tmp_path: Path) -> Iterator[Window]:
    found = Window(window(), person, tmp_path)
    yield found
    found.volume.close()


def test_a_rule_that_is_touched_leaves_the_others_to_the_digit(qa_window: Window) -> None:
    qa, form = qa_window.scene.qa, qa_window.dock.rules
    qa.rules = fine = Rules(jump=6.25, least_jump=0.05125, contested=0.00031)
    form.switches["jump"].click()
    assert qa.rules == replace(fine, jump=None)
    form.switches["fold"].click()
    assert qa.rules == replace(fine, jump=None, fold=False)
    form.switches["jump"].click()
    assert qa.rules == replace(fine, fold=False)
    form.numbers["intensity"].setValue(7.5)
    assert qa.rules == replace(fine, fold=False, intensity=7.5)


def test_click_keys_and_marks(qa_window: Window) -> None:
    scene, dock, person = qa_window.scene, qa_window.dock, qa_window.person
    # A click in the plot: both canvases go there.
    plot = dock.path.plot
    person.click(plot.mapToGlobal(QPoint(round(plot.x_of(40)), 20)))
    wait_until(lambda: scene.place.slice_index == 40, "slice 40")
    assert qa_window.shown == (40, 40)
    assert dock.path.slices.slice_of(dock.path.table.currentIndex().row()) == 40
    # Suspicious slices are known once the image has been looked at.
    assert not dock.slice.next.isEnabled()
    qa_window.check_the_image()
    assert list(scene.qa.suspicious) == [13, 31]
    # Keys, with either canvas in focus.
    for model in (qa_window.viewer, scene.straight):
        native = qt_viewer(model).canvas.native
        person.click(middle(native))
        person.key(keys.NEXT_SUSPICIOUS)
        wait_until(lambda: scene.place.slice_index == 13, "slice 13")
        assert qa_window.shown == (13, 13)
        person.key(keys.NEXT_SUSPICIOUS)
        wait_until(lambda: scene.place.slice_index == 31, "slice 31")
        person.key(keys.PREVIOUS_SUSPICIOUS)
        person.key(keys.PREVIOUS_SUSPICIOUS)
        wait_until(lambda: scene.place.slice_index == 31, "around the end")
    assert "differs from both neighbouring slices" in dock.slice.reasons.text()
    # Bad by key, with a comment by keyboard; good by mouse; again: no mark.
    person.key(keys.MARK_BAD)
    wait_until(dock.slice.bad.isChecked, "the mark")
    person.click_on(dock.slice.comment)
    person.type("torn")
    person.key("Enter")
    mark = wait_until(lambda: scene.qa.marks.get(31), "the mark of slice 31")
    assert (mark.verdict, mark.comment) == ("bad", "torn")
    person.click_on(dock.slice.good)
    wait_until(lambda: scene.qa.marks.get(31).verdict == "good", "the other mark")
    assert scene.qa.marks.get(31).comment == "torn"
    person.click_on(dock.slice.good)
    wait_until(lambda: scene.qa.marks.get(31) is None, "no mark")
    # Only the suspicious ones in the table: a click on a row goes there.
    person.click_on(dock.path.only)
    wait_until(lambda: dock.path.slices.rowCount() == 2, "two rows")
    table = dock.path.table
    cell = table.visualRect(dock.path.slices.index(0, 0)).center()
    person.click(table.viewport().mapToGlobal(cell))
    wait_until(lambda: scene.place.slice_index == 13, "slice 13")
    assert qa_window.shown == (13, 13)


def flagged(strip: Any, k: int) -> bool:
    """Whether the strip's ruler has a flag at a slice: orange or red."""
    colour = strip.grab().toImage().pixelColor(round(strip.x_of(k)) - 2, strip.height() - 14)
    return bool(colour.red() > 200 and colour.blue() < 80 and colour.green() < 180)


def test_flags_on_the_strip(qa_window: Window) -> None:

    (strip,) = [x for x in QApplication.allWidgets() if isinstance(x, StripCanvas)]
    assert [k for k in range(N) if flagged(strip, k)] == []
    qa_window.check_the_image()
    qa_window.scene.qa.toggle_mark("bad", 40)
    qa_window.scene.qa.toggle_mark("good", 5)
    assert [k for k in range(N) if flagged(strip, k)] == [13, 31, 40]


def test_a_closed_dock_is_gone_and_its_work_goes_on(qa_window: Window) -> None:
    scene = qa_window.scene
    signals = [
        *(scene.qa.changed, scene.qa.marks_changed, scene.live.changed),
        *(scene.place.slice_changed, scene.qa.measuring.changed, scene.qa.table.ended),
    ]
    jobs = (scene.qa.image, scene.qa.round_trip, scene.qa.measuring.job)
    shown = [len(signal) for signal in signals]
    holder = qa_window.dock.parentWidget()
    while not isinstance(holder, QDockWidget):
        holder = holder.parentWidget()
    assert scene.qa.check_round_trip()
    holder.hide()
    settle()
    hidden = [len(signal) for signal in signals]
    assert all(a < b for a, b in zip(hidden, shown, strict=True))
    holder.show()
    holder.raise_()
    wait_until(lambda: [len(signal) for signal in signals] == shown, "the dock listens again")
    gone = weakref.ref(qa_window.dock)
    qa_window.viewer.window.remove_dock_widget(qa_window.dock)
    qa_window.dock.close()
    qa_window.dock.deleteLater()
    del qa_window.dock, holder
    wait_until(lambda: gc.collect() >= 0 and gone() is None, "the dock to be gone")
    assert [len(signal) for signal in signals] == hidden
    assert [len(job.ended) for job in jobs] == [0, 0, 0]
    wait_until(lambda: scene.qa.checks.round_trip is not None, "the round trip")


def test_the_plot_dims_while_it_is_of_other_slices(qa_window: Window) -> None:
    plot, qa = qa_window.dock.path.plot, qa_window.scene.qa
    (trace,) = qa_window.scene.traces.traces
    assert not plot.is_dimmed
    trace.begin_drag()
    trace.drag({1: trace.state.points_nm[1] + [0, 24, 0]})
    wait_until(lambda: plot.is_dimmed, "the plot to be dimmed")
    assert not qa_window.dock.slice.good.isEnabled()
    trace.end_drag()
    wait_until(lambda: qa.is_current and not plot.is_dimmed, "the plot of the new slices")
    wait_until(qa_window.dock.slice.good.isEnabled, "marks again")
