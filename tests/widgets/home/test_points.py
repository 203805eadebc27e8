"""Points of the straightened space go home along their own trace, with all that is known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening, Trace
from napari_ouroboros.widgets.home.point_maps import look_again
from napari_ouroboros.widgets.scene.live import LiveState
from napari_ouroboros.widgets.session.points import take_points
from napari_ouroboros.widgets.spaces.layer_actions import duplicate

SVU = np.array([[0.0, 0, 0], [10.25, 3.5, 7], [40, 23, 30], [20, 11.5, 15]])


@pytest.fixture
def model(bench: Any) -> Any:
    show(bench, bench.map)
    model = bench.scene.overlays.points
    model.events = []
    for name in ("brought", "written"):
        getattr(model, name).connect(lambda *x, name=name: model.events.append((name, *x)))
    model.failed.connect(lambda error: model.events.append(("failed", error)))
    return model


def show(bench: Any, map_: Any) -> None:
    """As if the trace were this one."""
    live = bench.scene.live
    before, live.state = live.state, LiveState(map_, generation=live.state.generation + 1)
    live.changed.emit(live.state, before)


def points(bench: Any, svu: Any = SVU, **more: Any) -> Any:
    """A layer as napari makes it: in samples, with the scale of the image."""
    m = bench.map
    scale = (m.mean_spacing_nm, m.pitch_nm, m.pitch_nm)
    return bench.scene.straight.add_points(
        svu, scale=scale, units=("nm",) * 3, name="branches", **more
    )


def bring(bench: Any, model: Any, layer: Any) -> Any:
    model.bring(layer)
    bench.until(lambda: model.idle)
    return model.events[-1]


def nm_of(layer: Any) -> Any:
    return np.array([layer.data_to_world(p) for p in layer.data])


def test_what_was_not_touched_is_not_looked_at_again(bench: Any, model: Any) -> None:
    """As a session does some seconds after each edit, in the thread of the window."""
    layer = points(bench, np.random.default_rng(1).uniform(0, 20, (1000, 3)))
    maps = model.maps_of(layer)
    (taken,) = take_points(bench.scene, {})
    assert taken.maps is maps
    assert (taken.maps.maps == bench.map).all()
    # Their text is made by whoever writes the document, elsewhere.
    assert taken.symbol.tolist() == list(layer.symbol)
    assert not any(type(symbol) is str for symbol in taken.symbol)


def test_points_and_features_go_home(bench: Any, model: Any) -> None:
    features = {"kind": ["a", "b", "c", "d"], "id": np.array([1, 2**53 + 1, 7, 5], np.uint64)}
    layer = points(bench, features=features, size=4, face_color=["red", "blue", "red", "green"])
    camera = bench.viewer.scene.camera.model_dump()
    active = bench.viewer.layers.selection.active
    _, home, brought = bring(bench, model, layer)
    np.testing.assert_allclose(nm_of(home), bench.map.to_volume(SVU), atol=1e-6)
    assert home.features["kind"].tolist() == features["kind"]
    assert home.features["id"].tolist() == features["id"].tolist()
    assert home.features["id"].dtype == np.uint64
    np.testing.assert_array_equal(home.face_color, layer.face_color)
    np.testing.assert_allclose(home.size * 8.0, np.asarray(layer.size) * 6.0)
    assert home.name == "branches (backprojected)"
    assert brought.text == "4 points"
    assert bench.viewer.scene.camera.model_dump() == camera
    assert bench.viewer.layers.selection.active is active
    assert str(home.units) == str(bench.em.units)
    # No trace is made of them.
    assert not bench.scene.traces.traces


def test_a_layer_in_nm_is_as_good(bench: Any, model: Any) -> None:
    m = bench.map
    nm = SVU * (m.mean_spacing_nm, m.pitch_nm, m.pitch_nm)
    layer = bench.scene.straight.add_points(nm - 100, translate=(100,) * 3, units=("nm",) * 3)
    _, home, _ = bring(bench, model, layer)
    np.testing.assert_allclose(nm_of(home), m.to_volume(SVU), atol=1e-6)


def test_again_it_updates_its_layer(bench: Any, model: Any) -> None:
    layer = points(bench, features={"n": [0, 1, 2, 3]})
    _, home, _ = bring(bench, model, layer)
    home.name = "mine"
    layer.selected_data = {1, 2}
    layer.remove_selected()
    layer.add([[5.0, 6, 7]])
    layer.features = {"n": [0, 3, 9]}
    again = bring(bench, model, layer)[1]
    assert again is home
    assert home.name == "mine"
    expected = bench.map.to_volume(np.array([SVU[0], SVU[3], [5, 6, 7]]))
    np.testing.assert_allclose(nm_of(home), expected, atol=1e-6)
    assert home.features["n"].tolist() == [0, 3, 9]
    bench.viewer.layers.remove(home)
    other = bring(bench, model, layer)[1]
    assert other is not home
    assert other in bench.viewer.layers


def test_points_outside_are_counted_and_stay(bench: Any, model: Any) -> None:
    n = bench.map.shape[0]
    svu = np.vstack([SVU, [[-0.6, 3, 3], [n, 3, 3]]])
    layer = points(bench, svu, features={"n": range(6)})
    _, home, brought = bring(bench, model, layer)
    assert brought.text == ("4 points; 2 lie outside the slices and stayed where they are")
    np.testing.assert_allclose(nm_of(home), bench.map.to_volume(SVU), atol=1e-6)
    assert home.features["n"].tolist() == [0, 1, 2, 3]
    layer.data = svu[4:]
    kind, error = bring(bench, model, layer)
    assert kind == "failed"
    assert "2 of 2 points are outside" in str(error)


@pytest.fixture
def other() -> Straightening:
    """The map of the trace after an edit; no sample lies where it lay."""
    return Straightening(Trace([[100.0, 900, 200], [400, 300, 900]]), 31, 24, 9.0, 11.0)


def test_each_goes_home_along_the_trace_that_it_was_set_along(
    bench: Any, model: Any, other: Any
) -> None:
    layer = points(bench)
    show(bench, other)
    _, home, brought = bring(bench, model, layer)
    np.testing.assert_allclose(nm_of(home), bench.map.to_volume(SVU), atol=1e-6)
    assert brought.n_traces == 1
    # The same trace again, made anew, is no other one.
    m = bench.map
    show(bench, Straightening(m.trace, m.width, m.height, m.pitch_nm, m.spacing_nm))
    layer.add([[5.0, 6, 7]])
    assert bring(bench, model, layer)[2].n_traces == 1
    # The trace is edited, and one point moved: the others stay where they are in the volume.
    show(bench, other)
    moved = layer.data.copy()
    moved[1] = (12.0, 8, 9)
    layer.data = moved
    _, home, brought = bring(bench, model, layer)
    expected = m.to_volume(moved)
    shown = moved[1] * (m.mean_spacing_nm, m.pitch_nm, m.pitch_nm)
    step = (other.mean_spacing_nm, other.pitch_nm, other.pitch_nm)
    expected[1] = other.to_volume((shown / step)[None])[0]
    np.testing.assert_allclose(nm_of(home), expected, atol=1e-6)
    assert "the trace has changed between them" in brought.text
    # All of them set anew.
    layer.selected_data = set(range(len(layer.data)))
    layer.remove_selected()
    layer.add(SVU)
    assert bring(bench, model, layer)[2].n_traces == 1


def test_points_without_a_trace_belong_to_the_first_that_comes(bench: Any, model: Any) -> None:
    first = bench.map
    show(bench, None)
    layer = points(bench)
    assert "no trace" in str(bring(bench, model, layer)[1])
    show(bench, first)
    show(bench, None)
    np.testing.assert_allclose(nm_of(bring(bench, model, layer)[1]), first.to_volume(SVU))


def test_copies_of_a_layer_keep_the_maps_of_its_points(bench: Any, model: Any, other: Any) -> None:
    layer = points(bench)
    show(bench, other)
    (copy,) = duplicate(bench.scene.straight, [layer])
    _, home, _ = bring(bench, model, copy)
    np.testing.assert_allclose(nm_of(home), bench.map.to_volume(SVU), atol=1e-6)
    bench.scene.straight.layers.remove(layer)
    bench.scene.straight.layers.append(layer)
    _, home, _ = bring(bench, model, layer)
    np.testing.assert_allclose(nm_of(home), bench.map.to_volume(SVU), atol=1e-6)


#: What people and plugins do to a layer: (the layer, its points as they should be, the map)
Points = list[list[Any]]


def _add(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    new = rng.integers(0, 20, (2, 3)).astype(float)
    layer.add(new)
    points.extend([row, map_] for row in new.tolist())


def _delete(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    gone = rng.choice(len(points), min(2, len(points)), replace=False).tolist()
    layer.selected_data = set(gone)
    layer.remove_selected()
    points[:] = [p for i, p in enumerate(points) if i not in gone]


def _drag(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    i = int(rng.integers(len(points)))
    layer.selected_data = {i}
    # As napari's mouse does it: one message before, one at the end.
    layer.events.data(value=layer.data, action="changing", data_indices=(i,), vertex_indices=((),))
    with layer.events.data.blocker():
        layer._move([i], layer.data[i] + 0.3)
    layer._move([i], layer.data[i] + 1.7)
    layer._drag_start = None
    points[i][:] = layer.data[i].tolist(), map_


def _paste(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    layer.selected_data = set(rng.choice(len(points), min(2, len(points)), replace=False).tolist())
    layer._copy_data()
    layer._paste_data()  # in 3D: at the very places of the first
    points.extend([row, map_] for row in layer._clipboard["data"].tolist())


def _sort(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    order = np.argsort(rng.random(len(points)))
    _, firsts = np.unique(layer.data, axis=0, return_index=True)
    if len(firsts) < len(points):
        return  # of two at one place nobody knows which is which
    layer.data = layer.data[order]
    points[:] = [points[i] for i in order]


def _feature(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    layer.features = {"kind": rng.integers(0, 9, len(points))}


def _silently(layer: Any, points: Points, map_: Any, rng: Any) -> None:
    layer.data[0] += 0.25
    points[0][:] = layer.data[0].tolist(), map_


_DEEDS = (_add, _add, _delete, _drag, _paste, _sort, _feature, _silently)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_done_to_points_they_keep_their_maps(bench: Any, model: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = bench.map
    maps = [
        Straightening(Trace(m.trace.points_nm + shift), 31, 24, 6.0, 7.0)
        for shift in (0.0, 8.0, 40.0)
    ]
    layer = bench.scene.straight.add_points(np.empty((0, 3)), units=("nm",) * 3)
    bench.scene.straight.dims.ndisplay = 3  # napari's paste fails in 2D
    wanted: Points = []
    map_ = maps[0]
    show(bench, map_)
    for _ in range(60):
        if rng.random() < 0.3:
            map_ = maps[int(rng.integers(len(maps)))]
            show(bench, map_)
        deed = _add if not wanted else _DEEDS[int(rng.integers(len(_DEEDS)))]
        deed(layer, wanted, map_, rng)
    layer.add([[5.0, 5, 5]])
    wanted.append([[5.0, 5, 5], map_])
    known = look_again(layer, map_)
    np.testing.assert_array_equal(known.rows, [row for row, _ in wanted])
    assert [maps.index(x) for x in known.maps] == [maps.index(x) for _, x in wanted]


def test_a_grid_that_is_shifted_was_moved_and_not_sorted(
    bench: Any, model: Any, other: Any
) -> None:
    layer = points(bench, np.array([[3.0, r, 5] for r in range(6)]))
    show(bench, other)
    layer.data = layer.data + (0, 1, 0)
    assert set(look_again(layer, other).maps) == {other}


def test_a_file_has_both_places(bench: Any, model: Any, tmp_path: Path) -> None:
    layer = points(bench, features={"kind": ["a", "b", "c", "d"]})
    model.write(layer, tmp_path / "points.csv")
    bench.until(lambda: model.idle)
    assert model.events[-1][:2] == ("written", tmp_path / "points.csv")
    with (tmp_path / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = np.array([[float(r[c]) for c in ("slice", "row", "column")] for r in rows])
    np.testing.assert_allclose(read, SVU, atol=1e-9)
    nm = np.array([[float(r[c]) for c in ("z [nm]", "y [nm]", "x [nm]")] for r in rows])
    np.testing.assert_allclose(nm, bench.map.to_volume(SVU), atol=1e-9)
    assert [r["kind"] for r in rows] == ["a", "b", "c", "d"]
    model.write(layer, tmp_path / "no" / "points.csv")
    bench.until(lambda: model.idle)
    assert model.events[-1][0] == "failed"


def test_what_cannot_go_home_says_why(bench: Any, model: Any) -> None:
    assert "has no points" in str(bring(bench, model, points(bench, np.zeros((0, 3))))[1])
    flat = bench.scene.straight.add_points(np.zeros((2, 2)))
    kind, error = bring(bench, model, flat)
    assert kind == "failed"
    assert isinstance(error, UserError)
    assert "2 dimensions" in str(error)


def test_layers_come_and_go(bench: Any, model: Any) -> None:
    told: list[int] = []
    model.changed.connect(lambda: told.append(len(model.layers)))
    layer = points(bench)
    bench.scene.straight.add_image(np.zeros((4, 4, 4)))
    assert model.layers == [layer]
    layer.name = "other"
    bench.scene.straight.layers.remove(layer)
    assert model.layers == []
    assert len(told) == 3
    model.close()
    points(bench)
    assert len(told) == 3
