"""The second canvas in a real window: flip, layout, lifetimes, handedness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from leaks import Alive, callbacks_of, grown, mouse_and_keys, viewer_emitters
from napari.qt import QtViewer
from qtpy.QtWidgets import QApplication, QDockWidget, QScrollArea
from real_events import Person, canvas_pixel, on_screen, settle, still, wait_until
from small_scene import make_scene

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock, arrange, flip
from napari_ouroboros.widgets.spaces.camera import on_canvas
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume


@pytest.fixture
def person() -> Iterator[Person]:
    someone = Person()
    yield someone
    someone.close()


def open_window(make: Callable[..., Any], folder: Path, arranged: bool = False) -> Any:
    """A window of 1366 x 768 with the small volume, its trace and a straightened image."""
    small = make_scene(folder)
    viewer = make(show=True)
    viewer = getattr(viewer, "__wrapped__", viewer)
    viewer.window.set_geometry(0, 0, 1366, 768)
    add_layers(viewer, prepare_volume(open_volume(str(folder / "em")), "em"))
    scene = scene_of(viewer)
    scene.settings.width = scene.settings.height = 40
    scene.traces.new(small.points_nm, "trace")
    if arranged:
        arrange(viewer)
    else:
        viewer.window.add_dock_widget(StraightDock(viewer), name="Straightened view", area="right")
    wait_until(lambda: scene.live.idle and scene.live.state.map, "the map")
    put_together(viewer)
    return viewer


def put_together(viewer: Any) -> None:
    """Wait for what comes to a window turn by turn."""
    scene, done = scene_of(viewer), []
    both = [model.canvas.overlays for model in (viewer, scene.straight) if model.layers]
    wait_until(lambda: all(x.scale_bar.visible and x.axes.visible for x in both), "scale and axes")
    scene.deliver(lambda: done.append(True))
    wait_until(lambda: done, "what was delivered")
    settle(turns=20)


def dock_in(viewer: Any) -> StraightDock:
    return next(w for w in QApplication.allWidgets() if isinstance(w, StraightDock)
                and w.scene.viewer is viewer)  # fmt: skip


def with_image(viewer: Any) -> Any:
    """Something to see in the second space, whether or not the preview is there."""
    scene = scene_of(viewer)
    map_ = scene.live.state.map
    assert map_ is not None
    image = scene.straight.add_image(
        np.random.default_rng(0).integers(0, 255, map_.shape).astype(np.uint8),
        name="mine",
        scale=(map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm),
        units=("nm",) * 3,
        axis_labels=("slice", "row", "column"),
        contrast_limits=(0, 255),
    )
    put_together(viewer)
    return image


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    viewer = open_window(make_napari_viewer, tmp_path)
    image = with_image(viewer)
    scene = scene_of(viewer)
    found = SimpleNamespace(viewer=viewer, scene=scene, dock=dock_in(viewer), image=image)
    del viewer, scene, image
    yield found
    vars(found).clear()  # napari's own fixture looks for what is left alive


def state_of(model: Any) -> dict[str, Any]:
    camera = model.scene.camera
    return {
        "camera": (tuple(camera.center), camera.zoom, camera.angles),
        "slider": (model.dims.point, model.dims.order, model.dims.ndisplay),
        "selection": (set(model.layers.selection), model.layers.selection.active),
        "mode": [str(layer.mode) for layer in model.layers],
        "layers": list(model.layers),
    }


def test_twenty_flips_change_nothing_but_who_is_in_front(window: Any, person: Person) -> None:
    viewer, scene, dock = window.viewer, window.scene, window.dock
    labels = scene.straight.add_labels(
        np.zeros(window.image.data.shape, np.uint16), scale=window.image.scale,
        units=("nm",) * 3, axis_labels=("slice", "row", "column"),
    )  # fmt: skip
    labels.mode = "paint"
    labels.paint((3, 10, 10), 5)
    trace = scene.traces.active
    assert trace is not None
    unmoved = trace.state
    trace.move({1: np.asarray(trace.state.points_nm[1]) + 8})
    wait_until(lambda: scene.live.idle, "the map")
    viewer.dims.set_current_step(0, 20)
    viewer.scene.camera.zoom *= 1.3
    scene.straight.dims.set_current_step(0, 3)
    scene.straight.scene.camera.center = (0, 100, 80)
    wait_until(lambda: dock.links.idle, "the links")
    before = state_of(viewer), state_of(scene.straight), trace.can_undo
    # Only the straightened view's camera is another one in front; there it is the same each time.
    cameras = {False: before[1]["camera"]}
    person.focus(dock)
    canvases = [viewer, scene.straight]
    for turn in range(20):
        person.key(keys.FLIP) if turn else flip(viewer)
        front = turn % 2 == 0
        wait_until(lambda: dock.in_front is front, "the flip")  # noqa: B023
        native = _view(canvases[1 if front else 0]).canvas.native
        wait_until(native.hasFocus, "the focus")
        wait_until(lambda: dock.panels.straightened_in_front is front, "the panels")  # noqa: B023
        wide, narrow = (1, 0) if front else (0, 1)
        wait_until(
            lambda: _width(canvases[wide]) >= 600 > _width(canvases[narrow]) >= 380,  # noqa: B023
            "the widths",
        )
        camera = cameras.setdefault(front, state_of(scene.straight)["camera"])
        straight = {**before[1], "camera": camera}
        assert (state_of(viewer), state_of(scene.straight), trace.can_undo) == (
            before[0], straight, before[2],
        )  # fmt: skip
    assert labels.data[3, 10, 10] == 5
    labels.undo()
    assert labels.data[3, 10, 10] == 0
    trace.undo()
    assert trace.state is unmoved


def part_of_canvas(model: Any) -> float:
    """How much of a canvas the layers take along the side that they fill most."""
    low, high = np.asarray(model.layers.extent.world)[:, list(model.dims.displayed)]
    native = _view(model).canvas.native
    size = np.array([native.height(), native.width()])
    return float(((high - low) * model.scene.camera.zoom / size).max())


def test_a_flip_enlarges_the_slice_and_keeps_what_was_zoomed_since(window: Any) -> None:
    scene, dock, straight = window.scene, window.dock, window.scene.straight
    straight.reset_view()
    straight.scene.camera.zoom *= 0.4
    small = straight.scene.camera.zoom

    def go(front: bool) -> None:
        flip(window.viewer)
        wait_until(lambda: dock.in_front is front, "the flip")
        wait_until(lambda: (_width(straight) >= 600) is front, "the width")
        settle(turns=10)

    go(True)
    assert 0.85 < part_of_canvas(straight) < 1.0
    wait_until(lambda: scene.live.idle, "the map")
    straight.scene.camera.zoom *= 1.7
    straight.scene.camera.center = (0, 90, 60)
    chosen = state_of(straight)["camera"]
    go(False)
    assert straight.scene.camera.zoom == small
    go(True)
    assert state_of(straight)["camera"] == chosen
    # A part that was looked at closely is still what is seen, in a place that has no camera yet.
    go(False)
    scene.settings.width *= 2
    wait_until(lambda: scene.live.idle, "the map")
    window.image.scale = [1.5 * x for x in window.image.scale]
    straight.reset_view()
    straight.scene.camera.zoom *= 5
    at = tuple(straight.scene.camera.center)
    zoomed = part_of_canvas(straight)
    go(True)
    assert tuple(straight.scene.camera.center) == at
    assert part_of_canvas(straight) == pytest.approx(zoomed, rel=0.15)


def _view(model: Any) -> QtViewer:
    return next(w for w in QApplication.allWidgets() if isinstance(w, QtViewer)
                and w.viewer is model)  # fmt: skip


def _width(model: Any) -> int:
    return int(_view(model).canvas.native.width())


def test_everything_arranged_fits_1366_x_768(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    viewer = open_window(make_napari_viewer, tmp_path, arranged=True)
    scene, dock = scene_of(viewer), dock_in(viewer)
    main = dock.main_window
    assert main is not None
    for front in (False, True, False):
        if dock.in_front is not front:
            flip(viewer)
        widths = [viewer, scene.straight][:: -1 if front else 1]
        wait_until(
            lambda: _width(widths[0]) >= 600 and _width(widths[1]) >= 380,  # noqa: B023
            "the widths",
        )
        assert (main.width(), main.height()) == (1366, 768)
    docks = [d for d in main.findChildren(QDockWidget) if not d.isHidden()]
    tasks = ("Open a volume", "Trace", "Straighten", "Backproject", "QA")
    tabs = [d for d in docks if d.windowTitle() in tasks]
    assert len(tabs) == len(tasks)
    for tab in tabs:
        assert len(main.tabifiedDockWidgets(tab)) == len(tasks) - 1
        inside = tab.widget()
        assert isinstance(inside, QScrollArea) or inside.findChild(QScrollArea)
    # Again: nothing is opened twice.
    before = len(main.findChildren(QDockWidget))
    arrange(viewer)
    assert len(main.findChildren(QDockWidget)) == before
    assert (main.width(), main.height()) == (1366, 768)


def test_real_hovering_moves_the_other_spaces_mark(window: Any, person: Person) -> None:
    viewer, scene, dock = window.viewer, window.scene, window.dock
    scene.place.go_to_slice(20)
    wait_until(lambda: dock.links.idle and dock.links.warm.map, "the map")
    index = np.array([20, 25.0, 12.0])
    world = index * window.image.scale
    person.move(wait_until(still(lambda: on_screen(scene.straight, world)), "the view at rest"))
    mark = dock.links.cursor.volume_mark
    wait_until(lambda: mark.visible, "the mark")
    wanted = scene.live.state.map.to_volume(index)
    # To a canvas pixel of the straightened view.
    step = 1.5 / scene.straight.scene.camera.zoom
    wait_until(lambda: np.allclose(scene.place.nm, wanted, rtol=0, atol=step), "the place")
    wait_until(lambda: "slice 20, row 25, column 12" in dock.bar.labels[1].text(), "the line")
    person.move(on_screen(viewer, wanted))
    other = dock.links.cursor.straight_mark
    wait_until(lambda: other.visible and not mark.visible, "the other mark")


def test_a_dock_closed_leaves_nothing_and_opens_again(window: Any) -> None:
    viewer, scene = window.viewer, window.scene
    main = window.dock.main_window
    frame = next(d for d in main.findChildren(QDockWidget) if d.widget() is window.dock)
    emitters = [*viewer_emitters(viewer), *viewer_emitters(scene.straight), scene.place, scene.live]

    def helpers_off() -> Any:
        return callbacks_of(*emitters)

    frame.destroyOnClose()
    alive = Alive()
    alive.note(window.dock, window.dock.view, window.dock.links)
    window.dock = None
    del frame
    alive.expect_gone()
    before = helpers_off(), mouse_and_keys(viewer), mouse_and_keys(scene.straight)
    for _ in range(2):
        _open_and_close(viewer, alive)
        alive.expect_gone()
    after = helpers_off(), mouse_and_keys(viewer), mouse_and_keys(scene.straight)
    assert grown(before[0], after[0]) == {}
    assert after[1:] == before[1:]
    # The models are still moved by whoever is left.
    scene.straight.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(0, 1)


def _open_and_close(viewer: Any, alive: Alive) -> None:
    scene, dock = scene_of(viewer), StraightDock(viewer)
    frame = viewer.window.add_dock_widget(dock, name="Straightened view", area="right")
    wait_until(lambda: dock.panels is not None and dock.links.idle, "the dock")
    assert len(scene.straight.layers) >= 1
    scene.place.go_to_slice(scene.place.slice_index + 1)
    frame.destroyOnClose()
    alive.note(dock, dock.view, dock.links)


def test_a_closed_window_leaves_no_canvas_model_or_layer(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    other = open_window(make_napari_viewer, tmp_path / "b")
    alive = Alive()
    _use_and_close(open_window(make_napari_viewer, tmp_path / "a"), alive)
    alive.expect_gone()
    # The other one goes on.
    there = scene_of(other)
    assert there.live.state.map is not None
    there.place.go_to_slice(4)
    flip(other)
    assert dock_in(other).in_front


def _use_and_close(viewer: Any, alive: Alive) -> None:
    with_image(viewer)
    scene, dock = scene_of(viewer), dock_in(viewer)
    wait_until(lambda: dock.links.idle, "the links")
    flip(viewer)
    alive.note(scene, scene.straight, *scene.straight.layers, dock, dock.view, dock.links)
    alive.note(*viewer.layers)
    viewer.close()


def test_another_window_shows_the_same_arrays_and_both_follow_edits(
    window: Any, qapp: QApplication
) -> None:
    from napari_ouroboros.widgets.spaces.second_window import open_in_window

    scene = window.scene
    labels = scene.straight.add_labels(
        np.zeros(window.image.data.shape, np.uint16), scale=window.image.scale, units=("nm",) * 3
    )
    alive = Alive()
    _work_in_second(open_in_window(scene), labels, scene.straight, alive)
    alive.expect_gone()
    labels.paint((2, 20, 20), 7)


def test_a_left_handed_helix_looks_left_handed(window: Any) -> None:
    """By the canvas' own projection, with the depth that our second viewer uses."""
    scene, view = window.scene, window.dock.view
    straight = scene.straight
    straight.dims.ndisplay = 3
    wait_until(lambda: view.isVisible(), "the canvas")
    scale = np.asarray(window.image.scale)
    size = np.array(window.image.data.shape) * scale
    t = np.linspace(0, 4 * np.pi, 200)
    # xyz right-handed, counter-clockwise towards +z: a right-handed helix; its mirror is left.
    r = 0.3 * size[1:].min()
    for hand in (1, -1):
        xyz = np.stack([r * np.cos(t), hand * r * np.sin(t), 0.04 * size[0] * t], axis=1)
        zyx = size / 2 + xyz[:, ::-1] * [1, 1, 1] - [size[0] * 0.25, 0, 0]
        for angles in ((0, 0, 90), (20, 35, 60), (-70, 10, -30)):
            straight.scene.camera.angles = angles
            pixels = np.array([canvas_pixel(straight, p) for p in zyx])
            ours = np.array([on_canvas(straight, p)[0] for p in zyx])
            native = view.canvas.native
            middle_px = np.array([native.width(), native.height()]) / 2
            np.testing.assert_allclose(pixels - middle_px, ours[:, ::-1], atol=1.5)
            # Towards the one who looks, from the camera: what a picture cannot say, it does.
            depth = zyx @ np.asarray(straight.scene.camera.view_direction)
            seen = np.stack([pixels[:, 0], -pixels[:, 1], -depth * straight.scene.camera.zoom], 1)
            # Torsion of the curve as it is seen, right-handed axes: right, up, towards the eye.
            d1 = np.gradient(seen, axis=0)
            d2 = np.gradient(d1, axis=0)
            d3 = np.gradient(d2, axis=0)
            torsion = np.einsum("ij,ij->i", np.cross(d1, d2), d3)[10:-10]
            assert (np.sign(torsion) == hand).all()


def test_the_layer_menu_acts_on_the_second_space_only(window: Any) -> None:
    viewer, scene, dock = window.viewer, window.scene, window.dock
    before = list(viewer.layers)
    scene.straight.layers.selection.active = window.image
    actions = {a.text(): a for a in dock.menu.make().actions()}
    assert not actions["Merge labels"].isEnabled()
    assert "two or more labels" in actions["Merge labels"].toolTip()
    n = len(scene.straight.layers)
    actions["Duplicate"].trigger()
    assert len(scene.straight.layers) == n + 1
    copy = scene.straight.layers.selection.active
    assert copy is not window.image
    assert copy.data is window.image.data
    {a.text(): a for a in dock.menu.make().actions()}["Convert image / labels"].trigger()
    assert type(scene.straight.layers.selection.active).__name__ == "Labels"
    {a.text(): a for a in dock.menu.make().actions()}["Delete"].trigger()
    assert len(scene.straight.layers) == n
    assert list(viewer.layers) == before


def test_buttons_of_the_second_list_act_on_the_second_space(window: Any) -> None:
    viewer, scene, dock = window.viewer, window.scene, window.dock
    dock.view.viewerButtons.ndisplayButton.click()
    assert (scene.straight.dims.ndisplay, viewer.dims.ndisplay) == (3, 2)
    dock.view.viewerButtons.ndisplayButton.click()
    dock.view.viewerButtons.rollDimsButton.click()
    assert (scene.straight.dims.order, viewer.dims.order) == ((2, 0, 1), (0, 1, 2))
    layers = list(viewer.layers)
    scene.straight.layers.selection = {window.image}
    dock.view.layerButtons.deleteButton.click()
    assert window.image not in scene.straight.layers
    assert list(viewer.layers) == layers


def test_buttons_of_the_second_controls_act_on_their_own_layer(
    window: Any, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong: list[Any] = []
    monkeypatch.setattr("sys.excepthook", lambda *error: wrong.append(error))
    scene, straight = window.scene, window.scene.straight
    trace = scene.traces.active
    (of_trace,) = (x for x in window.viewer.layers if x._type_string == "points")
    window.viewer.layers.selection.active = of_trace
    of_trace.selected_data = {0, 1}
    like = {"scale": window.image.scale, "units": ("nm",) * 3}
    like["axis_labels"] = ("slice", "row", "column")
    labels = straight.add_labels(np.zeros(window.image.data.shape, np.uint16), **like)
    points = straight.add_points([(1, 2, 3), (1, 5, 6)], **like)
    flip(window.viewer)
    put_together(window.viewer)
    person.focus(window.dock)
    n = len(trace.state.points_nm)
    straight.layers.selection.active = labels
    panels = window.dock.view.controls.widgets
    for name in ("paint_button", "fill_button", "polygon_button", "erase_button"):
        person.click_on(getattr(panels[labels], name))
        assert labels.mode == name.removesuffix("_button")
    straight.layers.selection.active = points
    points.selected_data = {1}
    person.click_on(panels[points].delete_button)
    assert len(points.data) == 1
    assert len(trace.state.points_nm) == n
    assert not wrong


def test_labels_that_an_edit_takes_out_of_sight_are_offered(window: Any, person: Person) -> None:
    scene, offer = window.scene, window.dock.labels_offer
    scene.labels.new("axon")
    wait_until(lambda: scene.labels.entries and scene.labels.idle, "the labels")
    (axon,) = scene.labels.entries
    axon.array[2, 10:20, 10:20] = 3
    assert not offer.isVisible()
    trace = scene.traces.active
    trace.move({1: np.asarray(trace.state.points_nm[1]) + 16})
    wait_until(offer.isVisible, "the offer")
    assert offer.label.text().startswith("axon – ")
    trace.undo()
    wait_until(lambda: axon.is_shown, "the labels of that trace")
    assert not offer.isVisible()
    trace.redo()
    wait_until(offer.isVisible, "the offer")
    settle(turns=20)
    person.focus(window.dock)
    person.click_on(offer.take_button)
    wait_until(lambda: len(scene.labels.entries) == 2 and scene.labels.idle, "the new labels")
    assert scene.labels.entries[1].is_shown
    assert not offer.isVisible()
    assert "carried over" in window.dock.bar.banner.text


def test_paste_goes_there_in_both_canvases(window: Any, person: Person) -> None:
    viewer, scene, dock = window.viewer, window.scene, window.dock
    wait_until(lambda: dock.links.idle and dock.links.warm.map, "the map")
    frames = scene.live.state.map.frames
    nm = frames.c[30]
    person.focus(dock)
    dock.bar.field.setFocus()
    person.type(", ".join(f"{v:.1f}" for v in nm) + " nm")
    person.key("Return")
    wait_until(lambda: scene.place.slice_index == 30, "the slice")
    half = viewer.dims.range[0].step / 2 + 1e-6
    wait_until(lambda: abs(viewer.dims.point[0] - nm[0]) <= half, "the plane of the volume")
    dock.bar.copy()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    text = clipboard.text()
    voxel = np.floor(nm / scene.reference.levels[0].resolution)[::-1].astype(int)
    assert text == ", ".join(map(str, voxel))
    dock.bar.field.setText("1, 2")
    person.key("Return")
    wait_until(lambda: "is no position" in dock.bar.banner.text, "the banner")
    dock.bar.field.setText("1, 2, 3")
    person.key("Return")
    wait_until(lambda: "outside the volume" in dock.bar.banner.text, "the banner")


def _work_in_second(second: Any, labels: Any, straight: Any, alive: Alive) -> None:
    twin = next(x for x in second.layers if x.name == labels.name)
    assert twin.data is labels.data
    wait_until(lambda: _view(second).isVisible(), "the second window")
    for painted, there in ((labels, twin), (twin, labels)):
        _paint_and_undo(painted, there, straight, second)
    alive.note(second, twin)
    second.close()


def _paint_and_undo(painted: Any, there: Any, *models: Any) -> None:
    """Paint in one layer and take it back; the other shows both."""

    def seen(layer: Any) -> int:
        return int((np.asarray(layer._slice.image.raw) == 7).sum())

    for model in models:
        model.dims.set_current_step(0, 2)
    painted.paint((2, 20, 20), 7)
    wait_until(lambda: seen(there) == seen(painted) > 0, "the paint to show")
    painted.undo()
    wait_until(lambda: seen(there) == 0, "the undo to show")
