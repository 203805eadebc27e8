"""The curve through the points: where it goes, how long it is, how it bends."""

from __future__ import annotations

import numpy as np
import pytest
import splinebox
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import Circle, Helix, arc_lengths, distance_to_line, parabola, projected
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.trace import Parametrisation, Trace

Floats = NDArray[np.float64]
WAYS: list[Parametrisation] = ["centripetal", "chord"]


def wild_points(n: int = 9, seed: int = 0) -> Floats:
    """Unevenly spaced points of a smooth wandering, far from the origin as in real volumes."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.3, 1.7, n))
    x = np.stack([300 * t, 800 * np.sin(t), 600 * np.cos(0.7 * t)], -1)
    return x + [40_000, 250_000, 180_000]


def crown(n: int = 12) -> Floats:
    """A closed zigzag ring with chords of one length, so that every parametrisation is uniform."""
    x = Circle(500).points(n)
    x[:, 0] = 200 * (-1.0) ** np.arange(n)
    return x


@pytest.mark.parametrize("way", WAYS)
def test_two_points_are_a_straight_line(way: Parametrisation) -> None:
    a, b = np.array([10.0, 200, 3000]), np.array([400.0, -900, 3700])
    curve = Curve(Trace([a, b], parametrisation=way))
    length = np.linalg.norm(b - a)
    assert curve.length == pytest.approx(length, rel=1e-12)
    s = np.linspace(0, length, 13)
    np.testing.assert_allclose(curve.at(s), a + s[:, None] * (b - a) / length, atol=1e-8)
    np.testing.assert_allclose(curve.tangent(s), np.tile((b - a) / length, (13, 1)), atol=1e-12)
    np.testing.assert_allclose(curve.curvature(s), 0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_three_points_are_a_quadratic(way: Parametrisation) -> None:
    points = np.array([[0, 0, 0], [100, 700, 50], [300, 900, 800]], float)
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1) ** (0.5 if way == "centripetal" else 1)
    knots = np.array([0, gaps[0], gaps.sum()])
    coefficients = np.polyfit(knots, points, 2)
    slope = np.stack([2 * coefficients[0], coefficients[1]])

    def speed(t: float) -> float:
        return float(np.linalg.norm(slope[0] * t + slope[1]))

    curve = Curve(Trace(points, parametrisation=way))
    expected = quad(speed, 0, knots[2], epsabs=1e-10, epsrel=1e-13)[0]
    assert curve.length == pytest.approx(expected, rel=1e-9)
    for t in np.linspace(0, knots[2], 7):
        s = min(quad(speed, 0, t, epsabs=1e-10, epsrel=1e-13)[0], curve.length)
        position = coefficients[0] * t**2 + coefficients[1] * t + coefficients[2]
        np.testing.assert_allclose(curve.at([s])[0], position, atol=1e-5)
        direction = slope[0] * t + slope[1]
        np.testing.assert_allclose(
            curve.tangent([s])[0], direction / np.linalg.norm(direction), atol=1e-7
        )


def test_curvature_of_a_parabola() -> None:
    points, length = parabola(300, 200)
    curve = Curve(Trace(points))
    assert curve.length == pytest.approx(length, rel=1e-9)
    s = np.linspace(0, length, 21)
    x, a = curve.at(s)[:, 2], 200 / 300**2
    kappa = 2 * a / (1 + (2 * a * x) ** 2) ** 1.5
    np.testing.assert_allclose(np.linalg.norm(curve.curvature(s), axis=1), kappa, rtol=1e-8)
    np.testing.assert_allclose(curve.at(s)[:, 1], a * x**2, atol=1e-8)
    assert (curve.curvature(s)[:, 1] > 0).all()  # towards the inside of the bend


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("n", [3, 4, 5, 9, 40])
def test_passes_through_every_point(way: Parametrisation, closed: bool, n: int) -> None:
    points = wild_points(n, seed=n)
    curve = Curve(Trace(points, closed=closed, parametrisation=way))
    s = np.linspace(0, curve.length, 200 * n)
    x = curve.at(s)
    near = s[np.linalg.norm(points[:, None] - x[None], axis=2).argmin(1)]
    for _ in range(4):  # Newton: the foot of the perpendicular
        near = near + np.sum((points - curve.at(near)) * curve.tangent(near), -1)
        near = np.clip(near, 0, curve.length)
    np.testing.assert_allclose(curve.at(near), points, atol=1e-6)
    if not closed:
        np.testing.assert_allclose(curve.at([0, curve.length]), points[[0, -1]], atol=1e-7)
        assert (np.diff(near) > 0).all()  # in the points' order


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("closed", [False, True])
def test_s_is_the_arc_length(way: Parametrisation, closed: bool) -> None:
    curve = Curve(Trace(wild_points(), closed=closed, parametrisation=way))
    s = np.linspace(0, curve.length, 41)
    np.testing.assert_allclose(arc_lengths(curve.at, s), curve.length / 40, rtol=1e-8)
    tangent = curve.tangent(s[1:-1])
    np.testing.assert_allclose(np.linalg.norm(tangent, axis=1), 1, atol=1e-12)
    h = 1e-3
    numeric = (curve.at(s[1:-1] + h) - curve.at(s[1:-1] - h)) / (2 * h)
    np.testing.assert_allclose(tangent, numeric, atol=1e-6)
    h = 0.05
    bend = (curve.tangent(s[1:-1] + h) - curve.tangent(s[1:-1] - h)) / (2 * h)
    biggest = np.linalg.norm(bend, axis=1).max()
    np.testing.assert_allclose(curve.curvature(s[1:-1]), bend, atol=1e-3 * biggest)


@pytest.mark.parametrize("way", WAYS)
def test_closed_length_is_that_of_scipys_periodic_spline(way: Parametrisation) -> None:
    points = wild_points(7)
    ring = np.concatenate([points, points[:1]])
    power = 0.5 if way == "centripetal" else 1.0
    knots = np.r_[0, np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1) ** power)]
    velocity = CubicSpline(knots, ring, bc_type="periodic").derivative()
    expected = sum(
        quad(lambda t: float(np.linalg.norm(velocity(t))), a, b, epsabs=0, epsrel=1e-12)[0]
        for a, b in zip(knots[:-1], knots[1:], strict=True)
    )
    curve = Curve(Trace(points, closed=True, parametrisation=way))
    assert curve.length == pytest.approx(expected, rel=1e-9)


def test_helix_is_approached_with_the_fourth_power_of_the_points_distance() -> None:
    helix = Helix(1000, 150)
    error = []
    for n in (16, 32, 64):
        curve = Curve(Trace(helix.position(np.linspace(0, 4 * np.pi, 2 * n + 1))))
        # two of the points in from each end, where every end condition has died away
        middle = curve.at(np.linspace(0.25, 0.75, 400) * curve.length)
        t = middle[:, 0] / helix.rise
        error.append(np.linalg.norm(middle - helix.position(t), axis=1).max())
    assert error[0] / error[1] > 12
    assert error[1] / error[2] > 12
    assert curve.length == pytest.approx(helix.length(4 * np.pi), rel=1e-5)


def test_closed_curve_is_the_periodic_spline_of_splinebox() -> None:
    points = crown()
    curve = Curve(Trace(points, closed=True))
    other = splinebox.Spline(len(points), splinebox.B3(), closed=True)
    other.knots = points
    t = np.linspace(0, len(points), 97)
    s = np.asarray(other.arc_length(t))
    # its quadrature is good to 1e-8; scipy's, in the test above, says which of the two is right
    assert curve.length == pytest.approx(s[-1], rel=1e-7)
    np.testing.assert_allclose(curve.at(s[:-1]), other(t[:-1]), atol=1e-3)
    velocity, pull = other(t[:-1], derivative=1), other(t[:-1], derivative=2)
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    tangent = velocity / speed
    across = pull - np.sum(pull * tangent, -1, keepdims=True) * tangent
    np.testing.assert_allclose(curve.curvature(s[:-1]), across / speed**2, atol=1e-7)


def test_closed_curve_is_smooth_where_it_closes() -> None:
    curve = Curve(Trace(wild_points(8), closed=True))
    ends = np.array([0, curve.length])
    for what, atol in ((curve.at, 1e-6), (curve.tangent, 1e-9), (curve.curvature, 1e-10)):
        start, end = what(ends)
        np.testing.assert_allclose(end, start, atol=atol)
    step = 1e-8 * curve.length
    before, after = curve.curvature([curve.length - step, step])
    assert np.linalg.norm(before - after) < 1e-4 * np.linalg.norm(after)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("start", [1, 4])
def test_closed_curve_has_no_beginning(start: int, way: Parametrisation) -> None:
    points = wild_points(8)
    curve = Curve(Trace(points, closed=True, parametrisation=way))
    rolled = Curve(Trace(np.roll(points, -start, axis=0), closed=True, parametrisation=way))
    assert rolled.length == pytest.approx(curve.length, rel=1e-9)
    s = np.linspace(0, curve.length, 4001)
    offset = s[np.linalg.norm(curve.at(s) - points[start], axis=1).argmin()]
    for _ in range(4):
        offset += ((points[start] - curve.at([offset])) * curve.tangent([offset])).sum()
    s = np.linspace(0, 0.999 * curve.length, 50)
    np.testing.assert_allclose(rolled.at(s), curve.at((s + offset) % curve.length), atol=1e-5)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("tolerance", [1.0, 20.0, 120.0])
def test_tolerance_is_how_far_the_curve_may_leave_the_points(
    closed: bool, tolerance: float
) -> None:
    rng = np.random.default_rng(5)
    if closed:
        smooth = Circle(2000).points(40)
    else:
        smooth = np.stack([np.zeros(40), 40 * np.sqrt(np.arange(40)), 200 * np.arange(40)], -1)
    points = smooth + rng.normal(0, 40, smooth.shape)
    exact = Curve(Trace(points, closed=closed))
    curve = Curve(Trace(points, closed=closed, tolerance_nm=tolerance))
    dense = curve.at(np.linspace(0, curve.length, 40_000))
    away = distance_to_line(points, dense).max()
    assert away <= tolerance + 0.2  # the dense points are 0.2 nm apart
    assert curve.length < exact.length
    if tolerance == 120.0:  # thrice the noise: the freedom is used, the wiggles go
        assert away > 0.2 * tolerance
        assert np.linalg.norm(curve.curvature(np.linspace(0, curve.length, 400)), axis=1).max() < (
            np.linalg.norm(exact.curvature(np.linspace(0, exact.length, 400)), axis=1).max() / 3
        )


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.tuples(*[st.floats(-1e5, 1e5)] * 3),
    tolerance=st.sampled_from([0.0, 30.0]),
    closed=st.booleans(),
)
def test_the_unit_and_the_origin_do_not_matter(
    scale: float, shift: tuple[float, float, float], tolerance: float, closed: bool
) -> None:
    points = wild_points(12, seed=3) - wild_points(12, seed=3).mean(0)
    points = points + np.random.default_rng(0).normal(0, 25, points.shape)
    curve = Curve(Trace(points, closed=closed, tolerance_nm=tolerance))
    moved = (points + shift) * scale
    other = Curve(Trace(moved, closed=closed, tolerance_nm=tolerance * scale))
    assert other.length == pytest.approx(curve.length * scale, rel=1e-7)
    f = np.linspace(0, 1, 20)
    expected = (curve.at(f * curve.length) + shift) * scale
    np.testing.assert_allclose(other.at(f * other.length), expected, atol=1e-3 * scale)


def test_curvature_vector_is_normal_to_the_curve() -> None:
    curve = Curve(Trace(wild_points()))
    s = np.linspace(0, curve.length, 30)
    kappa, tangent = curve.curvature(s), curve.tangent(s)
    size = np.linalg.norm(kappa, axis=1)
    np.testing.assert_allclose(np.sum(kappa * tangent, -1), 0, atol=1e-12)
    bent = size > 1e-7
    assert bent.sum() > 20
    np.testing.assert_allclose(
        kappa[bent] / size[bent, None], projected(kappa[bent], tangent[bent]), atol=1e-9
    )
