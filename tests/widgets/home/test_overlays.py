"""Labels are seen in the original as they are painted; the window is disturbed by nothing."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from painted import gone_home

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.labels.book import StraightLabels
from napari_ouroboros.widgets.streaming import volume_of

IDS = (1, 300, 2**53 + 1, 2**63, 2**64 - 1)


def dab(entry: Any, k: int, value: int) -> None:
    """As a brush does it: by arrays of indices, through the layer."""
    at = np.argwhere(np.ones((5, 9, 9), bool)) + (k, 7, 10)
    entry.layer.data_setitem(tuple(at.T), value)


def middle_of(bench: Any, k: int) -> Any:
    return bench.map.to_volume((k + 2, 11, 14))


def test_a_stroke_is_seen_where_backproject_puts_it(bench: Any, tmp_path: Path) -> None:
    entry = bench.entry()
    for i, value in enumerate(IDS):
        dab(entry, 10 + 12 * i, value)
    bench.settle()
    truth, _ = gone_home(np.asarray(entry.array), bench.map, bench.volume, 0, tmp_path / "out")
    for i, value in enumerate(IDS):
        nm = middle_of(bench, 10 + 12 * i)
        bench.look_at(nm)
        picture, level = bench.shown(entry)
        assert level == 0
        z = int(bench.viewer.dims.current_step[0])
        np.testing.assert_array_equal(picture, truth[z])
        assert (picture == np.uint64(value)).any()
        # Another id over it, without anybody asking.
        dab(entry, 10 + 12 * i, value - 1)
        bench.settle()
        picture, _ = bench.shown(entry)
        assert not (picture == np.uint64(value)).any()
        assert value == 1 or (picture == np.uint64(value - 1)).any()
        dab(entry, 10 + 12 * i, value)
        bench.settle()
    entry.layer.undo()
    bench.settle()


def test_a_stroke_is_seen_in_three_dimensions(bench: Any, tmp_path: Path) -> None:
    entry = bench.entry()
    bench.settle()
    bench.viewer.dims.ndisplay = 3
    bench.settle()
    assert not bench.shown(entry)[0].any()
    dab(entry, 20, 2**63)
    bench.settle()
    picture, level = bench.shown(entry)
    assert picture.ndim == 3
    truth, _ = gone_home(np.asarray(entry.array), bench.map, bench.volume, level, tmp_path / "out")
    z, y, x = truth.shape
    np.testing.assert_array_equal(picture[:z, :y, :x], truth)
    assert truth.any()


def test_undo_and_redo_are_seen(bench: Any) -> None:
    entry = bench.entry()
    bench.settle()
    bench.look_at(middle_of(bench, 20))
    assert not bench.shown(entry)[0].any()
    with entry.layer.block_history():
        dab(entry, 20, 7)
    entry.layer.undo()
    bench.settle()
    assert not bench.shown(entry)[0].any()
    entry.layer.redo()
    bench.settle()
    assert set(np.unique(bench.shown(entry)[0])) == {0, 7}


def test_off_there_is_nothing_and_on_again_it_is_there(bench: Any) -> None:
    overlays, told = bench.scene.overlays, []
    overlays.on_changed.connect(told.append)
    entry = bench.entry()
    bench.settle()
    assert overlays.layer_of(entry) in bench.viewer.layers
    overlays.on = False
    assert overlays.layer_of(entry) is None
    assert list(bench.viewer.layers) == [bench.em]
    dab(entry, 20, 9)
    bench.settle()
    assert list(bench.viewer.layers) == [bench.em]
    overlays.on = True
    bench.settle()
    bench.look_at(middle_of(bench, 20))
    assert (bench.shown(entry)[0] == 9).any()
    assert told == [False, True]


def test_a_new_layer_disturbs_nothing(bench: Any) -> None:
    points = bench.viewer.add_points(np.zeros((2, 3)) + 100, name="trace")
    bench.viewer.layers.selection.active = points
    bench.viewer.dims.set_point(0, 160)
    camera = bench.viewer.scene.camera
    camera.zoom, camera.center = 3.0, (0, 300.0, 222.0)
    bench.em.contrast_limits = (3, 77)
    before = bench.viewer.dims.model_dump(), camera.model_dump()
    entry = bench.entry()
    bench.settle()
    layer = bench.scene.overlays.layer_of(entry)
    after = bench.viewer.dims.model_dump(), camera.model_dump()
    assert str(before) == str(after)
    assert list(bench.em.contrast_limits) == [3, 77]
    assert bench.viewer.layers.selection.active is points
    assert list(bench.viewer.layers) == [bench.em, layer, points]
    assert not layer.editable
    assert layer.name == "nerve"
    # It is no volume to straighten, and never the reference.
    assert volume_of(layer) is None
    assert bench.scene.reference is bench.volume
    assert bench.scene.volume_layers == [bench.em]


@pytest.mark.parametrize(
    ("name", "value"),
    [("opacity", 0.3), ("visible", False), ("contour", 2), ("show_selected_label", True),
     ("selected_label", 2**63)],
)  # fmt: skip
def test_the_two_look_alike_whichever_is_changed(bench: Any, name: str, value: Any) -> None:
    entry = bench.entry()
    before = getattr(entry.layer, name)
    bench.settle()
    layer = bench.scene.overlays.layer_of(entry)
    setattr(entry.layer, name, value)
    assert getattr(layer, name) == value
    setattr(layer, name, before)
    assert getattr(entry.layer, name) == before


def test_an_id_has_the_same_colour_in_both(bench: Any) -> None:
    entry = bench.entry()
    entry.layer.new_colormap(3)
    bench.settle()
    layer = bench.scene.overlays.layer_of(entry)
    for _ in range(2):
        for label in IDS:
            np.testing.assert_array_equal(entry.layer.get_color(label), layer.get_color(label))
            raw = np.full((2, 2), label, np.uint64)
            np.testing.assert_array_equal(
                entry.layer._raw_to_displayed(raw), layer._raw_to_displayed(raw)
            )
        entry.layer.new_colormap(8)
    entry.layer.colormap = {None: "red", 2**63: "blue", 0: "transparent"}
    np.testing.assert_array_equal(layer.get_color(2**63), [0, 0, 1, 1])
    np.testing.assert_array_equal(layer.get_color(2**63 - 1), [1, 0, 0, 1])


def test_the_name_follows_unless_the_user_gave_another(bench: Any) -> None:
    entry = bench.entry()
    bench.settle()
    layer = bench.scene.overlays.layer_of(entry)
    entry.name = "axon"
    bench.scene.labels.changed.emit()
    assert layer.name == "axon"
    layer.name = "mine"
    entry.name = "dendrite"
    bench.scene.labels.changed.emit()
    assert layer.name == "mine"


def test_labels_along_an_earlier_trace_stay_in_their_place(bench: Any, tmp_path: Path) -> None:
    entry = bench.entry()
    dab(entry, 20, 5)
    bench.settle()
    bench.look_at(middle_of(bench, 20))
    overlay = bench.scene.overlays.layer_of(entry)
    picture = bench.shown(entry)[0].copy()
    assert picture.any()
    layer, entry.layer = entry.layer, None  # another trace is shown
    bench.scene.straight.layers.remove(layer)
    bench.scene.labels.changed.emit()
    bench.settle()
    assert bench.scene.overlays.layer_of(entry) is overlay
    np.testing.assert_array_equal(bench.shown(entry)[0], picture)
    overlay.opacity = 0.4
    entry.layer = layer
    bench.scene.straight.add_layer(layer)
    bench.scene.labels.changed.emit()
    assert layer.opacity == overlay.opacity == 0.4
    layer.opacity = 0.8
    assert overlay.opacity == 0.8


def test_two_labels_have_a_layer_each_and_go_with_their_entry(bench: Any) -> None:
    first, second = bench.entry("a"), bench.entry("b", "uint8")
    bench.settle()
    overlays = bench.scene.overlays
    layers = [overlays.layer_of(e) for e in (first, second)]
    assert [layer.name for layer in layers] == ["a", "b"]
    assert layers[1].dtype == np.uint8
    bench.scene.labels.entries.remove(first)
    bench.scene.labels.changed.emit()
    assert overlays.layer_of(first) is None
    assert list(bench.viewer.layers) == [bench.em, layers[1]]


def test_who_removes_the_layer_does_not_want_it(bench: Any) -> None:
    entry = bench.entry()
    bench.settle()
    overlays = bench.scene.overlays
    bench.viewer.layers.remove(overlays.layer_of(entry))
    bench.scene.labels.changed.emit()
    bench.settle()
    assert overlays.layer_of(entry) is None
    assert entry.layer in bench.scene.straight.layers
    overlays.on = False
    overlays.on = True
    bench.settle()
    assert overlays.layer_of(entry) in bench.viewer.layers


def test_without_a_volume_there_is_no_place_for_them(bench: Any) -> None:
    entry = bench.entry()
    bench.settle()
    bench.viewer.layers.remove(bench.em)
    bench.settle()
    assert len(bench.viewer.layers) == 0
    assert bench.scene.overlays.layer_of(entry) is None
    bench.viewer.add_layer(bench.em)
    bench.settle()
    assert bench.scene.overlays.layer_of(entry) in bench.viewer.layers


def test_what_cannot_be_shown_is_said(bench: Any, tmp_path: Path) -> None:
    told: list[Any] = []
    bench.scene.overlays.failed.connect(told.append)
    array = LabelArray.create(tmp_path / "wrong", (3, 4, 5), "uint8")
    entry = StraightLabels(array, bench.map, "wrong", Labels(array))
    bench.scene.labels.entries.append(entry)
    bench.scene.labels.changed.emit()
    bench.until(lambda: bool(told))
    assert isinstance(told[0], UserError)
    bench.scene.labels.changed.emit()
    bench.settle()
    assert len(told) == 1


def test_a_large_labels_is_looked_at_in_a_worker(bench: Any, monkeypatch: Any) -> None:
    from napari_ouroboros.operations import labels_home

    threads = []
    usual = labels_home.LabelsHome.__init__

    def init(self: Any, *args: Any, **more: Any) -> None:
        threads.append(threading.current_thread())
        usual(self, *args, **more)

    monkeypatch.setattr(labels_home.LabelsHome, "__init__", init)
    bench.entry()
    bench.settle()
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_labels_of_two_maps_at_once(bench: Any, tmp_path: Path) -> None:
    other = Straightening(Trace([[100.0, 900, 200], [400, 300, 900]]), 31, 24, 6.0, 7.0)
    entries = [bench.entry("a"), bench.entry("b", map_=other)]
    for entry in entries:
        dab(entry, 20, 3)
    bench.settle()
    for i, entry in enumerate(entries):
        truth, _ = gone_home(
            np.asarray(entry.array), entry.map, bench.volume, 0, tmp_path / f"out{i}"
        )
        assert truth.any()
        bench.look_at(entry.map.to_volume((22, 11, 14)))
        z = int(bench.viewer.dims.current_step[0])
        np.testing.assert_array_equal(bench.shown(entry)[0], truth[z])


def test_a_closed_scene_leaves_nothing(bench: Any) -> None:
    entry = bench.entry()
    bench.settle()
    gone = weakref.ref(bench.scene.overlays.layer_of(entry))
    followers = len(entry.array.changed)
    bench.scene.close()
    bench.scene.overlays.close()
    assert list(bench.viewer.layers) == [bench.em]
    assert len(entry.array.changed) < followers
    bench.until(lambda: bench.watcher.settled)
    gc.collect()
    assert gone() is None
