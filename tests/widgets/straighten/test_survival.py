"""What users do to layers while they are straightened; picked ids; contrast; three dimensions."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_ouroboros import Notice, straighten, straighten_to
from napari_ouroboros.widgets.straighten.content import LiveContent
from napari_ouroboros.widgets.straighten.picking import PickByClick
from napari_ouroboros.widgets.straighten.result import ResultContent

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")


def ready(bench: Any, folder: Path, *names: str) -> list[Any]:
    layers = [bench.add(folder / name, name) for name in names]
    bench.trace()
    bench.loop.until(lambda: len(bench.preview.shown) == len(names))
    bench.settle()
    return layers


def test_contrast_and_colours_are_shared(bench: Any, folder: Path) -> None:
    em, cells = ready(bench, folder, "em", "cells")
    straight = bench.preview.straightened(em)
    em.contrast_limits = (10, 99)
    assert list(straight.contrast_limits) == [10, 99]
    straight.contrast_limits = (5, 50)
    straight.colormap = "magma"
    straight.gamma = 0.5
    assert list(em.contrast_limits) == [5, 50]
    assert (em.colormap.name, em.gamma) == ("magma", 0.5)
    # An edit of the trace leaves them as they are.
    bench.scene.live._trace.move(1, 20.0)
    bench.settle()
    assert list(straight.contrast_limits) == [5, 50]
    bench.viewer.layers.remove(em)
    em.contrast_limits = (0, 1)
    assert list(straight.contrast_limits) == [5, 50]
    assert bench.preview.straightened(cells) is not None


def test_layers_removed_renamed_hidden_and_chosen(bench: Any, folder: Path) -> None:
    em, cells = ready(bench, folder, "em", "cells")
    straight = bench.preview.straightened(em)
    assert straight.name == "straightened em"
    em.name = "other"
    assert straight.name == "straightened other"
    straight.name = "mine"
    em.name = "third"
    assert straight.name == "mine"
    em.visible = False
    bench.scene.live._trace.move(1, 15.0)
    bench.settle()
    whole = straighten(bench.volumes[0], bench.scene.live.state.map).compute()
    k = bench.scene.place.slice_index
    np.testing.assert_array_equal(np.asarray(straight._data_view), whole[k])
    # The straightened layer removed by the user: its volume is not wanted any more.
    bench.scene.straight.layers.remove(straight)
    assert not bench.preview.is_chosen(em)
    bench.scene.live._trace.move(1, -15.0)
    bench.settle()
    assert bench.preview.straightened(em) is None
    bench.preview.choose(em, True)
    bench.settle()
    assert bench.preview.straightened(em) in bench.scene.straight.layers
    bench.viewer.layers.remove(cells)
    assert len(bench.scene.straight.layers) == 1
    bench.viewer.layers.clear()
    assert len(bench.scene.straight.layers) == 0


def test_a_shift_is_followed_and_a_turn_is_refused(bench: Any, folder: Path) -> None:
    ready(bench, folder, "em")
    by = np.array([16.0, -8.0, 24.0])
    affine = np.eye(4)
    affine[:3, 3] = by
    moved = bench.add(folder / "em", "moved", affine=affine)
    bench.settle()
    map_ = bench.scene.live.state.map
    from napari_ouroboros import Straightening, Trace

    there = Straightening(Trace(map_.trace.points_nm - by), 31, 24, 6.0, 7.0)
    whole = straighten(bench.volumes[1], there).compute()
    np.testing.assert_array_equal(np.asarray(bench.preview.straightened(moved).data), whole)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[0, -1], [1, 0]]
    turned = bench.add(folder / "em", "turned", affine=turn)
    assert bench.preview.straightened(turned) is None
    assert "turned is turned or scaled" in bench.preview.problems[turned]


def test_picked_ids_are_the_only_ones(bench: Any, folder: Path) -> None:
    (cells,) = ready(bench, folder, "cells")
    source = bench.preview.feed_of(cells)
    straight = bench.preview.straightened(cells)
    whole = straighten(bench.volumes[0], bench.scene.live.state.map).compute()
    raw = np.asarray(straight._slice.image.raw)
    row, column = np.argwhere(raw)[0]
    label = int(raw[row, column])
    picking = PickByClick(bench.preview)
    k = bench.scene.place.slice_index
    event = SimpleNamespace(
        position=tuple(np.array([k, row, column]) * straight.scale),
        view_direction=None, dims_displayed=[1, 2],
    )  # fmt: skip
    picking.pick(bench.scene.straight, event)
    assert source.picks.ids == (label,)
    bench.settle()
    kept = np.where(whole == label, whole, 0)
    np.testing.assert_array_equal(np.asarray(straight._slice.image.raw), kept[k])
    np.testing.assert_array_equal(np.asarray(straight.data), kept)
    picking.pick(bench.scene.straight, event)
    assert source.picks.ids == ()
    bench.settle()
    np.testing.assert_array_equal(np.asarray(straight._slice.image.raw), whole[k])
    viewers = (bench.viewer, bench.scene.straight)
    before = [len(viewer.mouse_drag_callbacks) for viewer in viewers]
    picking.set_on(True)
    assert [len(viewer.mouse_drag_callbacks) for viewer in viewers] == [n + 1 for n in before]
    picking.set_on(False)
    assert [len(viewer.mouse_drag_callbacks) for viewer in viewers] == before


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While it is not set no slice can be read, wherever its chunks are."""
    gate, read = threading.Event(), LiveContent.read
    gate.set()

    def waiting(self: LiveContent, *arguments: Any) -> Any:
        assert gate.wait(60)
        return read(self, *arguments)

    monkeypatch.setattr(LiveContent, "read", waiting)
    monkeypatch.setattr(LiveContent, "read_at_once", lambda self, want: None)
    yield gate
    gate.set()


def test_a_stale_picture_is_dimmed_until_the_new_one_is_there(
    bench: Any, folder: Path, gate: threading.Event
) -> None:
    (layer,) = ready(bench, folder, "em")
    straight = bench.preview.straightened(layer)
    straight.opacity = 0.8
    gate.clear()
    bench.scene.live._trace.move(0, 150.0)
    bench.loop.until(lambda: straight.opacity < 0.5)
    assert bench.preview.is_stale
    gate.set()
    bench.settle()
    assert straight.opacity == 0.8
    assert not bench.preview.is_stale


def test_three_dimensions_show_every_so_many_th_sample(bench: Any, folder: Path) -> None:
    (em,) = ready(bench, folder, "em")
    straight = bench.preview.straightened(em)
    whole = straighten(bench.volumes[0], bench.scene.live.state.map).compute()
    bench.scene.straight.dims.ndisplay = 3
    bench.settle()
    np.testing.assert_array_equal(np.asarray(straight.data), whole)
    bench.scene.straight.dims.ndisplay = 2
    bench.settle()
    k = bench.scene.place.slice_index
    np.testing.assert_array_equal(np.asarray(straight._data_view), whole[k])
    assert tuple(straight.scale) == (7.0, 6.0, 6.0)


def test_the_hash_of_the_map_is_noted(bench: Any, folder: Path) -> None:
    (em,) = ready(bench, folder, "em")
    straight = bench.preview.straightened(em)
    bench.loop.until(lambda: "frames_sha256" in straight.metadata["napari-ouroboros"])
    noted = straight.metadata["napari-ouroboros"]["frames_sha256"]
    assert noted == bench.scene.live.state.map.recipe_hash


def test_nothing_outlives_the_scene(bench: Any, folder: Path) -> None:
    (em,) = ready(bench, folder, "em")
    preview = weakref.ref(bench.preview)
    n = len(em.events.contrast_limits.callbacks)
    bench.scene.close()
    # That of the preview, and that of the session.
    assert len(em.events.contrast_limits.callbacks) == n - 2
    assert len(bench.scene.straight.layers) == 0
    bench.loop.turn()
    gc.collect()
    bench.loop.until(lambda: gc.collect() >= 0 and preview() is None)


def test_picking_ids_leaves_the_result_of_an_image_where_it_is(
    bench: Any, folder: Path, tmp_path: Path
) -> None:
    em, cells = ready(bench, folder, "em", "cells")
    image, labels = bench.preview.feed_of(em), bench.preview.feed_of(cells)
    path = tmp_path / "out.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        report = straighten_to(path, bench.volumes[0], bench.scene.live.state.map)
    assert bench.preview.show_result(image, ResultContent(report), image.live)
    bench.settle()
    labels.picks.set([7])
    bench.settle()
    assert image.shows_result
    assert set(np.unique(np.asarray(bench.preview.straightened(cells).data))) <= {0, 7}
    bench.scene.live._trace.move(1, 20.0)
    bench.settle()
    assert not image.shows_result
    image.result.close()


def test_a_layer_that_comes_while_others_are_dim_is_dimmed_too(
    bench: Any, folder: Path, gate: threading.Event
) -> None:
    (first,) = ready(bench, folder, "em")
    straight = bench.preview.straightened(first)
    gate.clear()
    bench.scene.live._trace.move(0, 150.0)
    bench.loop.until(lambda: straight.opacity < 0.5)
    again = bench.add(folder / "em", "again")
    bench.loop.until(lambda: bench.preview.straightened(again) is not None)
    other = bench.preview.straightened(again)
    bench.loop.until(lambda: other.opacity < 0.5)
    gate.set()
    bench.loop.until(lambda: straight.opacity == 1 and other.opacity == 1)
