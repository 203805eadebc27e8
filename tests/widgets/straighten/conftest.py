"""A scene without a window: calls for the GUI thread wait in a list until a test runs them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand
from psygnal import Signal

from napari_ouroboros import Trace, open_volume
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.straighten import LivePreview, live_preview_of
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch

SHAPE, CHUNK, STEP = (60, 64, 70), (16, 16, 16), 8.0
POINTS = np.array([[5.0, 20, 20], [20, 30, 40], [40, 35, 30], [55, 30, 50]]) * STEP
IDS = np.array([0, 7, 300, 2**40, 2**64 - 1], np.uint64)


class Loop:
    """The GUI thread's loop, turned by hand."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def deliver(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def turn(self) -> int:
        """Run what waits; how many calls."""
        n = 0
        while not self._calls.empty():
            self._calls.get()()
            n += 1
        return n

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Turn until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never happened"
            try:
                self._calls.get(timeout=0.01)()
            except queue.Empty:
                continue


@dataclass(frozen=True)
class PlainState:
    """What the map is made from."""

    points_nm: NDArray[np.float64]
    up: None = None
    twist: None = None

    def trace(self) -> Trace:
        return Trace(self.points_nm)


class PlainTrace:
    """A trace whose frames no edit re-anchors: the map is that of its points alone."""

    changed = Signal()

    def __init__(self, points: NDArray[np.float64]) -> None:
        self.state = PlainState(points)
        self.dragging = False

    def set_points(self, points: NDArray[np.float64], dragging: bool = False) -> None:
        self.state, self.dragging = PlainState(np.asarray(points, float)), dragging
        self.changed.emit()

    def move(self, index: int, by: float, dragging: bool = False) -> None:
        points = self.state.points_nm.copy()
        points[index] += by
        self.set_points(points, dragging)


class Bench:
    """A scene on volumes, with its preview."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.viewer = ViewerModel()
        self.scene = Scene(self.viewer, loop.deliver)
        self.volumes: list[Any] = []

    def add(self, address: str | Path, name: str, **more: Any) -> Any:
        volume = open_volume(address)
        self.volumes.append(volume)
        data = [(d, {**m, **more}, k) for d, m, k in prepare_volume(volume, name)]
        return add_layers(self.viewer, data)[0]

    def trace(self, points: NDArray[np.float64] = POINTS) -> PlainTrace:
        """Follow a new trace."""
        trace = PlainTrace(points)
        self.scene.live.set_trace(trace)
        return trace

    @property
    def preview(self) -> LivePreview:
        return live_preview_of(self.scene)

    def settle(self) -> None:
        self.loop.until(lambda: self.preview.idle)
        self.loop.turn()

    def close(self) -> None:
        self.scene.close()
        unwatch(self.viewer)
        for volume in self.volumes:
            volume.close()
        self.loop.turn()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``em`` (uint8, two levels, noise), ``cells`` (uint64, one level), ``wide`` (two channels)."""
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("straighten")
    fine = rng.integers(0, 255, (1, *SHAPE), np.uint8)
    levels = [fine, fine[:, ::2, ::2, ::2].copy()]
    sizes = [(STEP,) * 3, (2 * STEP,) * 3]
    write_by_hand(path / "em", levels, chunk=CHUNK, offsets=[(0, 0, 0)] * 2, resolutions=sizes)
    blocks = rng.choice(IDS, (10, 8, 10))
    cells = blocks.repeat(6, 0).repeat(8, 1).repeat(7, 2)[None]
    write_by_hand(
        path / "cells", [np.ascontiguousarray(cells)], chunk=CHUNK, offsets=[(0, 0, 0)],
        resolutions=[(STEP,) * 3], kind="segmentation",
    )  # fmt: skip
    wide = rng.integers(0, 60_000, (2, *SHAPE), np.uint16)
    write_by_hand(
        path / "wide", [wide], chunk=CHUNK, offsets=[(0, 0, 0)], resolutions=[(STEP,) * 3]
    )
    return path


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def bench(loop: Loop) -> Iterator[Bench]:
    bench = Bench(loop)
    s = bench.scene.settings
    s.width, s.height, s.pitch_nm, s.spacing_nm = 31, 24, 6.0, 7.0
    yield bench
    bench.close()
