"""The map both ways against the slow, literal implementation of the contract's sentences."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles import (
    Circle,
    Helix,
    LiteralMap,
    cassini_oval,
    dense_line,
    distance_to_line,
    hairpin,
    trefoil,
)

from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]
FAR = np.array([40_000, 250_000, 180_000])  # where real volumes are


@cache
def scene(name: str) -> Straightening:
    """Named configurations, from gentle to folded everywhere."""
    if name == "straight":
        return Straightening(Trace(FAR + [[0, 0, 0], [100, 200, 300]]), 13, 8, 8, 10)
    if name == "helix":
        points = Helix(300, 60).position(np.linspace(0, 9, 60))
        return Straightening(Trace(FAR + points), 24, 17, 9, 13)
    if name == "twisted":
        points = Helix(300, 60, -1).position(np.linspace(0, 9, 60))
        return Straightening(Trace(points), 24, 17, 9, 13, twist=[(0, 0), (2000, 720)])
    if name == "adaptive":
        points = Helix(150, 60).position(np.linspace(0, 9, 60))
        return Straightening(Trace(points), 20, 21, 9, 13, adaptive_radius_nm=100)
    if name == "hairpin":  # limbs 200 nm apart, slices 410 nm wide
        return Straightening(Trace(FAR + hairpin(900, 200, 10, 9)), 41, 31, 10, 10)
    if name == "sharp":  # bends of less than half the width
        points = np.array([[0, 0, 0], [60, 50, 300], [80, 330, 320], [90, 300, 20], [0, 0, 60]])
        return Straightening(Trace(points), 40, 40, 10, 9)
    if name == "coarse":  # few slices, turning by 20 degrees between neighbours
        return Straightening(Trace(Circle(100).points(12)[:9]), 16, 16, 10, 35)
    if name == "coarse and wide":  # so that much of a slice lies where it folds
        return Straightening(Trace(Helix(100, 40).position(np.arange(9) / 2)), 60, 60, 10, 30)
    if name == "ring":
        return Straightening(Trace(Circle(300).points(24), closed=True), 40, 20, 10, 12)
    if name == "folded ring":
        return Straightening(Trace(Circle(100).points(24), closed=True), 40, 20, 10, 12)
    if name == "peanut":
        return Straightening(Trace(cassini_oval(300, 310, 60), closed=True), 30, 20, 10, 14)
    if name == "knot":
        points = FAR + 200 * trefoil(2 * np.pi * np.arange(60) / 60)[0]
        return Straightening(Trace(points, closed=True), 30, 30, 10, 15)
    if name == "two slices":
        return Straightening(Trace([[0, 0, 0], [0, 60, 0], [40, 80, 0]]), 15, 15, 8, 60)
    if name == "one slice":
        return Straightening(Trace([[0, 0, 0], [30, 40, 0]]), 15, 14, 8, 60)
    raise KeyError(name)


NAMES = [
    "straight", "helix", "twisted", "adaptive", "hairpin", "sharp", "coarse", "ring",
    "folded ring", "peanut", "knot", "two slices", "one slice",
]  # fmt: skip
FOLDED = ["hairpin", "sharp", "folded ring", "peanut", "knot"]


def literal(s: Straightening) -> LiteralMap:
    f = s.frames
    closed = s.trace.closed
    assert s.pitch_nm is not None
    assert s.spacing_nm is not None
    shape = (int(s.shape[0]), int(s.shape[1]), int(s.shape[2]))
    return LiteralMap(f.c, f.N, f.B, f.T, shape, s.pitch_nm, s.spacing_nm, closed)


def points_around(s: Straightening, n: int, seed: int = 0) -> Floats:
    """Points in and around the tube: most inside, some beyond its sides and ends."""
    rng = np.random.default_rng(seed)
    shape = np.array(s.shape)
    low, high = -0.5 - np.minimum(2, shape), shape - 0.5 + np.minimum(2, shape)
    index = rng.uniform(low, high, (n, 3))
    return literal(s).to_volume(index)


def valid_indices(s: Straightening, n: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-0.5, np.array(s.shape) - 0.5, (n, 3))


@pytest.mark.parametrize("name", NAMES)
def test_forward_is_the_blend_of_the_frames(name: str) -> None:
    s = scene(name)
    index = valid_indices(s, 2000)
    np.testing.assert_allclose(s.to_volume(index), literal(s).to_volume(index), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_forward_at_whole_slices_is_the_frame(name: str) -> None:
    s, rng = scene(name), np.random.default_rng(1)
    n, h, w = s.shape
    k = np.arange(n)
    row, column = rng.uniform(-0.5, h - 0.5, n), rng.uniform(-0.5, w - 0.5, n)
    assert s.pitch_nm is not None
    u, v = ((column - (w - 1) / 2) * s.pitch_nm, (row - (h - 1) / 2) * s.pitch_nm)
    expected = s.frames.c + u[:, None] * s.frames.N + v[:, None] * s.frames.B
    found = s.to_volume(np.stack([k, row, column], -1))
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_inverse_is_the_literal_one(name: str) -> None:
    s = scene(name)
    points = points_around(s, 2000)
    expected = literal(s).to_straightened(points)
    found = s.to_straightened(points)
    # where rounding decides between two answers either will do
    clear = expected.margin > 1e-6
    assert clear.mean() > 0.995
    np.testing.assert_array_equal(
        np.isnan(found[clear]).any(-1), np.isnan(expected.index[clear]).any(-1)
    )
    np.testing.assert_array_equal(np.isnan(found).any(-1), np.isnan(found).all(-1))
    np.testing.assert_allclose(found[clear], expected.index[clear], atol=1e-6)
    claimed = np.isfinite(expected.index).all(-1)
    assert 0.2 < claimed.mean() < 1  # both answers were asked for
    if name in FOLDED:
        assert expected.contested.mean() > 0.02
    elif name in ("straight", "helix", "coarse", "ring", "one slice", "two slices"):
        assert not expected.contested.any()


@pytest.mark.parametrize("name", NAMES)
def test_contested_points_are_those_with_two_answers(name: str) -> None:
    s = scene(name)
    points = points_around(s, 2000, seed=11)
    expected = literal(s).to_straightened(points)
    index, contested = s.locate(points)
    np.testing.assert_array_equal(index, s.to_straightened(points))
    assert contested.dtype == bool
    clear = expected.margin > 1e-6
    np.testing.assert_array_equal(contested[clear], expected.contested[clear])


@pytest.mark.parametrize("name", NAMES)
def test_inverse_far_around_the_tube(name: str) -> None:
    """Points of the whole bounding box, most of them in no slice."""
    s = scene(name)
    low, high = s.frames.c.min(0) - 250, s.frames.c.max(0) + 250
    points = np.random.default_rng(4).uniform(low, high, (2000, 3))
    expected = literal(s).to_straightened(points)
    found = s.to_straightened(points)
    clear = expected.margin > 1e-6
    np.testing.assert_allclose(found[clear], expected.index[clear], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_in_space(name: str) -> None:
    """to_volume(to_straightened(x)) = x for every x that is inside, folded or not."""
    s = scene(name)
    points = points_around(s, 3000, seed=7)
    index = s.to_straightened(points)
    inside = np.isfinite(index).all(-1)
    assert inside.sum() > 500
    assert s.pitch_nm is not None
    np.testing.assert_allclose(s.to_volume(index[inside]), points[inside], atol=1e-6 * s.pitch_nm)
    found = index[inside]
    assert (found >= -0.5).all()
    assert (found < np.array(s.shape) - 0.5 + 1e-12).all()


@pytest.mark.parametrize("name", ["straight", "helix", "twisted", "ring", "two slices"])
def test_there_and_back_in_the_stack_where_nothing_folds(name: str) -> None:
    s = scene(name)
    index = valid_indices(s, 3000, seed=8)
    np.testing.assert_allclose(s.to_straightened(s.to_volume(index)), index, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_points_on_the_planes_of_slices_are_not_lost(name: str) -> None:
    """On a slice the pieces before and after it meet; rounding must not open a gap there."""
    s = scene(name)
    n, h, w = (int(a) for a in s.shape)
    grid = np.meshgrid(np.arange(n), np.arange(0, h, 3), np.arange(0, w, 3), indexing="ij")
    points = s.to_volume(np.stack(grid, -1).reshape(-1, 3))
    assert np.isfinite(s.to_straightened(points)).all()


def points_at_turning_slices(s: Straightening, n: int) -> Floats:
    """Points that the slices of one segment pass twice: forwards and, beyond the fold, back.

    (x - c(f)) . T(f) is a parabola in f; its vertex is put at a chosen f, and its height so that
    both roots lie in the segment, up to its very ends.
    """
    f, rng = s.frames, np.random.default_rng(12)
    k = rng.integers(0, len(f.c) - 1, n)
    vertex = rng.uniform(0.02, 0.98, (n, 1))
    dc, dT = f.c[k + 1] - f.c[k], f.T[k + 1] - f.T[k]
    c, T = f.c[k] + vertex * dc, f.T[k] + vertex * dT
    length = np.linalg.norm(T, axis=1, keepdims=True)
    t = T / length
    across = dT - np.sum(dT * t, -1, keepdims=True) * t
    # derivative: y . dT = dc . T
    y = across * np.sum(dc * T, -1, keepdims=True) / np.sum(across * dT, -1, keepdims=True)
    side = np.cross(t, across) / np.linalg.norm(across, axis=1, keepdims=True)
    y = y + rng.uniform(-250, 250, (n, 1)) * side
    half_gap = rng.uniform(0, 1, (n, 1)) * np.minimum(vertex, 1 - vertex)
    return c + y + np.sum(dc * dT, -1, keepdims=True) * half_gap**2 / length * t


@pytest.mark.parametrize("name", ["coarse and wide", "sharp", "hairpin"])
def test_points_that_one_segment_passes_twice(name: str) -> None:
    s = scene(name)
    points = points_at_turning_slices(s, 1500)
    expected = literal(s).to_straightened(points)
    index, contested = s.locate(points)
    clear = expected.margin > 1e-6
    assert (expected.contested & clear).sum() > 100
    np.testing.assert_allclose(index[clear], expected.index[clear], atol=1e-5)
    np.testing.assert_array_equal(contested[clear], expected.contested[clear])


@pytest.mark.parametrize("name", ["helix", "ring", "hairpin", "knot", "folded ring"])
def test_the_winner_is_the_nearest_point_of_a_dense_centre_line(name: str) -> None:
    """Voxel centres in a cylinder inside the rectangle, the ends of open traces left out."""
    s = scene(name)
    assert s.pitch_nm is not None
    assert s.spacing_nm is not None
    f, closed = s.frames, s.trace.closed
    line = dense_line(f.c, closed)
    radius = min(s.shape[1:]) / 2 * s.pitch_nm - 5
    low, high = f.c.min(0) - radius, f.c.max(0) + radius
    axes = [np.arange(a, b, 23.0) for a, b in zip(low, high, strict=True)]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    nearest = distance_to_line(voxels, line)
    use = nearest < radius
    if not closed:
        for end in (0, -1):
            use &= np.linalg.norm(voxels - f.c[end], axis=1) > 1.2 * radius
    voxels, nearest = voxels[use], nearest[use]
    assert len(voxels) > 300
    index = s.to_straightened(voxels)
    assert np.isfinite(index).all()
    centre = (np.array(s.shape[1:]) - 1) / 2
    distance = np.linalg.norm((index[:, 1:] - centre) * s.pitch_nm, axis=1)
    # planes of blended tangents are perpendicular to the polygon but for its small corners
    np.testing.assert_allclose(distance, nearest, atol=0.05 * s.spacing_nm)


def test_beyond_the_centre_of_a_bend_the_other_side_is_nearer() -> None:
    """The fold of a circle is at exactly u = R: there opposite slices meet."""
    # columns reach 200 nm
    ring = Straightening(Trace(Circle(100).points(240), closed=True), 40, 20, 10, 12)
    inward = -1 if (ring.frames.N[0] @ (ring.frames.c[0] - ring.frames.c.mean(0))) > 0 else 1
    assert abs(ring.frames.N[0] @ ring.frames.c[0]) == pytest.approx(100, rel=1e-3)
    n = ring.shape[0]
    for u, same in ((95.0, True), (99.0, True), (101.0, False), (120.0, False)):
        index = np.array([4.0, 9.5, 19.5 + inward * u / 10])
        found = ring.to_straightened(ring.to_volume(index))
        there = found[0] if same else (found[0] + n / 2) % n
        assert there == pytest.approx(4.0, abs=0.1)
        u_found = abs(found[2] - 19.5) * 10
        assert u_found == pytest.approx(u if same else 200 - u, abs=0.2)


def test_two_straight_limbs_share_the_space_between_them() -> None:
    s = scene("hairpin")
    limbs_at = FAR + [0, 0, 400]  # half way along both limbs, in the plane between them
    for y in (-90.0, -30.0, -2.0, 2.0, 30.0, 90.0):
        found = s.to_straightened(limbs_at + [0, y, 0])
        middle = s.shape[0] / 2
        assert (found[0] < middle) == (y < 0)
        c = s.to_volume([found[0], (s.shape[1] - 1) / 2, (s.shape[2] - 1) / 2])
        assert np.linalg.norm(limbs_at + [0, y, 0] - c) == pytest.approx(100 - abs(y), abs=0.5)
