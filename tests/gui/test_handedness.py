"""What turns left in the tissue turns left on the screen: by the pixels of a screw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from real_events import wait_until

from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock

R, PITCH, TURNS = 20.0, 40.0, 3


def screw(hand: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points zyx of a rod along z, and of a thread about it; +1 is a right-handed one in xyz."""
    t = np.linspace(0, 2 * np.pi * TURNS, 600)
    z = PITCH * t / (2 * np.pi)
    rod = np.stack([z, 0 * z, 0 * z], axis=1)
    return rod, np.stack([z, hand * R * np.sin(t), R * np.cos(t)], axis=1)


def threads_rise(picture: NDArray[Any]) -> float:
    """Slope, right and up, of the threads that are seen in front of the rod."""
    red = (picture[..., 0] > 150) & (picture[..., 1] < 100)
    rows, columns = np.nonzero(red)
    left, right = np.quantile(columns, (0.35, 0.65))  # in the middle, not where they turn back
    middle = (columns > left) & (columns < right)
    rows, columns = rows[middle], columns[middle]
    # One slope for all threads, each about its own mean: they lie a pitch apart.
    order = np.argsort(rows)
    rows, columns = rows[order], columns[order]
    cuts = np.flatnonzero(np.diff(rows) > 4) + 1
    slopes = [
        -np.polyfit(x, y, 1)[0]
        for x, y in zip(np.split(columns, cuts), np.split(rows, cuts), strict=True)
        if len(x) > 50
    ]
    assert len(slopes) >= TURNS - 1, slopes
    assert len(set(np.sign(slopes))) == 1, slopes
    return float(np.mean(slopes))


@pytest.mark.parametrize("hand", [1, -1])
def test_a_screw_in_the_straightened_view(
    make_napari_viewer_proxy: Callable[..., Any], hand: int
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    dock = StraightDock(viewer)
    viewer.window.add_dock_widget(dock, area="right")
    straight = scene_of(viewer).straight
    rod, thread = screw(hand)
    look = {"border_width": 0, "blending": "opaque", "units": ("nm",) * 3}
    straight.add_points(rod, size=1.5 * R, face_color="gray", **look)
    straight.add_points(thread, size=5, face_color="red", **look)
    straight.dims.ndisplay = 3
    wait_until(lambda: dock.view.isVisible(), "the canvas")
    straight.reset_view()
    # z upwards, seen from the side.
    straight.scene.camera.set_view_direction((0, 1, 0), up_direction=(1, 0, 0))
    picture = dock.view.screenshot(flash=False)
    # A right-handed screw, its axis upright, has threads that rise to the right in front.
    assert np.sign(threads_rise(picture)) == hand
