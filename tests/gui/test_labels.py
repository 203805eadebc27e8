"""Labels in a real window: painted by mouse, their controls, and the second window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import napari.types
import numpy as np
import pytest
from leaks import Alive
from napari.layers import Labels
from qtpy.QtWidgets import QApplication, QDockWidget
from real_events import Person, settle, wait_until
from small_scene import make_scene

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.labels.form import EARLIER, NONE_YET
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import arrange
from napari_ouroboros.widgets.spaces.dock import dock_of
from napari_ouroboros.widgets.spaces.second_window import open_in_window
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume

BIG = 2**63


def open_window(make: Callable[..., Any], folder: Path) -> Any:
    small = make_scene(folder)
    viewer = make(show=True)
    viewer = getattr(viewer, "__wrapped__", viewer)
    viewer.window.set_geometry(0, 0, 1366, 768)
    add_layers(viewer, prepare_volume(open_volume(str(folder / "em")), "em"))
    scene = scene_of(viewer)
    scene.settings.width = scene.settings.height = 40
    scene.traces.new(small.points_nm, "trace")
    arrange(viewer)
    wait_until(lambda: scene.live.idle and scene.live.state.map, "the map")
    wait_until(lambda: len(scene.straight.layers), "the straightened image")
    settle(turns=20)
    scene.straight.reset_view()
    return viewer


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    """The small volume and its trace, with all docks, Backproject in front."""
    viewer = open_window(make_napari_viewer, tmp_path)
    scene = scene_of(viewer)
    straight, home = dock_of(viewer), dock_in(viewer)
    docked(home).raise_()
    settle("the dock in front", turns=20)
    found = SimpleNamespace(
        viewer=viewer, scene=scene, book=scene.labels, dock=straight, form=home.labels, home=home
    )
    del viewer, scene, straight, home
    yield found
    vars(found).clear()


def dock_in(viewer: Any) -> BackprojectDock:
    return next(w for w in QApplication.allWidgets() if isinstance(w, BackprojectDock)
                and w.scene.viewer is viewer)  # fmt: skip


def docked(widget: Any) -> QDockWidget:
    while not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


def made(window: Any) -> Any:
    wait_until(lambda: window.book.idle, "the labels")
    return window.book.entries[-1]


def test_painted_by_mouse_with_every_tool(window: Any, person: Person) -> None:
    scene = window.scene
    person.click_on(window.form.new)
    entry = made(window)
    layer, straight, array = entry.layer, scene.straight, entry.array
    assert isinstance(array, LabelArray)
    straight.dims.set_current_step(0, 20)
    scale = np.asarray(layer.scale)
    person.focus(window.viewer.window._qt_window)

    def at(row: float, column: float) -> Any:
        return scale * [20, row, column]

    person.click_world(straight, at(2, 2))  # the canvas has the keys now
    person.key("P")
    wait_until(lambda: layer.mode == "paint", "the brush")
    states = [array[:]]
    for number, label in enumerate((1, 300, BIG)):
        layer.selected_label = label
        layer.brush_size = 5
        person.click_world(straight, at(10 + 8 * number, 14))
        wait_until(lambda: (array[20] == label).sum() > 10, f"{label} to be painted")  # noqa: B023
        states.append(array[:])
    assert np.unique(array[:]).tolist() == [0, 1, 300, BIG]
    layer.n_edit_dimensions = 3
    person.click_world(straight, at(20, 30))
    wait_until(lambda: (array[[19, 21]] == BIG).any(), "the ball")
    states.append(array[:])
    layer.n_edit_dimensions = 2
    person.key("1")
    wait_until(lambda: layer.mode == "erase", "the eraser")
    person.click_world(straight, at(10, 14))
    wait_until(lambda: not (array[20] == 1).any(), "1 to be erased")
    states.append(array[:])
    layer.mode, layer.selected_label = "fill", 2**64 - 1
    person.click_world(straight, at(2, 2))
    wait_until(lambda: array[20, 0, 0] == 2**64 - 1, "the filling")
    states.append(array[:])
    for state in states[-2::-1]:
        person.key("Control-Z")
        wait_until(lambda: (array[:] == state).all(), "the undo")  # noqa: B023
    for state in states[1:]:
        person.key("Control-Shift-Z")
        wait_until(lambda: (array[:] == state).all(), "the redo")  # noqa: B023
    np.testing.assert_array_equal(LabelArray.open(array.path)[:], states[-1])


def test_the_volume_goes_to_a_polygon(window: Any, person: Person) -> None:
    viewer, scene = window.viewer, window.scene
    straight = scene.straight
    scene.labels.new()
    entry = made(window)
    layer, last = entry.layer, entry.array.shape[0] - 1
    scene.place.go_to_slice(last)
    wait_until(lambda: straight.dims.current_step[0] == last, "the last slice")
    axis = viewer.dims.order[0]
    there = entry.map.to_volume((last, 20, 20))[axis]
    viewer.dims.set_point(axis, entry.map.to_volume((0, 20, 20))[axis])
    far = abs(viewer.dims.point[axis] - there)
    person.focus(viewer.window._qt_window)
    layer.mode = "polygon"
    for corner in ((8, 8), (8, 32), (32, 20)):
        person.click_world(straight, np.asarray(layer.scale) * [last, *corner])
    person.key("Return")
    wait_until(lambda: entry.array[last, 16, 20], "the polygon to be filled")
    wait_until(lambda: abs(viewer.dims.point[axis] - there) < far / 4, "the volume to go there")


def test_the_row_shows_the_job_that_begins_where_another_ends(window: Any, person: Person) -> None:
    jobs, row = window.book.jobs, window.form.job
    first, second, ended = threading.Event(), threading.Event(), []

    def until(go: threading.Event) -> Callable[[Any, Any], None]:
        def work(_progress: Any, cancel: Any) -> None:
            while not go.wait(0.005):
                if cancel.is_set():
                    raise Cancelled("as asked")

        return work

    def begin_second(_result: None) -> None:
        jobs.start("Second", until(second), ended.append, ended.append)

    jobs.start("First", until(first), begin_second, ended.append)
    wait_until(lambda: row.status.text() == "First", "the first to be shown")
    first.set()
    wait_until(lambda: row.status.text() == "Second", "the second to be shown")
    assert row.running
    person.click_on(row.cancel_button)
    wait_until(lambda: ended, "its end")
    assert isinstance(ended[0], Cancelled)
    wait_until(lambda: not row.running, "the row to be empty")


def test_the_controls(window: Any, person: Person) -> None:
    scene, book, form = window.scene, window.book, window.form
    person.focus(window.viewer.window._qt_window)
    assert form.hint.text() == NONE_YET
    for button in (form.carry, form.back, form.remove, form.undo, form.job.button):
        assert not button.isEnabled()
        assert button.toolTip()
    assert not window.dock.panels.straightened_in_front
    (uint8,) = [action for action in form.dtypes if action.text() == "uint8"]
    uint8.trigger()
    wait_until(lambda: window.dock.panels.straightened_in_front, "the brush within reach")
    entry = made(window)
    assert entry.array.dtype == np.uint8
    assert form.list.item(0).text() == "labels – shown (uint8)"
    assert not form.hint.isVisible()
    # Between slices, by the button; the row says that it goes on, and that it is over.
    entry.array[5, 10:20, 10:20] = entry.array[30, 12:26, 12:26] = 7
    wait_until(form.job.button.isEnabled, "the button")
    person.click_on(form.job.button)
    wait_until(lambda: (entry.array[18] == 7).any() and book.idle, "what lies between")
    assert not form.job.running
    assert "between painted slices" in window.home.banner.text
    layer = entry.layer
    layer.undo()
    assert not entry.array[18].any()
    # An edit of the trace: they stay with theirs, and it is said.
    model = scene.traces.active
    model.move({1: model.state.points_nm[1] + [0.0, 60.0, 30.0]})
    wait_until(lambda: not entry.is_shown, "the labels to be parked")
    assert form.hint.text() == EARLIER
    assert "painted along an earlier trace" in form.list.item(0).text()
    assert not form.job.button.isEnabled()
    person.click_on(form.carry)
    wait_until(lambda: len(book.entries) == 2 and book.idle, "the labels carried over")
    assert book.entries[1].is_shown
    assert form.current is book.entries[1]
    assert "carried over" in window.home.banner.text
    assert form.undo.text() == "Undo adding labels carr…"
    person.click_on(form.undo)
    wait_until(lambda: book.entries == [entry], "the undo")
    person.click_on(form.back)
    wait_until(lambda: entry.layer is layer, "the labels to be shown again")
    model.undo()
    wait_until(lambda: not entry.is_shown, "the trace's undo")
    model.redo()
    wait_until(lambda: entry.is_shown, "the trace's redo")
    person.click_on(form.remove)
    assert book.entries == []
    wait_until(form.undo.isEnabled, "the undo")
    person.click_on(form.undo)
    assert book.entries == [entry]


def test_what_is_marked_in_the_list_is_what_buttons_act_on(window: Any) -> None:
    book, form, model = window.book, window.form, window.scene.traces.active
    form.new.click()
    parked = made(window)
    model.move({1: model.state.points_nm[1] + [0.0, 60.0, 30.0]})
    wait_until(lambda: not parked.is_shown, "the labels to be parked")
    form.new.click()
    wait_until(lambda: len(book.entries) == 2, "the labels of now")
    shown = book.entries[1]
    assert form.current is shown
    assert form.list.currentRow() == 1
    form.list.setCurrentRow(0)  # looked at
    assert form.current is parked
    book.rename(shown, "now")
    assert form.current is parked
    assert form.list.currentRow() == 0


def test_buttons_of_the_layer_list_make_labels_that_are_kept(window: Any) -> None:
    window.dock.view.layerButtons.newLabelsButton.click()
    entry = made(window)
    assert isinstance(entry.layer.data, LabelArray)
    before = entry.layer
    window.scene.straight.layers.selection.active = before
    window.dock.view.layerButtons.deleteButton.click()
    assert window.book.entries == []
    window.book.undo()
    assert window.book.entries == [entry]
    window.scene.straight.layers.selection.active = before
    actions = {a.text(): a for a in window.dock.menu.make().actions()}
    actions["Duplicate"].trigger()
    wait_until(lambda: len(window.book.entries) == 2, "the copy")
    assert not actions["Convert image / labels"].isEnabled()
    assert "stay labels" in actions["Convert image / labels"].toolTip()


def opened(scene: Any) -> Any:
    """The second window, not on the screen: what is seen of it is tested with the spaces."""
    second = open_in_window(scene, show=False)
    settle(turns=10)
    return second


def double(labels: napari.types.LabelsData) -> napari.types.LabelsData:
    """What a plugin does that knows of arrays only."""
    from scipy import ndimage

    return np.where(ndimage.binary_dilation(labels > 0), 2**40, 0).astype(np.uint64)


def test_a_foreign_widget_works_on_them_in_the_second_window(window: Any) -> None:
    from magicgui import magicgui

    window.book.new()
    entry = made(window)
    entry.array[7:9, 10:20, 10:20] = 5
    book = window.book
    second, widget = opened(window.scene), magicgui(double)
    twin = next(x for x in second.layers if isinstance(x, Labels))
    assert twin.data is entry.array
    second.window.add_dock_widget(widget)
    assert widget["labels"].value is entry.array
    wanted = double(entry.array[:])
    widget()
    wait_until(lambda: len(book.entries) == 2 and book.idle, "the result to be taken back")
    result = book.entries[-1]
    assert result.is_shown
    assert result.name == "double result"
    np.testing.assert_array_equal(result.array[:], wanted)
    theirs = next(x for x in second.layers if x.name == "double result")
    assert theirs.data is result.array
    np.testing.assert_array_equal(theirs.scale, twin.scale)
    # Once more, after another stroke: the same labels, up to date.
    twin.paint((12, 30, 30), 300)
    widget()
    wanted = double(entry.array[:])
    wait_until(lambda: (result.array[:] == wanted).all() and book.idle, "the second result")
    assert len(book.entries) == 2
    # Shown in both windows, however it was written.
    for model, layer in ((second, theirs), (window.scene.straight, result.layer)):
        model.dims.set_current_step(0, 12)
        wait_until(lambda: (layer._slice.image.raw == 2**40).any(), "the result")  # noqa: B023
    second.close()


def test_nobody_paints_in_the_second_window_while_its_labels_are_filled_in(window: Any) -> None:
    """Cancelled, a stroke would be taken back with the rest."""
    window.book.new()
    entry = made(window)
    entry.array[5, 10:20, 10:20] = entry.array[30, 12:26, 12:26] = 7
    early = opened(window.scene)
    window.book.interpolate(entry)
    late = open_in_window(window.scene, show=False)
    twins = [next(x for x in viewer.layers if isinstance(x, Labels)) for viewer in (early, late)]
    assert [twin.editable for twin in twins] == [False, False]
    wait_until(lambda: window.book.idle, "what lies between")
    assert (entry.array[18] == 7).any()
    assert [twin.editable for twin in twins] == [True, True]
    early.close()
    late.close()


def test_the_second_window_lets_go_of_labels(window: Any) -> None:
    window.book.new()
    entry = made(window)
    alive = Alive()
    _paint_in_second(window.scene, entry, alive)
    alive.expect_gone(5)
    entry.layer.paint((2, 20, 20), 7)
    settle(turns=5)


def _paint_in_second(scene: Any, entry: Any, alive: Alive) -> None:
    second = opened(scene)
    twin = next(x for x in second.layers if isinstance(x, Labels))
    alive.note(second, twin)
    twin.paint((2, 20, 20), BIG)
    for model, layer in ((second, twin), (scene.straight, entry.layer)):
        model.dims.set_current_step(0, 2)
        _shown(layer)
    # An edit of the trace parks them; they leave the second window's slices, too.
    there = ref(second)
    scene.settings.width += 2
    wait_until(lambda: not entry.is_shown, "the labels to be parked")
    wait_until(lambda: not _labels_in(there()), "the twin to go")
    scene.settings.width -= 2
    wait_until(lambda: len(_labels_in(there())) == 1, "the labels to be shown again")
    assert entry.is_shown
    settle(turns=30)
    second.close()


def _shown(layer: Any) -> None:
    there = ref(layer)
    wait_until(lambda: (there()._slice.image.raw == BIG).any(), "the paint to show")


def _labels_in(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]
