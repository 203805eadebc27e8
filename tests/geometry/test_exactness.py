"""What is promised before a run, by formula, and that the promises are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Circle, Helix

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

RADIUS = 1000.0


def arc(width: int, height: int, pitch: float, spacing: float) -> Straightening:
    trace = Trace(Circle(RADIUS).position(np.linspace(0, 2.5, 100)))
    return Straightening(trace, width, height, pitch, spacing)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    width=st.integers(1, 150),
    pitch=st.floats(1, 60),
    d=st.floats(20, 80),
    resolution=st.tuples(*[st.floats(2, 100)] * 3),
)
def test_formulas_on_a_circle(
    width: int, pitch: float, d: float, resolution: tuple[float, float, float]
) -> None:
    straightening = arc(width, 10, pitch, d)
    says = straightening.exactness(resolution)
    kappa_w = width * pitch / 2 / RADIUS
    assert says.lambda_ == pytest.approx(1 + kappa_w, rel=1e-3)
    assert says.h_min == min(resolution)
    assert says.h_diagonal == pytest.approx(np.linalg.norm(resolution))
    assert says.pitch == pitch
    assert says.spacing == d
    reached = np.sqrt(2 * pitch**2 + (d * (1 + kappa_w)) ** 2) / min(resolution)
    if abs(reached - 1) > 1e-3:
        assert says.volume_exact == (reached < 1)
    h = float(np.linalg.norm(resolution))
    if abs(pitch / h - 1) > 1e-3 and abs(d * (1 - kappa_w) / h - 1) > 1e-3:
        assert says.drawn_exact == (pitch > h and d * (1 - kappa_w) > h)
    expected = min(resolution) / np.sqrt(2 + (1 + kappa_w) ** 2)
    assert says.exact_pitch_nm == pytest.approx(expected, rel=1e-3)
    assert says.text.strip()


def test_a_straight_trace_is_exact_up_to_0_577() -> None:
    trace = Trace([[0, 0, 0], [5000, 0, 0]])
    says = Straightening(trace, 50, 50, 8, 8).exactness((8, 8, 8))
    assert says.lambda_ == pytest.approx(1, abs=1e-9)
    assert says.exact_pitch_nm == pytest.approx(8 / np.sqrt(3), rel=1e-9)
    for factor, exact in ((0.999, True), (1.001, False)):
        p = says.exact_pitch_nm * factor
        assert Straightening(trace, 50, 50, p, p).exactness((8, 8, 8)).volume_exact is exact
        assert Straightening(trace, 50, 50, p, p).exactness((40, 8, 8)).volume_exact is exact
    for p, exact in ((8 * np.sqrt(3) * 1.001, True), (8 * np.sqrt(3) * 0.999, False)):
        assert Straightening(trace, 50, 50, p, p).exactness((8, 8, 8)).drawn_exact is exact


def test_both_promises_never_hold_at_once() -> None:
    for p in (2.0, 4.0, 8.0, 16.0, 40.0):
        says = arc(10, 10, p, p).exactness((8, 8, 8))
        assert not (says.volume_exact and says.drawn_exact)


def test_the_text_names_what_holds() -> None:
    texts = {arc(10, 10, p, p).exactness((8, 8, 8)).text for p in (3.0, 9.0, 30.0)}
    assert len(texts) == 3


@pytest.mark.parametrize("voxel", [(8.0, 8.0, 8.0), (20.0, 8.0, 8.0)], ids=str)
def test_volume_to_straightened_to_volume_is_exact_as_promised(
    voxel: tuple[float, float, float],
) -> None:
    """Each voxel's nearest sample lies in that voxel, so nearest sampling returns its value.

    The promise is for one slab of space between two slices; the proof needs no sampling.
    """
    points = Helix(300, 80).position(np.linspace(0, 2.5, 30))
    trace = Trace(points)
    first = Straightening(trace, 60, 60, 4, 4).exactness(voxel)
    p = 0.99 * first.exact_pitch_nm
    n = int(60 * 4 / p)  # the same width in nm
    straightening = Straightening(trace, n, n, p, p)
    assert straightening.exactness(voxel).volume_exact
    rng = np.random.default_rng(0)
    low, high = points.min(0) - 100, points.max(0) + 100
    grid = Grid(tuple(int(a) for a in np.ceil((high - low) / voxel)), voxel, tuple(low // voxel))
    index = rng.integers(0, grid.shape, (40_000, 3))
    found = straightening.to_straightened(grid.to_nm(index))
    nearest = np.floor(found + 0.5)
    inside = np.isfinite(found).all(-1)
    assert inside.sum() > 2000
    sample = straightening.to_volume(nearest[inside])
    np.testing.assert_array_equal(np.floor(grid.to_index(sample) + 0.5), index[inside])


def test_drawn_to_volume_to_straightened_is_exact_as_promised() -> None:
    points = Helix(300, 80).position(np.linspace(0, 2.5, 30))
    straightening = Straightening(Trace(points), 9, 9, 15, 20)
    voxel = (8.0, 8.0, 8.0)
    assert straightening.exactness(voxel).drawn_exact
    grid = Grid((1, 1, 1), voxel)
    shape = [range(1, n - 1) for n in straightening.shape]
    drawn = np.stack(np.meshgrid(*shape, indexing="ij"), -1).reshape(-1, 3)
    voxels = np.floor(grid.to_index(straightening.to_volume(drawn)) + 0.5)
    home = straightening.to_straightened(grid.to_nm(voxels))
    np.testing.assert_array_equal(np.floor(home + 0.5), drawn)


def test_a_closed_trace_is_judged_by_its_own_spacing() -> None:
    trace = Trace(Circle(RADIUS).points(120), closed=True)
    straightening = Straightening(trace, 10, 10, 8, 1000)  # L / d = 6.28: 6 slices
    says = straightening.exactness((8, 8, 8))
    assert says.spacing == pytest.approx(2 * np.pi * RADIUS / 6, rel=1e-4)
