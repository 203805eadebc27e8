"""Where the slices are: equidistant, or denser where the bend would leave the outside coarse."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles import Circle, arc_lengths, hairpin
from scipy.integrate import quad

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

with warnings.catch_warnings():
    # morphosamplers still uses the names of pydantic 1; not ours to mend.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", UserWarning)
    from morphosamplers.spline import Spline3D

Floats = NDArray[np.float64]


def s_curve(n: int = 25) -> Floats:
    t = np.linspace(0, 2 * np.pi, n)
    return np.stack([0 * t + 700, 800 * np.sin(t), 500 * t], -1)


def space_curve(n: int = 15) -> Floats:
    t = np.linspace(0, 2, n) ** 1.3
    return np.stack([900 * t, 800 * np.sin(3 * t), 700 * np.cos(2 * t)], -1)


@pytest.mark.parametrize("spacing", [7.3, 8.0, 100.0])
@pytest.mark.parametrize("closed", [False, True])
def test_slices_are_equidistant(spacing: float, closed: bool) -> None:
    curve = Curve(Trace(space_curve(), closed=closed))
    s = curve.positions(spacing)
    assert s[0] == 0
    if closed:
        n = round(curve.length / spacing)
        step = curve.length / n
        s_around = np.append(s, curve.length)
    else:
        n = int(np.floor(curve.length / spacing + 1e-6)) + 1
        step = spacing
        s_around = s
    assert len(s) == n
    np.testing.assert_allclose(np.diff(s_around), step, rtol=1e-6)
    np.testing.assert_allclose(arc_lengths(curve.at, s_around), step, rtol=1e-6)


@pytest.mark.parametrize("closed", [False, True])
def test_equidistant_like_morphosamplers(closed: bool) -> None:
    # Its spline is the chord-length one of FITPACK and is measured on 10,000 chords.
    points = space_curve(24)
    curve = Curve(Trace(points, closed=closed, parametrisation="chord"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        other = Spline3D(points=points, closed=closed)
    n = 50
    s = np.linspace(0, curve.length, n)
    assert curve.length == pytest.approx(other._length, rel=1e-6)
    # the end conditions of an open spline differ between programs: away from the ends only
    inner = slice(None) if closed else slice(10, 40)
    distance = np.linalg.norm(other.sample(n_samples=n) - curve.at(s), axis=1)
    assert distance[inner].max() < 1e-3 * curve.length / n


@pytest.mark.parametrize(
    ("length", "spacing", "n"),
    [
        (1000, 10, 101),
        (1000, 1000, 2),
        (1000, 1001, 1),
        (1000, 999, 2),
        (1009.9, 10, 101),
        (1000 - 1e-6, 10, 101),  # within 1e-6 of a spacing
        (1000 - 1e-4, 10, 100),
        (0.3, 0.1, 4),  # 0.3 / 0.1 = 2.9999999999999996
    ],
)
def test_number_of_slices(length: float, spacing: float, n: int) -> None:
    trace = Trace([[5, 5, 5], [5 + length, 5, 5]])
    s = Curve(trace).positions(spacing)
    assert len(s) == n
    np.testing.assert_allclose(s, spacing * np.arange(n), atol=1.01e-6 * spacing)
    straightening = Straightening(trace, 7, 5, pitch_nm=1, spacing_nm=spacing)
    assert tuple(straightening.shape) == (n, 5, 7)
    frames = straightening.frames
    np.testing.assert_allclose(frames.c[0], [5, 5, 5], atol=1e-9)
    np.testing.assert_allclose(frames.s, s, atol=1e-9)
    np.testing.assert_allclose(frames.c[:, 0], 5 + spacing * np.arange(n), atol=1.01e-6 * spacing)


@pytest.mark.parametrize("ratio", [20.4, 20.6, 100.0])
def test_a_closed_trace_stores_slice_n_once(ratio: float) -> None:
    trace = Trace(Circle(1000).points(40), closed=True)
    length = Curve(trace).length
    straightening = Straightening(trace, 5, 5, pitch_nm=8, spacing_nm=length / ratio)
    n = round(ratio)
    assert tuple(straightening.shape) == (n, 5, 5)
    c = straightening.frames.c
    around = np.linalg.norm(np.diff(c, axis=0, append=c[:1]), axis=1)
    chord = 2 * 1000 * np.sin(np.pi / n)
    np.testing.assert_allclose(around, chord, rtol=1e-3)
    np.testing.assert_allclose(straightening.frames.s, np.arange(n) * length / n, rtol=1e-6)


@pytest.mark.parametrize("points", [s_curve(), hairpin(2000, 400, 21, 15)], ids=["S", "hairpin"])
@pytest.mark.parametrize("radius", [100.0, 500.0])
def test_adaptive_slices_are_nowhere_coarser_than_the_spacing(
    points: Floats, radius: float
) -> None:
    spacing = 8.0
    curve = Curve(Trace(points))
    s = curve.positions(spacing, adaptive_radius_nm=radius)
    c, tangent = curve.at(s), curve.tangent(s)
    # planar curves: (0, 1, 0) x T in zyx is the in-plane normal, which transports itself
    normal = np.stack([tangent[:, 0], -tangent[:, 2], tangent[:, 1]], -1)
    for u in np.linspace(-radius, radius, 9):
        gap = np.linalg.norm(np.diff(c + u * normal, axis=0), axis=1)
        # where the inside is folded the offset curve runs backwards, no faster
        assert gap.max() <= spacing * (1 + 1e-6)
    equidistant = curve.positions(spacing)
    assert len(s) > len(equidistant)


def test_adaptive_density_is_one_plus_kappa_r() -> None:
    curve, spacing, radius = Curve(Trace(s_curve())), 25.0, 300.0
    s = curve.positions(spacing, adaptive_radius_nm=radius)

    def density(x: float) -> float:
        return 1 + radius * float(np.linalg.norm(curve.curvature([x])))

    for k in (0, 1, 40, len(s) - 2):
        assert quad(density, s[k], s[k + 1], limit=200)[0] == pytest.approx(spacing, rel=1e-5)
    rest = quad(density, s[-1], curve.length, limit=200)[0]
    assert 0 <= rest < spacing


@pytest.mark.parametrize("radius", [0.0, 250.0, 800.0])
def test_adaptive_count_on_a_circle(radius: float) -> None:
    big = 1000.0
    curve = Curve(Trace(Circle(big).points(64), closed=True))
    n = 400
    spacing = curve.length * (1 + radius / big) / n
    s = curve.positions(spacing, adaptive_radius_nm=radius)
    assert len(s) == n
    np.testing.assert_allclose(np.diff(s, append=curve.length), curve.length / n, rtol=1e-3)


def test_adaptive_on_a_straight_line_changes_nothing() -> None:
    curve = Curve(Trace([[0, 0, 0], [300, 400, 0]]))
    np.testing.assert_allclose(
        curve.positions(10, adaptive_radius_nm=500), curve.positions(10), atol=1e-6
    )


def test_adaptive_frames_lie_on_the_adaptive_positions() -> None:
    trace = Trace(s_curve())
    straightening = Straightening(trace, 51, 51, pitch_nm=8, spacing_nm=16, adaptive_radius_nm=300)
    curve = Curve(trace)
    s = curve.positions(16, adaptive_radius_nm=300)
    assert straightening.shape[0] == len(s)
    np.testing.assert_allclose(straightening.frames.s, s, atol=1e-6)
    np.testing.assert_allclose(straightening.frames.c, curve.at(s), atol=1e-6)
