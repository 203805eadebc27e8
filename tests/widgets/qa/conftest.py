"""A scene with a column of tissue and a trace through it; no display, a loop turned by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand
from tests.operations.qa.conftest import CHUNK, SHAPE, SIDE, STEP, tissue
from tests.widgets.straighten.conftest import Loop

from napari_ouroboros import Straightening, open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.labels import StraightLabels
from napari_ouroboros.widgets.qa import QaModel
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch

#: Through the middle of the column, so that slice k is ``voxels[k, WINDOW, WINDOW]``.
ENDS = np.array([[0.5, 20.5, 20.5], [24, 20.5, 20.5], [SHAPE[0] - 0.5, 20.5, 20.5]]) * STEP


class Bench:
    """A scene on one volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = Loop()
        self.viewer = ViewerModel()
        self.scene = Scene(self.viewer, self.loop.deliver)
        s = self.scene.settings
        s.width, s.height, s.pitch_nm, s.spacing_nm = SIDE, SIDE, STEP, STEP
        self._volume: Any = None

    def open(self, voxels: NDArray[Any] | None = None, **more: Any) -> None:
        """Show tissue, or these voxels."""
        write_by_hand(
            self.folder / "em", [(tissue() if voxels is None else voxels)[None]], chunk=CHUNK,
            resolutions=[(STEP,) * 3], **more,
        )  # fmt: skip
        self._volume = open_volume(self.folder / "em")
        add_layers(self.viewer, prepare_volume(self._volume, "em"))

    def trace(self, points: NDArray[np.float64] = ENDS, name: str = "trace") -> Any:
        """Begin a trace, and wait for what is known of its slices."""
        self.scene.traces.new(points, name)
        self.settle()
        return self.scene.traces.active

    @property
    def qa(self) -> QaModel:
        return self.scene.qa

    @property
    def map(self) -> Straightening:
        map_ = self.scene.live.state.map
        assert map_ is not None
        return map_

    def labels(self, name: str = "labels") -> StraightLabels:
        """New labels of the slices of now."""
        path = self.folder / f"{name}.labels"
        array = LabelArray.create(path, self.map.shape, np.uint64)
        entry = self.scene.labels.add(array, self.map, name)
        self.settle()
        return entry

    def settle(self) -> None:
        self.loop.turn()
        self.loop.until(lambda: self.scene.live.idle and self.qa.idle)
        self.loop.turn()

    def close(self) -> None:
        self.scene.close()
        unwatch(self.viewer)
        if self._volume is not None:
            self._volume.close()
        self.loop.turn()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def column(bench: Bench) -> Bench:
    """With tissue and a trace through it."""
    bench.open()
    bench.trace()
    return bench
