"""The book of labels: they come, go, stay with their trace, and are told when painted."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from labels_bench import Bench
from napari.layers import Image, Labels

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.labels.label_changes import Change
from napari_ouroboros.widgets.labels import StraightLabels

IDS = (1, 300, 2**63)


def in_view(bench: Bench) -> list[Any]:
    return [layer for layer in bench.straight.layers if isinstance(layer, Labels)]


def test_new_labels_lie_on_the_slices(bench: Bench) -> None:
    edits: list[None] = []
    bench.scene.work.edited.connect(lambda: edits.append(None))
    entry = bench.new()
    assert isinstance(entry.array, LabelArray)
    assert entry.array.shape == bench.map.shape
    assert entry.array.dtype == np.uint64
    assert not entry.array.any()
    assert entry.map is bench.map
    assert entry.key == bench.scene.live.state.key
    assert entry.trace is bench.trace.state
    assert edits
    layer = entry.layer
    assert layer is not None
    assert layer.data is entry.array
    assert in_view(bench) == [layer]
    assert tuple(layer.scale) == (bench.map.mean_spacing_nm, 6.0, 6.0)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert layer.axis_labels == ("slice", "row", "column")
    assert layer.metadata == {"napari-ouroboros": {"recipe": bench.map.recipe_hash}}
    assert bench.straight.layers.selection.active is layer
    assert bench.book.active is entry
    # Where its session keeps what is painted.
    folder = bench.scene.work.folder().path
    assert folder in entry.array.path.parents


def test_new_labels_leave_camera_and_other_layers_alone(bench: Bench) -> None:
    image = bench.straight.add_image(
        np.zeros(bench.map.shape, np.uint8), scale=(7, 6, 6), units=("nm",) * 3,
        axis_labels=("slice", "row", "column"), contrast_limits=(3, 77),
    )  # fmt: skip
    bench.straight.scene.camera.zoom = 3.5
    bench.straight.dims.set_point(0, 70.0)
    entry = bench.new()
    assert list(bench.straight.layers) == [image, entry.layer]
    assert bench.straight.scene.camera.zoom == 3.5
    assert bench.straight.dims.point[0] == 70.0
    assert list(image.contrast_limits) == [3, 77]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_other_dtypes(dtype: str, bench: Bench) -> None:
    assert bench.new(dtype=dtype, name="mine").array.dtype == dtype
    assert bench.book.entries[0].name == "mine"


def test_no_new_labels_without_slices(bench: Bench) -> None:
    with pytest.raises(UserError, match="uint8"):
        bench.book.new(dtype="int32")
    bench.scene.traces.remove(bench.trace)
    bench.settle()
    with pytest.raises(UserError, match="trace"):
        bench.book.new()
    assert bench.book.entries == []


def test_new_labels_wait_for_the_map_of_the_moment(bench: Bench) -> None:
    bench.trace.move({1: bench.trace.state.points_nm[1] + 40.0})
    bench.book.new()
    bench.settle()
    (entry,) = bench.book.entries
    assert entry.is_shown
    assert entry.map is bench.map


# -- painting -----------------------------------------------------------------------------


def paint(layer: Any, k: int, label: int, at: tuple[int, int] = (12, 15), size: int = 5) -> None:
    layer.brush_size = size
    with layer.block_history():
        layer.paint((k, *at), label)


def test_napari_paints_fills_erases_and_undoes(bench: Bench) -> None:
    entry = bench.new()
    layer = entry.layer
    assert layer is not None
    told: list[tuple[StraightLabels, Change]] = []
    bench.book.painted.connect(lambda e, change: told.append((e, change)))
    bench.straight.dims.set_current_step(0, 9)
    states = [entry.array[:]]
    for label in IDS:
        paint(layer, 9, label, at=(6 + 5 * IDS.index(label), 15))
        bench.loop.turn()
        states.append(entry.array[:])
        assert np.unique(states[-1]).tolist() == [0, *IDS[: IDS.index(label) + 1]]
        # What was told is what has changed.
        assert told[-1][0] is entry
        differs = np.argwhere(states[-1] != states[-2])
        box = np.array(told[-1][1].box)
        np.testing.assert_array_equal(box, np.stack([differs.min(0), differs.max(0) + 1], 1))
    layer.fill((9, 0, 0), 2**63 + 7)
    states.append(entry.array[:])
    assert np.unique(states[-1][9]).tolist() == [*IDS, 2**63 + 7]
    assert not states[-1][[8, 10]].any()
    layer.n_edit_dimensions = 3
    paint(layer, 9, 300, at=(12, 15), size=9)
    states.append(entry.array[:])
    assert (states[-1][[7, 11]] == 300).any(axis=(1, 2)).all()
    paint(layer, 9, 0, at=(12, 15), size=3)
    states.append(entry.array[:])
    assert states[-1][9, 12, 15] == 0
    for state in states[-2::-1]:
        layer.undo()
        np.testing.assert_array_equal(entry.array[:], state)
    for state in states[1:]:
        layer.redo()
        np.testing.assert_array_equal(entry.array[:], state)
    bench.loop.turn()
    # On disk, and in the picture.
    np.testing.assert_array_equal(LabelArray.open(entry.array.path)[:], states[-1])
    np.testing.assert_array_equal(layer._slice.image.raw, states[-1][9])


def test_writes_of_anybody_are_told_and_shown(bench: Bench) -> None:
    entry = bench.new()
    assert entry.layer is not None
    bench.straight.dims.set_current_step(0, 4)
    told: list[Change] = []
    edits: list[None] = []
    bench.book.painted.connect(lambda _, change: told.append(change))
    bench.scene.work.edited.connect(lambda: edits.append(None))
    worker = threading.Thread(target=entry.array.__setitem__, args=(4, 2**63))
    worker.start()
    worker.join()
    entry.array[5, 3, np.array([2, 4])] = 7
    assert len(edits) >= 2
    assert told == []
    bench.loop.turn()
    (change,) = told  # both at once
    assert change.box == ((4, 6), (0, 24), (0, 31))
    assert (entry.layer._slice.image.raw == 2**63).all()


# -- coming and going ---------------------------------------------------------------------


def test_removed_and_brought_back(bench: Bench) -> None:
    first, second = bench.new(name="a"), bench.new(name="b")
    layer = first.layer
    assert layer is not None
    paint(layer, 3, 300)
    layer.opacity = 0.3
    changes: list[None] = []
    bench.book.changed.connect(lambda: changes.append(None))
    bench.book.remove(first)
    assert bench.book.entries == [second]
    assert in_view(bench) == [second.layer]
    assert not first.is_shown
    assert len(changes) >= 1
    assert bench.book.undo_text == "Bring back a"
    bench.book.undo()
    assert bench.book.entries == [first, second]
    assert first.layer is layer
    assert layer in bench.straight.layers
    assert layer.opacity == 0.3
    layer.undo()  # its own history came back with it
    assert not first.array.any()
    bench.book.redo()
    assert bench.book.entries == [second]
    bench.book.undo()
    bench.book.undo()  # the coming of b
    assert bench.book.entries == [first]
    bench.book.redo()
    assert bench.book.entries == [first, second]
    assert in_view(bench) == [layer, second.layer]


def test_something_new_ends_what_could_be_done_again(bench: Bench) -> None:
    first = bench.new(name="a")
    bench.book.remove(first)
    bench.book.undo()
    second = bench.new(name="b")
    bench.book.redo()
    assert bench.book.entries == [first, second]


def test_a_layer_that_the_user_removes_is_as_good(bench: Bench) -> None:
    entry = bench.new()
    bench.straight.layers.remove(entry.layer)
    assert bench.book.entries == []
    assert bench.book.active is None
    bench.book.undo()
    assert bench.book.entries == [entry]
    assert entry.is_shown


def test_names(bench: Bench) -> None:
    first, second = bench.new(), bench.new()
    assert [first.name, second.name] == ["labels", "labels 2"]
    assert first.layer is not None
    changes: list[None] = []
    bench.book.changed.connect(lambda: changes.append(None))
    first.layer.name = "axon"
    assert first.name == "axon"
    bench.book.rename(second, "glia")
    assert second.layer is not None
    assert second.layer.name == "glia"
    assert len(changes) == 2


def test_the_active_labels_are_the_selected_ones(bench: Bench) -> None:
    first, second = bench.new(), bench.new()
    assert bench.book.active is second
    bench.straight.layers.selection.active = first.layer
    assert bench.book.active is first
    bench.straight.layers.selection.clear()
    assert bench.book.active is second


# -- labels belong to their recipe --------------------------------------------------------


def test_an_edit_of_the_trace_parks_them_and_its_undo_brings_them_back(bench: Bench) -> None:
    entry = bench.new()
    layer, array, map_ = entry.layer, entry.array, entry.map
    assert layer is not None
    paint(layer, 3, 300)
    values = array[:]
    nm = map_.to_volume(np.argwhere(values).astype(float))
    bench.move()
    assert not entry.is_shown
    assert in_view(bench) == []
    # Not a painted voxel moved: neither the ids, nor where they are in nm.
    assert entry.map is map_
    np.testing.assert_array_equal(entry.array[:], values)
    np.testing.assert_array_equal(entry.map.to_volume(np.argwhere(values).astype(float)), nm)
    assert bench.book.active is entry
    other = bench.new()
    assert in_view(bench) == [other.layer]
    bench.trace.undo()
    bench.settle()
    assert entry.layer is layer
    assert in_view(bench) == [layer]
    assert not other.is_shown
    layer.undo()
    assert not array.any()
    bench.trace.redo()
    bench.settle()
    assert in_view(bench) == [other.layer]


def test_settings_of_the_slices_park_them_too(bench: Bench) -> None:
    entry = bench.new()
    bench.scene.settings.width = 41
    bench.settle()
    assert not entry.is_shown
    bench.scene.settings.width = 31
    bench.settle()
    assert entry.is_shown
    # The same rectangles in the volume, in finer pixels.
    settings = bench.scene.settings
    settings.width, settings.height, settings.pitch_nm = 62, 48, 3.0
    bench.settle()
    assert not entry.is_shown


def test_while_a_point_is_dragged_nothing_is_parked(bench: Bench) -> None:
    entry = bench.new()
    start = bench.trace.state.points_nm[1]
    bench.trace.begin_drag()
    for step in range(3):
        bench.trace.drag({1: start + 10.0 * (step + 1)})
        bench.settle()
        assert bench.scene.live.state.key == ""
        assert entry.is_shown
    bench.trace.end_drag()
    bench.settle()
    assert not entry.is_shown


def test_parking_leaves_the_view_alone(bench: Bench) -> None:
    image = bench.straight.add_image(np.zeros(bench.map.shape, np.uint8), scale=(7, 6, 6))
    assert isinstance(image, Image)
    entry = bench.new()
    bench.straight.layers.selection.active = image
    bench.straight.scene.camera.zoom = 2.5
    bench.move()
    bench.trace.undo()
    bench.settle()
    assert entry.is_shown
    assert bench.straight.layers.selection.active is image
    assert bench.straight.scene.camera.zoom == 2.5


def test_added_with_another_recipe(bench: Bench, tmp_path: Any) -> None:
    other = bench.map
    bench.move()
    array = LabelArray.create(tmp_path / "l", other.shape, "uint32")
    entry = bench.book.add(array, other, "saved", opacity=0.25)
    assert not entry.is_shown
    bench.trace.undo()
    bench.settle()
    assert entry.layer is not None
    assert entry.layer.opacity == 0.25
    with pytest.raises(UserError, match="do not fit"):
        bench.book.add(LabelArray.create(tmp_path / "m", (3, 3, 3), "uint8"), other, "no")


def test_closing_ends_it(bench: Bench) -> None:
    entry = bench.new()
    told: list[Any] = []
    bench.book.painted.connect(lambda *_: told.append(None))
    bench.book.new()
    bench.scene.close()
    entry.array[0] = 3
    bench.loop.turn()
    assert told == []
    assert bench.book.entries == [entry]
