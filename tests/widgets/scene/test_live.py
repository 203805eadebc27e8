"""The map of the moment follows the trace, the settings and the volume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gui_loop import GuiLoop
from small_scene import RESOLUTION, Scene, make_scene

from napari_ouroboros import Straightening, Trace, open_volume
from napari_ouroboros.volumes import Volume
from napari_ouroboros.widgets.scene import LiveMap, LiveState, SliceSettings
from napari_ouroboros.widgets.scene.live import NO_TRACE, NO_VOLUME
from napari_ouroboros.widgets.trace.model import TraceModel


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("live"))


@pytest.fixture
def volume(files: Scene) -> Volume:
    return open_volume(files.folder / "em")


@pytest.fixture
def loop() -> GuiLoop:
    return GuiLoop()


@pytest.fixture
def settings() -> SliceSettings:
    return SliceSettings(width=20, height=12)


@pytest.fixture
def live(settings: SliceSettings, loop: GuiLoop) -> Iterator[LiveMap]:
    live = LiveMap(settings, loop.deliver)
    yield live
    live.close()


def settle(live: LiveMap, loop: GuiLoop) -> LiveState:
    loop.until(lambda: live.idle, "the map")
    return live.state


def same(map_: Straightening | None, points_nm: Any, **options: Any) -> None:
    expected = Straightening(Trace(points_nm), **options).resolved(RESOLUTION)
    assert map_ is not None
    assert map_.recipe_hash == expected.recipe_hash


def test_says_what_is_missing(live: LiveMap, loop: GuiLoop, volume: Volume) -> None:
    assert live.state.problem == NO_VOLUME
    live.set_volume(volume)
    assert live.state.problem == NO_TRACE
    trace = TraceModel("nerve")
    live.set_trace(trace)
    state = settle(live, loop)
    assert state.map is None
    assert "2" in state.problem
    live.set_volume(None)
    assert live.state.problem == NO_VOLUME


def test_is_the_map_that_the_library_makes(
    live: LiveMap, loop: GuiLoop, volume: Volume, files: Scene, settings: SliceSettings
) -> None:
    live.set_volume(volume)
    live.set_trace(TraceModel("nerve", files.points_nm))
    same(settle(live, loop).map, files.points_nm, width=20, height=12)
    assert live.state.mip == 0
    settings.pitch_nm = 5.0
    settings.spacing_nm = 17.0
    settings.width = 31
    same(
        settle(live, loop).map, files.points_nm, width=31, height=12, pitch_nm=5.0, spacing_nm=17.0
    )
    settings.adaptive_radius_nm = 40.0
    same(
        settle(live, loop).map, files.points_nm, width=31, height=12, pitch_nm=5.0, spacing_nm=17.0,
        adaptive_radius_nm=40.0,
    )  # fmt: skip


def test_auto_takes_the_level_that_is_as_fine_as_a_pixel(
    live: LiveMap, loop: GuiLoop, volume: Volume, files: Scene, settings: SliceSettings
) -> None:
    live.set_volume(volume)
    live.set_trace(TraceModel("nerve", files.points_nm))
    settings.mip = "auto"
    assert settle(live, loop).mip == 0
    settings.pitch_nm = min(volume.levels[1].resolution)
    assert settle(live, loop).mip == 1
    settings.mip = 7
    state = settle(live, loop)
    assert state.map is None
    assert "mip 7" in state.problem


def test_every_edit_is_followed_and_none_starves(
    live: LiveMap, loop: GuiLoop, volume: Volume, files: Scene
) -> None:
    live.set_volume(volume)
    trace = TraceModel("nerve", files.points_nm)
    live.set_trace(trace)
    settle(live, loop)
    seen: list[LiveState] = []
    live.changed.connect(lambda new, old: seen.append(new))
    trace.begin_drag()
    for step in range(50):
        trace.drag({1: files.points_nm[1] + (0, step * 0.1, 0)})
        if step == 25:
            # The stream of events goes on, but Qt's loop turns in between.
            loop.until(lambda: bool(seen), "a map in mid-drag")
        loop.turn()
    assert seen
    assert all(state.dragging for state in seen)
    trace.end_drag()
    state = settle(live, loop)
    assert not state.dragging
    generations = [state.generation for state in seen]
    assert generations == sorted(set(generations))
    assert state.map is not None
    np.testing.assert_allclose(
        state.map.trace.points_nm[1], files.points_nm[1] + (0, 4.9, 0), atol=1e-9
    )


def test_a_trace_that_was_left_is_not_followed(
    live: LiveMap, loop: GuiLoop, volume: Volume, files: Scene
) -> None:
    live.set_volume(volume)
    first, second = TraceModel("a", files.points_nm), TraceModel("b", files.points_nm[::-1])
    live.set_trace(first)
    live.set_trace(second)
    settle(live, loop)
    generation = live.state.generation
    first.delete([0])
    assert settle(live, loop).generation == generation
    live.close()
    second.delete([0])
    assert settle(live, loop).generation == generation
    assert len(second.changed) == 0
    assert len(first.changed) == 0


def test_what_would_fill_the_memory_is_refused_at_once(
    live: LiveMap, loop: GuiLoop, volume: Volume, settings: SliceSettings
) -> None:
    live.set_volume(volume)
    live.set_trace(TraceModel("t", [[100, 100, 100], [900, 700, 600]]))
    assert settle(live, loop).map is not None
    settings.width = settings.height = 100_000
    state = settle(live, loop)
    assert state.map is None
    assert "100,000 x 100,000 pixels are too large" in state.problem
    settings.width = settings.height = 20
    settings.spacing_nm = 1e-6
    assert "slices are too many" in settle(live, loop).problem
    settings.spacing_nm = None
    assert settle(live, loop).map is not None


def test_says_whether_the_map_is_that_of_now(
    live: LiveMap, loop: GuiLoop, volume: Volume, settings: SliceSettings
) -> None:
    model = TraceModel("t", [[100, 100, 100], [900, 700, 600]])
    live.set_volume(volume)
    live.set_trace(model)
    assert not live.is_current
    settle(live, loop)
    assert live.is_current
    model.append([950, 800, 650])
    assert not live.is_current
    settle(live, loop)
    assert live.is_current
    model.set_points([])
    settle(live, loop)
    assert live.is_current  # that there is none
