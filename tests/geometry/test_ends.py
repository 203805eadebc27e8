"""Where the map ends: half a sample beyond the first and the last, on all three axes."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import Circle, Helix

from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace


def straight() -> Straightening:
    # powers of two: every position is exact in floating point
    return Straightening(Trace([[0, 0, 0], [80, 0, 0]]), 6, 5, pitch_nm=8, spacing_nm=16)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("beyond", [1e-9, 1e-3, 5.0])
def test_half_a_sample_belongs_to_the_first_and_the_last(axis: int, beyond: float) -> None:
    s = straight()
    assert tuple(s.shape) == (6, 5, 6)
    inside = np.array([2.0, 2.0, 2.5])
    for limit, sign in ((-0.5, 1), (s.shape[axis] - 0.5, -1)):
        index = inside.copy()
        index[axis] = limit + sign * beyond / 10
        if beyond < 5:
            np.testing.assert_allclose(s.to_straightened(s.to_volume(index)), index, atol=1e-10)
        index[axis] = limit - sign * beyond
        x = s.frames.c[0] + (index * (16, 8, 8) - (0, 16, 20)) @ np.stack(
            [s.frames.T[0], s.frames.B[0], s.frames.N[0]]
        )
        assert np.isnan(s.to_straightened(x)).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_lower_limit_is_inside_and_the_upper_is_not(axis: int) -> None:
    s = straight()
    index = np.array([2.0, 2.0, 2.5])
    index[axis] = -0.5
    x = index * (16, 8, 8) - (0, 16, 20)  # T = z, B = y, N = x
    np.testing.assert_allclose(s.to_straightened(x), index, atol=1e-12)
    index[axis] = s.shape[axis] - 0.5
    x = index * (16, 8, 8) - (0, 16, 20)
    assert np.isnan(s.to_straightened(x)).all()


def test_ends_extend_along_the_end_tangents() -> None:
    points = Helix(500, 100).position(np.linspace(0, 3, 30))
    s = Straightening(Trace(points), 21, 21, pitch_nm=8, spacing_nm=20)
    f, n = s.frames, s.shape[0]
    for beyond in (0.1, 0.49999):
        first = s.to_volume([[-beyond, 10, 10], [-beyond, 3, 17]])
        expected = f.c[0] - 20 * beyond * f.T[0] + [[0, 0, 0], 56 * f.N[0] - 56 * f.B[0]]
        np.testing.assert_allclose(first, expected, atol=1e-9)
        last = s.to_volume([[n - 1 + beyond, 10, 10], [n - 1 + beyond, 17, 3]])
        expected = f.c[-1] + 20 * beyond * f.T[-1] + [[0, 0, 0], 56 * f.B[-1] - 56 * f.N[-1]]
        np.testing.assert_allclose(last, expected, atol=1e-9)
        for x, index in ((first, -beyond), (last, n - 1 + beyond)):
            np.testing.assert_allclose(s.to_straightened(x)[:, 0], index, atol=1e-9)
    for x in (f.c[0] - 10.001 * f.T[0], f.c[-1] + 10.001 * f.T[-1]):
        assert np.isnan(s.to_straightened(x)).all()


def test_the_last_slice_ends_half_a_spacing_on_though_the_trace_goes_on() -> None:
    s = Straightening(Trace([[0, 0, 0], [99.9, 0, 0]]), 5, 5, pitch_nm=10, spacing_nm=10)
    assert s.shape[0] == 10  # the last 9.9 nm are no slice
    found = s.to_straightened([[94.9, 0, 0], [95.1, 0, 0], [99, 0, 0]])
    np.testing.assert_allclose(found[0, 0], 9.49, atol=1e-9)
    assert np.isnan(found[1:]).all()


def test_one_slice_is_a_slab() -> None:
    s = Straightening(Trace([[0, 0, 0], [30, 0, 0]]), 5, 4, pitch_nm=10, spacing_nm=50)
    assert tuple(s.shape) == (1, 4, 5)
    found = s.to_straightened([[24.9, 0, 0], [-24.9, 5, -10], [25.1, 0, 0], [-25.1, 0, 0]])
    np.testing.assert_allclose(found[:2], [[0.498, 1.5, 2], [-0.498, 2, 1]], atol=1e-9)
    assert np.isnan(found[2:]).all()
    np.testing.assert_allclose(s.to_volume([0.498, 1.5, 2]), [24.9, 0, 0], atol=1e-9)


def test_a_closed_trace_has_no_end() -> None:
    s = Straightening(Trace(Circle(500).points(40), closed=True), 21, 21, 10, 20)
    n = s.shape[0]
    rng = np.random.default_rng(0)
    index = np.stack([rng.uniform(-0.5, n - 0.5, 500), *rng.uniform(-0.5, 20.5, (2, 500))], -1)
    index[:40, 0] = np.r_[np.linspace(-0.4999, -0.4, 20), np.linspace(n - 0.6, n - 0.5001, 20)]
    found = s.to_straightened(s.to_volume(index))
    np.testing.assert_allclose(found, index, atol=1e-6)
    # slice n is slice 0, and half way past the last is half way before the first
    near = s.to_volume([[n - 0.5 - 1e-7, 3, 4], [-0.5 + 1e-7, 3, 4]])
    np.testing.assert_allclose(near[0], near[1], atol=1e-4)
    half = s.to_volume([-0.5, 10, 10])
    np.testing.assert_allclose(half, (s.frames.c[0] + s.frames.c[-1]) / 2, atol=1e-6)


def test_a_closed_twisted_trace_has_no_seam() -> None:
    ring = Circle(500).points(40)
    ring[:, 0] += 100 * np.sin(np.arange(40) / 40 * 6 * np.pi)
    s = Straightening(Trace(ring, closed=True), 15, 15, 10, 20)
    around = np.linspace(0, 2 * np.pi, 4001)[:-1]
    # a thread that follows one corner of the rectangle all around is closed and unbroken
    index = np.stack([around / (2 * np.pi) * s.shape[0] - 0.5, 0 * around, 0 * around], -1)
    thread = s.to_volume(index)
    steps = np.linalg.norm(np.diff(thread, axis=0, append=thread[:1]), axis=1)
    assert steps.max() < 1.5 * np.median(steps)
    assert np.isfinite(s.to_straightened(thread)).all()


def test_outside_on_all_sides_is_nan_on_all_axes() -> None:
    s = straight()
    x = np.array([[1e9, 0, 0], [0, -1e9, 0], [0, 0, 1e9], [40, 21, 0], [40, 0, 25], [-9, 0, 0]])
    found = s.to_straightened(x)
    assert found.shape == (6, 3)
    assert np.isnan(found).all()


def test_the_ends_of_adaptive_slices_reach_half_a_spacing() -> None:
    """The extension is straight, and where nothing bends adaptive slices are a spacing apart."""
    points = Circle(300).position(np.linspace(0, 2, 30))
    s = Straightening(Trace(points), 9, 9, 8, 20, adaptive_radius_nm=300)
    n = s.shape[0]
    assert np.diff(s.frames.s).max() < 11
    for index, end in ((-0.5 + 1e-9, 0), (n - 0.5 - 1e-9, -1)):
        x = s.to_volume([index, 4, 4])
        assert np.linalg.norm(x - s.frames.c[end]) == pytest.approx(10, rel=1e-6)
        assert s.to_straightened(x)[0] == pytest.approx(index, abs=1e-8)
