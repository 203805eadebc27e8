"""What an edit moved: against brute force on dense samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.moved import Correspondence, slices_moved
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

Floats = NDArray[np.float64]
TOLERANCE = 0.08


def wavy(n: int, seed: int, closed: bool = False) -> Floats:
    rng = np.random.default_rng(seed)
    if closed:
        t = 2 * np.pi * np.arange(n) / n
        ring = np.stack([0.4 * np.sin(2 * t), np.sin(t), np.cos(t) + 0.3 * np.sin(3 * t)], -1)
        return np.asarray(35 * n * ring + rng.normal(size=(n, 3)) * 15)
    return np.asarray(np.cumsum(rng.normal(size=(n, 3)) * 50 + [200, 0, 0], axis=0))


def edited(points: Floats, edit: str, i: int, by: Floats) -> Floats:
    out = points.copy()
    if edit == "drag":
        out[i] += by
    elif edit == "insert":
        return np.insert(out, i, out[i] + by, axis=0)
    elif edit == "delete":
        return np.delete(out, i, axis=0)
    elif edit == "append":
        return np.vstack([out, 2 * out[-1] - out[-2] + by])
    elif edit == "reverse":
        return out[::-1].copy()
    return out


class Polyline:
    """Many chords of a curve, none of which leaves it by 1e-3 nm."""

    def __init__(self, curve: Curve) -> None:
        self.points = curve.at(np.linspace(0, curve.length, 20_000))
        self.tree = cKDTree(self.points)

    def away(self, points: Floats) -> Floats:
        """Distance of each of `points` from the nearest of the chords at the nearest vertex."""
        at = self.tree.query(points)[1]
        found = []
        for first in (at - 1, at):
            a = self.points[np.clip(first, 0, len(self.points) - 2)]
            chord = self.points[np.clip(first, 0, len(self.points) - 2) + 1] - a
            f = np.sum((points - a) * chord, 1) / np.sum(chord**2, 1)
            found.append(np.linalg.norm(points - a - np.clip(f, 0, 1)[:, None] * chord, axis=1))
        return np.minimum(*found)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["drag", "insert", "delete", "append", "reverse", "no"]),
    st.integers(0, 10**6),
    st.integers(0, 19),
    st.booleans(),
    st.sampled_from([1.0, 10.0, 100.0]),
)
def test_what_stayed_is_where_it_was(
    edit: str, seed: int, i: int, closed: bool, size: float
) -> None:
    points = wavy(20, seed, closed)
    by = np.random.default_rng(seed).normal(size=3) * size
    old = Curve(Trace(points, closed))
    new = Curve(Trace(edited(points, edit, i, by), closed))
    found = Correspondence(old, new, TOLERANCE)
    s = np.linspace(0, new.length * (1 - 1e-9), 700)
    back = found.to_old(s)
    stayed = ~np.isnan(back)
    # The very same place of the old curve, to little more than the tolerance.
    gap = np.linalg.norm(old.at(back[stayed]) - new.at(s[stayed]), axis=1)
    assert (gap <= 2.5 * TOLERANCE).all()
    # And there and back again.
    again = found.to_new(back[stayed])
    known = ~np.isnan(again)
    assert known.mean() > 0.98 if stayed.any() else True
    gap = np.abs(again[known] - s[stayed][known])
    assert np.minimum(gap, new.length - gap).max(initial=0) < 1e-6
    # Nothing is said to have moved but spans on which something did.
    inside = np.zeros(len(s), bool)
    before = Polyline(old)
    for a, b in found.moved:
        inside |= (s >= a) & (s <= b)
        dense = new.at(np.linspace(a, b, 400))
        assert before.away(dense).max() > 0.9 * TOLERANCE or edit in ("delete", "insert")
    assert (inside == ~stayed).mean() > 0.99
    assert found.backwards == (edit == "reverse")
    if edit in ("reverse", "no"):
        assert stayed.all()


def test_the_influence_of_a_point_fades() -> None:
    """By 0.27 a span: 100 nm are below 0.08 nm after some six spans on each side."""
    t = np.arange(60) * 200.0
    line = np.stack([t, 50 * np.sin(t / 900), 50 * np.cos(t / 700)], -1)
    moved = line.copy()
    moved[30] += [0, 100, 0]
    found = Correspondence(Curve(Trace(line)), Curve(Trace(moved)), TOLERANCE)
    assert 9 <= (~found.stays).sum() <= 13
    ratio = found.deviation[33:38] / found.deviation[32:37]
    np.testing.assert_allclose(ratio, 0.268, atol=0.02)


def test_a_straight_line_that_goes_on() -> None:
    old = Curve(Trace([[0.0, 0, 0], [1000, 0, 0]]))
    new = Curve(Trace([[0.0, 0, 0], [400, 0, 0], [1000, 0, 0], [1500, 0, 0]]))
    found = Correspondence(old, new, TOLERANCE)
    np.testing.assert_allclose(found.to_old([0.0, 300, 900]), [0, 300, 900], atol=1e-6)
    np.testing.assert_allclose(found.moved, [[1000, 1500]], atol=1e-6)
    assert np.isnan(found.to_old([1200.0]))[0]


def test_places_in_between_are_found_too() -> None:
    points = wavy(20, 1)
    moved = points.copy()
    moved[10] += [0, 80, 0]
    old, new = Curve(Trace(points)), Curve(Trace(moved))
    found = Correspondence(old, new, TOLERANCE)
    s = np.linspace(0, old.length, 300)
    mapped = found.to_new(s, nearest=True)
    assert np.isfinite(mapped).all()
    assert (np.diff(mapped) > 0).all()
    at = old.arc_length(old.parameters)[10]
    assert found.to_new([at], nearest=True)[0] == pytest.approx(
        new.arc_length(new.parameters)[10], abs=10
    )


def test_a_trace_that_crosses_itself_in_a_point() -> None:
    points = np.array([[0.0, 0, 0], [300, 0, 50], [600, 0, 0], [600, 300, 0], [300, 0, 50],
                       [0, -300, 0], [-300, -300, 0], [-600, 0, 9], [-900, 50, 0]])  # fmt: skip
    moved = points.copy()
    moved[0] += [0, 10, 0]
    found = Correspondence(Curve(Trace(points)), Curve(Trace(moved)), TOLERANCE)
    np.testing.assert_array_equal(found.chain[:, 0], np.arange(1, 9))
    assert found.stays[-2:].all()


def test_nothing_in_common() -> None:
    old, new = Curve(Trace(wavy(9, 1))), Curve(Trace(wavy(12, 2)))
    found = Correspondence(old, new, TOLERANCE)
    assert np.isnan(found.to_old([0.0, 100.0])).all()
    np.testing.assert_allclose(found.moved, [[0, new.length]])
    assert found.to_new([old.length], nearest=True)[0] == pytest.approx(new.length)


@pytest.mark.parametrize("closed", [False, True])
def test_slices_that_show_the_same(closed: bool) -> None:
    points = wavy(30, 2, closed)
    moved = points.copy()
    moved[12] += [10, 60, -40]
    old = Straightening(Trace(points, closed), 21, 21, 8.0, 8.0)
    from napari_ouroboros.geometry.anchoring import reanchored

    twist, _ = reanchored(old.trace, None, Trace(moved, closed), [], old.reach_nm, TOLERANCE)
    new = Straightening(Trace(moved, closed), 21, 21, 8.0, 8.0, twist=twist)
    place = slices_moved(old, new, TOLERANCE)
    known = ~np.isnan(place)
    assert 0.3 < known.mean() < 0.9
    nearest = np.round(place[known]).astype(int) % len(old.frames)
    corner = 80 * (old.frames.N - old.frames.B)[nearest] + old.frames.c[nearest]
    now = (80 * (new.frames.N - new.frames.B) + new.frames.c)[known]
    # Half a slice along the curve, and the corner where it was but for that.
    off = np.linalg.norm(corner - now, axis=1)
    off[-1:] -= 4.1  # behind the last old slice
    assert off.max() < 4.05 * (1 + 80 * np.linalg.norm(old.frames.curvature, axis=1).max())
    # Without anchoring everything behind has turned, and must be computed.
    loose = Straightening(Trace(moved, closed), 21, 21, 8.0, 8.0)
    assert np.isnan(slices_moved(old, loose, TOLERANCE)).sum() > 1.2 * (~known).sum()
    assert np.isnan(slices_moved(old, Straightening(old.trace, 21, 20, 8.0, 8.0), 0.1)).all()
    assert (slices_moved(old, old, 0.1) == np.arange(len(old.frames))).all()
