"""Windows without a display, each with its scene, over the small scene's volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui_loop import GuiLoop
from napari.components import ViewerModel
from small_scene import Scene as SmallScene
from small_scene import make_scene

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.scene.scene import Scene
from napari_ouroboros.widgets.streaming import add_layers, prepare_volume, unwatch


class Window:
    """A viewer without a window, its scene, and the event loop that the test turns."""

    def __init__(self, small: SmallScene) -> None:
        self.small = small
        self.loop = GuiLoop()
        self.viewer = ViewerModel()
        self.scene = Scene(self.viewer, self.loop.deliver)
        self.said: list[str] = []
        self.failed: list[Exception] = []
        filing = self.scene.work.filing
        filing.said.connect(self.said.append)
        filing.failed.connect(lambda error, _again: self.failed.append(error))

    @property
    def work(self) -> Any:
        return self.scene.work

    def open(self, name: str = "em", labels: bool | None = None) -> Any:
        """Open a volume of the small scene; return its layer."""
        volume = open_volume(str(self.small.folder / name))
        return add_layers(self.viewer, prepare_volume(volume, name, labels))[0]

    def paint(self, name: str = "axon", dtype: Any = np.uint64) -> Any:
        """New labels with something painted in them."""
        self.settle()
        map_ = self.scene.live.state.map
        assert map_ is not None
        array = LabelArray.create(self.work.new_store(), map_.shape, dtype)
        entry = self.scene.labels.add(array, map_, name)
        array[1, 2:9, 3:9] = np.iinfo(dtype).max
        self.settle()
        return entry

    def settle(self) -> None:
        """Turn the loop until maps are made and files are written."""
        self.loop.until(
            lambda: (
                self.scene.live.idle
                and self.work.filing.idle
                and self.scene.qa.idle
                and self.scene.overlays.idle
                and not self.loop.calls
            ),
            "the window to be idle",
        )

    def close(self) -> None:
        self.scene.close()
        unwatch(self.viewer)
        self.loop.turn()


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory: pytest.TempPathFactory) -> SmallScene:
    return make_scene(Path(tmp_path_factory.mktemp("small")))


@pytest.fixture
def windows(small_scene: SmallScene) -> Iterator[Callable[[], Window]]:
    made: list[Window] = []

    def make() -> Window:
        made.append(Window(small_scene))
        return made[-1]

    yield make
    for window in made:
        window.close()


@pytest.fixture
def window(windows: Callable[[], Window]) -> Window:
    """With an image, a trace and slices."""
    found = windows()
    found.open()
    found.scene.settings.width, found.scene.settings.height = 24, 16
    found.scene.traces.new(found.small.points_nm, "nerve")
    found.settle()
    return found
