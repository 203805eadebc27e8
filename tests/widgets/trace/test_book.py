"""The traces of a viewer: layers that come and go, and clicks on them, without a window."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.scene.scene import Scene
from napari_ouroboros.widgets.trace.layer_mouse import IN_3D


def test_a_new_trace_lies_in_voxels_of_the_volume(window: Any) -> None:
    points = window.small.points_nm
    model = window.scene.traces.new(points)
    layer = window.scene.traces.layer_of(model)
    finest = window.scene.reference.levels[0]
    np.testing.assert_allclose(layer.data, finest.to_index(points))
    np.testing.assert_allclose(layer.scale, finest.resolution)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert window.scene.traces.active is model
    assert window.viewer.layers.selection.active is layer
    window.viewer.layers.clear()
    assert window.scene.traces.active is None
    with pytest.raises(UserError, match="Open a volume first"):
        window.scene.traces.new()


def test_helper_layers_leave_the_sliders(window: Any) -> None:
    from napari_ouroboros.layers import space

    level = window.scene.reference.levels[0]
    window.viewer.layers.append(Image(np.zeros(level.shape, np.uint8), **space(level)))
    before = window.viewer.dims.nsteps
    window.scene.traces.new(window.small.points_nm)
    assert window.viewer.dims.nsteps == before


def test_layers_of_the_reader_are_adopted_and_others_only_when_asked(window: Any) -> None:
    book = window.scene.traces
    ours = Points(np.zeros((2, 3)), metadata={"napari-ouroboros": {"state": "x"}})
    other, flat = Points(np.ones((3, 3)), scale=(2, 2, 2)), Points(np.ones((3, 2)))
    for layer in (ours, other, flat):
        window.viewer.layers.append(layer)
    assert [m.name for m in book.traces] == [ours.name]
    assert book.active is book.model_of(ours)
    model = book.use(other)
    assert book.active is model
    np.testing.assert_allclose(model.state.points_nm, 2 * np.ones((3, 3)))
    with pytest.raises(UserError, match="three dimensions"):
        book.use(flat)


def test_rename_hide_remove_in_mid_drag(window: Any) -> None:
    book = window.scene.traces
    model = book.new(window.small.points_nm)
    other = book.new(window.small.points_nm + 50)
    layer = book.layer_of(model)
    book.active = model
    layer.name = "mine"
    assert model.name == "mine"
    model.drag({0: [1, 2, 3]})
    layer.visible = False
    model.drag({0: [1, 2, 4]})
    np.testing.assert_allclose(book.active.state.points_nm[0], [1, 2, 4])
    window.viewer.layers.remove(layer)
    assert not model.dragging
    assert book.traces == [other]
    assert book.active is other
    rows = len(layer.data)
    model.append([0, 0, 0])
    assert len(layer.data) == rows  # nothing ties them any more
    assert not {str(k) for k in layer.keymap} & {"Ctrl+Z", "I", "W"}


def test_scaling_the_layer_leaves_the_points_in_the_volume(window: Any) -> None:
    book = window.scene.traces
    model = book.new(window.small.points_nm)
    layer = book.layer_of(model)
    layer.scale = (5, 4, 2)
    np.testing.assert_array_equal(model.state.points_nm, window.small.points_nm)
    np.testing.assert_allclose(
        [layer.data_to_world(row) for row in layer.data], window.small.points_nm, atol=1e-6
    )


def mouse_of(window: Any, model: Any) -> Any:
    """The layer's own callback for a click."""
    (bound,) = (b for b in window.scene.traces._bound if b.model is model)
    return bound.mouse


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_clicks_append_insert_select_and_delete(window: Any, axis: int) -> None:
    u = np.array([[0.0, 0], [100, 40], [200, 0], [300, 60]])
    points = np.insert(u, axis, 500.0, axis=1)
    book = window.scene.traces
    model = book.new(points)
    layer, mouse = book.layer_of(model), mouse_of(window, model)
    book.tool = "append"
    shown = [a for a in range(3) if a != axis]

    def click(place: Any) -> None:
        mouse.click(tuple(place), None, shown, 1.0)

    click(points[1])  # a point: taken, not doubled
    assert set(layer.selected_data) == {1}
    assert len(model.state) == 4
    tip = np.insert([400.0, 60], axis, 500)
    click(tip)
    np.testing.assert_allclose(model.state.points_nm[-1], tip, atol=1e-6)
    s = model.state.points_s
    on_it = model.state.curve.at(0.5 * (s[1] + s[2]))[0]
    click(on_it)
    np.testing.assert_allclose(model.state.points_nm[2], on_it, atol=1e-3)
    # From the first point, where that alone is selected; and on from there.
    layer.selected_data = {0}
    for k in (1, 2):
        start = np.insert([-80.0 * k, 0], axis, 500)
        click(start)
        np.testing.assert_allclose(model.state.points_nm[0], start, atol=1e-6)
        assert set(layer.selected_data) == {0}
    # In the next plane the same place is another point: tracing along the structure.
    layer.selected_data = set()
    step = np.zeros(3)
    step[axis] = window.scene.reference.levels[0].resolution[axis]
    click(tip + step)
    np.testing.assert_allclose(model.state.points_nm[-1], tip + step, atol=1e-6)
    count = len(model.state)
    book.tool = "insert"
    beside = np.insert([50.0, 90], axis, 500)
    after = model.state.span_of(float(np.interp(0.5, [0, 1], model.state.points_s[2:4])))
    click(beside)
    np.testing.assert_allclose(model.state.points_nm[after + 1], beside, atol=1e-6)
    book.tool = "delete"
    click(beside)
    assert len(model.state) == count
    heard: list[str] = []
    book.said.connect(heard.append)
    click(np.insert([999.0, 999], axis, 500))
    assert len(model.state) == count
    assert "no point" in heard[-1]
    assert layer.features["order"].tolist() == list(range(count))


def test_in_3d_nothing_lands_on_the_near_plane(window: Any) -> None:
    book = window.scene.traces
    model = book.new(window.small.points_nm)
    book.tool = "append"
    mouse = mouse_of(window, model)
    way = np.array([0.6, 0.64, 0.48])
    heard: list[str] = []
    book.said.connect(heard.append)

    def click(place: Any) -> None:
        mouse.click(tuple(np.asarray(place) - 5000 * way), way, (0, 1, 2), 1.0)

    click(model.state.points_nm[2])
    assert set(book.layer_of(model).selected_data) == {2}
    s = model.state.points_s
    on_it = model.state.curve.at(0.4 * s[1] + 0.6 * s[2])[0]
    click(on_it)
    assert len(model.state) == 5
    np.testing.assert_allclose(model.state.points_nm[2], on_it, atol=1)
    before = model.state
    click(on_it + [300, -300, 300])
    assert model.state is before
    assert heard[-1] == IN_3D
    assert window.viewer.status == IN_3D
    names = [getattr(c, "__name__", "") for c in book.layer_of(model).mouse_drag_callbacks]
    assert "add" not in names


def test_keys_of_the_layer(window: Any) -> None:
    from app_model.types import KeyBinding
    from napari.utils.key_bindings import coerce_keybinding

    book = window.scene.traces
    model = book.new(window.small.points_nm)
    layer = book.layer_of(model)

    def press(key: str) -> None:
        binding: KeyBinding = coerce_keybinding(key)
        layer.keymap[binding](layer)

    s = model.state.points_s
    place = model.state.curve.at(0.5 * (s[0] + s[1]))[0]
    window.viewer.cursor.position = tuple(place)
    press(keys.INSERT_POINT)
    np.testing.assert_allclose(model.state.points_nm[1], place, atol=1e-3)
    press(keys.UNDO)
    assert len(model.state) == 4
    press(keys.REDO)
    assert len(model.state) == 5
    book.step_nm = 100.0
    curve = model.state.curve
    for k in (1, 2):
        press(keys.WALK_ALONG)
        there = curve.at(curve.length)[0] + k * 100 * curve.tangent(curve.length)[0]
        np.testing.assert_allclose(window.viewer.scene.camera.center[1:], there[1:])
    layer.selected_data = {0}
    press(keys.WALK_ALONG)
    there = curve.at(0)[0] - 100 * curve.tangent(0)[0]
    np.testing.assert_allclose(window.viewer.scene.camera.center[1:], there[1:])


def worked_and_closed() -> list[weakref.ref[Any]]:
    """A viewer with a trace, used and closed; what of it may still be there."""
    viewer = ViewerModel()
    calls: list[Any] = []
    scene = Scene(viewer, calls.append)
    layer = Points(np.zeros((2, 3)), metadata={"napari-ouroboros": {"trace": True}})
    viewer.layers.append(layer)
    model = scene.traces.active
    assert model is not None
    model.append([1, 2, 3])
    found = [weakref.ref(x) for x in (viewer, scene, layer, scene.traces, model)]
    scene.close()
    return found


def test_nothing_is_left_after_the_end() -> None:
    gone = worked_and_closed()
    gc.collect()
    assert [type(ref()).__name__ for ref in gone] == ["NoneType"] * 5
