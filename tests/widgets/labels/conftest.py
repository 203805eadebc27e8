"""A scene with a volume and a trace, without a display; the GUI thread's loop turns by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gui_loop import GuiLoop
from labels_bench import Bench
from napari.components import ViewerModel
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand

from napari_ouroboros import open_volume
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch

SHAPE, STEP = (40, 64, 70), 8.0
POINTS = np.array([[5.0, 20, 20], [20, 30, 40], [30, 35, 30], [36, 30, 50]]) * STEP


@pytest.fixture(scope="session")
def volume_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels") / "em"
    image: NDArray[np.uint8] = np.random.default_rng(2).integers(0, 255, (1, *SHAPE), np.uint8)
    write_by_hand(
        folder, [image], chunk=(32, 32, 32), offsets=[(0, 0, 0)], resolutions=[(STEP,) * 3]
    )
    return folder


@pytest.fixture
def bench(volume_folder: Path) -> Iterator[Bench]:
    loop = GuiLoop()
    viewer = ViewerModel()
    scene = Scene(viewer, loop.deliver)
    volume = open_volume(volume_folder)
    add_layers(viewer, prepare_volume(volume, "em"))
    settings = scene.settings
    settings.width, settings.height, settings.pitch_nm, settings.spacing_nm = 31, 24, 6.0, 7.0
    scene.traces.new(POINTS, "trace")
    bench = Bench(scene, loop)
    bench.book.said.connect(bench.said.append)
    bench.book.failed.connect(bench.failed.append)
    bench.settle()
    yield bench
    scene.close()
    unwatch(viewer)
    volume.close()
    loop.turn()
