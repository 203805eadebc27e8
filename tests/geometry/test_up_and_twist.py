"""What the user may say about the frames: which way is up, and how far to turn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles import Circle, Helix, projected, turn_between

from napari_ouroboros.geometry.frames import double_reflection
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]


def straightened(points: Floats, closed: bool = False, **options: object) -> Straightening:
    settings: dict[str, object] = {"pitch_nm": 8, "spacing_nm": 20} | options
    return Straightening(Trace(points, closed=closed), 21, 11, **settings)  # type: ignore[arg-type]


def gentle() -> Floats:
    t = np.linspace(0, 3, 20)
    return np.stack([150 * np.sin(2 * t), 400 * np.sin(t), 900 * t], -1)


def arch(n: int = 61, degrees: float = 180.0) -> Floats:
    """A half circle in the xz plane: it starts along +x, climbs along +z, leaves along -x."""
    a = np.radians(np.linspace(0, degrees, n))
    return np.stack([1000 - 1000 * np.cos(a), 0 * a, 1000 * np.sin(a)], -1)


def steps(straightening: Straightening) -> Floats:
    """How far each frame turns, in degrees, against the one before carried along."""
    f = straightening.frames
    carried = [
        double_reflection(f.c[k : k + 2], f.T[k : k + 2], f.N[k])[1] for k in range(len(f.s) - 1)
    ]
    return turn_between(np.stack(carried), f.N[1:], f.T[1:])


@pytest.mark.parametrize("up", [(1, 0, 0), (-5, 0, 0), (1, 0.5, -0.2)])
@pytest.mark.parametrize("closed", [False, True])
def test_up_appears_upwards(up: tuple[float, float, float], closed: bool) -> None:
    points = Circle(1000).points(30) if closed else gentle()
    f = straightened(points, closed, up=up).frames
    off = np.degrees(np.arccos(np.abs(f.T @ up) / np.linalg.norm(up)))
    assert off.min() > 50  # far from parallel everywhere
    np.testing.assert_allclose(-f.B, projected(up, f.T), atol=1e-9)
    # upwards = towards smaller rows
    straightening = straightened(points, closed, up=up)
    low, high = straightening.to_volume([[7, 8, 10], [7, 2, 10]])
    assert (high - low) @ up > 0


def test_up_without_its_length() -> None:
    a = straightened(gentle(), up=(1, 2, 0)).frames
    b = straightened(gentle(), up=(10, 20, 0)).frames
    np.testing.assert_allclose(a.N, b.N, atol=1e-12)


@pytest.mark.parametrize("tilt", [0.0, 1e-9, 1e-3, 0.02, 0.1])
def test_up_along_the_trace_falls_back_smoothly(tilt: float) -> None:
    """The arch climbs exactly along `up`, beyond which the projection points the other way."""
    up = (1, tilt, 0)
    coarse = straightened(arch(), up=up)
    fine = straightened(arch(), up=up, spacing_nm=5)
    for straightening in (coarse, fine):
        f = straightening.frames
        assert np.isfinite(f.N).all()
        assert np.isfinite(f.B).all()
        np.testing.assert_allclose(np.sum(f.N * f.T, -1), 0, atol=1e-12)
    assert np.abs(steps(fine)).max() < 8  # 0.3 degrees of arc per slice
    # a jump would not shrink with the spacing
    assert np.abs(steps(fine)).max() < 0.4 * np.abs(steps(coarse)).max() + 0.01


def test_up_that_is_the_whole_trace_leaves_the_default() -> None:
    f = straightened(np.array([[0, 0, 0], [1000, 0, 0]], float), up=(1, 0, 0)).frames
    np.testing.assert_allclose(f.N, np.tile([0, 0, 1.0], (len(f.N), 1)), atol=1e-9)


@pytest.mark.parametrize("closed", [False, True])
def test_up_along_a_closed_trace_has_no_jump_where_it_closes(closed: bool) -> None:
    """A standing ring runs along `up` twice."""
    ring = Circle(1000).points(60)[:, [2, 1, 0]]
    straightening = straightened(ring, closed, up=(1, 0, 0), spacing_nm=5)
    f = straightening.frames
    assert np.isfinite(f.N).all()
    assert np.abs(steps(straightening)).max() < 8
    if closed:
        carried = double_reflection(f.c[[-1, 0]], f.T[[-1, 0]], f.N[-1])[1]
        assert abs(float(turn_between(carried, f.N[0], f.T[0]))) < 8


@pytest.mark.parametrize("degrees", [90.0, -30.0, 400.0])
def test_one_keyframe_turns_every_slice_from_n_towards_b(degrees: float) -> None:
    plain, turned = (
        straightened(gentle()).frames,
        straightened(gentle(), twist=[(0, degrees)]).frames,
    )
    a = np.radians(degrees)
    np.testing.assert_allclose(turned.N, np.cos(a) * plain.N + np.sin(a) * plain.B, atol=1e-9)
    np.testing.assert_allclose(turned.B, np.cos(a) * plain.B - np.sin(a) * plain.N, atol=1e-9)
    np.testing.assert_allclose(turned.T, plain.T, atol=1e-12)


def test_positive_twist_turns_columns_towards_rows() -> None:
    straight = np.array([[0, 0, 0], [1000, 0, 0]], float)
    f = straightened(straight, twist=[(0, 0), (1000, 90)]).frames
    np.testing.assert_allclose(f.N[0], [0, 0, 1], atol=1e-9)  # x
    np.testing.assert_allclose(f.N[-1], [0, 1, 0], atol=1e-9)  # y
    np.testing.assert_allclose(f.B[-1], [0, 0, -1], atol=1e-9)


def test_twist_passes_through_its_keyframes_and_is_monotone_between_them() -> None:
    keys = [(100.0, 10.0), (500.0, 15.0), (600.0, 350.0), (1500.0, 350.0), (2000.0, -400.0)]
    plain = straightened(gentle()).frames
    f = straightened(gentle(), twist=keys).frames
    length = plain.s[-1]
    assert length > 2200
    theta = np.degrees(np.unwrap(np.radians(turn_between(plain.N, f.N, f.T))))
    theta += 360 * np.round((10 - theta[0]) / 360)
    for s, degrees in keys:  # all of them multiples of the spacing
        at = np.flatnonzero(np.isclose(f.s, s))
        assert at.size == 1
        assert theta[at[0]] == pytest.approx(degrees, abs=1e-6)
    for (a, start), (b, end) in zip(keys[:-1], keys[1:], strict=True):
        part = theta[(f.s >= a - 1) & (f.s <= b + 1)]
        assert (np.diff(part) * np.sign(end - start) >= -1e-9).all()
        if start == end:
            np.testing.assert_allclose(part, start, atol=1e-6)
    np.testing.assert_allclose(theta[f.s <= 100], 10, atol=1e-6)
    np.testing.assert_allclose(theta[f.s >= 2000], -400, atol=1e-6)


def test_twist_comes_on_top_of_up() -> None:
    f = straightened(gentle(), up=(1, 0, 0), twist=[(0, 90)]).frames
    up = projected((1, 0, 0), f.T)
    # N was T x up-ish before; after a quarter turn it is where B was: down
    np.testing.assert_allclose(f.N, -up, atol=1e-9)


def test_twist_is_in_degrees_per_arc_length_not_per_slice() -> None:
    keys = [(0.0, 0.0), (2000.0, 200.0)]
    coarse = straightened(gentle(), twist=keys, spacing_nm=20).frames
    fine = straightened(gentle(), twist=keys, spacing_nm=5).frames
    np.testing.assert_allclose(fine.N[::4][: len(coarse.N)], coarse.N, atol=1e-4)


def test_frames_do_not_depend_on_the_spacing() -> None:
    points = Helix(1000, 200).position(np.linspace(0, 12, 80))
    coarse, fine = (straightened(points, spacing_nm=d).frames for d in (40, 10))
    np.testing.assert_allclose(fine.N[::4][: len(coarse.N)], coarse.N, atol=1e-4)


def test_frames_do_not_turn_where_slices_are_far_apart() -> None:
    """Four slices a turn: carried from slice to slice alone, N would be off by half a degree."""
    points = Helix(1000, 700).position(np.linspace(0, 12, 80))
    turn = 2 * np.pi * np.hypot(1000, 700)
    far, near = (straightened(points, spacing_nm=turn / n).frames for n in (4, 400))
    assert len(far.N) == 8
    off = turn_between(near.N[::100][: len(far.N)], far.N, far.T)
    np.testing.assert_allclose(off, 0, atol=0.01)
