"""Where slices fold over each other: too sharp a bend, or two stretches too near each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles import Circle, Helix, cassini_oval, coil_self_distance, hairpin, parabola

from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]


def ring(radius: float, width: int, height: int, **options: object) -> Straightening:
    trace = Trace(Circle(radius).points(360), closed=True)
    settings: dict[str, object] = {"pitch_nm": 10, "spacing_nm": 10} | options
    return Straightening(trace, width, height, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [20, 99, 101, 300])
def test_a_circle_folds_at_exactly_its_radius(width: int) -> None:
    """The reach of a rectangle of `width` pixels is width / 2 pitches: a sample is its cell."""
    report = ring(500, width, 31).fold_report()
    assert report.max_kappa_w == pytest.approx(width * 10 / 2 / 500, rel=1e-4)
    np.testing.assert_allclose(report.kappa_w, width * 10 / 2 / 500, rtol=1e-4)
    assert report.folds == (width >= 100)
    assert report.folded_percent == pytest.approx(100 if width >= 100 else 0)
    assert report.self_distance_nm == pytest.approx(1000, rel=1e-3)
    assert report.largest_width_nm == pytest.approx(1000, rel=0.011)
    assert report.largest_width_nm <= 1000.1
    assert report.largest_width in (99, 100)


def test_only_the_extent_towards_the_centre_counts() -> None:
    # the plane of the circle is spanned by N here: the height is no matter
    report = ring(500, 50, 400).fold_report()
    assert report.max_kappa_w == pytest.approx(0.5, rel=1e-4)
    # turned by a quarter, by an eighth: reach = a |cos| + b |sin| of the half sides
    for degrees, reach in ((90, 2000), (45, (250 + 2000) / np.sqrt(2)), (-90, 2000)):
        report = ring(500, 50, 400, twist=[(0, degrees)]).fold_report()
        assert report.max_kappa_w == pytest.approx(reach / 500, rel=1e-3)
        assert report.folds


def test_the_largest_width_keeps_the_aspect() -> None:
    # rows lie in the plane of the circle: 2 x 500 nm of height, and half of that in width
    report = ring(500, 50, 100, twist=[(0, 90)]).fold_report()
    assert report.largest_width_nm == pytest.approx(500, rel=0.025)
    assert report.largest_width in (49, 50)


def test_a_width_that_is_the_largest_does_not_fold_and_a_larger_one_does() -> None:
    points = Helix(400, 60).position(np.linspace(0, 9, 90))
    trace = Trace(points)
    width = Straightening(trace, 60, 60, 10, 10).fold_report().largest_width
    for factor, folds in ((1.0, False), (1.05, True)):
        n = int(width * factor) + (factor > 1)
        report = Straightening(trace, n, n, 10, 10).fold_report()
        overlap = report.self_distance_nm / 2 < n * 10 / 2
        assert (report.folds or overlap) == folds


def test_a_straight_trace_never_folds() -> None:
    report = Straightening(Trace([[0, 0, 0], [500, 100, 3]]), 900, 900, 10, 10).fold_report()
    assert report.max_kappa_w == pytest.approx(0, abs=1e-9)
    assert report.folded_percent == 0
    assert report.folds is False
    assert report.self_distance_nm == np.inf
    assert report.largest_width_nm == np.inf


def test_a_parabola_is_worst_at_its_vertex() -> None:
    points, length = parabola(2000, 1500)
    n = 201
    spacing = length / (n - 1)
    s = Straightening(Trace(points), 40, 20, pitch_nm=10, spacing_nm=spacing)
    report = s.fold_report()
    a = 1500 / 2000**2
    assert s.shape[0] == n
    assert report.worst_s_nm == pytest.approx(length / 2, abs=spacing)
    assert report.max_kappa_w == pytest.approx(2 * a * 200, rel=2e-3)
    # in the plane of the parabola N stays in the plane, wherever it points at first
    x = s.frames.c[:, 2]
    kappa = 2 * a / (1 + (2 * a * x) ** 2) ** 1.5
    in_plane = np.abs(s.frames.N[0, 0]) < 1e-6
    reach = 200 if in_plane else 100
    np.testing.assert_allclose(report.kappa_w, kappa * reach, rtol=5e-3)


def test_percent_is_the_share_of_the_path_that_folds() -> None:
    points, length = parabola(2000, 1500)
    a = 1500 / 2000**2
    pitch, width = 10.0, 200  # reach 1000 nm; kappa = 2 a / (..)^1.5 is 1 / 1000 at |x| = x1
    x1 = np.sqrt((2 * a * 1000) ** (2 / 3) - 1) / (2 * a)
    slope = 2 * a * x1
    inner = (slope * np.hypot(1, slope) + np.arcsinh(slope)) / (2 * a)
    assert 0.03 < inner / length < 0.8
    s = Straightening(Trace(points), width, width, pitch, 5.0)
    report = s.fold_report()
    assert report.folds
    assert report.folded_percent == pytest.approx(100 * inner / length, abs=0.5)
    assert report.folded_percent == pytest.approx(100 * np.mean(report.kappa_w >= 1), abs=1e-6)


@pytest.mark.parametrize("gap", [300.0, 800.0])
@pytest.mark.parametrize("spacing", [10.0, 25.0])
def test_two_limbs_of_a_hairpin(gap: float, spacing: float) -> None:
    trace = Trace(hairpin(3000, gap, 31, 31))
    s = Straightening(trace, 20, 20, 8, spacing)
    report = s.fold_report()
    assert report.self_distance_nm == pytest.approx(gap, rel=0.01)
    # both the bend of radius gap / 2 and the limbs allow exactly the gap
    assert report.largest_width_nm == pytest.approx(gap, rel=0.05)


@pytest.mark.parametrize("spacing", [10.0, 30.0])
def test_the_waist_of_a_peanut(spacing: float) -> None:
    """Nothing bends sharply at the waist: only the distance between the sides tells."""
    trace = Trace(cassini_oval(1000, 1005, 400), closed=True)
    waist = 2 * np.sqrt(1005**2 - 1000**2)
    report = Straightening(trace, 40, 40, 8, spacing).fold_report()
    assert report.self_distance_nm == pytest.approx(waist, rel=0.01)
    assert report.max_kappa_w < 1
    assert report.folds == (waist / 2 <= 160)
    assert report.largest_width_nm <= waist * 1.01


@pytest.mark.parametrize("hand", [1, -1])
def test_turns_of_a_coil(hand: int) -> None:
    helix = Helix(1000, 30, hand)
    trace = Trace(helix.position(np.linspace(0, 5.2 * np.pi, 200)))
    s = Straightening(trace, 10, 10, 8, 15)
    report = s.fold_report()
    assert report.self_distance_nm == pytest.approx(coil_self_distance(helix), rel=0.01)
    assert report.max_kappa_w < 0.1
    assert report.folds is False
    wide = Straightening(trace, 10, 60, 8, 15).fold_report()  # 480 nm high, turns 188 nm apart
    tall = Straightening(trace, 60, 60, 8, 15).fold_report()
    assert tall.self_distance_nm == pytest.approx(report.self_distance_nm, rel=1e-9)
    assert tall.folds
    assert wide.self_distance_nm == pytest.approx(report.self_distance_nm, rel=1e-9)


def test_an_open_bend_has_no_self_distance() -> None:
    quarter = Circle(1000).position(np.linspace(0, np.pi / 2, 30))
    report = Straightening(Trace(quarter), 20, 20, 8, 10).fold_report()
    assert report.self_distance_nm == np.inf
    assert report.largest_width_nm == pytest.approx(2000, rel=0.02)


def test_the_report_knows_the_planned_spacing_does_not_matter() -> None:
    points = Helix(600, 100).position(np.linspace(0, 9, 90))
    a, b = (Straightening(Trace(points), 40, 30, 10, d).fold_report() for d in (5, 20))
    assert a.max_kappa_w == pytest.approx(b.max_kappa_w, rel=0.02)
    assert a.worst_s_nm is not None


def test_adaptive_slices_report_by_length_not_by_count() -> None:
    """Dense slices at the bend must not make the folded share of the path look larger."""
    points, _ = parabola(2000, 1500)
    even = Straightening(Trace(points), 200, 200, 10, 5).fold_report()
    dense = Straightening(Trace(points), 200, 200, 10, 5, adaptive_radius_nm=1000).fold_report()
    assert dense.folded_percent == pytest.approx(even.folded_percent, abs=1.0)


@pytest.mark.parametrize("shape", [(40, 1), (1, 40), (1, 1)])
def test_thin_rectangles(shape: tuple[int, int]) -> None:
    report = ring(500, *shape).fold_report()
    assert report.max_kappa_w == pytest.approx(shape[0] * 5 / 500, rel=1e-3)
    assert np.isfinite(report.largest_width_nm)
