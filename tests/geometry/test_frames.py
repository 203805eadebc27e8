"""The frames that the slices lie in: orthonormal, right-handed in xyz, without needless turning."""

from __future__ import annotations

import numpy as np
import pytest
import splinebox
from numpy.typing import NDArray
from oracles import (
    Circle,
    Helix,
    closing_angle,
    cross_zyx,
    handedness,
    projected,
    trefoil,
    turn_between,
)

from napari_ouroboros.geometry.frames import double_reflection
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]
X, Y, Z = np.eye(3)[[2, 1, 0]]


def straightened(points: Floats, closed: bool = False, **options: object) -> Straightening:
    settings: dict[str, object] = {"pitch_nm": 8, "spacing_nm": 20} | options
    return Straightening(Trace(points, closed=closed), 21, 11, **settings)  # type: ignore[arg-type]


def s_curve(n: int = 33) -> Floats:
    t = np.linspace(0, 2 * np.pi, n)
    return np.stack([0 * t + 700, 800 * np.sin(t), 500 * t], -1)


def trefoil_points(n: int = 120, size: float = 1000) -> Floats:
    return size * trefoil(2 * np.pi * np.arange(n) / n)[0]


def transport_error(segments: int, helix: Helix, turns: float = 1.0) -> float:
    """Degrees by which double reflection is off at the end of a helix."""
    t = np.linspace(0, 2 * np.pi * turns, round(segments * turns) + 1)
    tangent, normal, _ = helix.frenet(t)
    found = double_reflection(helix.position(t), tangent, normal[0])
    exact = helix.transported(t, normal[0])
    return float(np.abs(turn_between(exact, found, tangent)).max())


@pytest.mark.parametrize("hand", [1, -1])
@pytest.mark.parametrize("rise", [0.3, 1.0])
def test_double_reflection_is_of_fourth_order(hand: int, rise: float) -> None:
    helix = Helix(1, rise, hand)
    errors = [transport_error(n, helix, 3) for n in (8, 16, 32, 64, 128)]
    ratios = np.divide(errors[:-1], errors[1:])
    np.testing.assert_allclose(ratios[1:], 16, rtol=0.06)
    assert errors[0] < 0.5


def test_eight_segments_a_turn_are_enough_for_a_fraction_of_a_tenth_of_a_degree() -> None:
    # the number in the literature is 0.025 degrees; the helix with this rise has it
    assert transport_error(8, Helix(1, 0.7)) == pytest.approx(0.024, abs=0.001)
    assert max(transport_error(8, Helix(1, rise)) for rise in (0.1, 0.3, 1, 2, 5)) < 0.04


def test_double_reflection_returns_unit_normals_for_any_start() -> None:
    helix = Helix(500, 100)
    t = np.linspace(0, 20, 1000)
    tangent, normal, binormal = helix.frenet(t)
    start = 0.6 * normal[0] - 0.8 * binormal[0]
    found = double_reflection(helix.position(t), tangent, start)
    assert found.shape == (1000, 3)
    np.testing.assert_allclose(found[0], start, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.sum(found * tangent, -1), 0, atol=1e-12)
    np.testing.assert_allclose(found, helix.transported(t, start), atol=1e-6)


def test_the_trefoil_closes_at_its_writhe() -> None:
    t = np.linspace(0, 2 * np.pi, 1601)
    x, dx = trefoil(t)
    tangent = dx / np.linalg.norm(dx, axis=1, keepdims=True)
    start = projected(X, tangent[0])
    found = double_reflection(x, tangent, start)
    turn = float(turn_between(start, found[-1], tangent[0]))
    assert turn == pytest.approx(closing_angle(), abs=1e-4)
    assert turn == pytest.approx(-127.485, abs=1e-3)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"up": (1, 0, 0)},
        {"twist": [(0, 0), (2000, 400)]},
        {"up": (1, 2, 3), "twist": [(0, 30)]},
        {"adaptive_radius_nm": 200},
    ],
    ids=str,
)
def test_frames_are_right_handed_in_xyz_and_orthonormal(
    closed: bool, options: dict[str, object]
) -> None:
    f = straightened(trefoil_points(60), closed, **options).frames
    n = len(f.s)
    assert n > 500
    for a in (f.c, f.N, f.B, f.T):
        assert a.shape == (n, 3)
        assert a.dtype == np.float64
    for a, b, dot in (
        (f.N, f.N, 1),
        (f.B, f.B, 1),
        (f.T, f.T, 1),
        (f.N, f.B, 0),
        (f.N, f.T, 0),
        (f.B, f.T, 0),
    ):
        np.testing.assert_allclose(np.sum(a * b, -1), dot, atol=1e-12)
    np.testing.assert_allclose(handedness(f.N, f.B, f.T), 1, atol=1e-12)
    np.testing.assert_allclose(f.B, cross_zyx(f.T, f.N), atol=1e-12)


@pytest.mark.parametrize(
    ("direction", "wanted"),
    [
        (Z, X),
        (-Z, X),
        (Y, X),
        ((1, 2, 3), X),
        ((-3, 2, -1), X),
        (X, Y),
        (-X, Y),
        (X + 0.17 * Y, Y),  # 9.6 degrees from x
        (-X + 0.17 * Z, Y),
        (X + 0.19 * Y, X),  # 10.8 degrees
        (-X - 0.19 * Z, X),
    ],
    ids=str,
)
def test_default_normal_is_x_unless_the_trace_runs_along_x(
    direction: Floats, wanted: Floats
) -> None:
    direction = np.asarray(direction, float)
    f = straightened(np.array([[10, 20, 30], [10, 20, 30] + 1000 * direction])).frames
    tangent = direction / np.linalg.norm(direction)
    np.testing.assert_allclose(f.T, np.tile(tangent, (len(f.T), 1)), atol=1e-12)
    np.testing.assert_allclose(f.N, np.tile(projected(wanted, tangent), (len(f.N), 1)), atol=1e-9)
    np.testing.assert_allclose(f.B[0], cross_zyx(tangent, f.N[0]), atol=1e-12)


@pytest.mark.parametrize("hand", [1, -1])
def test_frames_of_a_helix_turn_by_minus_torsion_times_length(hand: int) -> None:
    helix = Helix(1000, 200, hand)
    t_end = 4 * np.pi
    f = straightened(helix.position(np.linspace(0, t_end, 161))).frames
    # away from the ends, where the curve through points depends on its end conditions
    middle = (f.s > 0.1 * f.s[-1]) & (f.s < 0.9 * f.s[-1])
    t = f.c[:, 0] / helix.rise
    tangent, normal, _ = helix.frenet(t)
    np.testing.assert_allclose(f.T[middle], tangent[middle], atol=1e-4)
    angle = np.unwrap(np.radians(turn_between(normal, f.N, tangent)))[middle]
    length = helix.length(t)[middle]
    expected = angle[0] - helix.torsion * (length - length[0])
    np.testing.assert_allclose(angle, expected, atol=np.radians(0.05))
    assert np.sign(angle[-1] - angle[0]) == -hand
    np.testing.assert_allclose(f.N[0], projected(X, f.T[0]), atol=1e-9)


def test_frames_are_the_bishop_frames_of_splinebox() -> None:
    points = trefoil_points(60)
    # both curves are periodic; cut open, the Bishop frame arrives with the closing angle
    other = splinebox.Spline(60, splinebox.B3(), closed=True)
    other.knots = points
    t = np.linspace(0, 60, 20_001)
    x = other(t)
    velocity = other(t, derivative=1)
    tangent = velocity / np.linalg.norm(velocity, axis=1, keepdims=True)
    start = projected(X, tangent[0])
    bishop = np.array(other.moving_frame(t[::4], "bishop", initial_vector=start.copy())[:, 1])
    found = double_reflection(x[::4], tangent[::4], start)
    assert np.abs(turn_between(bishop, found, tangent[::4])).max() < 0.05


def test_an_s_curve_does_not_flip_at_its_inflection() -> None:
    f = straightened(s_curve()).frames
    np.testing.assert_allclose(f.T[:, 0], 0, atol=1e-12)
    # the frame was (+x projected, T x N) at the start and stays so: B is the plane's normal
    np.testing.assert_allclose(f.B, np.tile(f.B[0], (len(f.B), 1)), atol=1e-9)
    assert abs(f.B[0, 0]) == pytest.approx(1, abs=1e-12)
    steps = np.sum(f.N[1:] * f.N[:-1], -1)
    assert steps.min() > np.cos(np.radians(5))


def test_the_closing_angle_is_spread_evenly_over_a_closed_trace() -> None:
    straightening = straightened(trefoil_points(), closed=True)
    f = straightening.frames
    n = len(f.s)
    np.testing.assert_allclose(f.N[0], projected(X, f.T[0]), atol=1e-9)
    c, N, T = (np.concatenate([a, a[:1]]) for a in (f.c, f.N, f.T))
    carried = np.stack([double_reflection(c[k : k + 2], T[k : k + 2], N[k])[1] for k in range(n)])
    turn = turn_between(carried, N[1:], T[1:])
    np.testing.assert_allclose(turn, -closing_angle() / n, atol=2e-4)


def test_a_closed_planar_trace_needs_no_turning() -> None:
    f = straightened(Circle(1000).points(40), closed=True).frames
    np.testing.assert_allclose(np.abs(f.B[:, 0]), 1, atol=1e-9)
    np.testing.assert_allclose(f.B, np.tile(f.B[0], (len(f.B), 1)), atol=1e-9)


def test_anisotropic_traces_have_planes_that_are_perpendicular_in_nm() -> None:
    # points given in voxels of 40 x 8 x 8 nm: in voxel units the planes would be tilted
    voxels = np.array([[0, 0, 0], [20, 50, 10], [40, 60, 90], [70, 40, 160]], float)
    straightening = straightened(voxels * (40, 8, 8))
    index = np.array([[10.0, r, c] for r in (0, 5, 10) for c in (0, 10, 20)])
    flat = straightening.to_volume(index) - straightening.frames.c[10]
    np.testing.assert_allclose(flat @ straightening.frames.T[10], 0, atol=1e-9)
    corners = straightening.to_volume([[10, 0, 0], [10, 0, 20], [10, 10, 0]])
    assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(160, rel=1e-12)
    assert np.linalg.norm(corners[2] - corners[0]) == pytest.approx(80, rel=1e-12)


@pytest.mark.parametrize("hand", [1, -1])
def test_a_handed_triple_keeps_its_hand(hand: int) -> None:
    straightening = straightened(Helix(1000, 200, hand).position(np.linspace(0, 12, 80)))
    n, h, w = straightening.shape
    centre = np.array([n // 2 + 0.3, (h - 1) / 2, (w - 1) / 2])
    origin, along, down, right = straightening.to_volume(
        centre + np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    )
    # (column, row, slice) = (+u, +v, +s) is right-handed in xyz, as (x, y, z) is
    assert float(handedness(right - origin, down - origin, along - origin)) > 0
    # three marks around the trace, of one hand in space, have it in the straightened stack
    marks = np.array([[4.0, 0, 0], [0, 3.0, 0], [0, 0, 5.0]])
    there = straightening.to_straightened(straightening.to_volume(centre + marks))
    assert np.linalg.det(there - centre) == pytest.approx(60, rel=1e-6)
    space = straightening.to_volume(centre + marks) - origin
    assert np.linalg.det(space[:, ::-1]) * np.linalg.det((there - centre)[:, ::-1]) > 0


@pytest.mark.parametrize("hand", [1, -1])
def test_a_thread_around_a_straight_trace_keeps_its_hand(hand: int) -> None:
    """A screw seen in the straightened stack is the same screw: nothing is mirrored."""
    straightening = straightened(np.array([[0, 0, 0], [300, 500, 900]], float))
    thread = Helix(40, 40, hand).position(np.linspace(0.5, 20, 200))
    T, N, B = (
        a[0] for a in (straightening.frames.T, straightening.frames.N, straightening.frames.B)
    )
    # x along N, y along B, z along T: a rotation, because N, B, T is right-handed in xyz
    turned = thread[:, [0]] * T + thread[:, [1]] * B + thread[:, [2]] * N
    assert float(handedness(N, B, T)) == pytest.approx(1)
    found = straightening.to_straightened(turned)
    angle = np.unwrap(np.arctan2(found[:, 1] - 5, found[:, 2] - 10))
    assert np.sign(angle[-1] - angle[0]) == hand
    assert (np.diff(found[:, 0]) > 0).all()
