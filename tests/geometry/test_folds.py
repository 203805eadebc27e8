"""Where slices fold over each other: too sharp a bend, or two stretches too near each other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles import (
    Circle,
    Helix,
    LiteralMap,
    cassini_oval,
    coil_self_distance,
    hairpin,
    parabola,
    trefoil,
)

from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]


def ring(radius: float, width: int, height: int, **options: object) -> Straightening:
    trace = Trace(Circle(radius).points(240), closed=True)
    settings: dict[str, object] = {"pitch_nm": 10, "spacing_nm": 25} | options
    return Straightening(trace, width, height, **settings)  # type: ignore[arg-type]


def arc(radius: float, width: int, height: int, **options: object) -> Straightening:
    """Less than half a circle: no two of its points face each other."""
    trace = Trace(Circle(radius).position(np.linspace(0, 2.5, 120)))
    settings: dict[str, object] = {"pitch_nm": 10, "spacing_nm": 10} | options
    return Straightening(trace, width, height, **settings)  # type: ignore[arg-type]


def contested_percent(s: Straightening, n: int = 2500) -> float:
    """Share of the samples' cells that another slice claims too, by the literal map."""
    f = s.frames
    assert s.pitch_nm is not None
    assert s.spacing_nm is not None
    shape = (int(s.shape[0]), int(s.shape[1]), int(s.shape[2]))
    literal = LiteralMap(f.c, f.N, f.B, f.T, shape, s.pitch_nm, s.spacing_nm, s.trace.closed)
    index = np.random.default_rng(0).uniform(-0.5, np.array(shape) - 0.5, (n, 3))
    return 100 * float(literal.to_straightened(literal.to_volume(index)).contested.mean())


@pytest.mark.parametrize("width", [20, 99, 101, 300])
def test_a_circle_folds_at_exactly_its_radius(width: int) -> None:
    """The reach of a rectangle of `width` pixels is width / 2 pitches: a sample is its cell.

    3 pixels of height, so that it is no matter whether its corners or its sides are meant.
    """
    s = ring(500, width, 3)
    report = s.fold_report()
    assert report.max_kappa_w == pytest.approx(width * 10 / 2 / 500, rel=1e-4)
    np.testing.assert_allclose(report.kappa_w, width * 10 / 2 / 500, rtol=1e-4)
    assert report.folds == (width >= 100)
    assert (contested_percent(s) > 0.1) == (width >= 100)
    assert report.folded_percent == pytest.approx(100 if width >= 100 else 0)
    assert report.self_distance_nm == pytest.approx(1000, rel=1e-3)
    assert report.largest_width_nm == pytest.approx(1000, rel=0.012)
    assert report.largest_width in (98, 99, 100)


@pytest.mark.parametrize("size", [(30, 10), (99, 99), (10, 30)], ids=str)
def test_the_largest_width_of_a_bend_is_twice_its_radius(size: tuple[int, int]) -> None:
    report = arc(500, *size).fold_report()
    assert report.self_distance_nm == np.inf
    assert report.folds is False
    assert report.largest_width_nm == pytest.approx(1000, rel=1e-3)
    assert report.largest_width in (99, 100)


def test_only_the_extent_towards_the_centre_counts() -> None:
    # the plane of the circle is spanned by N here: the height is no matter
    report = arc(500, 50, 400).fold_report()
    assert report.max_kappa_w == pytest.approx(0.5, rel=1e-3)
    assert report.folds is False
    # turned by a quarter, by an eighth: reach = a |cos| + b |sin| of the half sides
    for degrees, reach in ((90, 2000), (45, (250 + 2000) / np.sqrt(2)), (-90, 2000)):
        report = arc(500, 50, 400, twist=[(0, degrees)]).fold_report()
        assert report.max_kappa_w == pytest.approx(reach / 500, rel=1e-3)
        assert report.folds


def test_the_largest_width_keeps_the_aspect() -> None:
    # rows lie in the plane of the circle: 2 x 500 nm of height, and half of that in width
    report = arc(500, 50, 100, twist=[(0, 90)]).fold_report()
    assert report.largest_width_nm == pytest.approx(500, rel=1e-3)
    assert report.largest_width in (49, 50)


SHAPES = {
    "ring": (Circle(500).points(60), True),
    "knot": (300 * trefoil(2 * np.pi * np.arange(80) / 80)[0], True),
    "hairpin": (hairpin(1500, 400, 31, 31), False),
    "peanut": (cassini_oval(500, 550, 120), True),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("aspect", [(1, 1), (1, 2)], ids=str)
def test_the_largest_width_is_safe_and_not_timid(name: str, aspect: tuple[int, int]) -> None:
    """By the literal map: nothing is contested at that width, much is at twice the width."""
    points, closed = SHAPES[name]
    trace = Trace(points, closed=closed)

    def of_width(width: int) -> Straightening:
        height = max(1, round(width * aspect[1] / aspect[0]))
        return Straightening(trace, width, height, 10, 30)

    width = of_width(10 * aspect[0]).fold_report().largest_width
    assert not of_width(width).fold_report().folds
    assert contested_percent(of_width(width)) == 0
    assert of_width(2 * width).fold_report().folds
    assert contested_percent(of_width(2 * width)) > 0.3


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
    pitch, width = 10.0, 400  # reach 2000 nm; kappa = 2 a / (..)^1.5 is 1 / 2000 at |x| = x1
    x1 = np.sqrt((2 * a * 2000) ** (2 / 3) - 1) / (2 * a)
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
    # columns lie in the plane of the hairpin
    report = Straightening(trace, 40, 3, 8, spacing).fold_report()
    assert report.self_distance_nm == pytest.approx(gap, rel=0.01)
    # The bend of radius gap / 2 and the limbs allow the same width; where the straight limbs
    # begin, a curve through points swings and bends more sharply.
    allowed = min(gap, 40 * 8 / report.max_kappa_w)
    assert report.largest_width_nm == pytest.approx(allowed, rel=0.01)
    assert allowed > 0.6 * gap


@pytest.mark.parametrize("spacing", [10.0, 30.0])
def test_the_waist_of_a_peanut(spacing: float) -> None:
    """No bend is as sharp as the waist is narrow: only the distance between the sides tells."""
    trace = Trace(cassini_oval(1000, 1100, 400), closed=True)  # bends of 560 nm
    waist = 2 * np.sqrt(1100**2 - 1000**2)  # 917 nm
    narrow = Straightening(trace, 80, 20, 10, spacing).fold_report()
    assert narrow.self_distance_nm == pytest.approx(waist, rel=0.01)
    assert narrow.folds is False
    assert narrow.largest_width_nm <= waist * 1.01
    wide = Straightening(trace, 100, 20, 10, spacing).fold_report()
    assert wide.max_kappa_w < 1
    assert wide.folded_percent == 0
    assert wide.folds


def test_turns_of_a_coil() -> None:
    helix = Helix(1000, 30)
    trace = Trace(helix.position(np.linspace(0, 2.6 * np.pi, 100)))
    report = Straightening(trace, 60, 60, 8, 30).fold_report()  # 480 nm, turns 188 nm apart
    assert report.self_distance_nm == pytest.approx(coil_self_distance(helix), rel=0.01)
    assert report.max_kappa_w < 0.5
    assert report.folded_percent == 0
    assert report.folds
    # seen obliquely a square is up to its diagonal wide
    assert 0.99 * 188 / np.sqrt(2) < report.largest_width_nm < 1.01 * 189


def test_the_spacing_does_not_matter() -> None:
    points = Helix(600, 100).position(np.linspace(0, 2.5, 90))
    a, b = (Straightening(Trace(points), 40, 30, 10, d).fold_report() for d in (5, 20))
    assert a.max_kappa_w == pytest.approx(b.max_kappa_w, rel=0.02)


@pytest.mark.parametrize("length", [150_000, 600_000])
def test_a_small_hairpin_of_a_long_trace_is_found(length: int) -> None:
    x = np.arange(0, length + 1, 500.0)
    straight = np.stack([0 * x, -200 + 0 * x, x], -1)
    bend = hairpin(2000, 400, 21, 15)[1:] + [0, 0, length]
    report = Straightening(Trace(np.concatenate([straight, bend])), 20, 20, 8, 50).fold_report()
    assert report.self_distance_nm == pytest.approx(400, rel=0.02)


@pytest.mark.parametrize("shape", [(40, 1), (1, 40), (1, 1)])
def test_thin_rectangles(shape: tuple[int, int]) -> None:
    report = arc(500, *shape).fold_report()
    assert report.max_kappa_w == pytest.approx(shape[0] * 5 / 500, rel=1e-3)
    assert report.largest_width_nm == pytest.approx(1000, rel=1e-3)


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_a_curve_that_crosses_itself_folds_there(turn: float) -> None:
    """An eight in a plane: its middle is passed twice, at distance 0."""
    t = np.linspace(0.0, 2 * np.pi, 80, endpoint=False) + turn
    points = 4000 * np.stack([0 * t, np.sin(2 * t) / 2, np.cos(t)], axis=1)
    report = Straightening(Trace(points, closed=True), 9, 9, 10.0, 25.0).fold_report()
    assert report.folds
    assert report.max_kappa_w < 1  # not by its bends
    assert report.self_distance_nm < 1e-6
