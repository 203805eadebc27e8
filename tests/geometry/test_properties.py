"""Properties of the map that hold for any trace."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import LiteralMap

from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]
FEW = settings(deadline=None, max_examples=25, derandomize=True)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Any walk of 2 to 9 points, steps of 20 to 400 nm, anywhere."""
    n = draw(st.integers(3, 9))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = np.cumsum(direction * rng.uniform(20, 400, (n, 1)), axis=0)
    closed = draw(st.booleans())
    return Trace(points + rng.uniform(-1e5, 1e5, 3), closed=closed)


@st.composite
def straightenings(draw: st.DrawFn) -> Straightening:
    pitch = draw(st.sampled_from([4.0, 8.0, 13.0]))
    return Straightening(
        draw(traces()),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 40)),
        pitch,
        draw(st.sampled_from([6.0, 10.0])),
        adaptive_radius_nm=draw(st.sampled_from([None, 100.0])),
        up=draw(st.sampled_from([None, (1.0, 0.0, 0.0)])),
        twist=draw(st.sampled_from([None, [(0.0, 0.0), (30.0, 50.0)]])),
    )


def random_indices(s: Straightening, n: int) -> Floats:
    return np.random.default_rng(0).uniform(-0.5, np.array(s.shape) - 0.5, (n, 3))


@FEW
@given(s=straightenings())
def test_inside_points_come_back_from_any_trace(s: Straightening) -> None:
    """Also where everything folds: the answer may be another slice, never another place."""
    x = s.to_volume(random_indices(s, 200))
    found = s.to_straightened(x)
    inside = np.isfinite(found).all(-1)
    assert s.pitch_nm is not None
    np.testing.assert_allclose(s.to_volume(found[inside]), x[inside], atol=1e-6 * s.pitch_nm)
    # x was made by some slice, so some slice claims it, but for rounding at the very edge
    assert inside.mean() > 0.99


@settings(FEW, max_examples=12)
@given(s=straightenings())
def test_any_trace_agrees_with_the_literal_map(s: Straightening) -> None:
    f = s.frames
    assert s.pitch_nm is not None
    assert s.spacing_nm is not None
    shape = (int(s.shape[0]), int(s.shape[1]), int(s.shape[2]))
    literal = LiteralMap(f.c, f.N, f.B, f.T, shape, s.pitch_nm, s.spacing_nm, s.trace.closed)
    x = literal.to_volume(random_indices(s, 150))
    expected, found = literal.to_straightened(x), s.to_straightened(x)
    clear = expected.margin > 1e-6
    assert clear.sum() > 100
    np.testing.assert_allclose(found[clear], expected.index[clear], atol=1e-5)


@FEW
@given(trace=traces(), shift=st.tuples(*[st.floats(-1e5, 1e5)] * 3))
def test_a_moved_trace_moves_the_map(trace: Trace, shift: tuple[float, float, float]) -> None:
    moved = Trace(trace.points_nm + shift, closed=trace.closed)
    a, b = (Straightening(t, 9, 7, 8, 9) for t in (trace, moved))
    if tuple(a.shape) != tuple(b.shape):  # the length was within rounding of a whole slice
        assert abs(int(a.shape[0]) - int(b.shape[0])) == 1
        return
    index = random_indices(a, 50)
    np.testing.assert_allclose(a.to_volume(index) + shift, b.to_volume(index), atol=1e-4)


@FEW
@given(trace=traces(), scale=st.floats(1e-3, 1e3))
def test_the_unit_of_length_does_not_matter(trace: Trace, scale: float) -> None:
    scaled = Trace(trace.points_nm * scale, closed=trace.closed)
    a = Straightening(trace, 9, 7, 8, 9.1)
    b = Straightening(scaled, 9, 7, 8 * scale, 9.1 * scale)
    if tuple(a.shape) != tuple(b.shape):
        assert abs(int(a.shape[0]) - int(b.shape[0])) == 1
        return
    index = random_indices(a, 50)
    np.testing.assert_allclose(b.to_volume(index), a.to_volume(index) * scale, atol=1e-4 * scale)


def test_the_answer_does_not_depend_on_how_many_points_are_asked_together() -> None:
    rng = np.random.default_rng(3)
    trace = Trace(np.cumsum(rng.normal(0, 60, (12, 3)), axis=0))
    s = Straightening(trace, 40, 40, 8, 8)
    x = s.to_volume(random_indices(s, 5000))
    together = s.to_straightened(x)
    np.testing.assert_array_equal(together[::-1], s.to_straightened(x[::-1]))
    some = rng.integers(0, 5000, 40)
    np.testing.assert_array_equal([s.to_straightened(x[i]) for i in some], together[some])


def test_the_same_input_gives_the_same_bits() -> None:
    points = np.cumsum(np.random.default_rng(4).normal(0, 60, (12, 3)), axis=0)
    a, b = (Straightening(Trace(points), 20, 20, 8, 8, up=(1, 0, 0)) for _ in range(2))
    for field in ("s", "c", "N", "B", "T"):
        np.testing.assert_array_equal(getattr(a.frames, field), getattr(b.frames, field))
    assert a.recipe_hash == b.recipe_hash


def test_input_arrays_are_neither_changed_nor_shared() -> None:
    points = np.cumsum(np.random.default_rng(5).normal(0, 60, (6, 3)), axis=0)
    copy = points.copy()
    s = Straightening(Trace(points), 20, 20, 8, 8)
    before = s.to_volume([3, 4, 5])
    x = np.array([[3.0, 4, 5]])
    s.to_volume(x)
    s.to_straightened(x)
    np.testing.assert_array_equal(points, copy)
    np.testing.assert_array_equal(x, [[3, 4, 5]])
    points[:] = 0
    np.testing.assert_array_equal(s.to_volume([3, 4, 5]), before)
