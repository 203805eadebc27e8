from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.widgets import keys


def move(model: Any, position: Any) -> None:
    """The mouse moves in a canvas, as napari tells the model."""
    event = SimpleNamespace(position=tuple(position), type="mouse_move")
    for callback in list(model.mouse_move_callbacks):
        callback(model, event)


def click(model: Any, position: Any, view_direction: Any = None, drag: float = 0.0) -> None:
    """Press, perhaps move so many pixels, release."""
    event = SimpleNamespace(
        position=tuple(position), type="mouse_press", pos=np.array([50.0, 50.0]), button=1,
        modifiers=(), view_direction=view_direction, dims_displayed=list(model.dims.displayed),
    )  # fmt: skip
    running = [callback(model, event) for callback in list(model.mouse_drag_callbacks)]
    running = [g for g in running if next(g, "end") != "end"]
    if drag:
        event.type, event.pos = "mouse_move", event.pos + drag
        running = [g for g in running if next(g, "end") != "end"]
    event.type = "mouse_release"
    for generator in running:
        assert next(generator, "end") == "end"


def look(model: Any) -> Any:
    """Everything of a viewer that hovering must leave alone."""
    camera = model.scene.camera
    return (
        model.dims.point, tuple(camera.center), camera.zoom, camera.angles,
        model.layers.selection.active,
    )  # fmt: skip


def straight_world(spaces: Any, index: Any) -> Any:
    map_ = spaces.map
    return np.array(index) * (map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm)


def middle(layer: Any) -> Any:
    """Where a mark is, in world coordinates: the mean of its arms' ends."""
    both = np.concatenate([layer.data[:, 0], layer.data.sum(axis=1)])
    return np.asarray(layer.data_to_world(both.mean(axis=0)))


def test_hovering_in_the_straightened_view_moves_only_the_mark_in_the_volume(spaces: Any) -> None:
    spaces.show_straightened()
    spaces.viewer.scene.camera.zoom = 0.5
    spaces.scene.place.go_to_slice(9)
    spaces.settle()
    before = look(spaces.viewer), look(spaces.scene.straight)
    index = (9, 4.0, 12.0)
    move(spaces.scene.straight, straight_world(spaces, index))
    spaces.settle()
    wanted = spaces.map.to_volume(index)
    mark = spaces.links.cursor.volume_mark
    assert mark.visible
    np.testing.assert_allclose(middle(mark.layer)[1:], wanted[1:], atol=1e-6)
    np.testing.assert_allclose(spaces.scene.place.nm, wanted)
    assert not spaces.links.cursor.straight_mark.visible
    assert (look(spaces.viewer), look(spaces.scene.straight)) == before


def test_hovering_in_the_volume_moves_only_the_mark_in_the_straightened_view(spaces: Any) -> None:
    spaces.show_straightened()
    spaces.scene.straight.scene.camera.zoom = 0.5
    spaces.scene.place.go_to_slice(9)
    spaces.settle()
    before = look(spaces.viewer), look(spaces.scene.straight)
    nm = spaces.map.to_volume((12.25, 6.0, 8.5))
    move(spaces.viewer, nm)
    spaces.settle()
    mark = spaces.links.cursor.straight_mark
    assert mark.visible
    wanted = straight_world(spaces, (12.25, 6.0, 8.5))
    np.testing.assert_allclose(middle(mark.layer)[1:], wanted[1:], atol=1e-6)
    # Drawn in the plane that is shown, fainter: the point lies in another slice.
    np.testing.assert_allclose(mark.layer.edge_color[:, 3], 0.4)
    assert len(mark.layer._view_indices) == 4
    assert (look(spaces.viewer), look(spaces.scene.straight)) == before
    assert spaces.scene.straight.dims.nsteps == spaces.map.shape


def test_the_mark_goes_when_the_cursor_leaves_or_is_in_no_slice(spaces: Any) -> None:
    spaces.show_straightened()
    mark = spaces.links.cursor.straight_mark
    for leave in ("elsewhere", "canvas", "follow"):
        move(spaces.viewer, spaces.map.frames.c[9])
        spaces.viewer.mouse_over_canvas = True
        spaces.settle()
        assert mark.visible
        if leave == "elsewhere":
            move(spaces.viewer, spaces.scene.reference.levels[0].bounds_nm[0] + 1)
        elif leave == "canvas":
            spaces.viewer.mouse_over_canvas = False
        else:
            spaces.scene.place.follow = False
        spaces.settle()
        assert not mark.visible


def test_many_moves_are_one_look_up(spaces: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    there = Straightening.to_straightened
    monkeypatch.setattr(
        Straightening, "to_straightened", lambda self, nm: asked.append(nm) or there(self, nm)
    )
    for t in np.linspace(0, 1, 50):
        move(spaces.viewer, spaces.map.frames.c[9] + t)
    spaces.settle()
    assert len(asked) == 1
    np.testing.assert_allclose(spaces.scene.place.nm, spaces.map.frames.c[9] + 1)


def test_a_new_map_is_first_asked_off_the_gui_thread(
    spaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[tuple[Any, Any]] = []
    there = Straightening.to_straightened

    def watched(self: Any, nm: Any) -> Any:
        threads.append((self, threading.current_thread()))
        return there(self, nm)

    monkeypatch.setattr(Straightening, "to_straightened", watched)
    for width in (21, 22, 23):
        spaces.scene.settings.width = width
        move(spaces.viewer, spaces.links.warm.map.frames.c[5])
        spaces.loop.run()
    spaces.settle()
    seen: set[int] = {id(spaces.map)}
    first = {id(map_): thread for map_, thread in reversed(threads)}
    assert first[id(spaces.map)] is not threading.main_thread()
    assert seen <= set(first)


def test_a_click_in_the_volume_shows_its_slice_and_pans_only_if_it_must(spaces: Any) -> None:
    spaces.show_straightened()
    straight = spaces.scene.straight
    straight.canvas.size = (200, 200)
    straight.scene.camera.zoom = 0.1
    straight.scene.camera.center = (0, *straight_world(spaces, (0, 6.5, 9.5))[1:])
    camera = straight.scene.camera
    before = tuple(camera.center), camera.zoom
    click(spaces.viewer, spaces.map.to_volume((14.2, 3, 4)))
    spaces.settle()
    assert spaces.scene.place.slice_index == 14
    assert straight.dims.point[0] == pytest.approx(14 * spaces.map.mean_spacing_nm)
    assert (tuple(camera.center), camera.zoom) == before
    # 100 px are 1 pixel of the slice and a half now: row 3 is off-screen.
    camera.zoom = 10.0
    click(spaces.viewer, spaces.map.to_volume((20.0, 3, 4)))
    spaces.settle()
    np.testing.assert_allclose(camera.center[-2:], straight_world(spaces, (0, 3, 4))[1:], atol=1e-6)
    assert camera.zoom == 10.0


def test_a_drag_a_tool_in_the_hand_and_no_follow_are_no_click(spaces: Any) -> None:
    spaces.show_straightened()
    spaces.scene.place.go_to_slice(3)
    click(spaces.viewer, spaces.map.frames.c[14], drag=30)
    assert spaces.scene.place.slice_index == 3
    points = next(x for x in spaces.viewer.layers if x.name == "trace")
    spaces.viewer.layers.selection.active = points
    points.mode = "add"
    spaces_click = [c for c in spaces.viewer.mouse_drag_callbacks if "Linked" in repr(c)]
    event = SimpleNamespace(position=tuple(spaces.map.frames.c[14]), button=1, modifiers=())
    assert [next(c(spaces.viewer, event), "end") for c in spaces_click] == ["end"]
    points.mode = "pan_zoom"
    spaces.scene.place.follow = False
    click(spaces.viewer, spaces.map.frames.c[14])
    assert spaces.scene.place.slice_index == 3


def test_a_click_in_the_straightened_view_takes_the_volume_there(spaces: Any) -> None:
    spaces.show_straightened()
    viewer = spaces.viewer
    viewer.canvas.size = (400, 400)
    viewer.scene.camera.zoom = 0.3
    spaces.scene.place.go_to_slice(9)
    spaces.settle()
    index = (9, 12.0, 2.0)
    before = viewer.scene.camera.zoom
    click(spaces.scene.straight, straight_world(spaces, index))
    spaces.settle()
    wanted = spaces.map.to_volume(index)
    assert abs(viewer.dims.point[0] - wanted[0]) <= viewer.dims.range[0].step / 2 + 1e-6
    assert viewer.scene.camera.zoom == before


def test_in_3d_only_clicks_count_and_they_take_the_curve(spaces: Any) -> None:
    spaces.show_straightened()
    viewer = spaces.viewer
    viewer.dims.ndisplay = 3
    spaces.settle()
    centre, way = spaces.map.frames.c[17], np.array([0.6, 0.8, 0.0])
    place = spaces.scene.place
    place.go_to_slice(2)
    move(viewer, centre - 400 * way)
    spaces.settle()
    assert place.nm is None
    click(viewer, centre - 400 * way, way)
    spaces.settle()
    k = np.argmin(np.linalg.norm(np.cross(spaces.map.frames.c - centre, way), axis=1))
    assert place.slice_index == k == 17
    click(viewer, centre + [0, 0, 5000], way)
    assert place.slice_index == 17


def test_slider_slice_frame_and_volume_go_together(spaces: Any) -> None:
    spaces.show_straightened()
    straight, place, viewer = spaces.scene.straight, spaces.scene.place, spaces.viewer
    for k in (4, 11, 30):
        straight.dims.set_point(0, k * spaces.map.mean_spacing_nm)
        spaces.settle()
        assert place.slice_index == k
        half = viewer.dims.range[0].step / 2 + 1e-6
        assert abs(viewer.dims.point[0] - spaces.map.frames.c[k][0]) <= half
    place.follow = False
    before = viewer.dims.point
    straight.dims.set_point(0, 7 * spaces.map.mean_spacing_nm)
    place.go_to_slice(8)
    spaces.settle()
    assert straight.dims.point[0] == pytest.approx(8 * spaces.map.mean_spacing_nm)
    assert viewer.dims.point == before


def test_keys_step_through_the_slices_in_both_spaces(spaces: Any) -> None:
    from napari.utils.key_bindings import KeymapHandler

    spaces.show_straightened()
    place = spaces.scene.place
    for model in (spaces.viewer, spaces.scene.straight):
        handler = KeymapHandler()
        handler.keymap_providers = [model]
        place.go_to_slice(5)
        assert handler.press_key(keys.NEXT_SLICE)
        assert place.slice_index == 6
        assert handler.press_key(keys.PREVIOUS_SLICE)
        assert handler.press_key(keys.PREVIOUS_SLICE)
        assert place.slice_index == 4
    place.go_to_slice(0)
    spaces.links.slices.step(-1)
    assert place.slice_index == 0


def test_a_shorter_curve_keeps_a_slice_that_exists(spaces: Any) -> None:
    place, n = spaces.scene.place, len(spaces.map.frames)
    place.go_to_slice(n - 1)
    point = spaces.viewer.dims.point
    spaces.scene.settings.spacing_nm = 2 * spaces.map.mean_spacing_nm
    spaces.settle()
    assert place.slice_index == len(spaces.map.frames) - 1 < n - 1
    assert spaces.viewer.dims.point == point


def test_centre_here_asks_the_active_trace_for_the_place_under_the_cursor(
    spaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces.show_straightened()
    asked: list[Any] = []
    trace = spaces.scene.traces.active
    monkeypatch.setattr(trace, "centre_here", lambda s, nm: asked.append((s, nm)))
    monkeypatch.setattr(trace, "up_side_here", lambda map_, k, way: asked.append((map_, k, way)))
    from napari.utils.key_bindings import KeymapHandler

    handler = KeymapHandler()
    handler.keymap_providers = [spaces.scene.straight]
    assert handler.press_key(keys.CENTRE_HERE)
    assert asked == []  # the cursor is nowhere
    move(spaces.scene.straight, straight_world(spaces, (9, 2.0, 15.0)))
    spaces.settle()
    handler.press_key(keys.CENTRE_HERE)
    handler.press_key(keys.UP_SIDE_HERE)
    # The cursor counts, whichever canvas the keys go to.
    of_volume = KeymapHandler()
    of_volume.keymap_providers = [spaces.viewer]
    assert of_volume.press_key(keys.CENTRE_HERE)
    (s, nm), (map_, k, way), (s_again, nm_again) = asked
    assert s_again == s
    np.testing.assert_array_equal(nm_again, nm)
    assert s == pytest.approx(spaces.map.frames.s[9])
    np.testing.assert_allclose(nm, spaces.map.to_volume((9, 2.0, 15.0)))
    assert (map_, k) == (spaces.map, 9)
    f = spaces.map.frames
    np.testing.assert_allclose(
        [way @ f.N[9], way @ f.B[9]], np.array([15 - 9.5, 2 - 6.5]) * spaces.map.pitch_nm, atol=1e-6
    )


def test_undo_in_the_straightened_view_is_that_of_the_trace(spaces: Any) -> None:
    from napari.utils.key_bindings import KeymapHandler

    spaces.show_straightened()
    trace = spaces.scene.traces.active
    before = trace.state
    trace.delete([0])
    handler = KeymapHandler()
    handler.keymap_providers = [spaces.scene.straight]
    assert handler.press_key(keys.UNDO)
    assert trace.state is before
    assert handler.press_key(keys.REDO)
    assert len(trace.state) == len(before) - 1
