"""Large labels in three dimensions: a coarse layer stands in for them, and all comes back."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from labels_bench import Bench
from napari.layers import Labels
from reads import sizes_read

from napari_ouroboros.errors import SourceError
from napari_ouroboros.operations.coarse_labels import CoarseLabels
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.labels import StraightLabels
from napari_ouroboros.widgets.spaces.layer_actions import (
    duplicate,
    why_not_convert,
    why_not_merge,
    why_not_save,
)
from napari_ouroboros.widgets.spaces.linked_slices import LinkedSlices
from napari_ouroboros.widgets.spaces.straight_space import straight_grid
from napari_ouroboros.widgets.straighten import live_preview_of
from napari_ouroboros.widgets.straighten.view import StraightView

ID = 2**63 + 5


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many voxels of labels each reading in the thread of the window had."""
    main = threading.main_thread()
    return sizes_read(monkeypatch, LabelArray, lambda: threading.current_thread() is main)


@pytest.fixture
def large(bench: Bench) -> Bench:
    """Slices that make labels of more voxels than a stand-in has."""
    settings = bench.scene.settings
    settings.width, settings.height, settings.pitch_nm, settings.spacing_nm = 110, 120, 1.0, 0.45
    bench.settle()
    assert bench.map.shape[0] > 700
    return bench


def paint(entry: StraightLabels, k: int, label: int = ID, at: tuple[int, int] = (60, 50)) -> None:
    layer = entry.layer
    assert layer is not None
    layer.brush_size = 9
    with layer.block_history():
        layer.paint((k, *at), label)


def in_3d(bench: Bench) -> None:
    bench.straight.dims.ndisplay = 3
    bench.settle()


def in_2d(bench: Bench) -> None:
    bench.straight.dims.ndisplay = 2
    bench.settle()


def seen(bench: Bench) -> list[Labels]:
    return [layer for layer in bench.straight.layers if isinstance(layer, Labels)]


def check(bench: Bench, entry: StraightLabels) -> Labels:
    """The stand-in of labels, which shows what is painted."""
    stand_in = entry.stand_in
    assert stand_in is not None
    assert entry.layer is not None
    assert stand_in in bench.straight.layers
    assert entry.layer not in bench.straight.layers
    steps = tuple(round(a / b) for a, b in zip(stand_in.scale, entry.layer.scale, strict=True))
    truth = CoarseLabels(entry.array, (steps[0], steps[1], steps[2]))
    truth.update(entry.array.painted_chunks(), threading.Event())
    np.testing.assert_array_equal(stand_in.data, truth.data)
    np.testing.assert_array_equal(stand_in._slice.image.raw, truth.data)
    return stand_in


def test_napari_reads_none_of_them(large: Bench, read: list[int]) -> None:
    entry = large.new()
    paint(entry, 3)
    large.settle()
    read.clear()
    large.straight.dims.ndisplay = 3
    assert read == []
    assert entry.stand_in is not None
    large.settle()
    stand_in = check(large, entry)
    assert np.unique(stand_in.data).tolist() == [0, ID]
    assert stand_in.data.size < 9e6 < entry.array.size
    assert not stand_in.editable
    assert seen(large) == [stand_in]
    read.clear()
    large.straight.dims.ndisplay = 2
    assert sum(read) <= 2 * 110 * 120  # a slice, and its thumbnail


def test_all_comes_back_as_it_was(large: Bench) -> None:
    first, second = large.new(name="first"), large.new(name="second")
    image = large.straight.add_image(
        np.zeros(large.map.shape[:1] + (120, 110), np.uint8), scale=first.layer.scale,
        units=("nm",) * 3, axis_labels=first.layer.axis_labels,
    )  # fmt: skip
    large.straight.layers.selection.active = first.layer
    large.straight.dims.set_current_step(0, 700)
    large.straight.scene.camera.zoom = 3.25
    layer = first.layer
    assert layer is not None
    layer.mode, layer.brush_size, layer.selected_label, layer.opacity = "paint", 9, ID, 0.4
    empty = first.array[700]
    paint(first, 700)
    order = list(large.straight.layers)
    point = large.straight.dims.point
    for _ in range(3):
        in_3d(large)
        assert [x.name for x in large.straight.layers] == [
            "first (coarse, in 3D)", "second (coarse, in 3D)", image.name,
        ]  # fmt: skip
        assert large.straight.layers.selection.active is first.stand_in
        assert large.book.active is first
        in_2d(large)
        assert list(large.straight.layers) == order
        assert first.layer is layer
        assert first.stand_in is None
        assert set(large.straight.layers.selection) == {layer}
        assert [entry.name for entry in large.book.entries] == ["first", "second"]
    assert large.straight.dims.point == point
    assert large.straight.scene.camera.zoom == 3.25
    assert (layer.mode, layer.brush_size, layer.selected_label, layer.opacity) == (
        "paint", 9, ID, 0.4,
    )  # fmt: skip
    np.testing.assert_array_equal(layer._slice.image.raw, first.array[700])
    layer.undo()
    np.testing.assert_array_equal(first.array[700], empty)
    layer.redo()
    assert first.array[700].any()
    assert second.layer is not None
    large.book.undo()  # the coming of labels is still what is undone
    assert large.book.entries == [first]


def test_small_labels_stay(bench: Bench) -> None:
    entry = bench.new()
    told: list[None] = []
    bench.book.changed.connect(lambda: told.append(None))
    in_3d(bench)
    assert seen(bench) == [entry.layer]
    assert entry.stand_in is None
    assert entry.layer.editable
    assert not told


def test_it_follows_what_is_painted_elsewhere(large: Bench) -> None:
    entry = large.new()
    paint(entry, 300)
    in_3d(large)
    entry.array[310:330, 20:40, 20:40] = 8
    large.settle()
    assert 8 in np.unique(check(large, entry).data)
    entry.array[300, 62:, :] = 0
    large.settle()
    assert np.unique(check(large, entry).data).tolist() == [0, 8, ID]
    entry.layer.undo()  # of a window that shows the same array
    large.settle()
    check(large, entry)
    large.book.interpolate(entry)
    large.settle()
    assert large.failed == []
    check(large, entry)


@pytest.mark.parametrize("out", ["3D", "parked"])
def test_what_is_written_while_a_layer_is_out_is_seen_in_2d(large: Bench, out: str) -> None:
    entry = large.new()
    layer = entry.layer
    assert layer is not None
    # Without any layer the viewer would forget which slice it shows.
    like = {"scale": layer.scale, "units": layer.units, "axis_labels": layer.axis_labels}
    large.straight.add_image(np.zeros(entry.array.shape, np.uint8), **like)
    large.straight.dims.set_current_step(0, 320)
    assert not layer._slice.image.raw.any()
    if out == "3D":
        in_3d(large)
    else:
        large.move()
    assert layer not in large.straight.layers
    entry.array[310:330, 20:40, 20:40] = 8
    large.settle()
    if out == "3D":
        in_2d(large)
    else:
        large.trace.undo()
        large.settle()
    assert entry.layer is layer
    assert large.straight.dims.current_step[0] == 320
    np.testing.assert_array_equal(layer._slice.image.raw, entry.array[320])


def test_look_and_name_are_shared(large: Bench) -> None:
    entry = large.new(name="nerve")
    layer = entry.layer
    assert layer is not None
    layer.opacity, layer.selected_label = 0.3, 9
    in_3d(large)
    stand_in = check(large, entry)
    assert (stand_in.opacity, stand_in.selected_label) == (0.3, 9)
    assert stand_in.colormap is layer.colormap
    stand_in.opacity, stand_in.visible = 0.8, False
    stand_in.name = "axon"
    assert (layer.opacity, layer.visible) == (0.8, False)
    assert (entry.name, stand_in.name) == ("axon", "axon (coarse, in 3D)")
    large.book.rename(entry, "glia")
    assert (entry.name, stand_in.name) == ("glia", "glia (coarse, in 3D)")
    stand_in.name = "glia (coarse, in 3D) too"
    assert entry.name == "glia (coarse, in 3D) too"
    stand_in.name = "  "
    large.book.rename(entry, "glia")
    in_2d(large)
    assert (layer.name, layer.opacity, layer.visible) == ("glia", 0.8, False)
    layer.name, layer.opacity = "other", 0.5
    assert stand_in.name != "other (coarse, in 3D)"
    assert stand_in.opacity == 0.8


def test_the_volume_goes_on_showing_them(large: Bench) -> None:
    """What stands in the straightened view is no business of the overlay."""
    entry = large.new()
    large.loop.until(lambda: large.scene.overlays.idle, "the overlay")
    overlay = large.scene.overlays.layer_of(entry)
    assert overlay is not None
    in_3d(large)
    assert large.scene.overlays.layer_of(entry) is overlay
    assert overlay.visible
    assert entry.stand_in is not None
    overlay.opacity = 0.35
    assert entry.stand_in.opacity == 0.35
    entry.stand_in.visible = False
    assert not overlay.visible
    entry.stand_in.visible = True
    in_2d(large)
    assert overlay.visible
    assert (entry.layer.opacity, entry.layer.visible) == (0.35, True)


def test_removed_by_the_user_and_brought_back(large: Bench) -> None:
    entry = large.new()
    paint(entry, 5)
    in_3d(large)
    layer = entry.layer
    large.straight.layers.remove(entry.stand_in)
    assert large.book.entries == []
    assert entry.layer is None
    assert entry.stand_in is None
    entry.array[9, 9, 9] = 4
    large.book.undo()
    large.settle()
    assert large.book.entries == [entry]
    assert 4 in check(large, entry).data
    large.book.remove(entry)
    assert seen(large) == []
    in_2d(large)
    assert seen(large) == []
    large.book.undo()
    assert seen(large) == [layer]
    layer.undo()
    assert np.unique(entry.array).tolist() == [0, 4]


def test_new_labels_in_3d(large: Bench, read: list[int]) -> None:
    in_3d(large)
    entry = large.new()
    assert max(read, default=0) <= 110 * 120
    stand_in = check(large, entry)
    assert large.straight.layers.selection.active is stand_in
    assert large.straight.dims.ndisplay == 3
    in_2d(large)
    assert seen(large) == [entry.layer]
    assert large.straight.layers.selection.active is entry.layer
    paint(entry, 4)
    assert entry.array[4].any()


def test_the_trace_edited_in_3d(large: Bench) -> None:
    entry = large.new()
    paint(entry, 5)
    in_3d(large)
    large.move()
    assert not entry.is_shown
    assert entry.stand_in is None
    assert seen(large) == []
    in_2d(large)
    assert seen(large) == []
    in_3d(large)
    large.trace.undo()
    large.settle()
    check(large, entry)
    in_2d(large)
    assert seen(large) == [entry.layer]
    entry.layer.undo()
    assert not entry.array.any()


def test_a_broken_chunk_is_told(large: Bench) -> None:
    entry = large.new()
    entry.array[700, 0, 0] = 1
    large.settle()
    (chunk,) = entry.array.path.glob("c.*")
    chunk.write_bytes(b"broken")
    large.book.remove(entry)
    again = large.book.add(LabelArray.open(entry.array.path), entry.map, "again")
    in_3d(large)
    assert [type(error) for error in large.failed] == [SourceError]
    in_2d(large)
    assert again.layer in large.straight.layers


def test_closed_in_3d(large: Bench) -> None:
    entry = large.new()
    paint(entry, 5)
    large.straight.dims.ndisplay = 3
    large.scene.close()
    large.loop.turn()
    shown = list(large.straight.layers)
    large.straight.dims.ndisplay = 2
    assert list(large.straight.layers) == shown
    assert entry.array.any()


def test_saved_in_3d(large: Bench) -> None:
    entry = large.new(name="nerve")
    entry.layer.opacity = 0.3
    in_3d(large)
    entry.stand_in.visible = False
    document = large.scene.work.document(large.scene.work.capture(), large.scene.work.folder())
    assert document.straightened.dims.ndisplay == 3
    (labels,) = document.labels
    assert (labels.name, labels.opacity, labels.visible) == ("nerve", 0.3, False)
    assert tuple(labels.shape) == entry.array.shape
    assert labels.index_straightened == 0


def test_the_order_of_a_session_counts_in_3d_too(large: Bench) -> None:
    in_3d(large)
    first, second = large.new(name="first"), large.new(name="second")
    assert seen(large) == [first.stand_in, second.stand_in]
    for index, entry in enumerate((second, first)):
        large.scene.work.order.want(entry, straightened=index)
    third = large.new(name="third")
    assert seen(large) == [second.stand_in, first.stand_in, third.stand_in]
    in_2d(large)
    assert seen(large) == [second.layer, first.layer, third.layer]


def test_what_the_menu_does_with_it(large: Bench) -> None:
    entry, other = large.new(name="nerve"), large.new()
    in_3d(large)
    both = [entry.stand_in, other.stand_in]
    assert "2D" in why_not_merge(both)
    assert why_not_save(both)
    assert why_not_convert(both[:1])
    assert duplicate(large.straight, both[:1], large.book) == []
    large.settle()
    copy = large.book.entries[-1]
    assert copy.name == "nerve copy"
    assert copy.array.shape == entry.array.shape


@pytest.mark.parametrize("others", [False, True])
def test_the_slice_stays_in_3d_and_back(large: Bench, others: bool) -> None:
    """Though the last block of a coarse picture lies before the last slice."""
    links = LinkedSlices(large.scene)
    preview = live_preview_of(large.scene) if others else None
    entry = large.new()
    last = large.map.shape[0] - 1
    spacing = large.map.mean_spacing_nm
    for k in (last, 0, 701):
        large.scene.place.go_to_slice(k)
        assert large.straight.dims.point[0] == pytest.approx(k * spacing)
        in_3d(large)
        assert entry.stand_in is not None
        assert large.scene.place.slice_index == k
        in_2d(large)
        assert large.scene.place.slice_index == k
        assert large.straight.dims.point[0] == pytest.approx(k * spacing)
    links.close()
    if preview is not None:
        preview.close()


def test_slices_are_slices_in_3d_too(large: Bench) -> None:
    """Whoever clicks there means a slice, not a block of a coarse picture."""
    entry = large.new()
    nm = straight_grid(large.scene, large.map).to_nm((701, 5, 6))
    in_3d(large)
    assert entry.stand_in is not None
    index = straight_grid(large.scene, large.map).to_index(nm)
    np.testing.assert_allclose(index, (701, 5, 6))


def test_napari_reads_no_whole_image_either(large: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarse picture is there before napari reads for 3D, and goes after it is in 2D again."""
    preview = live_preview_of(large.scene)
    large.loop.until(lambda: bool(large.straight.layers), "the straightened image")
    asked = sizes_read(monkeypatch, StraightView)
    for ndisplay in (3, 2, 3, 2):
        large.straight.dims.ndisplay = ndisplay
        large.settle()
    assert asked
    assert max(asked) <= 110 * 120
    preview.close()
