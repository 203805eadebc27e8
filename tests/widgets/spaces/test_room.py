from __future__ import annotations

import pytest

from napari_ouroboros.widgets.spaces.room import (
    Room,
    canvas_width,
    tasks_height,
    what_was_chosen,
)


def test_of_1033_pixels_each_canvas_has_380_and_the_larger_600() -> None:
    for straightened in (False, True):
        ours = canvas_width(1033, straightened)
        theirs = 1033 - ours
        assert min(ours, theirs) >= 380
        assert max(ours, theirs) >= 600
        assert (ours > theirs) is straightened


def test_what_was_not_dragged_is_not_kept() -> None:
    for straightened in (False, True):
        usual = (canvas_width(1000, straightened), 1000), (tasks_height(700, straightened), 700)
        assert what_was_chosen(straightened, *usual) == Room()
        assert what_was_chosen(straightened, usual[0], None) == Room()


def test_what_was_dragged_is_kept_as_a_share() -> None:
    chosen = what_was_chosen(False, (500, 1000), (350, 700))
    assert chosen == Room(0.5, 0.5)
    assert canvas_width(1200, False, chosen) == 600
    assert tasks_height(600, False, chosen) == 300
    only_width = what_was_chosen(True, (500, 1000), (tasks_height(700, True), 700))
    assert only_width.tasks is None
    assert only_width.width == pytest.approx(0.5)
