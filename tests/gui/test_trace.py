"""Tracing with a real mouse and keyboard, in all planes and in 3D, with the dock beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from real_events import on_screen, settle, still, wait_until, way
from small_scene import RESOLUTION, make_scene

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets.keys import REDO, UNDO, WALK_ALONG
from napari_ouroboros.widgets.scene import close_scene, scene_of
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch
from napari_ouroboros.widgets.trace import TraceDock, trace_dock
from napari_ouroboros.widgets.trace.readouts import measure


class Desk:
    """A window with the small volume, the Trace dock, and who works at it."""

    def __init__(self, viewer: Any, person: Any, folder: Path) -> None:
        self.viewer, self.person, self.folder = viewer, person, folder
        self.scene = scene_of(viewer)
        volume = open_volume(folder / "em")
        add_layers(viewer, prepare_volume(volume, "em"))
        self.dock = TraceDock(viewer)
        viewer.window.add_dock_widget(self.dock, name="Trace", area="right")
        self.canvas = viewer.window._qt_viewer.canvas.native
        person.focus(viewer.window._qt_window)
        settle()
        low, high = volume.bounds_nm
        self.low, self.size = low, high - low

    @property
    def model(self) -> Any:
        return self.scene.traces.active

    @property
    def layer(self) -> Any:
        return self.scene.traces.layer_of(self.model)

    @property
    def points(self) -> np.ndarray:
        return self.model.state.points_nm

    def place(self, *share: float) -> np.ndarray:
        """Zyx nm of the centre of the voxel at this share of the volume."""
        index = np.floor(np.array(share) * self.size / RESOLUTION)
        return np.asarray(self.low + (index + 0.5) * RESOLUTION)

    def show(self, place: np.ndarray) -> None:
        """Let the planes through a place be shown."""
        self.viewer.dims.set_point(range(3), tuple(place))
        settle()

    def screen(self, place: np.ndarray) -> QPoint:
        return on_screen(self.viewer, place)

    def click_at(self, place: np.ndarray) -> None:
        before = self.model.state
        self.person.click_world(self.viewer, place)
        wait_until(lambda: self.model.state is not before, "the click to change the trace")

    def press(self, button: Any) -> None:
        self.person.click_on(button)

    def numbers(self) -> Any:
        return wait_until(self.numbers_now, "the numbers of the trace")

    def numbers_now(self) -> Any:
        """What the dock says of the trace as it is now, or None."""
        rows = self.dock.numbers
        if rows.numbers is None or not rows.size.isEnabled():
            return None
        return rows.numbers if rows.numbers.points == len(self.points) else None


@pytest.fixture
def desk(window: Callable[..., Any], person: Any, tmp_path: Path) -> Iterator[Desk]:
    make_scene(tmp_path)
    viewer = window()
    desk = Desk(viewer, person, tmp_path)
    yield desk
    close_scene(viewer)
    unwatch(viewer)
    desk.dock = None  # type: ignore[assignment]


def traced(desk: Desk, axis: int) -> list[np.ndarray]:
    """Click four points in one plane across `axis`, and return where."""
    ways = [(0.2, 0.3), (0.4, 0.5), (0.6, 0.45), (0.8, 0.7)]
    places = [desk.place(*np.insert(np.array(p), axis, 0.4)) for p in ways]
    desk.viewer.dims.order = (axis, *[a for a in range(3) if a != axis])
    desk.show(places[0])
    desk.viewer.reset_view()
    settle()
    desk.press(desk.dock.new)
    wait_until(lambda: desk.model is not None and desk.layer.mode == "add", "the new trace")
    for place in places:
        desk.click_at(place)
    return places


def voxels(desk: Desk, nm: Any) -> np.ndarray:
    return np.asarray(nm) / RESOLUTION


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_are_appended_inserted_dragged_deleted_and_all_of_it_undone(
    desk: Desk, axis: int
) -> None:
    places = traced(desk, axis)
    assert len(desk.points) == 4
    # A pixel of the screen is this many nm; a click is as exact as that.
    pixel = 1.5 / desk.viewer.scene.camera.zoom
    np.testing.assert_allclose(desk.points, places, atol=pixel)
    np.testing.assert_allclose(desk.points[:, axis], places[0][axis], atol=1e-6)

    # On the curve between two points: inserted there, on the curve.
    curve = desk.model.state.curve
    s = desk.model.state.points_s
    on_it = curve.at(0.5 * (s[1] + s[2]))[0]
    desk.click_at(on_it)
    assert len(desk.points) == 5
    np.testing.assert_allclose(desk.points[2], on_it, atol=pixel)
    assert desk.layer.features["order"].tolist() == [0, 1, 2, 3, 4]

    # Dragged in napari's own mode, live, and one step to undo.
    desk.press(desk.dock.tools.tools["move"])
    wait_until(lambda: desk.layer.mode == "select", "napari's mode for moving")
    seen: list[tuple[bool, np.ndarray]] = []

    def note() -> None:
        seen.append((desk.model.dragging, desk.points[2].copy()))

    desk.model.changed.connect(note)
    goal = desk.points[2] + np.insert([0.1, 0.0], axis, 0) * desk.size
    other = np.delete(desk.points, 2, axis=0)
    start = wait_until(still(lambda: desk.screen(desk.points[2])), "the point to be still")
    desk.person.drag(way(start, desk.screen(goal)))
    wait_until(lambda: len(seen) > 1 and not desk.model.dragging, "the drag to end")
    desk.model.changed.disconnect(note)
    assert sum(dragging for dragging, _ in seen) >= 2
    assert not seen[-1][0]
    np.testing.assert_allclose(desk.points[2], goal, atol=2 * pixel)
    np.testing.assert_array_equal(np.delete(desk.points, 2, axis=0), other)

    # The point is selected: Delete removes it.
    desk.person.key("Delete")
    wait_until(lambda: len(desk.points) == 4, "the point to be deleted")
    np.testing.assert_array_equal(desk.points, other)

    for key, count in ((UNDO, 5), (UNDO, 5), (UNDO, 4), (REDO, 5)):
        before = desk.model.state
        desk.person.key(key)
        wait_until(lambda: desk.model.state is not before, f"{key}")  # noqa: B023
        assert len(desk.points) == count
        assert len(desk.layer.data) == count
        assert desk.layer.features["order"].tolist() == list(range(count))
    np.testing.assert_allclose(desk.points[2], on_it, atol=pixel)
    numbers = desk.numbers()
    assert numbers.points == 5
    np.testing.assert_allclose(numbers.length_nm, desk.model.state.curve.length)


def test_a_click_in_3d_takes_a_point_or_the_curve_or_says_how(desk: Desk) -> None:
    traced(desk, 0)
    desk.viewer.dims.order = (0, 1, 2)
    desk.viewer.dims.ndisplay = 3
    desk.viewer.scene.camera.angles = (20, 35, 60)
    desk.viewer.reset_view(reset_camera_angle=False)
    settle()
    before = desk.model.state
    desk.person.click_world(desk.viewer, desk.points[2])
    wait_until(lambda: set(desk.layer.selected_data) == {2}, "the third point to be selected")
    assert desk.model.state is before

    s = desk.model.state.points_s
    on_it = desk.model.state.curve.at(0.5 * (s[2] + s[3]))[0]
    desk.click_at(on_it)
    assert len(desk.points) == 5
    pixel = 1.0 / desk.viewer.scene.camera.zoom
    away = np.linalg.norm(before.curve.at(np.linspace(0, s[-1], 20_000)) - desk.points[3], axis=1)
    assert away.min() < 0.1
    assert np.linalg.norm(desk.points[3] - on_it) < 4 * pixel

    before = desk.model.state
    desk.person.click_at(lambda: desk.canvas.mapToGlobal(QPoint(desk.canvas.width() - 15, 15)))
    wait_until(lambda: "Ctrl-Y" in desk.dock.hint.text(), "the line that says how")
    assert desk.model.state is before
    assert len(desk.layer.data) == 5


def test_one_key_walks_on_from_the_tip_and_a_click_goes_on_there(desk: Desk) -> None:
    traced(desk, 0)
    desk.person.key(WALK_ALONG)
    curve = desk.model.state.curve
    step = 0.5 * np.linalg.norm(desk.points[-1] - desk.points[-2])
    there = curve.at(curve.length)[0] + step * curve.tangent(curve.length)[0]
    camera = desk.viewer.scene.camera
    wait_until(lambda: abs(camera.center[-1] - there[2]) < 1, "the camera to go along")
    np.testing.assert_allclose(camera.center[1:], there[1:], atol=1)
    desk.person.key(WALK_ALONG)
    there = there + step * curve.tangent(curve.length)[0]
    wait_until(lambda: abs(camera.center[-1] - there[2]) < 1, "the second step")
    assert len(desk.points) == 4
    desk.click_at(there)
    np.testing.assert_allclose(desk.points[-1][1:], there[1:], atol=2 / camera.zoom)
    wait_until(lambda: desk.dock.hint.text(), "the line that says what a click does")


def test_the_dock_uses_a_layer_of_the_user_and_survives_its_end(desk: Desk) -> None:
    dock = desk.dock
    assert not dock.use.isEnabled()
    rows = np.array([[4.0, 20, 20], [20, 40, 40], [40, 45, 70]])
    em = desk.viewer.layers[0]
    layer = desk.viewer.add_points(rows, scale=em.scale, translate=em.translate, units=em.units)
    desk.person.focus(desk.viewer.window._qt_window)
    desk.press(dock.use)
    wait_until(lambda: desk.model is not None, "the layer to be taken")
    assert desk.layer is layer
    np.testing.assert_allclose(desk.points, rows * RESOLUTION + em.translate, atol=1e-6)
    layer.name = "something else"
    wait_until(lambda: dock.which.currentText() == "something else", "the new name")
    numbers = desk.numbers()
    assert numbers.points == 3
    slow = desk.model.state
    desk.press(dock.tools.reverse)
    wait_until(lambda: desk.model.state is not slow, "the other way")
    np.testing.assert_allclose(layer.data, rows[::-1], atol=1e-6)
    layer.visible = False
    desk.model.undo()
    np.testing.assert_allclose(layer.data, rows, atol=1e-6)
    desk.viewer.layers.remove(layer)
    wait_until(lambda: desk.model is None, "the trace to go")
    wait_until(lambda: not dock.tools.undo.isEnabled(), "nothing to undo")
    assert "Start" in dock.tools.undo.toolTip()


def test_folds_are_shown_and_the_largest_width_is_taken(desk: Desk) -> None:
    u = np.linspace(-1, 1, 9)
    bend = desk.place(0.5, 0.5, 0.5) + np.stack([0 * u, 180 * u**2, 150 * u], axis=1)
    desk.scene.traces.new(bend, "bend")
    numbers = desk.numbers()
    assert numbers.folds.folds
    # A parabola y = 180 u^2, x = 150 u has its smallest radius 150^2 / (2 180) at its vertex.
    assert numbers.bend_nm == pytest.approx(150**2 / 360, rel=0.05)
    assert abs(numbers.bend_slice - (numbers.slices - 1) / 2) <= 1
    dock = desk.dock
    desk.person.focus(desk.viewer.window._qt_window)
    desk.press(dock.numbers.bend.button)
    wait_until(lambda: desk.scene.place.slice_index == numbers.bend_slice, "the bend's slice")
    desk.press(dock.numbers.fits.button)
    wait_until(lambda: desk.scene.settings.width < 100, "the largest width")
    wait_until(
        lambda: dock.numbers.numbers is not None and not dock.numbers.numbers.folds.folds,
        "slices that do not fold",
    )


def test_points_go_out_and_come_in_again(desk: Desk) -> None:
    places = [desk.place(0.2, 0.3, 0.4), desk.place(0.5, 0.5, 0.5), desk.place(0.7, 0.4, 0.6)]
    first = desk.scene.traces.new(places, "mine")
    for name, polyline in (("out.csv", False), ("out.json", False), ("line.json", True)):
        desk.dock.files.write(str(desk.folder / name), polyline)
        wait_until(lambda: "3 points written" in desk.dock.banner.text, name)
        desk.dock.banner.clear()
        desk.dock.files.rows.source.setText(str(desk.folder / name))
        desk.dock.files.rows.look.click()
        wait_until(lambda: desk.model is not first, "the imported trace")
        np.testing.assert_allclose(desk.points, places, rtol=1e-12)
        desk.scene.traces.remove(desk.model)
        desk.scene.traces.active = first
    desk.dock.files.rows.source.setText(str(desk.folder / "nothing.json"))
    desk.dock.files.rows.look.click()
    wait_until(lambda: desk.dock.banner.text, "what is wrong")
    assert "nothing.json" in desk.dock.banner.text
    wait_until(desk.dock.banner.retry_button.isVisible, "the button to try again")


def test_numbers_are_those_of_the_trace_they_stand_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[bool] = []

    def noted(state: Any, map_: Any) -> Any:
        measured.append(np.array_equal(state.points_nm, map_.trace.points_nm))
        return measure(state, map_)

    monkeypatch.setattr(trace_dock, "measure", noted)
    book = desk.scene.traces
    one = book.new([desk.place(0.2, 0.3, 0.4), desk.place(0.7, 0.4, 0.6)], "one")
    desk.numbers()
    book.new([desk.place(0.2, 0.3, 0.4), desk.place(0.3, 0.4, 0.6)], "two")
    desk.numbers()
    book.active = one
    settle()
    one.append(desk.place(0.8, 0.5, 0.7))
    assert desk.numbers().points == 3
    assert len(measured) >= 3
    assert all(measured)


def test_without_its_volume_a_trace_has_no_slices_to_list(desk: Desk) -> None:
    dock = desk.dock
    model = desk.scene.traces.new([desk.place(0.2, 0.3, 0.4), desk.place(0.7, 0.4, 0.6)])
    desk.numbers()
    model.turn(100.0, 30.0)
    wait_until(lambda: dock.keyframes.list.count() == 1, "the keyframe in the list")
    desk.viewer.layers.remove(desk.viewer.layers[0])
    wait_until(lambda: dock.keyframes.list.count() == 0, "the list to be empty")
    wait_until(lambda: not dock.keyframes.turn.isEnabled(), "nothing to turn")
    assert "open a volume" in dock.keyframes.turn.toolTip()
    wait_until(lambda: dock.numbers.numbers is None, "no numbers")


def test_what_is_being_typed_stays_and_steps_may_be_in_pixels(desk: Desk) -> None:
    model = desk.scene.traces.new([desk.place(0.2, 0.3, 0.4), desk.place(0.7, 0.4, 0.6)])
    desk.numbers()
    form = desk.dock.curve
    assert form.step.beside.text() == ""  # what is chosen then is no pixel
    desk.dock.ensureWidgetVisible(form)
    desk.person.focus(desk.viewer.window._qt_window)
    for field, value in ((form.step, lambda: desk.scene.traces.step_nm), (form.tolerance, None)):
        desk.person.click_on(field.edit)
        field.edit.selectAll()
        desk.person.type("3 p")
        wait_until(lambda: field.edit.text() == "3 p", "the text")  # noqa: B023
        model.append(desk.points[-1] + 30)
        desk.numbers()
        assert field.edit.text() == "3 p"
        desk.person.type("x")
        desk.person.key("Return")
        wanted = 3 * float(np.min(RESOLUTION))
        if value is None:
            wait_until(lambda: model.state.tolerance_nm == wanted, "the tolerance")  # noqa: B023
        else:
            wait_until(lambda: value() == wanted, "the step")  # noqa: B023
