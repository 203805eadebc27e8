"""An edit of the trace does not turn the slices that it does not move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import Helix
from scipy.interpolate import PchipInterpolator

from napari_ouroboros.geometry.anchoring import reanchored
from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.frames import Frames, make_frames
from napari_ouroboros.geometry.moved import Correspondence
from napari_ouroboros.geometry.trace import Trace
from napari_ouroboros.geometry.vectors import cross, dot, norm
from napari_ouroboros.geometry.walk import Walk, least_turn

Floats = NDArray[np.float64]
Twist = Sequence[tuple[float, float]]
REACH, TOLERANCE = 600.0, 0.08
ALLOWED = np.degrees(TOLERANCE / REACH)


def frames_at(trace: Trace, twist: Twist | None, s: Floats) -> Frames:
    """Frames at some arc lengths, in any order, carried in small steps whatever these are."""
    curve = Curve(trace)
    dense = np.linspace(0, curve.length, 3000, endpoint=not trace.closed)
    # Steps of rounding have no direction in which a frame could be carried.
    s = np.clip(s, 0, curve.length - 1e-3 * trace.closed)
    dense = dense[np.abs(dense[:, None] - s).min(axis=1) > 1e-3]
    at = np.unique(np.concatenate([dense, s, [0.0] if s.min() > 1e-3 else []]))
    frames = make_frames(curve, at, None, twist)
    i = np.searchsorted(at, s)
    arrays = (x[i] for x in (frames.s, frames.c, frames.N, frames.B, frames.T, frames.curvature))
    return Frames(*arrays, frames.length, frames.closed)


def turned(
    old: Trace, old_twist: Twist | None, new: Trace, new_twist: Twist | None, n: int = 600
) -> tuple[Floats, Floats, Floats]:
    """Arc lengths that did not move; how far slices turned there about the curve, and tilted."""
    found = Correspondence(Curve(old), Curve(new), TOLERANCE)
    length = Curve(new).length
    s = np.linspace(0, length, n, endpoint=False)
    s_old = found.to_old(s)
    s, s_old = s[~np.isnan(s_old)], s_old[~np.isnan(s_old)]
    if not len(s):
        return s, s, s
    before, after = frames_at(old, old_twist, s_old), frames_at(new, new_twist, s)
    sign = -1 if found.backwards else 1
    normals = np.array(
        [
            least_turn(sign * n, sign * t, u)
            for n, t, u in zip(before.N, before.T, after.T, strict=True)
        ]
    )
    roll = np.arctan2(dot(cross(normals, after.N), after.T), dot(normals, after.N))
    tilt = norm(sign * before.T - after.T)
    # The tangent's largest turn in the same span: the roll comes from all of it.
    near = np.abs(s[:, None] - s) < 250
    return s, np.degrees(np.abs(roll)), np.degrees(np.where(near, tilt, 0).max(axis=1))


def check(old: Trace, old_twist: Twist | None, new: Trace, keep: Sequence[float] = ()) -> float:
    """Anchor again and see that nothing turned; the share of the curve that stayed."""
    twist, kept = reanchored(old, old_twist, new, keep, REACH, TOLERANCE)
    assert len(kept) == len(keep)
    s = [key for key, _ in twist]
    assert s == sorted(set(s))
    at, roll, tilt = turned(old, old_twist, new, twist)
    # Where the tangent turned, so did the slice; about the curve it may by as much as that.
    worst = roll - 1.25 * (ALLOWED + tilt)
    assert (worst <= 0).all(), (at[np.argmax(worst)], roll.max(), tilt[np.argmax(worst)])
    return len(at) / 600


def wavy(n: int, seed: int, closed: bool = False) -> Floats:
    rng = np.random.default_rng(seed)
    if closed:
        t = 2 * np.pi * np.arange(n) / n
        ring = np.stack([0.4 * np.sin(2 * t), np.sin(t), np.cos(t) + 0.3 * np.sin(3 * t)], -1)
        return np.asarray(35 * n * ring + rng.normal(size=(n, 3)) * 15)
    return np.asarray(np.cumsum(rng.normal(size=(n, 3)) * 50 + [200, 0, 0], axis=0))


def user_twist(trace: Trace, kind: int) -> list[tuple[float, float]]:
    length = Curve(trace).length
    shapes: list[list[tuple[float, float]]] = [
        [],
        [(0.3, 40.0)],
        [(0.2, 10.0), (0.5, 100.0), (0.9, -30.0)],
        [(0.1, 0.0), (0.11, 90.0), (0.6, 95.0)],
    ]
    return [(share * length, degrees) for share, degrees in shapes[kind]]


EDITS = ["drag", "two", "insert", "delete", "first", "last", "append", "begin", "reverse", "no"]


def edited(points: Floats, edit: str, i: int, by: Floats) -> Floats:
    out = points.copy()
    if edit in ("drag", "two", "first", "last"):
        where = {"first": 0, "last": len(points) - 1}.get(edit, i)
        out[where] += by
        if edit == "two":
            out[(i + len(points) // 2) % len(points)] -= by
    elif edit == "insert":
        out = np.insert(out, i + 1, 0.5 * (out[i] + out[(i + 1) % len(out)]) + 0.3 * by, axis=0)
    elif edit == "delete":
        out = np.delete(out, i, axis=0)
    elif edit == "append":
        out = np.vstack([out, 1.5 * out[-1] - 0.5 * out[-2] + by])
    elif edit == "begin":
        out = np.vstack([1.5 * out[0] - 0.5 * out[1] + by, out])
    elif edit == "reverse":
        out = out[::-1].copy()
    return out


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(EDITS),
    st.integers(0, 10**6),
    st.integers(0, 23),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([2.0, 20.0, 120.0]),
)
def test_slices_that_did_not_move_do_not_turn(
    edit: str, seed: int, i: int, closed: bool, kind: int, size: float
) -> None:
    points = wavy(24, seed, closed)
    by = np.random.default_rng(seed + 1).normal(size=3) * size
    old = Trace(points, closed)
    twist = user_twist(old, kind)
    new = Trace(edited(points, edit, i, by), closed)
    share = check(old, twist, new, [s for s, _ in twist])
    assert share > 0.03 or edit == "two"


@pytest.mark.parametrize("closed", [False, True])
def test_many_edits_one_after_the_other(closed: bool) -> None:
    """Keyframes do not pile up, and what each edit leaves alone stays."""
    rng = np.random.default_rng(7)
    trace = Trace(wavy(30, 3, closed), closed)
    length = Curve(trace).length
    twist: list[tuple[float, float]] = [(0.25 * length, 20.0), (0.7 * length, -50.0)]
    kept = [0, 1]
    most = 0
    for k in range(200):
        points = trace.points_nm
        edit = str(rng.choice(["drag", "drag", "insert", "delete", "first", "last", "two"]))
        if len(points) < 25:
            edit = "insert"
        if len(points) > 35:
            edit = "delete"
        # As people do it: where points are far apart, or close together. Otherwise the trace gets
        # kinks that slices a nanometre apart do not resolve.
        spans = norm(np.diff(points, axis=0))
        at = {"insert": int(spans.argmax()), "delete": int(spans.argmin())}
        i = at.get(edit, int(rng.integers(len(points))))
        new = Trace(edited(points, edit, i, rng.normal(size=3) * 15), closed)
        keep = [twist[i][0] for i in kept]
        after, kept = reanchored(trace, twist, new, keep, REACH, TOLERANCE)
        if k % 10 == 0:
            _, roll, tilt = turned(trace, twist, new, after)
            assert (roll <= 1.25 * (ALLOWED + tilt)).all()
        trace, twist = new, after
        most = max(most, len(twist))
    assert len(kept) == 2
    assert most < 3 * 35


def test_planar_curves_need_nothing() -> None:
    t = np.linspace(0, 3, 20)
    points = np.stack([0 * t, 800 * np.sin(t), 600 * t], -1)
    moved = points.copy()
    moved[10] += [0, 70, -90]
    twist, _ = reanchored(Trace(points), None, Trace(moved), [], REACH, TOLERANCE)
    assert np.abs([degrees for _, degrees in twist]).max(initial=0) < 1e-9


def test_a_helix_turns_as_its_torsion_says() -> None:
    """The frame carried along a helix turns against Frenet's by -tau L."""
    helix = Helix(500, 100)
    t = np.linspace(0, 12, 120)
    curve = Curve(Trace(helix.position(t)))
    for backwards in (False, True):
        walk = Walk(curve, backwards)
        ends = walk.parameters[[20, 90]]
        turn = walk.turn(*ends.tolist())
        where = t[[20, 90]] if not backwards else t[::-1][[20, 90]]
        carried = helix.transported(where, helix.frenet(0.0)[1])
        np.testing.assert_allclose(turn @ carried[0], carried[1], atol=2e-5)
        arc = abs(where[1] - where[0]) * np.hypot(500, 100)
        assert walk.arc_length(ends)[1] - walk.arc_length(ends)[0] == pytest.approx(arc, rel=1e-5)


def test_the_turn_is_spread_over_what_moved() -> None:
    """The change is the solid angle that the tangents sweep, and none of it is in one place."""
    old = Trace(wavy(40, 5))
    moved = old.points_nm.copy()
    moved[20] += [0, 300, 200]
    new = Trace(moved)
    twist, _ = reanchored(old, None, new, [], REACH, TOLERANCE)
    values = [degrees for _, degrees in twist]
    assert abs(values[-1] - values[0]) > 5
    curve = Curve(new)
    s = curve.positions(8.0)
    keys = np.array(twist)
    rate = np.abs(np.diff(PchipInterpolator(*keys.T)(np.clip(s, keys[0, 0], keys[-1, 0])))) / 8.0
    (span,) = Correspondence(Curve(old), curve, TOLERANCE).moved
    assert rate.max() < 3 * abs(values[-1] - values[0]) / (span[1] - span[0])
    # Without keyframes everything behind the edit turns.
    _, roll, _ = turned(old, None, new, None)
    assert roll.max() > 5


def test_a_translation_keeps_every_slice() -> None:
    points = wavy(15, 2)
    old, new = Trace(points), Trace(points + [300.0, -20, 50])
    twist, _ = reanchored(
        old, [(500.0, 30.0), (900.0, 60.0)], new, [500.0, 900.0], REACH, TOLERANCE
    )
    assert next(k for k in twist if abs(k[0] - 500) < 1e-3)[1] == pytest.approx(30, abs=1e-3)
    assert next(k for k in twist if abs(k[0] - 900) < 1e-3)[1] == pytest.approx(60, abs=1e-3)


@pytest.mark.parametrize("angle", [8.0, 12.0])
def test_two_points_do_not_jump_where_the_default_normal_does(angle: float) -> None:
    """The first frame takes +x, within 10 degrees of x +y: between them the slice would jump."""

    def towards(degrees: float) -> Trace:
        a = np.deg2rad(degrees)
        return Trace([[0.0, 0, 0], [900 * np.sin(a), 0, 900 * np.cos(a)]])

    old, new = towards(10.0), towards(angle)
    before = frames_at(old, None, np.array([0.0]))
    twist, _ = reanchored(old, None, new, [], REACH, TOLERANCE)
    after = frames_at(new, twist, np.array([0.0]))
    assert before.N[0] @ after.N[0] > np.cos(np.deg2rad(2.1))


def test_reversing_keeps_the_up_side() -> None:
    for closed in (False, True):
        old = Trace(wavy(20, 4, closed), closed)
        twist = user_twist(old, 2)
        new = Trace(old.points_nm[::-1], closed)
        back, kept = reanchored(old, twist, new, [s for s, _ in twist], REACH, TOLERANCE)
        length = Curve(old).length
        s = np.linspace(0.05, 0.95, 200) * length
        before = frames_at(old, twist, s)
        start = Correspondence(Curve(old), Curve(new), TOLERANCE).to_new(s)
        after = frames_at(new, back, start)
        np.testing.assert_allclose(after.B, before.B, atol=5e-4)
        np.testing.assert_allclose(after.N, -before.N, atol=5e-4)
        assert len(set(kept)) == 3


def test_a_user_keyframe_that_moves_keeps_its_orientation() -> None:
    old = Trace(wavy(30, 9))
    curve = Curve(old)
    keep = float(curve.arc_length(curve.parameters)[15])
    twist = [(keep, 70.0)]
    moved = old.points_nm.copy()
    moved[15] += [0, 40, 30]
    new = Trace(moved)
    after, kept = reanchored(old, twist, new, [keep], REACH, TOLERANCE)
    s = after[kept[0]][0]
    # It is where its point is now.
    np.testing.assert_allclose(Curve(new).at(s)[0], moved[15], atol=25)
    a, b = frames_at(old, twist, np.array([keep])), frames_at(new, after, np.array([s]))
    wanted = least_turn(a.N[0], a.T[0], b.T[0])
    assert wanted @ b.N[0] > np.cos(np.deg2rad(0.01))


@pytest.mark.parametrize("closes", [True, False])
def test_closing_and_opening(closes: bool) -> None:
    points = wavy(30, 6, closed=True)
    old, new = Trace(points, not closes), Trace(points, closes)
    assert check(old, user_twist(old, 1), new, [user_twist(old, 1)[0][0]]) > 0.3


def test_smoothing_is_followed_as_nearly_as_it_goes() -> None:
    points = wavy(40, 8)
    rough, smooth = Trace(points), Trace(points, tolerance_nm=20.0)
    twist, _ = reanchored(rough, None, smooth, [], REACH, TOLERANCE)
    ends = np.array([Curve(t).length for t in (rough, smooth)]) * (1 - 1e-9)
    a, b = frames_at(rough, None, ends[:1]), frames_at(smooth, twist, ends[1:])
    wanted = least_turn(a.N[0], a.T[0], b.T[0])
    without = frames_at(smooth, None, ends[1:])
    turned_by = [np.degrees(np.arccos(np.clip(wanted @ f.N[0], -1, 1))) for f in (b, without)]
    assert turned_by[0] < 3 < turned_by[1]


@pytest.mark.parametrize("closed", [False, True])
def test_hairpins_and_duplicates(closed: bool) -> None:
    points = np.array([[0.0, 0, 0], [0, 0, 900], [0, 5, 30], [0, 5, 30 + 1e-7], [400, 700, 0],
                       [0, 0, 0.5]])  # fmt: skip
    with pytest.warns(match="repeat their neighbour"):
        old = Trace(points, closed)
    moved = points.copy()
    moved[4] += 50
    with pytest.warns(match="repeat their neighbour"):
        new = Trace(moved, closed)
    twist, kept = reanchored(old, [(100.0, 5.0)], new, [100.0], REACH, TOLERANCE)
    assert np.isfinite(twist).all()
    make_frames(Curve(new), Curve(new).positions(20.0), None, twist)
    assert len(kept) == 1


def test_two_keyframes_never_meet() -> None:
    """Both lay on a stretch that was deleted."""
    points = wavy(12, 3)
    old = Trace(points)
    length = Curve(old).length
    new = Trace(points[:6])
    keep = [0.8 * length, 0.9 * length, 0.95 * length]
    twist, kept = reanchored(
        old, [(s, 10.0 * s / length) for s in keep], new, keep, REACH, TOLERANCE
    )
    s = np.array([twist[i][0] for i in kept])
    assert len(set(kept)) == 3
    assert (np.diff(s) > 0).all()
    make_frames(Curve(new), Curve(new).positions(20.0), None, twist)
