from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.widgets.spaces import lines
from napari_ouroboros.widgets.spaces.display import Shown
from napari_ouroboros.widgets.spaces.point_marks import MOST, point_marks

GRID = Grid((40, 60, 70), (20.0, 10.0, 5.0), (3.0, -2.0, 0.0))
ZOOM = 0.1


def nm(index: Any) -> Any:
    return GRID.to_nm(np.asarray(index, float))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_off_the_plane_have_a_cross_as_large_on_the_canvas_along_both_axes(
    axis: int,
) -> None:
    points = np.array([[10.0, 20.0, 30.0], [14.0, 26.0, 31.0], [20.0, 30.0, 35.0]])
    at = points[0, axis]
    vectors, away = point_marks(nm(points), GRID, Shown(axis, at, 1.0), ZOOM)
    drawn = np.abs(vectors[:, 1]).max(axis=1) > 0
    # Two lines for each of the two points off the plane, none for the one in it.
    assert drawn.sum() == 4
    middles = vectors[drawn, 0] + 0.5 * vectors[drawn, 1]
    wanted = np.repeat(points[1:][None], 2, axis=0).reshape(4, 3)
    wanted[:, axis] = at
    np.testing.assert_allclose(middles, wanted, atol=1e-9)
    pixels = np.abs(vectors[drawn, 1]) * GRID.resolution * ZOOM
    seen = [k for k in range(3) if k != axis]
    np.testing.assert_allclose(pixels[:, seen], 8.0)
    assert (vectors[drawn, 1, axis] == 0).all()
    wanted_away = np.abs(points[1:, axis] - at) * GRID.resolution[axis]
    np.testing.assert_allclose(away[drawn], np.tile(wanted_away, 2))


def test_none_in_3d_or_without_points() -> None:
    points = nm([[10.0, 20.0, 30.0]])
    vectors, _ = point_marks(points, GRID, Shown(None, 0.0, 1.0), ZOOM)
    assert not vectors.any()
    vectors, away = point_marks(np.empty((0, 3)), GRID, Shown(0, 5.0, 1.0), ZOOM)
    assert len(vectors) == len(away) == 0


def test_of_many_points_the_nearest_to_the_plane() -> None:
    index = np.stack([np.linspace(0, 39, 5000), np.full(5000, 30.0), np.full(5000, 30.0)], axis=1)
    _, away = point_marks(nm(index), GRID, Shown(0, 20.0, 1.0), ZOOM)
    assert len(away) == 2 * MOST
    distance = np.abs(index[:, 0] - 20.0)
    nearest = np.sort(distance[distance > 0.5])[:MOST]
    np.testing.assert_allclose(np.sort(away[:MOST]), nearest * 20.0)


def test_the_curve_carries_them_fainter_with_distance(spaces: Any) -> None:
    spaces.viewer.scene.camera.zoom = 0.5
    points = spaces.scene.traces.active.state.points_nm
    spaces.viewer.dims.set_point(0, points[1, 0])
    spaces.settle()
    layer = spaces.links.curve.helper.layer
    marks = slice(lines.MOST_SEGMENTS, None)
    drawn = np.flatnonzero(np.abs(layer.data[marks, 1]).max(axis=1) > 0) + lines.MOST_SEGMENTS
    assert len(drawn) == 4
    away = np.abs(points[[0, 2], 0] - spaces.viewer.dims.point[0])
    wanted = np.clip(1 - away / spaces.map.reach_nm, 0.2, 1)
    np.testing.assert_allclose(layer.edge_color[drawn, 3], np.tile(wanted, 2), atol=1e-3)
    steps = spaces.viewer.dims.nsteps
    assert steps == (40, 60, 70)
    spaces.viewer.dims.ndisplay = 3
    spaces.settle()
    assert not np.abs(layer.data[marks, 1]).any()
