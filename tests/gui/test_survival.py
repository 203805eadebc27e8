"""What may happen in the middle of work, and what may not outlive a window."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leaks import Alive, Workers, callbacks_of, grown, mouse_and_keys, viewer_emitters
from qtpy.QtWidgets import QApplication, QDockWidget
from real_events import Person, settle, wait_until
from scene_server import LATENCY, Served
from scene_server import served as serve
from story import Story

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.open import OpenDock
from napari_ouroboros.widgets.qa import QaDock
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock, arrange
from napari_ouroboros.widgets.straighten import StraightenDock
from napari_ouroboros.widgets.straighten.previews import live_preview_of
from napari_ouroboros.widgets.trace import TraceDock

TASK_DOCKS = (OpenDock, TraceDock, StraightenDock, BackprojectDock, QaDock)


def add_volume(viewer: Any, volume: Any, name: str = "em") -> Any:
    (layer,) = streaming.add_layers(viewer, streaming.prepare_volume(volume, name))
    return layer


def at_work(viewer: Any, person: Person, scene: Served, volume: Any = None) -> Story:
    """All docks, a volume, a trace and its straightened view."""
    story = Story(viewer, person, scene)
    arrange(viewer)
    add_volume(viewer, scene.volume if volume is None else volume)
    story.scene.traces.new(scene.points_nm)
    story.settled()
    return story


@pytest.fixture
def near(demo_nerve: Path) -> Any:
    """The demo nerve from the disk; its server is asked for nothing."""
    with serve(demo_nerve, latency=0.0) as found:
        yield found


def test_layers_are_renamed_hidden_and_removed_in_mid_work(
    window: Callable[..., Any], person: Person, near: Served
) -> None:
    story = at_work(window(), person, near)
    viewer, scene = story.viewer, story.scene
    (volume_layer,) = scene.volume_layers
    trace_layer = scene.traces.layer_of(scene.traces.active)

    volume_layer.name, trace_layer.name = "cortex", "axon"
    volume_layer.visible = trace_layer.visible = False
    scene.traces.active.move({3: near.points_nm[3] + (0.0, 400.0, 0.0)})
    story.settled()
    volume_layer.visible = True
    story.settled()
    story.check_preview()
    assert [trace.name for trace in scene.traces.traces] == ["axon"]

    # Helpers and the straightened image are taken away by the user: they stay away, no more.
    viewer.layers.remove(story.helper("frame"))
    scene.traces.active.move({3: near.points_nm[3]})
    story.settled()
    assert story.helper("frame") is None
    story.check_preview()

    # The trace is removed while its map is being made; then the volume.
    scene.traces.active.move({3: near.points_nm[3] + (0.0, 0.0, 500.0)})
    viewer.layers.remove(trace_layer)
    wait_until(lambda: scene.live.idle and scene.live.state.map is None, "no map")
    assert scene.traces.active is None
    assert scene.live.state.problem
    scene.traces.new(near.points_nm)
    story.settled()
    viewer.layers.remove(volume_layer)
    wait_until(lambda: scene.live.idle and scene.live.state.map is None, "no map")
    assert not scene.volume_layers
    wait_until(lambda: live_preview_of(scene).idle, "the preview to rest")
    # And all over again.
    add_volume(viewer, near.volume, "again")
    wait_until(lambda: scene.live.state.map is not None, "a map")
    story.settled()
    story.check_preview()


@pytest.mark.both_bindings
def test_a_dock_is_closed_and_opened_again(
    window: Callable[..., Any], person: Person, near: Served
) -> None:
    viewer = window()
    story = at_work(viewer, person, near)
    scene = story.scene

    def close_docks() -> None:
        tasks = ("Open a volume", "Trace", "Straighten", "Backproject", "QA")
        for kind in ("Straightened view", *tasks):
            (dock,) = [d for d in story.window.findChildren(QDockWidget) if d.windowTitle() == kind]
            dock.destroyOnClose()
        settle(turns=10)
        gc.collect()

    def count() -> Any:
        emitters = [*viewer_emitters(viewer), *viewer_emitters(scene.straight)]
        return callbacks_of(*emitters, scene.live, scene.place, scene.traces, scene.settings)

    close_docks()
    wait_until(lambda: live_preview_of(scene).idle, "the preview to rest")
    before, bound = count(), [mouse_and_keys(m) for m in (viewer, scene.straight)]
    for _ in range(2):
        alive = Alive()
        arrange(viewer)
        settle()
        alive.note(story.straight, story.straight.view)
        alive.note(*(each for each in QApplication.allWidgets() if isinstance(each, TASK_DOCKS)))
        story.settled()
        story.check_preview()
        story.check_frame()
        story.check_cursor()
        close_docks()
        alive.expect_gone()
    wait_until(lambda: live_preview_of(scene).idle, "the preview to rest")
    wait_until(lambda: not grown(before, count()), "no more callbacks than before")
    assert [mouse_and_keys(m) for m in (viewer, scene.straight)] == bound


def mapped(scene: Any, points_nm: np.ndarray) -> None:
    """Begin a trace and wait for its map."""
    scene.traces.new(points_nm)
    wait_until(lambda: scene.live.idle and scene.live.state.map is not None, "a map")


def everything_of(viewer: Any) -> Alive:
    """All that has to go with a viewer."""
    alive = Alive()
    alive.note_viewer(viewer)
    alive.note_viewer(scene_of(viewer).straight)
    alive.note(scene_of(viewer))
    return alive


def test_two_viewers_do_not_know_each_other(window: Callable[..., Any], near: Served) -> None:
    viewers = [window(), window()]
    alive = both_at_work(viewers, near)
    viewers.pop(0).close()
    alive.expect_gone()
    # The other goes on.
    scene = scene_of(viewers[0])
    scene.traces.active.move({2: near.points_nm[-3] + (0.0, 300.0, 0.0)})
    wait_until(lambda: scene.live.idle, "the second map again")
    scene.place.go_to_slice(9)
    preview = live_preview_of(scene)
    wait_until(lambda: preview.idle and not preview.is_stale, "the second preview")


def both_at_work(viewers: list[Any], near: Served) -> Alive:
    """Work in both windows; return what has to go with the first. Its frame holds nothing later."""
    for viewer in viewers:
        arrange(viewer)
        add_volume(viewer, near.volume)
    first, second = map(scene_of, viewers)
    mapped(first, near.points_nm)
    assert second.live.state.map is None
    mapped(second, near.points_nm[::-1].copy())
    first.place.go_to_slice(7)
    settle()
    assert second.place.slice_index != 7
    return everything_of(viewers[0])


def loading(viewer: Any) -> bool:
    return bool(streaming.watch(viewer).status.loading)


@pytest.mark.both_bindings
def test_the_window_is_closed_during_a_load(window: Callable[..., Any], served: Served) -> None:
    workers = Workers(int(served.server.url.rsplit(":", 1)[1]))
    alive = closed_in_mid_load(window(), served)
    alive.expect_gone()
    workers.expect_gone(10.0 + LATENCY)


def closed_in_mid_load(viewer: Any, served: Served) -> Alive:
    """Close a window while chunks are on their way; what has to go with it."""
    arrange(viewer)
    add_volume(viewer, open_volume(served.url))
    scene_of(viewer).traces.new(served.points_nm)
    wait_until(partial(loading, viewer), "chunks on their way")
    alive = everything_of(viewer)
    viewer.close()
    return alive


def test_the_server_goes_away_and_comes_back(
    window: Callable[..., Any], person: Person, served: Served
) -> None:
    viewer = window()
    arrange(viewer)
    served.server.latency = 0.01
    add_volume(viewer, open_volume(served.url))
    watcher = streaming.watch(viewer)
    wait_until(lambda: watcher.settled, "the first plane")
    served.server.fault("image/*", 503)
    viewer.dims.set_current_step(0, 3)
    wait_until(lambda: watcher.status.failed > 0, "the failure to be noticed")
    assert watcher.status.problem
    served.server.heal()
    watcher.retry()
    wait_until(lambda: watcher.settled and not watcher.status.failed, "all to be there again")
    layer = viewer.layers[0]
    plane = layer.data[layer.data_level][int(viewer.dims.current_step[0])]
    mip = layer.metadata["napari-ouroboros"]["mips"][layer.data_level]
    truth = np.asarray(served.volume.dask(mip))
    assert np.asarray(plane).any()
    assert np.isin(np.unique(np.asarray(plane)), np.unique(truth)).all()


def test_the_straightened_view_needs_no_other_dock(
    window: Callable[..., Any], near: Served
) -> None:
    viewer = window()
    viewer.window.add_dock_widget(StraightDock(viewer), area="right")
    add_volume(viewer, near.volume)
    scene = scene_of(viewer)
    scene.traces.new(near.points_nm)
    preview = live_preview_of(scene)
    wait_until(lambda: scene.live.state.map is not None, "a map")
    wait_until(lambda: preview.idle and not preview.is_stale, "the straightened slice")
    assert scene.straight.layers
