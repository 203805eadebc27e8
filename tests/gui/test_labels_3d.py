"""Large labels in 3D in a real window: what is seen of them, and that all goes on in 2D."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_events import Person, qt_viewer, settle, wait_until
from test_labels import dock_in, docked, made, open_window

from napari_ouroboros.widgets.labels.form import IN_3D
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces.dock import dock_of
from napari_ouroboros.widgets.spaces.flipping import flip
from napari_ouroboros.widgets.spaces.second_window import open_in_window
from napari_ouroboros.widgets.straighten import live_preview_of


@pytest.fixture
def large(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> Iterator[SimpleNamespace]:
    """Labels of 14 million voxels with a tube in them, in front."""
    found = with_labels(open_window(make_napari_viewer, tmp_path))
    yield found
    vars(found).clear()


def with_labels(viewer: Any) -> SimpleNamespace:
    scene = scene_of(viewer)
    length = scene.live.state.map.curve.length
    scene.settings.width = scene.settings.height = 200
    scene.settings.pitch_nm = length / 700
    scene.settings.spacing_nm = length / 350
    wait_until(lambda: scene.live.idle and scene.live.state.map.shape[0] > 340, "the map")
    docked(dock_in(viewer)).raise_()
    found = SimpleNamespace(viewer=viewer, scene=scene, book=scene.labels, dock=dock_of(viewer))
    scene.labels.new()
    entry = made(found)
    rows, columns = np.mgrid[:200, :200]
    disc = np.where((rows - 100) ** 2 + (columns - 100) ** 2 < 30**2, 300, 0)
    for k in range(0, entry.array.shape[0] - 8, 8):
        entry.array[k : k + 8] = np.broadcast_to(disc, (8, 200, 200)).astype(np.uint64)
    found.entry, found.form = entry, dock_in(viewer).labels
    return found


def test_another_window_opened_in_3d_has_the_slices_themselves(large: SimpleNamespace) -> None:
    scene = large.scene
    preview = live_preview_of(scene)
    wait_until(lambda: preview.idle, "the straightened image")
    scene.straight.dims.ndisplay = 3
    wait_until(lambda: large.book.idle, "the stand-in")
    (shown,) = preview.shown
    image = shown.layer
    assert image.data.shape != large.entry.array.shape
    other = open_in_window(scene, show=False)
    twin = next(x for x in other.layers if x.name == image.name)

    def check() -> None:
        shape, scale = scene.live.state.map.shape, shown.source.feed.content.scale_nm
        assert twin.data.shape == shape
        np.testing.assert_allclose(twin.scale, scale)
        k = shape[0] // 3
        other.dims.set_current_step(0, k)
        wanted = np.asarray(twin.data[k])
        assert wanted.any()
        wait_until(lambda: np.array_equal(twin._slice.image.raw, wanted), "the slice there")

    check()
    assert scene.straight.dims.ndisplay == 3
    scene.straight.dims.ndisplay = 2
    wait_until(lambda: preview.idle, "the slice here")
    assert twin.data is image.data
    check()
    scene.settings.pitch_nm *= 1.25
    wait_until(lambda: not preview.is_stale, "another pitch")
    np.testing.assert_allclose(twin.scale, image.scale)
    check()
    other.close()


def coloured(model: Any, rgb: Any) -> int:
    """How many pixels of a canvas have the hue of a label."""
    picture = qt_viewer(model).screenshot(flash=False)[..., :3].astype(float)
    bright = picture.sum(-1) > 60
    hue = picture / np.maximum(picture.sum(-1, keepdims=True), 1)
    wanted = np.asarray(rgb, float) / np.sum(rgb)
    return int((bright & (np.abs(hue - wanted).max(-1) < 0.06)).sum())


def test_seen_coarse_in_3d_and_painted_again_in_2d(large: SimpleNamespace, person: Person) -> None:
    viewer, scene, entry = large.viewer, large.scene, large.entry
    layer, straight = entry.layer, scene.straight
    person.focus(viewer.window._qt_window)
    other = open_in_window(scene, show=False)
    (twin,) = [x for x in other.layers if x.data is entry.array]
    flip(viewer)
    settle(turns=30)
    button = large.dock.view.viewerButtons.ndisplayButton
    person.click_on(button)
    wait_until(lambda: entry.stand_in is not None, "the stand-in")
    wait_until(lambda: large.book.idle, "all of it")
    assert large.form.hint.text() == IN_3D
    assert large.form.list.item(0).text() == "labels – shown coarse in 3D (uint64)"
    assert not entry.stand_in.editable
    straight.scene.camera.angles = (0, 60, 30)
    straight.reset_view(reset_camera_angle=False)
    colour = layer.colormap.map(300)[:3]
    wait_until(lambda: coloured(straight, colour) > 2_000, "the tube", 20)
    # The other window has the labels themselves, and what is painted there is seen here.
    assert twin in other.layers
    assert [x.data.shape for x in other.layers] == [entry.array.shape] * 2
    entry.array[:] = 0
    wait_until(lambda: large.book.idle, "the erased tube")
    wait_until(lambda: coloured(straight, colour) < 100, "nothing of the tube", 20)
    person.click_on(button)
    wait_until(lambda: entry.stand_in is None, "two dimensions")
    assert layer in straight.layers
    assert twin in other.layers
    straight.reset_view()
    settle(turns=10)
    k = scene.place.slice_index
    layer.mode, layer.brush_size, layer.selected_label = "paint", 20, 7
    person.click_world(straight, np.asarray(layer.scale) * [k, 50, 50])
    wait_until(lambda: entry.array[k].any(), "the dab")
    other.close()
