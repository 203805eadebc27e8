"""A scene with a volume, a map and labels on disk; the GUI thread's loop is turned by hand."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from oracles.precomputed import write_by_hand

from napari_ouroboros import Straightening, Trace, open_volume
from napari_ouroboros.layers import volume_layers
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.labels.book import StraightLabels
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.streaming import Watcher

SHAPE, STEP = (60, 140, 150), 8.0
POINTS = np.array([[5.0, 20, 20], [20, 60, 90], [40, 75, 60], [55, 110, 120]]) * STEP


class Bench:
    """A scene without a window."""

    def __init__(self, folder: Path, room: Path) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.viewer = ViewerModel()
        self.watcher = Watcher(self.viewer, self.deliver, lambda _, call: self.deliver(call))
        self.scene = Scene(self.viewer, self.deliver)
        self.volume = open_volume(folder)
        self.room = room
        ((data, given, kind),) = volume_layers(self.volume, "em")
        self.em = self.viewer.add_layer(Layer.create(data, given, kind))
        self.map = Straightening(
            Trace(POINTS),
            31,
            24,
            6.0,
            7.0,
        ).resolved((STEP,) * 3)

    def deliver(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Turn the loop until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never happened"
            try:
                self._calls.get(timeout=0.01)()
            except queue.Empty:
                continue

    def settle(self) -> None:
        """Until the labels are shown as they are."""
        self.until(lambda: self.scene.overlays.idle)
        self.until(lambda: self.watcher.settled)

    def entry(self, name: str = "nerve", dtype: str = "uint64", map_: Any = None) -> Any:
        """Empty labels of the book, shown in the straightened space."""
        map_ = self.map if map_ is None else map_
        array = LabelArray.create(self.room / f"{name}-{time.monotonic_ns()}", map_.shape, dtype)
        layer = Labels(array, name=name)
        self.scene.straight.add_layer(layer)
        entry = StraightLabels(array, map_, name, layer)
        self.scene.labels.entries.append(entry)
        self.scene.labels.changed.emit()
        return entry

    def shown(self, entry: Any) -> Any:
        """The plane that the viewer shows of an overlay, and its level's number."""
        layer = self.scene.overlays.layer_of(entry)
        return np.asarray(layer._slice.image.raw), layer.data_level

    def look_at(self, nm: Any) -> None:
        """Go to the plane through a point, and see all of the finest level of everything."""
        self.viewer.dims.set_point(0, nm[0])
        for layer in self.viewer.layers:
            if getattr(layer, "multiscale", False):
                layer.corner_pixels = np.array([[0, 0, 0], np.array(layer.data[0].shape) - 1])
                layer.data_level = 0
        self.settle()

    def close(self) -> None:
        self.scene.close()
        self.watcher.close()
        self.volume.close()


@pytest.fixture(scope="session")
def em(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(2)
    fine = rng.integers(0, 255, (1, *SHAPE), np.uint8)
    return write_by_hand(
        tmp_path_factory.mktemp("home") / "em", [fine, fine[:, ::2, ::2, ::2].copy()],
        chunk=(16, 32, 32), offsets=[(0, 0, 0)] * 2, resolutions=[(STEP,) * 3, (2 * STEP,) * 3],
    )  # fmt: skip


@pytest.fixture
def bench(em: Path, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(em, tmp_path)
    yield bench
    bench.close()
