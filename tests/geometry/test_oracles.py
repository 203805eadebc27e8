"""The oracles against each other and against numbers from the literature."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import (
    Circle,
    Helix,
    LiteralMap,
    arc_lengths,
    cassini_oval,
    closing_angle,
    coil_self_distance,
    cross_zyx,
    handedness,
    linear_scene,
    parabola,
    resample,
    trefoil,
    writhe,
)
from scipy.integrate import quad


def literal_helix(n: int = 12, hand: int = 1) -> LiteralMap:
    helix = Helix(100, 20, hand)
    t = np.linspace(0, 3, n)
    tangent, _, binormal = helix.frenet(t)
    normal = helix.transported(t, binormal[0])
    c = helix.position(t)
    step = helix.length(t[1])
    return LiteralMap(c, normal, cross_zyx(tangent, normal), tangent, (n, 8, 9), 7.0, step)


def test_writhe_of_the_trefoil_has_converged_to_the_known_value() -> None:
    assert writhe(512, 240) == pytest.approx(writhe(), abs=1e-9)
    assert closing_angle() == pytest.approx(-127.485, abs=5e-4)


def test_trefoil_derivative_is_the_derivative() -> None:
    t, h = np.linspace(0, 6, 50), 1e-5
    numeric = (trefoil(t + h)[0] - trefoil(t - h)[0]) / (2 * h)
    np.testing.assert_allclose(trefoil(t)[1], numeric, atol=1e-8)


@pytest.mark.parametrize("hand", [1, -1])
def test_transported_normal_of_the_helix_does_not_turn(hand: int) -> None:
    helix, h = Helix(3, 1, hand), 1e-5
    t = np.linspace(0, 9, 40)
    start = helix.frenet(0.0)[1]
    normal = helix.transported(t, start)
    tangent = helix.frenet(t)[0]
    binormal = cross_zyx(tangent, normal)
    rate = (helix.transported(t + h, start) - helix.transported(t - h, start)) / (2 * h)
    np.testing.assert_allclose(np.sum(rate * binormal, -1), 0, atol=1e-8)
    np.testing.assert_allclose(handedness(normal, binormal, tangent), 1, atol=1e-12)


def test_chords_with_extrapolation_measure_arc_length() -> None:
    helix = Helix(50, 10)
    t = np.array([0.0, 0.4, 1.5, 2.0])
    np.testing.assert_allclose(arc_lengths(helix.position, t), helix.speed * np.diff(t), rtol=1e-10)


def test_parabola_length_is_its_integral() -> None:
    points, length = parabola(300, 200)
    a = points[0, 1] / points[0, 2] ** 2
    expected = quad(lambda x: np.hypot(1, 2 * a * x), -300, 300)[0]
    assert length == pytest.approx(expected, rel=1e-12)


def test_waist_and_coil_distances_are_those_of_dense_points() -> None:
    oval = cassini_oval(100, 110, 4000)
    upper, lower = oval[oval[:, 1] > 0], oval[oval[:, 1] < 0]
    gap = np.linalg.norm(upper[:, None] - lower[None], axis=2)
    middle = np.abs(upper[:, 2])[:, None] + np.abs(lower[:, 2])[None] < 100
    assert gap[middle].min() == pytest.approx(2 * np.sqrt(110**2 - 100**2), rel=1e-5)
    helix = Helix(100, 5)
    t = np.linspace(1.5 * np.pi, 2.5 * np.pi, 20001)
    brute = np.linalg.norm(helix.position(t) - helix.position(0.0), axis=1).min()
    assert coil_self_distance(helix) == pytest.approx(brute, rel=1e-8)


def test_bisected_roots_are_those_of_the_polynomial() -> None:
    literal = literal_helix()
    x = literal.c[5] + np.random.default_rng(1).normal(0, 30, (50, 3))
    for k in (4, 5):
        points, f = literal._roots(x, k)
        dc, dT = literal.c[k + 1] - literal.c[k], literal.T[k + 1] - literal.T[k]
        for j, point in enumerate(x):
            gap = point - literal.c[k]
            roots = np.roots([-dc @ dT, gap @ dT - dc @ literal.T[k], gap @ literal.T[k]])
            roots = np.sort(roots[np.isreal(roots)].real)
            expected = roots[(roots >= 0) & (roots < 1)]
            np.testing.assert_allclose(np.sort(f[points == j]), expected, atol=1e-9)


@pytest.mark.parametrize("hand", [1, -1])
def test_literal_map_inverts_itself(hand: int) -> None:
    literal = literal_helix(hand=hand)
    index = np.random.default_rng(2).uniform([-0.5, -0.5, -0.5], [11.5, 7.5, 8.5], (300, 3))
    found = literal.to_straightened(literal.to_volume(index))
    assert not found.contested.any()
    np.testing.assert_allclose(found.index, index, atol=1e-9)


def test_literal_map_prefers_the_nearer_limb_and_counts_the_contest() -> None:
    there, back = np.arange(0, 50, 10.0), np.arange(40, -10, -10.0)
    x, y = np.r_[there, 45, back], np.r_[0 * there, 3, 0 * back + 6]
    T = np.zeros((11, 3))
    T[:, 2], T[5, 1] = np.r_[np.ones(5), 0, -np.ones(5)], 1
    B = np.tile([1.0, 0.0, 0.0], (11, 1))
    N = cross_zyx(B, T)
    c = np.stack([0 * x, y, x], -1)
    literal = LiteralMap(c, N, B, T, (11, 11, 11), 1.0, 10.0)
    found = literal.to_straightened([[0, 2.0, 15.0], [0, 4.0, 15.0], [0, -3.0, 15.0]])
    np.testing.assert_allclose(found.index[:, 0], [1.5, 8.5, 1.5])
    np.testing.assert_array_equal(found.contested, [True, True, False])
    np.testing.assert_allclose(found.distance, [2, 2, 3])


def test_reference_sampling_of_a_linear_scene_is_the_scene() -> None:
    resolution, offset = (40, 8, 8), (3, -2, 5)
    scene = linear_scene((9, 20, 21), resolution, offset, (0.02, -0.01, 0.03), 7.0)
    rng = np.random.default_rng(3)
    low = (np.array(offset) + 0.5) * resolution
    x = low + rng.uniform(0, 1, (200, 3)) * (np.array([8, 19, 20]) * resolution)
    expected = 7.0 + x @ [0.02, -0.01, 0.03]
    np.testing.assert_allclose(resample(scene, resolution, offset, x, 1), expected, rtol=1e-12)
    centres = (np.array([[4, 5, 6], [0, 0, 0]]) + offset + 0.5) * resolution
    np.testing.assert_array_equal(
        resample(scene, resolution, offset, centres + 3, 0), [scene[4, 5, 6], scene[0, 0, 0]]
    )


def test_reference_sampling_clamps_inside_fills_outside_and_rounds_half_up() -> None:
    volume = np.array([[[1, 2, 4]]], np.uint8)
    x = np.array([[0.5, 0.5, x] for x in (-0.1, 0.0, 0.4, 1.0, 2.9, 3.0)])
    np.testing.assert_array_equal(
        resample(volume, (1, 1, 1), (0, 0, 0), x, 1, fill=9), [9, 1, 1, 2, 4, 9]
    )
    big = np.array([[[2**64 - 1, 7]]], np.uint64)
    assert resample(big, (1, 1, 1), (0, 0, 0), [0.5, 0.5, 0.2], 0) == 2**64 - 1


def test_circle_is_where_it_says() -> None:
    circle = Circle(10, (1, 2, 3))
    distance = np.linalg.norm(circle.points(7) - [1, 2, 3], axis=1)
    np.testing.assert_allclose(distance, 10)
