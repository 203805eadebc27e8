"""The GUI thread never waits: watched while a slow volume is looked at, beside one in memory.

And the watcher sees what it is there for: without these tests it could be blind.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import real_events
from gui_watcher import Call, Watcher, classify, side_by_side
from qtpy.QtCore import QTimer
from real_events import Person, middle, qt_viewer, settle, wait_until, way
from scene_server import Served
from scene_server import served as serve

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.streaming import StreamedPyramid
from napari_ouroboros.widgets import streaming

pytestmark = pytest.mark.timed

Add = Callable[[Any], Any]


def later(call: Callable[[], Any]) -> None:
    """Call within the event loop, where the watcher sees it."""
    QTimer.singleShot(0, call)


def streamed(scene: Served) -> Add:
    layers = streaming.prepare_volume(open_volume(scene.url), "em")
    return lambda viewer: streaming.add_layers(viewer, layers)


def in_memory(scene: Served) -> Add:
    """The same levels as arrays, with the same place and contrast."""
    layers = [
        ([np.asarray(scene.volume.dask(mip))[: level.shape[0]] for mip, level in found], meta, kind)
        for found, meta, kind in [
            (list(zip(_pyramid(data).mips, data, strict=True)), meta, kind)
            for data, meta, kind in streaming.prepare_volume(scene.volume, "em")
        ]
    ]

    def add(viewer: Any) -> None:
        from napari.layers import Layer

        for data, meta, kind in layers:
            viewer.add_layer(Layer.create(data, dict(meta), kind))

    return add


def _pyramid(levels: Any) -> StreamedPyramid:
    pyramid: StreamedPyramid = levels[0].pyramid
    return pyramid


def settled(viewer: Any) -> Callable[[], bool]:
    return lambda: streaming.watch(viewer).settled


def tour(viewer: Any, person: Person, add: Add, only_slider: bool = False) -> Watcher:
    """Add a volume and look around in it, with mouse and keys."""
    # What napari makes once per window is no part of it.
    viewer.add_image(np.zeros((4, 8, 8), np.uint8), contrast_limits=(0, 255), name="warm")
    settle(turns=20)
    viewer.layers.clear()
    person.focus(viewer.window._qt_window)
    canvas = qt_viewer(viewer).canvas.native
    with Watcher() as watcher:
        with watcher.during("add the volume"):
            later(lambda: add(viewer))
            wait_until(lambda: len(viewer.layers) == 1, "the layer to be added")
            wait_until(settled(viewer), "everything that is shown to be there")
        person.click(middle(canvas))  # the keyboard goes to the canvas
        with watcher.during("step the slider"):
            start, steps = viewer.dims.current_step[0], 2 if only_slider else 5
            person.key("Right", times=steps)
            wait_until(lambda: viewer.dims.current_step[0] == start + steps, "the slider to step")
            wait_until(settled(viewer), "the new slice")
        if only_slider:
            return watcher
        with watcher.during("zoom"):
            person.scroll(middle(canvas), 5)
            wait_until(settled(viewer), "the finer level")
        with watcher.during("pan"):
            person.drag(way(middle(canvas), middle(canvas, (0.2, 0.4))))
            wait_until(settled(viewer), "what came into sight")
        for ndisplay in (3, 2):
            with watcher.during(f"turn to {ndisplay}D"):
                person.key("Control-Y")
                wait_until(lambda n=ndisplay: viewer.dims.ndisplay == n, "the dimensions")  # type: ignore[misc]
                wait_until(settled(viewer), "the level in 3D")
                settle(turns=20)
        with watcher.during("remove the volume"):
            later(viewer.layers.clear)
            wait_until(lambda: not viewer.layers, "the layer to be removed")
            settle(turns=20)
    return watcher


def test_a_slow_volume_keeps_nobody_waiting(
    window: Callable[..., Any], person: Person, served: Served
) -> None:
    control_viewer = window()
    control = tour(control_viewer, person, in_memory(served))
    control_viewer.close()
    viewer = window()
    ours = tour(viewer, person, streamed(served))
    print("\n" + side_by_side(ours, control))
    ours.check()
    # The tour was one: chunks of more than the coarsest level came through the slow server.
    mips = {path.split("/")[1] for path in served.server.requests if path.count("/") == 2}
    assert len(mips) >= 2


def test_a_sleep_in_a_chunk_read_is_seen(
    window: Callable[..., Any], person: Person, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = StreamedPyramid.read

    def slow(self: StreamedPyramid, *arguments: Any, **more: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.3)
        return read(self, *arguments, **more)

    monkeypatch.setattr(StreamedPyramid, "read", slow)
    watcher = tour(window(), person, streamed(served), only_slider=True)
    with pytest.raises(AssertionError, match=r"stood still[\s\S]*slow"):
        watcher.check()
    worst = watcher.worst("ours", "step the slider")
    assert worst is not None
    assert worst.seconds["ours"] > 0.29


def test_a_plain_dask_array_is_seen(
    window: Callable[..., Any], person: Person, demo_nerve: Any
) -> None:
    with serve(demo_nerve, latency=0.02) as scene:
        volume = open_volume(scene.url)
        levels = [volume.dask(mip) for mip in range(len(volume.levels))][1:]
        ((_, meta, _),) = streaming.prepare_volume(volume, "em")

        def add(viewer: Any) -> None:
            viewer.add_image(levels, contrast_limits=(0, 255), multiscale=True, units=meta["units"])

        watcher = tour(window(), person, add, only_slider=True)
    with pytest.raises(AssertionError, match=r"stood still"):
        watcher.check()
    assert watcher.worst("ours", "add the volume") is not None


def stack(*calls: tuple[str, str]) -> tuple[Call, ...]:
    return tuple(Call(file, function, 1) for file, function in calls)


LOOP = ("/site-packages/napari/_qt/qt_event_loop.py", "run")
DRAW = ("/site-packages/vispy/app/backends/_qt.py", "paintGL")
ADD = ("/site-packages/napari/components/viewer_model.py", "add_layer")
OURS = ("/src/napari_ouroboros/widgets/scene/live.py", "_publish")
SLICE = ("/site-packages/napari/layers/base/base.py", "refresh")
WAIT = ("/lib/python3.11/threading.py", "wait")


@pytest.mark.parametrize(
    ("calls", "kind"),
    [
        ([LOOP], "ours"),
        ([LOOP, DRAW], "paint"),
        ([LOOP, DRAW, ("/site-packages/vispy/gloo/glir.py", "flush")], "paint"),
        ([LOOP, DRAW, WAIT], "ours"),
        ([LOOP, DRAW, OURS], "ours"),
        ([LOOP, OURS, ADD, SLICE], "layers"),
        ([LOOP, OURS, ADD, WAIT], "ours"),
        ([LOOP, ADD, OURS, SLICE], "ours"),
        ([LOOP, SLICE], "ours"),
    ],
)
def test_a_gap_is_filed_by_what_was_done(calls: list[tuple[str, str]], kind: str) -> None:
    assert classify(stack(*calls)) == kind


def test_c_functions_that_wait_are_told_by_their_line() -> None:
    def paintGL() -> None:  # as Qt calls it
        time.sleep(0.3)

    line = paintGL.__code__.co_firstlineno + 1
    assert classify((Call(__file__, "paintGL", line),)) == "ours"
    assert classify((Call(__file__, "paintGL", line + 1),)) == "paint"


def test_a_gap_is_as_long_as_it_was(window: Callable[..., Any]) -> None:
    window()
    with Watcher() as watcher:
        with watcher.during("sleep"):
            later(lambda: time.sleep(0.3))
            settle(turns=20)
        with watcher.during("wait"):
            later(lambda: threading.Event().wait(0.2))
            settle(turns=20)
        with watcher.during("nothing"):
            settle(turns=60)
    assert real_events.around_checks == []
    for action, seconds in (("sleep", 0.3), ("wait", 0.2)):
        worst = watcher.worst("ours", action)
        assert worst is not None
        found = worst.seconds["ours"] + worst.machine + worst.gc
        assert found == pytest.approx(seconds, abs=0.03)
    assert watcher.worst("ours", "nothing") is None


@pytest.mark.parametrize("elsewhere", [True, False])
def test_garbage_collection_is_taken_off(window: Callable[..., Any], elsewhere: bool) -> None:
    """Also another thread's: no other runs meanwhile."""
    window()
    gc.disable()  # it would look through them again and again while they are made
    much = [[[k]] for k in range(1_500_000)]
    gc.enable()
    took: list[float] = []

    def collect() -> None:
        start = time.monotonic()
        gc.collect()
        took.append(time.monotonic() - start)

    def begin() -> None:
        if elsewhere:
            thread = threading.Thread(target=collect)
            thread.start()
            while thread.is_alive():
                np.zeros(100).sum()  # at work as far as the interpreter lets it
        else:
            collect()
        end = time.monotonic() + 0.08
        while time.monotonic() < end:  # the watcher's thread, too, sees nothing while it lasts
            pass

    with Watcher() as watcher, watcher.during("collect"):
        later(begin)
        wait_until(lambda: took, "the collection")
        settle(turns=20)
    del much
    assert took[0] > 0.2  # enough to be told from the rest
    gap = max(watcher.gaps, key=lambda each: each.gc)
    assert gap.gc > 0.5 * took[0]
    assert gap.seconds["ours"] < 0.08 + 0.5 * took[0]
