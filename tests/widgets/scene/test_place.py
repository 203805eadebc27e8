"""One place, known in both spaces."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.widgets.scene import Place

# Along +z from (0, 50, 60): columns along +x, rows along +y, pixels of 2 nm, slices of 5 nm.
MAP = Straightening(Trace([(0, 50, 60), (100, 50, 60)]), 11, 7, pitch_nm=2, spacing_nm=5)


def test_over_the_volume() -> None:
    place = Place()
    moved: list[int] = []
    place.cursor_changed.connect(lambda: moved.append(1))
    place.hover_volume((20, 50 + 4, 60 - 6), MAP)
    assert place.came_from == "volume"
    np.testing.assert_allclose(place.index, (4, 3 + 2, 5 - 3), atol=1e-9)
    place.hover_volume((20, 500, 60), MAP)
    assert place.index is None
    np.testing.assert_allclose(place.nm, (20, 500, 60))
    place.hover_volume(None, MAP)
    assert (place.nm, place.index, place.came_from) == (None, None, "")
    assert len(moved) == 3


def test_over_the_straightened_view() -> None:
    place = Place()
    place.hover_straightened((4, 5, 2), MAP)
    assert place.came_from == "straightened"
    np.testing.assert_allclose(place.nm, (20, 54, 54), atol=1e-9)
    place.hover_straightened((4, 5, 2), None)
    assert place.nm is None
    place.hover_straightened(None, MAP)
    assert place.came_from == ""


def test_slices_and_follow_tell_once() -> None:
    place = Place()
    told: list[object] = []
    place.slice_changed.connect(lambda index, by: told.append((index, by)))
    place.follow_changed.connect(told.append)
    place.go_to_slice(0)
    place.go_to_slice(3, "strip")
    place.go_to_slice(3, "canvas")
    place.follow = True
    place.follow = False
    assert told == [(3, "strip"), False]
    assert place.follow is False
    assert place.slice_index == pytest.approx(3)
