"""The volume goes to the plane in which somebody paints in the straightened view."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def labels(spaces: Any) -> Any:
    """Labels of the straightened view, with the brush in the hand; its first slice is shown."""
    spaces.show_straightened()
    spaces.scene.labels.new()
    give_up = time.monotonic() + 30
    while not spaces.scene.labels.entries:
        assert time.monotonic() < give_up
        spaces.settle()
    (entry,) = spaces.scene.labels.entries
    entry.layer.mode, entry.layer.brush_size, entry.layer.selected_label = "paint", 3, 5
    spaces.scene.straight.layers.selection.active = entry.layer
    spaces.scene.place.go_to_slice(0)
    spaces.settle()
    return entry


def click(spaces: Any) -> None:
    """Press, move, release."""
    stroke(spaces, spaces.scene.labels.entries[0])


def stroke(spaces: Any, entry: Any, *dabs: Any) -> None:
    """Press, paint, perhaps paint on, move, release."""
    event = SimpleNamespace(
        type="mouse_press", pos=np.array([50.0, 50.0]), button=1, modifiers=(), position=(0, 0, 0)
    )
    running = [c(spaces.scene.straight, event) for c in spaces.scene.straight.mouse_drag_callbacks]
    running = [g for g in running if next(g, "end") != "end"]
    with entry.layer.block_history():
        for dab in dabs:
            entry.layer.paint(dab, 5)
            spaces.settle()
    for event.type in ("mouse_move", "mouse_release"):
        event.pos = event.pos + 50.0
        running = [g for g in running if next(g, "end") != "end"]
    spaces.settle()


def in_plane(spaces: Any, entry: Any, index: Any) -> bool:
    """Whether the shown plane of the volume goes through a sample's voxel."""
    grid = spaces.scene.reference.levels[0]
    axis = spaces.viewer.dims.order[0]
    at = grid.to_index(np.array(spaces.viewer.dims.point, float))[axis]
    return bool(abs(grid.to_index(entry.map.to_volume(index))[axis] - at) <= 0.5)


def test_the_plane_of_a_stroke_is_shown(spaces: Any, labels: Any) -> None:
    last = labels.map.shape[0] - 1
    spaces.viewer.dims.set_point(0, spaces.map.frames.c[0][0])
    zoom = spaces.viewer.scene.camera.zoom
    selected = spaces.viewer.layers.selection.active
    assert not in_plane(spaces, labels, (last, 7, 10))
    stroke(spaces, labels, (last, 7, 10))
    assert in_plane(spaces, labels, (last, 7, 10))
    assert spaces.viewer.scene.camera.zoom == zoom
    assert spaces.viewer.layers.selection.active is selected
    assert spaces.scene.place.slice_index == 0  # nothing but the volume's plane has moved


def test_along_whichever_axis_the_volume_is_cut(spaces: Any, labels: Any) -> None:
    last = labels.map.shape[0] - 1
    for order in ((1, 0, 2), (2, 0, 1)):
        spaces.viewer.dims.order = order
        spaces.viewer.dims.set_point(order[0], spaces.map.frames.c[0][order[0]])
        stroke(spaces, labels, (last, 4 * order[0], 10))
        assert in_plane(spaces, labels, (last, 4 * order[0], 10))


def test_a_plane_that_has_some_of_the_stroke_stays(spaces: Any, labels: Any) -> None:
    k = labels.map.shape[0] // 2
    labels.layer.brush_size = 9
    rows = labels.map.to_volume([(k, row, 10) for row in range(3, 12)])[:, 0]
    away = float(rows[1])
    spaces.viewer.dims.set_point(0, away)
    before = spaces.viewer.dims.point
    stroke(spaces, labels, (k, 7, 10))
    assert labels.array[k].any()
    assert spaces.viewer.dims.point == before


def test_a_stroke_is_all_of_it(spaces: Any, labels: Any) -> None:
    """Not its first dab: the volume stays while one paints, and where the stroke crosses it."""
    last = labels.map.shape[0] - 1
    spaces.viewer.dims.set_point(0, labels.map.to_volume((last, 11, 17))[0])
    before = spaces.viewer.dims.point
    assert not in_plane(spaces, labels, (0, 2, 3))
    stroke(spaces, labels, (0, 2, 3), (last, 11, 17))
    assert spaces.viewer.dims.point == before
    stroke(spaces, labels, (0, 2, 17))
    assert in_plane(spaces, labels, (0, 2, 17))


def test_nobody_else_moves_it(spaces: Any, labels: Any) -> None:
    last = labels.map.shape[0] - 1
    before = spaces.viewer.dims.point
    labels.array[last, 3:9, 3:9] = 7  # a plugin, another window
    spaces.settle()
    labels.layer.mode = "pan_zoom"
    stroke(spaces, labels, (last, 10, 10))  # a press that drags the view, and a plugin meanwhile
    labels.layer.mode = "paint"
    spaces.scene.place.follow = False
    stroke(spaces, labels, (last, 12, 10))
    spaces.scene.place.follow = True
    spaces.settle()
    assert spaces.viewer.dims.point == before
    stroke(spaces, labels, (last, 3, 17))
    there = spaces.viewer.dims.point
    assert there != before
    spaces.viewer.dims.set_point(0, before[0])
    labels.layer.undo()
    spaces.settle()
    assert spaces.viewer.dims.point[0] == before[0]


def test_the_plane_of_a_polygon_is_shown_once_it_is_complete(spaces: Any, labels: Any) -> None:
    """It takes many clicks, and is filled by a double click or a key."""
    last = labels.map.shape[0] - 1
    corners = [(last, 4, 6), (last, 4, 14), (last, 10, 10)]
    spaces.viewer.dims.set_point(0, spaces.map.frames.c[0][0])
    before = spaces.viewer.dims.point
    labels.layer.mode = "polygon"
    for _ in corners:
        click(spaces)
    labels.array[last, 0, 0] = 3  # another window, meanwhile
    spaces.settle()
    assert spaces.viewer.dims.point == before
    labels.layer.paint_polygon(corners, 5)
    spaces.settle()
    assert labels.array[last, 6, 10] == 5
    there = spaces.viewer.dims.point
    assert there != before
    assert in_plane(spaces, labels, (last, 6, 10))
    # Undone, or filled by somebody who has not clicked here, it moves nothing.
    spaces.viewer.dims.set_point(0, before[0])
    labels.layer.undo()
    spaces.settle()
    labels.layer.paint_polygon(corners, 6)
    spaces.settle()
    assert spaces.viewer.dims.point == before
    # One that was given up is not the next stroke.
    click(spaces)
    labels.layer.mode = "pan_zoom"
    click(spaces)
    labels.layer.paint_polygon(corners, 7)
    spaces.settle()
    assert spaces.viewer.dims.point == before


def test_not_in_3d_and_not_after_closing(spaces: Any, labels: Any) -> None:
    last = labels.map.shape[0] - 1
    spaces.viewer.dims.ndisplay = 3
    before = spaces.viewer.dims.point, tuple(spaces.viewer.scene.camera.center)
    stroke(spaces, labels, (last, 7, 10))
    assert (spaces.viewer.dims.point, tuple(spaces.viewer.scene.camera.center)) == before
    spaces.viewer.dims.ndisplay = 2
    spaces.viewer.dims.set_point(0, spaces.map.frames.c[0][0])
    before_2d = spaces.viewer.dims.point
    spaces.links.close()
    stroke(spaces, labels, (last, 3, 10))
    assert spaces.viewer.dims.point == before_2d
