"""A viewer with a small volume, a trace and the links of the two spaces; no display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from oracles.precomputed import write_by_hand

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets.scene import Scene
from napari_ouroboros.widgets.spaces.linked_spaces import LinkedSpaces
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch

SHAPE, RESOLUTION, OFFSET = (40, 60, 70), (20.0, 10.0, 10.0), (5, -3, 11)


@dataclass
class Loop:
    """The calls for the GUI thread: run when the test says so."""

    calls: list[Callable[[], None]] = field(default_factory=list)

    def deliver(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def run(self) -> None:
        while self.calls:
            self.calls.pop(0)()


@dataclass
class Spaces:
    """A scene with its links, whose loop the test turns."""

    scene: Scene
    links: LinkedSpaces
    loop: Loop

    @property
    def viewer(self) -> ViewerModel:
        return self.scene.viewer

    @property
    def map(self) -> Straightening:
        map_ = self.scene.live.state.map
        assert map_ is not None
        return map_

    def settle(self) -> None:
        """Turn the loop until nothing is left to do."""
        give_up = time.monotonic() + 60
        while True:
            self.loop.run()
            if self.scene.live.idle and self.links.idle and not self.loop.calls:
                return
            assert time.monotonic() < give_up
            time.sleep(0.005)

    def show_straightened(self) -> Any:
        """Put an image into the second space, as the live preview does."""
        map_ = self.map
        layer = self.scene.straight.add_image(
            np.zeros(map_.shape, np.uint8),
            scale=(map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm),
            units=("nm",) * 3,
            axis_labels=("slice", "row", "column"),
            contrast_limits=(0, 255),
        )
        self.settle()
        return layer


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[Spaces]:
    """A volume of 40 x 60 x 70 voxels, not at the origin, with an oblique trace through it."""
    image = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    write_by_hand(
        tmp_path / "em", [image[None]], chunk=(32, 32, 32), offsets=[OFFSET],
        resolutions=[[int(r) for r in RESOLUTION]],
    )  # fmt: skip
    viewer = ViewerModel()
    volume = open_volume(str(tmp_path / "em"))
    add_layers(viewer, prepare_volume(volume, "em"))
    loop = Loop()
    scene = Scene(viewer, loop.deliver)
    low, high = volume.levels[0].bounds_nm
    way = np.array([[0.2, 0.3, 0.25], [0.5, 0.6, 0.5], [0.8, 0.5, 0.75]])
    scene.settings.width, scene.settings.height = 20, 14
    scene.traces.new(low + way * (high - low), "trace")
    links = LinkedSpaces(scene)
    found = Spaces(scene, links, loop)
    found.settle()
    yield found
    links.close()
    scene.close()
    unwatch(viewer)
    loop.run()
