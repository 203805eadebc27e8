"""The keys of both spaces: what they do, and what they say where they cannot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.utils.key_bindings import KeymapHandler
from tests.operations.qa.conftest import tissue
from tests.widgets.qa.conftest import Bench

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.qa.model import NOTHING_SUSPICIOUS
from napari_ouroboros.widgets.spaces.linked_spaces import LinkedSpaces


class Keyboard:
    """Keys pressed on the canvas of either space."""

    def __init__(self, bench: Bench) -> None:
        self.links = LinkedSpaces(bench.scene)
        self.said: list[str] = []
        self.links.said.connect(self.said.append)
        self._models = (bench.viewer, bench.scene.straight)

    def press(self, key: str) -> None:
        """Once on each of the two canvases."""
        for model in self._models:
            handler = KeymapHandler()
            handler.keymap_providers = [model]
            handler.press_key(key)


@pytest.fixture
def keyboard(bench: Bench) -> Iterator[Keyboard]:
    keyboard = Keyboard(bench)
    yield keyboard
    keyboard.links.close()


def test_without_slices_they_say_what_to_do(keyboard: Keyboard) -> None:
    for key in (keys.NEXT_SUSPICIOUS, keys.PREVIOUS_SUSPICIOUS, keys.MARK_GOOD, keys.MARK_BAD):
        keyboard.press(key)
    assert keyboard.said == ["Open a volume, or try the demo."] * 8


def test_they_go_and_mark(bench: Bench, keyboard: Keyboard) -> None:
    voxels = tissue()
    for k in (10, 20, 30):
        voxels[k] = np.roll(voxels[k], (5, -4), (0, 1))
    bench.open(voxels)
    bench.trace()
    keyboard.press(keys.NEXT_SUSPICIOUS)
    assert keyboard.said == [NOTHING_SUSPICIOUS] * 2
    keyboard.said.clear()
    bench.qa.check_image()
    bench.settle()
    bench.scene.place.go_to_slice(5)
    keyboard.press(keys.NEXT_SUSPICIOUS)
    assert bench.scene.place.slice_index == 20  # once in each space
    keyboard.press(keys.PREVIOUS_SUSPICIOUS)
    assert bench.scene.place.slice_index == 30  # around the end
    assert bench.qa.marks is not None
    bench.qa.toggle_mark("good")
    keyboard.press(keys.MARK_GOOD)  # away, and there again
    assert [mark.slice for mark in bench.qa.marks] == [30]
    bench.scene.place.go_to_slice(31)
    keyboard.press(keys.MARK_BAD)
    assert bench.qa.marks.get(31) is None
    bench.qa.toggle_mark("bad", 31)
    assert bench.qa.marks.get(31) is not None
    assert keyboard.said == []


def test_marks_that_lose_their_slice_are_told(bench: Bench, keyboard: Keyboard) -> None:
    bench.open()
    trace = bench.trace()
    bench.qa.toggle_mark("bad", 3)
    trace.move({0: trace.state.points_nm[0] + [160, 0, 0]})
    bench.settle()
    assert keyboard.said == [
        "1 mark lies where the trace does not pass any more; undo the edit to have it back."
    ]
