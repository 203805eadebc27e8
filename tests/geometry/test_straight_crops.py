"""A straight trace along an axis is a crop: its pixels are voxels, in an order that is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

GRID = Grid((30, 40, 50), (8.0, 8.0, 8.0), (100, -7, 2000))
# direction of the trace, N (columns), B (rows): N = +x (+y along x), B = T x N in xyz
CASES = [
    ("+z", (1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ("-z", (-1, 0, 0), (0, 0, 1), (0, -1, 0)),
    ("+x", (0, 0, 1), (0, 1, 0), (1, 0, 0)),
    ("-x", (0, 0, -1), (0, 1, 0), (-1, 0, 0)),
    ("+y", (0, 1, 0), (0, 0, 1), (-1, 0, 0)),
    ("-y", (0, -1, 0), (0, 0, 1), (1, 0, 0)),
]


@pytest.mark.parametrize(("name", "T", "N", "B"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("size", [(7, 5), (8, 6), (7, 6), (1, 1)], ids=str)
def test_pixels_are_voxel_centres(
    name: str,
    T: tuple[int, int, int],
    N: tuple[int, int, int],
    B: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    width, height = size
    t, n, b = (np.array(a) for a in (T, N, B))
    middle = np.array([15, 20, 25])
    # Even sizes: the trace runs through the corners between voxels, in that direction.
    half = n * (0.5 if width % 2 == 0 else 0) + b * (0.5 if height % 2 == 0 else 0)
    start, end = middle + half - 9 * t, middle + half + 9 * t
    trace = Trace(np.stack([GRID.to_nm(start), GRID.to_nm(end)]))
    straightening = Straightening(trace, width, height, pitch_nm=8, spacing_nm=8)
    assert tuple(straightening.shape) == (19, height, width)
    index = np.stack(np.meshgrid(*map(np.arange, (19, height, width)), indexing="ij"), -1)
    first = start - half - n * ((width - 1) // 2) - b * ((height - 1) // 2)
    voxel = first + index[..., :1] * t + index[..., 1:2] * b + index[..., 2:] * n
    found = straightening.to_volume(index)
    assert found.shape == (19, height, width, 3)
    np.testing.assert_allclose(GRID.to_index(found), voxel, atol=1e-9)
    back = straightening.to_straightened(GRID.to_nm(voxel))
    np.testing.assert_allclose(back, index, atol=1e-9)
    assert GRID.contains(found).all()


def test_every_voxel_of_the_box_and_no_other_is_inside() -> None:
    trace = Trace(GRID.to_nm([[5, 20, 25], [15, 20, 25]]))
    straightening = Straightening(trace, 7, 5, pitch_nm=8, spacing_nm=8)
    index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1)
    inside = np.isfinite(straightening.to_straightened(GRID.to_nm(index))).all(-1)
    expected = np.zeros(GRID.shape, bool)
    expected[5:16, 18:23, 22:29] = True
    np.testing.assert_array_equal(inside, expected)


def test_an_oblique_trace_keeps_its_scale() -> None:
    a, b = np.array([100.0, 200, 300]), np.array([500.0, 900, -200])
    straightening = Straightening(Trace([a, b]), 10, 10, pitch_nm=4, spacing_nm=6)
    index = np.array([[3.25, 1.5, 8.0], [40, 0, 2], [7, 9.25, 0]])
    x = straightening.to_volume(index)
    expected = np.linalg.norm((index[0] - index[1:]) * (6, 4, 4), axis=1)
    np.testing.assert_allclose(np.linalg.norm(x[0] - x[1:], axis=1), expected, rtol=1e-12)


def test_the_same_scene_does_not_know_its_voxels() -> None:
    """Two volumes of one place, voxels 8 x 8 x 8 and 40 x 8 x 8: one trace in nm, one map."""
    fine, coarse = Grid((100, 60, 60), (8, 8, 8)), Grid((20, 60, 60), (40, 8, 8))
    voxel = np.array([[10, 10, 10], [50, 30, 20], [80, 25, 50]], float)
    points = fine.to_nm(voxel)
    again = coarse.to_nm(coarse.to_index(points))
    a, b = (Straightening(Trace(p), 20, 20, pitch_nm=8, spacing_nm=8) for p in (points, again))
    assert tuple(a.shape) == tuple(b.shape)
    index = np.random.default_rng(0).uniform(0, 19, (100, 3))
    np.testing.assert_allclose(a.to_volume(index), b.to_volume(index), atol=1e-9)


def test_coordinates_keep_leading_axes() -> None:
    straightening = Straightening(Trace(GRID.to_nm([[5, 20, 25], [15, 20, 25]])), 7, 5, 8, 8)
    for shape in ((3,), (0, 3), (4, 3), (2, 1, 5, 3)):
        x = straightening.to_volume(np.ones(shape))
        assert x.shape == shape
        assert straightening.to_straightened(x).shape == shape
        assert straightening.to_straightened(x).dtype == np.float64


def test_integer_and_nested_list_indices() -> None:
    straightening = Straightening(Trace([[0, 0, 0], [80, 0, 0]]), 7, 5, pitch_nm=8, spacing_nm=8)
    np.testing.assert_allclose(straightening.to_volume([1, 2, 3]), [8, 0, 0], atol=1e-9)
    np.testing.assert_allclose(straightening.to_volume([[1, 2, 4]]), [[8, 0, 8]], atol=1e-9)
    np.testing.assert_allclose(straightening.to_straightened([8, 0, 8]), [1, 2, 4], atol=1e-9)
