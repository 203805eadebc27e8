"""The nearest point of a curve: what a click means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.nearest import nearest_on_curve
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]


def brute_force(curve: Curve, point: Floats, along: Floats | None) -> float:
    """The smallest distance, from many samples and a golden section around the best ones."""

    def distance(s: float) -> float:
        away = curve.at(s)[0] - point
        if along is not None:
            away = away - (away @ along) * along
        return float(np.linalg.norm(away))

    s = np.linspace(0, curve.length, 4001)
    away = curve.at(s) - point
    if along is not None:
        away = away - (away @ along)[:, None] * along
    best = np.argsort(np.linalg.norm(away, axis=1))[:5]
    step = s[1]
    found = [
        minimize_scalar(
            distance,
            bounds=(max(s[i] - step, 0), min(s[i] + step, curve.length)),
            method="bounded",
            options={"xatol": 1e-6},
        ).fun
        for i in best
    ]
    return min(*found, *(distance(s[i]) for i in best))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.booleans(), st.booleans())
def test_no_point_of_the_curve_is_nearer(seed: int, n: int, closed: bool, line: bool) -> None:
    rng = np.random.default_rng(seed)
    curve = Curve(Trace(rng.uniform(0, 3000, (n, 3)), closed=closed))
    point = rng.uniform(-500, 3500, 3)
    direction = rng.normal(size=3) if line else None
    s, distance, position = nearest_on_curve(curve, point, direction)
    unit = None if direction is None else direction / np.linalg.norm(direction)
    expected = brute_force(curve, point, unit)
    assert distance == pytest.approx(expected, abs=1e-5)
    assert 0 <= s <= curve.length
    np.testing.assert_allclose(curve.at(s)[0], position, atol=1e-6)
    away = position - point
    if unit is not None:
        away = away - (away @ unit) * unit
    assert np.linalg.norm(away) == pytest.approx(distance, abs=1e-9)
    if closed or 1e-3 < s < curve.length - 1e-3:
        # Exact: the connection is perpendicular to the curve.
        assert abs(away @ curve.tangent(s)[0]) <= 1e-6 * max(distance, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_points_of_the_curve_are_found_at_their_arc_length(seed: int, closed: bool) -> None:
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.normal(size=(8, 3)) * 100 + [300, 0, 0], axis=0)
    curve = Curve(Trace(points, closed=closed))
    s = rng.uniform(0, curve.length)
    found, distance, position = nearest_on_curve(curve, curve.at(s)[0])
    assert distance < 1e-6
    np.testing.assert_allclose(position, curve.at(s)[0], atol=1e-6)
    assert found == pytest.approx(s, abs=1e-4)


def test_a_straight_line_in_closed_form() -> None:
    curve = Curve(Trace([[0.0, 0, 0], [1000, 0, 0]]))
    for point, s, distance in [
        ([250.0, 3, 4], 250, 5),
        ([-30.0, 0, 40], 0, 50),
        ([1300.0, 400, 0], 1000, 500),
    ]:
        found = nearest_on_curve(curve, point)
        assert found[:2] == pytest.approx((s, distance), abs=1e-9)
    # A line of sight along x through (z, y) = (300, 7) passes 7 nm away.
    assert nearest_on_curve(curve, [300, 7, 1e6], [0, 0, -2])[:2] == pytest.approx((300, 7))
    # One that looks along the curve itself is as near everywhere: an early place.
    s, distance, _ = nearest_on_curve(curve, [300, 7, 0], [1, 0, 0])
    assert 0 <= s < 1
    assert distance == pytest.approx(7)


def test_the_middle_of_a_circle() -> None:
    angle = 2 * np.pi * np.arange(64) / 64
    circle = np.stack([0 * angle, 500 * np.sin(angle), 500 * np.cos(angle)], -1)
    curve = Curve(Trace(circle, closed=True))
    _, distance, _ = nearest_on_curve(curve, [0, 0, 0])
    assert distance == pytest.approx(500, rel=1e-5)
    s, distance, _ = nearest_on_curve(curve, [0, -1e-3, 600])
    assert distance == pytest.approx(100, rel=1e-4)
    assert min(s, curve.length - s) < 0.1


def test_the_seam_of_a_closed_curve_is_one_place() -> None:
    points = np.array([[0.0, 0, 0], [0, 900, 100], [500, 800, 700], [100, 0, 900]])
    curve = Curve(Trace(points, closed=True))
    s, distance, position = nearest_on_curve(curve, points[0])
    assert s == pytest.approx(0, abs=1e-6)
    assert distance == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(position, points[0], atol=1e-6)


@pytest.mark.parametrize("far", [0.0, 3e7])
def test_far_from_the_origin(far: float) -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 3000, (9, 3))
    point = rng.uniform(0, 3000, 3)
    near = nearest_on_curve(Curve(Trace(points)), point)
    moved = nearest_on_curve(Curve(Trace(points + far)), point + far)
    assert moved[:2] == pytest.approx(near[:2], abs=1e-4)


def test_bad_input() -> None:
    curve = Curve(Trace([[0.0, 0, 0], [1000, 0, 0]]))
    with pytest.raises(UserError, match="the point must be three finite numbers"):
        nearest_on_curve(curve, [0, np.nan, 0])
    with pytest.raises(UserError, match="must not be 0"):
        nearest_on_curve(curve, [0, 0, 0], [0, 0, 0])
