"""What a viewer shows is asked for and shown again, without a window: a model of napari's."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from napari.components import ViewerModel
from napari.layers import Points
from streamed import levels_of, wait_until, write

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.layers import contrast_limits, volume_layers
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.streaming import Status
from napari_ouroboros.volumes.streaming import pyramid as pyramid_module
from napari_ouroboros.widgets.background import Token
from napari_ouroboros.widgets.streaming import Watcher, prepare_volume, pyramid_of, volume_of
from napari_ouroboros.widgets.streaming import watching as module

LEVELS = 3


class Window:
    """Stands for the GUI thread: what is brought to it waits until the test lets it run."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.lock = threading.Lock()

    def deliver(self, call: Callable[[], None]) -> None:
        with self.lock:
            self.calls.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.deliver(call)

    def run(self) -> None:
        with self.lock:
            calls, self.calls = self.calls, []
        for call in calls:
            call()

    def run_until(self, condition: Callable[[], bool]) -> None:
        def check() -> bool:
            self.run()
            return condition()

        wait_until(check)


@pytest.fixture
def window() -> Window:
    return Window()


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def watcher(viewer: ViewerModel, window: Window) -> Iterator[Watcher]:
    watcher = Watcher(viewer, window.deliver, window.later)
    yield watcher
    watcher.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "v", levels_of((16, 160, 192), LEVELS, "uint16"), (8, 32, 32))


def add(viewer: ViewerModel, folder: Path, labels: bool = False) -> Any:
    """Add a volume as napari does with what a reader returns."""
    volume = open_volume(folder)
    return volume, viewer._add_layer_from_data(*prepare_volume(volume, "em", labels)[0])[0]


def test_which_volume_a_layer_shows(viewer: ViewerModel, folder: Path) -> None:
    volume, layer = add(viewer, folder)
    assert volume_of(layer) is volume
    assert pyramid_of(layer).volume is volume
    assert volume_of(viewer.add_image(np.zeros((4, 4)))) is None
    assert volume_of(viewer.add_image([np.zeros((8, 8)), np.zeros((4, 4))])) is None
    assert volume_of(viewer.add_layer(Points(np.zeros((1, 3))))) is None


@pytest.mark.parametrize("labels", [False, True])
def test_what_is_shown_comes_in_the_end(
    viewer: ViewerModel, window: Window, watcher: Watcher, folder: Path, labels: bool
) -> None:
    _, layer = add(viewer, folder, labels)
    truth = levels_of((16, 160, 192), LEVELS, "uint16")
    window.run_until(lambda: watcher.settled)
    for z in (4, 12):
        viewer.dims.set_current_step(0, z)
        window.run_until(lambda: watcher.settled)
        level = layer.data_level
        assert level == 1  # napari begins with the coarsest that is used
        np.testing.assert_array_equal(layer._slice.image.raw, truth[level][0][z // 2])


def test_nothing_is_asked_for_while_napari_makes_up_its_mind(
    viewer: ViewerModel, window: Window, watcher: Watcher, folder: Path
) -> None:
    _, layer = add(viewer, folder)
    window.run_until(lambda: watcher.settled)
    loader = pyramid_of(layer).loader
    before = loader.fetched
    layer.corner_pixels = np.array([[0, 0, 0], [0, 159, 191]])
    layer.data_level = 0  # as while a layer is added: all of the finest level
    layer.corner_pixels = np.array([[0, 0, 0], [0, 31, 31]])
    layer.refresh()
    assert loader.fetched == before
    window.run_until(lambda: watcher.settled)
    assert loader.fetched == before + 1


def test_a_layer_that_is_hidden_or_removed_wants_nothing(
    viewer: ViewerModel, window: Window, watcher: Watcher, folder: Path
) -> None:
    _, layer = add(viewer, folder)
    loader = pyramid_of(layer).loader
    layer.visible = False
    viewer.dims.set_current_step(0, 12)
    window.run_until(lambda: watcher.settled)
    assert loader.fetched == 0
    layer.visible = True
    window.run_until(lambda: watcher.settled and loader.fetched > 0)
    count = loader.fetched
    viewer.layers.remove(layer)
    layer.refresh()
    window.run()
    assert watcher.status.loading == 0
    assert not loader._listeners
    assert loader.fetched == count


def test_a_layer_in_two_viewers_is_shown_in_both(
    viewer: ViewerModel, window: Window, watcher: Watcher, folder: Path
) -> None:
    """A duplicate looks through the same levels; neither drives out what the other wants."""
    other = ViewerModel()
    second = Watcher(other, window.deliver, window.later)
    _, layer = add(viewer, folder)
    twin = other._add_layer_from_data(*layer.as_layer_data_tuple())[0]
    truth = levels_of((16, 160, 192), LEVELS, "uint16")
    viewer.dims.set_current_step(0, 1)
    other.dims.set_current_step(0, 14)
    window.run_until(lambda: watcher.settled and second.settled)
    np.testing.assert_array_equal(layer._slice.image.raw, truth[1][0][0])
    np.testing.assert_array_equal(twin._slice.image.raw, truth[1][0][7])
    second.close()
    viewer.dims.set_current_step(0, 14)
    window.run_until(lambda: watcher.settled)
    np.testing.assert_array_equal(layer._slice.image.raw, truth[1][0][7])


def test_channels_stream_each_in_its_colour(
    viewer: ViewerModel, window: Window, watcher: Watcher, tmp_path: Path
) -> None:
    truth = levels_of((8, 32, 32), 1, channels=2)
    volume = open_volume(write(tmp_path / "c", truth))
    layers = [viewer._add_layer_from_data(*one)[0] for one in prepare_volume(volume, "two")]
    assert len(layers) == 2
    window.run_until(lambda: watcher.settled)
    z = viewer.dims.current_step[0]
    for channel, layer in enumerate(layers):
        np.testing.assert_array_equal(layer._slice.image.raw, truth[0][channel, z])
    assert layers[0].data[0].pyramid.loader.fetched == 16


def test_a_level_that_is_too_large_for_3d_gives_way_to_one_that_fits(
    viewer: ViewerModel,
    window: Window,
    watcher: Watcher,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, layer = add(viewer, folder)
    most = 8 * 80 * 96
    monkeypatch.setattr(pyramid_module, "MOST_VOXELS_IN_3D", most)
    monkeypatch.setattr(module, "MOST_VOXELS_IN_3D", most)
    viewer.dims.ndisplay = 3
    layer.locked_data_level = 0
    assert layer.locked_data_level == 1
    window.run_until(lambda: watcher.settled)
    truth = levels_of((16, 160, 192), LEVELS, "uint16")
    np.testing.assert_array_equal(layer._slice.image.raw, truth[1][0])


def test_contrast_left_open_is_measured_unless_the_user_was_faster(
    viewer: ViewerModel, window: Window, watcher: Watcher, folder: Path
) -> None:
    volume = open_volume(folder)
    for by_user in (False, True):
        data = volume_layers(volume, "em", measure=False)[0]
        layer = viewer._add_layer_from_data(*data)[0]
        assert tuple(layer.contrast_limits) == (0, 65535)
        if by_user:
            layer.contrast_limits = (5, 50)
        window.run_until(lambda: watcher.settled)
        expected = (5, 50) if by_user else contrast_limits(volume)
        np.testing.assert_allclose(layer.contrast_limits, expected)


def test_contrast_that_could_not_be_measured_is_measured_when_the_server_is_back(
    viewer: ViewerModel,
    window: Window,
    watcher: Watcher,
    folder: Path,
    http_server: Callable[..., LocalServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A volume opens without it, and does not stay black."""
    monkeypatch.setattr(module, "_MEASURE_PAUSE", 0.05)
    server = http_server(folder.parent)
    volume = open_volume(f"precomputed://{server.url}/v")
    server.fault("v/mip*", 403)
    layer = viewer._add_layer_from_data(*prepare_volume(volume, "em")[0])[0]
    window.run_until(lambda: watcher.settled)
    assert tuple(layer.contrast_limits) == (0, 65535)
    assert watcher.status.failed
    server.heal()
    watcher.retry()
    window.run_until(lambda: watcher.settled)
    np.testing.assert_allclose(layer.contrast_limits, contrast_limits(volume))
    assert watcher.status == Status()


def test_contrast_is_not_waited_for_at_a_silent_server(
    window: Window, folder: Path, http_server: Callable[..., LocalServer]
) -> None:
    server = http_server(folder.parent)
    volume = open_volume(f"precomputed://{server.url}/v")
    server.fault("v/mip2/*", "silent")
    viewer = ViewerModel()
    watcher = Watcher(viewer, window.deliver, window.later)
    viewer._add_layer_from_data(*volume_layers(volume, "em", measure=False)[0])
    wait_until(lambda: any("mip2" in name for name in server.requests))
    watcher.close()

    def ours() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        # What another test has begun to compile is nobody's.
        return [n for n in names if n.startswith("ouroboros") and n != "ouroboros-warm"]

    wait_until(lambda: not ours(), 10)
    # Nor by the dock, before there is a layer: its Cancel is a token.
    token, errors = Token(), []

    def prepare() -> None:
        try:
            prepare_volume(volume, "em", cancel=token)
        except Cancelled as error:
            errors.append(error)

    server.requests.clear()
    thread = threading.Thread(target=prepare, name="ouroboros-test")
    thread.start()
    wait_until(lambda: any("mip2" in name for name in server.requests))
    token.set()
    wait_until(lambda: not ours(), 10)
    assert len(errors) == 1


def opened_and_closed(window: Window, folder: Path) -> list[weakref.ref[Any]]:
    viewer = ViewerModel()
    watcher = Watcher(viewer, window.deliver, window.later)
    volume, layer = add(viewer, folder)
    window.run_until(lambda: watcher.settled)
    watcher.close()
    watcher.close()
    assert not pyramid_of(layer).loader._listeners
    return [weakref.ref(thing) for thing in (viewer, layer, watcher, volume)]


def test_a_closed_watcher_holds_nothing(window: Window, folder: Path) -> None:
    references = opened_and_closed(window, folder)
    window.calls.clear()
    gc.collect()
    assert [reference() for reference in references] == [None] * 4
