from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_ouroboros.widgets.spaces import lines
from napari_ouroboros.widgets.spaces.helper_layer import is_helper


def world_ends(layer) -> np.ndarray:  # type: ignore[no-untyped-def]
    starts, ways = layer.data[:, 0], layer.data[:, 1]
    return np.stack(
        [np.array([layer.data_to_world(p) for p in points]) for points in (starts, starts + ways)],
        axis=1,
    )


def test_helpers_leave_sliders_selection_and_active_layer_as_they_were(spaces: Any) -> None:
    viewer = spaces.viewer
    steps, ranges = viewer.dims.nsteps, viewer.dims.range
    points = next(x for x in viewer.layers if x.name == "trace")
    viewer.layers.selection.active = points
    heard: list[object] = []
    viewer.layers.selection.events.active.connect(lambda event: heard.append(event.value))
    # Slices wider than the volume: the frame has to be clipped.
    spaces.scene.settings.width = 400
    spaces.settle()
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        viewer.dims.order = order
        for k in range(0, len(spaces.map.frames), 7):
            spaces.scene.place.go_to_slice(k)
            spaces.settle()
            assert viewer.dims.nsteps == steps == (40, 60, 70)
            np.testing.assert_allclose(viewer.dims.range, ranges, rtol=1e-12)
    viewer.dims.ndisplay = 3
    spaces.settle()
    helpers = [x for x in viewer.layers if is_helper(x)]
    assert len(helpers) == 2
    volume = next(x for x in viewer.layers if isinstance(x, Image))
    for layer in helpers:
        assert (layer.extent.world[0] >= volume.extent.world[0] - 1e-6).all()
        assert (layer.extent.world[1] <= volume.extent.world[1] + 1e-6).all()
    assert viewer.layers.selection.active is points
    assert heard == []


def test_in_3d_the_frame_is_the_slice_and_follows_it(spaces: Any) -> None:
    spaces.viewer.dims.ndisplay = 3
    for k in (5, 12):
        spaces.scene.place.go_to_slice(k)
        spaces.settle()
        layer = spaces.links.frame.helper.layer
        assert layer is not None
        n, m = spaces.map.shape[1:]
        edge = [[-0.5, -0.5], [-0.5, m - 0.5], [n - 0.5, m - 0.5], [n - 0.5, -0.5]]
        wanted = spaces.map.to_volume([(k, row, column) for row, column in edge])
        np.testing.assert_allclose(world_ends(layer)[lines.EDGES, 0], wanted, atol=1e-6)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_in_2d_the_cut_is_where_the_slice_meets_the_plane(
    spaces: Any, order: tuple[int, int, int]
) -> None:
    viewer, axis, k = spaces.viewer, order[0], 10
    viewer.dims.order = order
    spaces.scene.place.follow = False
    spaces.scene.place.go_to_slice(k)
    spaces.settle()
    n, m = spaces.map.shape[1:]
    rows, columns = np.meshgrid(np.linspace(-0.5, n - 0.5, 57), np.linspace(-0.5, m - 0.5, 57))
    index = np.stack([np.full(rows.shape, float(k)), rows, columns], axis=-1)
    points = spaces.map.to_volume(index).reshape(-1, 3)
    step = viewer.dims.range[axis].step
    plane = round(float(points[:, axis].mean()) / step) * step + 0.5 * step
    viewer.dims.set_point(axis, plane)
    spaces.settle()
    at = viewer.dims.point[axis]
    layer = spaces.links.frame.helper.layer
    assert layer is not None
    cut = world_ends(layer)[lines.CUT][0]
    np.testing.assert_allclose(cut[:, axis], at, atol=1e-6)
    # Each end is a corner-to-corner point of the slice: it maps back to the slice's own edge.
    f = spaces.map.frames
    for end in cut:
        gap = end - f.c[k]
        assert abs(gap @ f.T[k]) < 1e-6
        u, v = gap @ f.N[k] / spaces.map.pitch_nm, gap @ f.B[k] / spaces.map.pitch_nm
        assert max(abs(u) / (m / 2), abs(v) / (n / 2)) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(cut[1] - cut[0]) > spaces.map.pitch_nm
    # Everything that is drawn lies in the plane, or napari would hide it.
    np.testing.assert_allclose(layer.data[:, 1, axis], 0, atol=1e-12)
    # All nine are in the slice that napari shows.
    assert len(layer._view_indices) == lines.N_FRAME
    colours = layer.edge_color
    assert (colours[lines.EDGES, 3] < 0.5).all()
    assert (colours[lines.CUT, 3] == 1).all()


def test_a_plane_far_from_the_slice_is_not_cut(spaces: Any) -> None:
    spaces.scene.place.follow = False
    spaces.scene.place.go_to_slice(0)
    spaces.viewer.dims.set_current_step(0, 39)
    spaces.settle()
    layer = spaces.links.frame.helper.layer
    assert layer is not None
    np.testing.assert_array_equal(layer.data[lines.CUT][0, 1], 0)


def test_the_curve_is_drawn_where_it_runs_and_red_where_slices_fold(spaces: Any) -> None:
    viewer = spaces.viewer
    viewer.dims.ndisplay = 3
    spaces.settle()
    layer = spaces.links.curve.helper.layer
    assert layer is not None
    found = world_ends(layer)
    n = len(spaces.map.frames)
    np.testing.assert_allclose(found[: n - 1, 0], spaces.map.frames.c[:-1], atol=1e-6)
    assert not spaces.map.fold_report().folds
    sound = layer.edge_color[0].copy()
    assert (layer.edge_color[: n - 1] == sound).all()
    spaces.scene.settings.width = 170
    spaces.settle()
    folded = spaces.map.fold_report().kappa_w >= 1
    assert 0 < folded.sum() < n
    red = (layer.edge_color[: n - 1] != sound).any(axis=1)
    np.testing.assert_array_equal(red, folded[:-1] | folded[1:])


def test_in_2d_the_curve_fades_away_from_the_plane(spaces: Any) -> None:
    k = 10
    spaces.scene.place.go_to_slice(k)
    spaces.settle()
    layer = spaces.links.curve.helper.layer
    assert layer is not None
    n = len(spaces.map.frames)
    alpha = layer.edge_color[: n - 1, 3]
    assert alpha[k] > 0.9
    assert alpha[k] == alpha.max() or abs(int(alpha.argmax()) - k) <= 1
    assert alpha.min() < 0.5
    assert set(range(lines.MOST_SEGMENTS)) <= set(layer._view_indices.tolist())


def test_a_removed_helper_stays_away_until_it_is_asked_for(spaces: Any) -> None:
    viewer, helper = spaces.viewer, spaces.links.frame.helper
    told: list[bool] = []
    helper.wanted_changed.connect(told.append)
    assert helper.layer is not None
    viewer.layers.remove(helper.layer)
    spaces.scene.place.go_to_slice(3)
    spaces.settle()
    assert helper.layer is None
    assert told == [False]
    helper.wanted = True
    spaces.settle()
    assert helper.layer in viewer.layers


def test_renamed_or_hidden_helpers_go_on(spaces: Any) -> None:
    layer = spaces.links.frame.helper.layer
    assert layer is not None
    layer.name = "something else"
    layer.visible = False
    before = layer.data.copy()
    spaces.scene.place.go_to_slice(7)
    spaces.settle()
    layer.visible = True
    spaces.settle()
    assert spaces.links.frame.helper.layer is layer
    assert not np.allclose(layer.data, before)


def test_all_layers_may_go_at_once_and_come_back(spaces: Any) -> None:
    viewer = spaces.viewer
    image = next(x for x in viewer.layers if isinstance(x, Image))
    viewer.layers.clear()
    spaces.settle()
    assert len(viewer.layers) == 0
    viewer.add_layer(image)
    spaces.scene.traces.new(image.extent.world.mean(axis=0) + np.array([[0.0] * 3, [200.0] * 3]))
    spaces.settle()
    assert sum(map(is_helper, viewer.layers)) == 2


def test_closing_takes_the_helpers_and_every_callback_away(spaces: Any) -> None:
    viewer = spaces.viewer
    spaces.links.close()
    assert not any(map(is_helper, viewer.layers))
    emitters = (viewer.dims.events.point, viewer.scene.camera.events.zoom)
    for emitter in emitters:
        owners = [c[0]() for c in emitter.callbacks if isinstance(c, tuple)]
        assert not any(
            type(o).__module__.startswith("napari_ouroboros.widgets.spaces") for o in owners
        )
    assert not [f for f in viewer.mouse_move_callbacks + viewer.mouse_drag_callbacks
                if "spaces" in getattr(f, "__module__", "")]  # fmt: skip
    assert not {str(key) for key in viewer.keymap} & {".", ","}
