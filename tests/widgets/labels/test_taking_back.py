"""Labels made in another viewer: twins share the array, results of plugins come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labels_bench import Bench
from napari.components import ViewerModel
from napari.layers import Labels

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.labels.saving import save_labels
from napari_ouroboros.widgets.spaces import layer_actions
from napari_ouroboros.widgets.spaces.taking_back import TakingBack
from napari_ouroboros.widgets.spaces.twin_layers import TwinLayers, twin_of

BIG = 2**63


class Never:
    """A token that nobody sets."""

    def is_set(self) -> bool:
        return False


@pytest.fixture
def other(bench: Bench) -> Iterator[ViewerModel]:
    """A viewer whose labels are taken back."""
    viewer = ViewerModel()
    taking = TakingBack(bench.scene, viewer)
    yield viewer
    taking.close()


def raw(layer: Any) -> Any:
    return layer._slice.image.raw


def test_twins_of_labels_follow_every_write(bench: Bench) -> None:
    entry = bench.new()
    layer = entry.layer
    assert layer is not None
    viewer = ViewerModel()
    twin = twin_of(layer)
    viewer.add_layer(twin)
    assert twin.data is entry.array
    twins = TwinLayers(layer, twin, bench.loop.deliver)
    for model in (bench.straight, viewer):
        model.dims.set_current_step(0, 4)
    for painted, there in ((layer, twin), (twin, layer)):
        painted.paint((4, 10, 10), BIG)
        bench.loop.turn()
        assert (raw(there) == BIG).any()
        np.testing.assert_array_equal(raw(there), raw(painted))
        painted.undo()
        bench.loop.turn()
        assert not raw(there).any()
    entry.array[4, 3] = 300  # a plugin, past both layers
    bench.loop.turn()
    for each in (layer, twin):
        assert (raw(each)[3] == 300).all()
    twins.close()


def test_what_a_plugin_adds_is_taken_back_and_kept_up_to_date(
    bench: Bench, other: ViewerModel
) -> None:
    made = np.zeros(bench.map.shape, np.int32)
    made[5, 6:9, 7:9] = 7
    theirs = other.add_labels(made, name="cells")
    bench.settle()
    (entry,) = bench.book.entries
    assert entry.name == "cells"
    assert entry.is_shown
    assert entry.array.dtype == np.uint32
    np.testing.assert_array_equal(entry.array[:], made)
    # One array from now on: painted here, painted there.
    assert theirs.data is entry.array
    np.testing.assert_array_equal(theirs.scale, entry.layer.scale if entry.layer else 0)
    theirs.paint((9, 10, 10), 300)
    assert entry.array[9, 10, 10] == 300
    # The plugin runs again, and replaces what its layer shows.
    before = entry.array[:]
    again = np.where(made, 9, 0)
    theirs.data = again
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], again)
    assert theirs.data is entry.array
    assert entry.layer is not None
    assert entry.layer.data is entry.array
    assert bench.book.undo_text == "Undo in cells"
    bench.book.undo()
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], before)
    bench.book.redo()
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], again)
    assert len(bench.book.entries) == 1


def test_painted_while_it_is_taken_back_it_is_not_lost(bench: Bench, other: ViewerModel) -> None:
    theirs = other.add_labels(np.zeros(bench.map.shape, np.uint8), name="cells")
    bench.loop.until(lambda: bool(bench.book.running), "the copy to begin")
    bench.loop.until(lambda: bool(bench.loop.calls), "the copy to end")
    # It has been read, and is not in the layer yet.
    theirs.paint((9, 10, 10), 3)
    bench.settle()
    (entry,) = bench.book.entries
    assert theirs.data is entry.array
    assert entry.array[9, 10, 10] == 3


def test_other_layers_are_left_to_the_other_window(bench: Bench, other: ViewerModel) -> None:
    other.add_labels(np.zeros((3, 4, 5), np.uint8))
    other.add_image(np.zeros(bench.map.shape, np.uint8))
    other.add_labels(np.zeros(bench.map.shape, np.uint8), name="removed at once")
    other.layers.remove("removed at once")
    bench.settle()
    assert bench.book.entries == []
    assert bench.failed == []


def test_labels_of_whatever_is_no_id_are_refused(bench: Bench, other: ViewerModel) -> None:
    theirs = other.add_labels(np.full(bench.map.shape, -3, np.int16))
    bench.settle()
    assert "negative" in str(bench.failed.pop())
    assert bench.book.entries == []
    assert isinstance(theirs.data, np.ndarray)


# -- the layer menu -----------------------------------------------------------------------


def test_duplicated_merged_and_not_converted(bench: Bench) -> None:
    low, high = bench.new(name="low", dtype="uint16"), bench.new(name="high")
    low.array[2:4], high.array[3, :, 5] = 300, BIG
    layers = [entry.layer for entry in (low, high) if entry.layer is not None]
    assert layer_actions.why_not_duplicate(layers) == ""
    assert layer_actions.duplicate(bench.straight, layers[:1], bench.book) == []
    bench.settle()
    copy = bench.book.entries[-1]
    assert copy.name == "low copy"
    np.testing.assert_array_equal(copy.array[:], low.array[:])
    copy.array[0] = 1
    assert not low.array[0].any()
    # Selected in another order than they lie.
    assert layer_actions.merge(bench.straight, layers[::-1], bench.book) is None
    bench.settle()
    merged = bench.book.entries[-1]
    assert merged.array.dtype == np.uint64
    np.testing.assert_array_equal(
        merged.array[:], np.where(high.array[:], high.array[:], low.array[:])
    )
    assert bench.straight.layers.selection.active is merged.layer
    assert "stay labels" in layer_actions.why_not_convert(layers)
    with pytest.raises(UserError, match="stay labels"):
        layer_actions.convert(bench.straight, layers)
    assert "one by one" in layer_actions.why_not_save(layers)
    assert layer_actions.why_not_save(layers[:1]) == ""


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_saved_with_their_recipe_they_load_again(suffix: str, bench: Bench, tmp_path: Path) -> None:
    entry = bench.new()
    entry.array[3:9, 4:8, 2:9] = BIG + 3
    written = save_labels(str(tmp_path / f"mine{suffix}"), entry.array, entry.map, Never())
    # Whoever writes into the result in place must not write into the session's labels.
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.stat().st_nlink for p in files} == {1}
    assert [Path(path).name for path in written] == [f"mine{suffix}", "mine.recipe.json"]
    bench.book.load(written[0])
    bench.settle()
    assert bench.failed == []
    again = bench.book.entries[-1]
    assert again.is_shown
    np.testing.assert_array_equal(again.array[:], entry.array[:])
    with pytest.raises(UserError, match=r"\.tif or \.zarr"):
        save_labels(str(tmp_path / "mine.png"), entry.array, entry.map, Never())


def test_a_name_of_another_dtype(bench: Bench) -> None:
    """Labels of a viewer are what napari makes of any whole numbers."""
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros(bench.map.shape, bool))
    assert isinstance(layer, Labels)
    taken: list[Any] = []
    bench.book.take_in(layer.data, "mask", taken.append)
    bench.settle()
    assert taken[0].array.dtype == np.uint8
