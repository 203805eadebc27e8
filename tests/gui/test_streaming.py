"""A volume behind a slow web server in the real window: what is fetched, when, and what is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui_watcher import Watcher
from leaks import Alive
from local_server import LocalServer
from qtpy.QtCore import QTimer
from real_events import qt_viewer, wait_until
from streamed import levels_of, write

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes import Volume, open_volume
from napari_ouroboros.volumes.streaming import shared_chunks
from napari_ouroboros.widgets.streaming import (
    add_layers,
    opening,
    prepare_volume,
    pyramid_of,
    watch,
)
from napari_ouroboros.widgets.streaming.sign import LoadingSign
from napari_ouroboros.widgets.streaming.window import main_window

SHAPE = (64, 384, 512)
CHUNK = 32
MIPS = 3
LATENCY = 0.1
#: Chunks that may be on their way when the user has looked away.
IN_FLIGHT = 16

Found = tuple[int, int, int, int]  # mip, and chunk index zyx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in every level, so that none passes for another."""
    return write(tmp_path_factory.mktemp("slow") / "v", levels_of(SHAPE, MIPS), CHUNK).parent


@pytest.fixture
def slow(folder: Path, http_server: Callable[..., LocalServer]) -> LocalServer:
    return http_server(folder, latency=LATENCY)


def opened(server: LocalServer) -> Volume:
    return open_volume(f"precomputed://{server.url}/v")


def asked(server: LocalServer) -> set[Found]:
    """Chunks that the server was asked for."""
    found = set()
    for path in list(server.requests):
        _, mip, *name = path.split("/")
        if not name:
            continue
        x, y, z = (int(part.split("-")[0]) // CHUNK for part in name[0].split("_"))
        found.add((int(mip.removeprefix("mip")), z, y, x))
    return found


def settle(viewer: Any) -> None:
    watcher = watch(viewer)
    canvas = qt_viewer(viewer).canvas.native
    # A paint may make napari choose another level, and so more to fetch.
    for _ in range(3):
        canvas.update()
        wait_until(lambda: watcher.settled, "all that is shown to be there")


def truth(volume: Volume, mip: int) -> np.ndarray:
    """A level read from the disk, not by what is tested."""
    return volume.read(mip)


def shown(layer: Any) -> np.ndarray:
    return np.asarray(layer._slice.image.raw)


def expected(layer: Any, level: np.ndarray, viewer: Any) -> np.ndarray:
    """What napari shall show of a level: its rectangle, at the slider, transposed as displayed."""
    factor = np.array(layer.level_shapes[0]) / level.shape
    index: list[Any] = []
    for axis in range(3):
        if axis in viewer.dims.displayed:
            low, high = layer.corner_pixels[:, axis]
            index.append(slice(low, high + 1))
        else:
            step = layer.world_to_data(viewer.dims.point)[axis] / factor[axis]
            index.append(int(np.round(np.clip(step, 0, level.shape[axis] - 1))))
    plane = level[tuple(index)]
    kept = [axis for axis in range(3) if axis in viewer.dims.displayed]
    return plane.transpose([kept.index(axis) for axis in viewer.dims.displayed])


def visible_chunks(layer: Any, viewer: Any) -> set[Found]:
    """Chunks of the level that is shown in the visible rectangle, from camera and canvas."""
    level = layer.data_level
    scale = np.array(layer.scale) * layer.level_shapes[0] / layer.level_shapes[level]
    origin = np.array(layer.translate) - np.array(layer.scale) / 2
    y, x = viewer.scene.camera.center[-2:]
    height, width = np.array(viewer.canvas.size) / viewer.scene.camera.zoom
    low = [viewer.dims.point[0], y - height / 2, x - width / 2]
    high = [viewer.dims.point[0], y + height / 2, x + width / 2]
    ranges = []
    for a in range(3):
        n = -(-layer.level_shapes[level][a] // CHUNK)
        first, last = ((np.array((low[a], high[a])) - origin[a]) / scale[a] // CHUNK).astype(int)
        ranges.append(range(max(first, 0), min(last, n - 1) + 1))
    return {(level, i, j, k) for i in ranges[0] for j in ranges[1] for k in ranges[2]}


def coarsest(volume: Volume) -> set[Found]:
    return {(MIPS - 1, *index) for index in np.ndindex(*volume.chunk_grid(MIPS - 1))}


def at_first_paint(viewer: Any, server: LocalServer) -> list[set[Found]]:
    """A list that gets what the server has been asked for when the canvas is first drawn."""
    found: list[set[Found]] = []

    def drawn(event: Any = None) -> None:
        found.append(asked(server))

    qt_viewer(viewer).canvas.native._vispy_canvas.events.draw.connect(drawn, position="last")
    return found


@pytest.mark.parametrize("way", ["dock", "reader"])
def test_before_the_first_paint_the_coarsest_and_then_what_is_visible(
    window: Callable[..., Any], slow: LocalServer, folder: Path, way: str
) -> None:
    viewer = window()
    here = open_volume(folder / "v")
    if way == "dock":
        prepared = prepare_volume(opened(slow), "em")
    paints = at_first_paint(viewer, slow)
    if way == "dock":
        (layer,) = add_layers(viewer, prepared)
    else:
        (layer,) = viewer.open(f"precomputed://{slow.url}/v", plugin="napari-ouroboros")
    wait_until(lambda: paints, "the first paint")
    assert paints[0] <= coarsest(here)
    settle(viewer)
    first = asked(slow)
    assert first == coarsest(here) | visible_chunks(layer, viewer)
    np.testing.assert_array_equal(
        shown(layer), expected(layer, truth(here, layer.data_level), viewer)
    )
    # Zoomed in: the finest level, and no chunk outside the rectangle.
    slow.requests.clear()
    viewer.scene.camera.center = (0, 4.0 * 150, 4.0 * 200)
    viewer.scene.camera.zoom = 1.5
    settle(viewer)
    assert layer.data_level == 0
    more = visible_chunks(layer, viewer)
    assert 0 < len(more) < 12 * 16
    assert asked(slow) == more - first
    np.testing.assert_array_equal(shown(layer), expected(layer, truth(here, 0), viewer))


def test_all_axes_and_orders_and_3d_end_in_the_truth(
    window: Callable[..., Any], slow: LocalServer, folder: Path
) -> None:
    viewer = window()
    here = open_volume(folder / "v")
    (layer,) = add_layers(viewer, prepare_volume(opened(slow), "em"))
    levels = [truth(here, mip) for mip in range(MIPS)]
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1), (2, 1, 0)):
        viewer.dims.order = order
        viewer.reset_view()
        settle(viewer)
        np.testing.assert_array_equal(
            shown(layer), expected(layer, levels[layer.data_level], viewer)
        )
        level = MIPS - 1
        layer.locked_data_level = level
        settle(viewer)
        np.testing.assert_array_equal(shown(layer), expected(layer, levels[level], viewer))
        layer.locked_data_level = None
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    settle(viewer)
    np.testing.assert_array_equal(shown(layer), levels[MIPS - 1])
    slow.requests.clear()
    layer.locked_data_level = 1
    assert shown(layer).shape == levels[1].shape  # at once, from what is at hand
    settle(viewer)
    np.testing.assert_array_equal(shown(layer), levels[1])
    assert {mip for mip, *_ in asked(slow)} <= {1}


@pytest.mark.timed
def test_the_window_goes_on_while_chunks_come(
    window: Callable[..., Any], slow: LocalServer
) -> None:
    viewer = window()
    prepared = prepare_volume(opened(slow), "em")
    canvas = qt_viewer(viewer).canvas.native
    wait_until(canvas.isVisible, "the canvas")
    with Watcher() as watcher:
        with watcher.during("add"):
            add_layers(viewer, prepared)
            settle(viewer)
        with watcher.during("zoom"):
            viewer.scene.camera.zoom = 1.5
            settle(viewer)
        with watcher.during("slider"):
            for z in range(10, 60, 2):
                viewer.dims.set_current_step(0, z)
                wait_until(lambda: True, "one turn")
            settle(viewer)
    watcher.check()


@pytest.mark.timed
def test_a_fast_slider_drops_what_nobody_sees(
    window: Callable[..., Any], folder: Path, http_server: Callable[..., LocalServer]
) -> None:
    slow = http_server(folder, latency=0.1)
    viewer = window()
    here = open_volume(folder / "v")
    (layer,) = add_layers(viewer, prepare_volume(opened(slow), "em"))
    viewer.dims.order = (2, 0, 1)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2.5
    settle(viewer)
    slow.requests.clear()
    slow.latency = 2.0  # the slider is faster than the server, also on a busy machine
    looked_at = set()
    for x in range(8, 488, 8):  # through nearly all 16 slabs
        viewer.dims.set_current_step(2, x)
        wait_until(lambda: True, "one turn")
        looked_at.add(x // CHUNK)
    slow.latency = 0.1
    settle(viewer)
    fine = {chunk for chunk in asked(slow) if chunk[0] == layer.data_level == 0}
    last = {chunk for chunk in fine if chunk[3] == 480 // CHUNK}
    assert len(looked_at) > 12
    per_slab = len(last)
    assert per_slab > 8
    # Some were on their way when the slider went on; most have never been asked for.
    assert len(fine) < 0.5 * per_slab * len(looked_at)
    np.testing.assert_array_equal(shown(layer), expected(layer, truth(here, 0), viewer))


def test_hidden_and_removed_layers_ask_for_nothing(
    window: Callable[..., Any], folder: Path, http_server: Callable[..., LocalServer]
) -> None:
    slow = http_server(folder, latency=0.3)
    viewer = window()
    (layer,) = add_layers(viewer, prepare_volume(opened(slow), "em"))
    settle(viewer)
    watcher = watch(viewer)
    viewer.dims.set_current_step(0, 40)
    wait_until(lambda: watcher.status.loading > IN_FLIGHT, "much to be wanted")
    layer.visible = False
    slow_before = len(asked(slow))
    assert watcher.status.loading == 0
    for step in range(5):
        viewer.dims.set_current_step(0, 41 + step)
    wait_until(lambda: watcher.settled, "what is on its way to come")
    assert len(asked(slow)) <= slow_before + IN_FLIGHT
    layer.visible = True
    wait_until(lambda: watcher.status.loading > 0, "it to be wanted again")
    viewer.layers.remove(layer)
    assert watcher.status.loading == 0
    gone = len(asked(slow))
    loader = pyramid_of(layer).loader
    wait_until(lambda: loader.idle, "what is on its way to come")
    assert len(asked(slow)) <= gone + IN_FLIGHT


def test_the_sign_says_what_loads_and_what_failed_and_retry_helps(
    window: Callable[..., Any], slow: LocalServer, folder: Path
) -> None:
    viewer = window()
    here = open_volume(folder / "v")
    prepared = prepare_volume(opened(slow), "em")
    watch(viewer)
    (sign,) = main_window(viewer).statusBar().findChildren(LoadingSign)
    assert not sign.isVisible()
    slow.fault("v/mip0/*", 404 + 96)  # 500: it is tried four times
    (layer,) = add_layers(viewer, prepared)
    viewer.scene.camera.zoom = 1.5
    wait_until(lambda: "loading" in sign.text and sign.isVisible(), "the sign to say what loads")
    assert sign.text.endswith(" of em")
    wait_until(lambda: " failed: " in sign.text, "the sign to say what failed")
    wait_until(lambda: watch(viewer).status.loading == 0, "all to have failed")
    assert "chunks of em failed: " in sign.text
    assert sign.retry_button.isVisible()
    # The picture is that of the coarser level meanwhile.
    assert shown(layer).any()
    width = main_window(viewer).minimumSizeHint().width()
    assert width <= 1366
    slow.heal()
    sign.retry_button.click()
    settle(viewer)
    assert not sign.isVisible()
    np.testing.assert_array_equal(
        shown(layer), expected(layer, truth(here, layer.data_level), viewer)
    )


def test_contrast_of_what_the_reader_opens_is_measured_afterwards(
    window: Callable[..., Any], tmp_path: Path, http_server: Callable[..., LocalServer]
) -> None:
    levels = levels_of((40, 96, 160), 2, "uint16")
    levels[1] *= 100
    server = http_server(write(tmp_path / "v", levels, CHUNK).parent, latency=LATENCY)
    viewer = window()
    (layer,) = viewer.open(f"precomputed://{server.url}/v", plugin="napari-ouroboros")
    assert tuple(layer.contrast_limits) == (0, 65535)
    settle(viewer)
    middle = levels[1][0]
    np.testing.assert_allclose(
        layer.contrast_limits, np.percentile(middle[middle != 0], (0.1, 99.9)), rtol=0.02
    )


@pytest.mark.timed
def test_the_window_is_drawn_while_the_reader_waits(
    window: Callable[..., Any], slow: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files dropped on the canvas come this way, and the state may name a server far away."""
    window()
    monkeypatch.setattr(shared_chunks(), "limit_bytes", 1 << 20)
    slow.latency = 0.5
    beats: list[float] = []
    heart = QTimer()
    heart.timeout.connect(lambda: beats.append(time.perf_counter()))
    heart.start(10)
    address = f"precomputed://{slow.url}/v"
    function = opening.get_reader(address)
    assert function is not None
    start = time.perf_counter()
    ((levels, _, kind),) = function(address)
    took = time.perf_counter() - start
    heart.stop()
    assert kind == "image"
    assert levels[0].pyramid.volume.url.endswith("/v")
    assert took >= 0.5
    assert shared_chunks().limit_bytes == 512_000_000  # as the preferences say
    # Who waits for a single answer does not beat for half a second.
    assert max(np.diff([start, *beats, start + took])) < 0.45
    # What is wrong is said as before.
    slow.fault("v/info", 403)
    with pytest.raises(SourceError, match="403"):
        function(address)


def closed_while_loading(window: Callable[..., Any], slow: LocalServer) -> Alive:
    viewer = window()
    (layer,) = add_layers(viewer, prepare_volume(opened(slow), "em"))
    wait_until(lambda: watch(viewer).status.loading > IN_FLIGHT, "much to be wanted")
    alive = Alive()
    alive.note(layer, watch(viewer), pyramid_of(layer).loader)
    viewer.close()
    before = len(asked(slow))
    wait_until(
        lambda: not [t for t in threading.enumerate() if t.name == "ouroboros-stream"],
        "no thread of ours to be left",
    )
    assert len(asked(slow)) <= before + IN_FLIGHT
    return alive


def test_a_window_closed_during_a_load_leaves_nothing(
    window: Callable[..., Any], slow: LocalServer
) -> None:
    closed_while_loading(window, slow).expect_gone()
