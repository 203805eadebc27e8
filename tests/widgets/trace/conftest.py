"""A viewer without a window, with the small scene's volume and its traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from small_scene import Scene as SmallScene
from small_scene import make_scene

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.widgets.scene.scene import Scene
from napari_ouroboros.widgets.streaming import prepare_volume


@dataclass
class Window:
    """viewer: without a window. scene: with a reference volume. calls: for the GUI thread."""

    viewer: ViewerModel
    scene: Scene
    small: SmallScene
    calls: list[Callable[[], None]]

    def turn(self) -> None:
        calls, self.calls[:] = list(self.calls), []
        for call in calls:
            call()


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory: pytest.TempPathFactory) -> SmallScene:
    return make_scene(Path(tmp_path_factory.mktemp("small")))


@pytest.fixture
def window(small_scene: SmallScene) -> Iterator[Window]:
    viewer = ViewerModel()
    calls: list[Callable[[], None]] = []
    scene = Scene(viewer, calls.append)
    for layer in prepare_volume(open_volume(small_scene.folder / "em"), "em"):
        viewer.layers.append(Layer.create(*layer))
    assert scene.reference is not None
    yield Window(viewer, scene, small_scene, calls)
    scene.close()
