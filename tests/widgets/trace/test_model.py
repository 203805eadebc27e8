"""Edits of a trace, undo and redo, drags, and the keyframes that follow."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening, anchoring
from napari_ouroboros.widgets.trace import twisting
from napari_ouroboros.widgets.trace.model import TraceModel
from napari_ouroboros.widgets.trace.state import TraceState

WAY = np.array([[0, 0, 0], [400, 900, 300], [1200, 1000, 1500], [2100, 300, 2200], [3000, 0, 2000]])
RING = 1000 * np.array([[0, 0, 1], [0.2, 1, 0], [0, 0, -1], [-0.2, -1, 0.0]])


def model(points: Any = WAY, **sizes: float) -> TraceModel:
    made = TraceModel("t", points)
    made.reach_nm, made.keep_nm, made.spacing_nm = 300.0, 0.05, 10.0
    return made


def frames(of: TraceModel | TraceState) -> Any:
    state = of.state if isinstance(of, TraceModel) else of
    return Straightening(
        state.trace(), 20, 20, pitch_nm=10, spacing_nm=10, up=state.up, twist=state.twist
    ).frames


def up_at(of: TraceModel, s_nm: float) -> np.ndarray:
    f = frames(of)
    return np.asarray(-f.B[np.argmin(np.abs(f.s - s_nm))])


def degrees_apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def test_ids_stay_with_their_points() -> None:
    m = model()
    names = dict(zip(m.state.ids.tolist(), WAY.tolist(), strict=True))
    m.insert([1, 2, 3], 1)
    m.append([9, 9, 9], at_start=True)
    m.reverse()
    m.delete([0])
    m.undo()
    for id_, point in zip(m.state.ids.tolist(), m.state.points_nm.tolist(), strict=True):
        assert names.setdefault(id_, point) == point
    assert len(names) == 7


def test_a_drag_is_one_step_and_can_be_called_off() -> None:
    m = model()
    heard: list[bool] = []
    m.changed.connect(lambda: heard.append(m.dragging))
    before = m.state
    m.begin_drag()
    m.drag({1: [0, 0, 1]})
    m.drag({1: [0, 0, 2], 2: [5, 5, 5]})
    assert heard == [True, True]
    m.end_drag()
    assert heard == [True, True, False]
    assert m.state.points_nm[1:3].tolist() == [[0, 0, 2], [5, 5, 5]]
    m.undo()
    assert m.state is before
    assert not m.can_undo
    m.redo()
    after = m.state
    m.begin_drag()
    m.drag({0: [7, 7, 7]})
    m.cancel_drag()
    assert m.state is after
    m.begin_drag()
    m.drag({0: [7, 7, 7]})
    m.undo()  # in mid-drag: the drag
    assert m.state is after
    assert not m.dragging


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.append([np.nan, 0, 0]),
        lambda m: m.drag({0: [0, np.inf, 0]}),
        lambda m: m.set_tolerance(-1),
        lambda m: m.set_up([0, 0, 0]),
        lambda m: m.insert([1, 2], 0),
        lambda m: TraceModel("t", [[0, 0, 0]]).insert_on_curve(3.0),
    ],
    ids=["nan", "drag to infinity", "tolerance", "up", "two numbers", "no curve"],
)
def test_what_is_no_edit_is_refused_and_changes_nothing(edit: Callable[[Any], None]) -> None:
    m = model()
    before = m.state
    with pytest.raises(UserError):
        edit(m)
    assert m.state is before
    m.end_drag()
    assert not m.can_undo


def test_arc_lengths_of_points_and_the_spans_between_them() -> None:
    points = np.insert(WAY, 2, WAY[1], axis=0)  # a point twice: the trace merges them
    s = TraceState(points).points_s
    curve = TraceState(points).curve
    assert curve is not None
    np.testing.assert_allclose(curve.at(s), points, atol=1e-6)
    assert s[1] == s[2]
    assert (np.diff(s)[[0, 2, 3, 4]] > 0).all()
    state = TraceState(RING, closed=True)
    assert state.curve is not None
    length = state.curve.length
    np.testing.assert_allclose(state.curve.at(state.points_s), RING, atol=1e-6)
    assert [state.span_of(f * length) for f in (0.1, 0.3, 0.6, 0.9, 1.1, -0.1)] == [
        0, 1, 2, 3, 0, 3,
    ]  # fmt: skip


def test_a_point_inserted_on_the_curve_lies_on_it_between_its_neighbours() -> None:
    m = model()
    curve = m.state.curve
    assert curve is not None
    s = m.state.points_s
    index = m.insert_on_curve(0.3 * s[1] + 0.7 * s[2])
    assert index == 2
    np.testing.assert_allclose(m.state.points_nm[2], curve.at(0.3 * s[1] + 0.7 * s[2])[0])


def test_an_edit_leaves_slices_far_from_it_as_they_are() -> None:
    m = model(np.column_stack([np.arange(12) * 500, 300 * np.sin(np.arange(12)), np.zeros(12)]))
    m.set_keyframe(1000, 30)
    before = frames(m)
    m.move({10: m.state.points_nm[10] + [0, 200, 300]})
    after = frames(m)
    # The spline's ripples fall by about four per point: eight points away nothing is left.
    n = 100
    np.testing.assert_allclose(after.B[:n], before.B[:n], atol=0.05 / 300)
    (key,) = [k for k in m.state.keyframes if k.by_user]
    assert key.s_nm == pytest.approx(1000, abs=0.5)
    bare = TraceState(m.state.points_nm)
    turn = degrees_apart(up_at(m, 1000), -frames(bare).B[100])
    assert turn == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("up", [None, (0.0, -1.0, 0.2)])
@pytest.mark.parametrize("keys", [[], [(300.0, 40.0)], [(300.0, 40.0), (2000.0, -70.0)]])
def test_reversed_slices_keep_their_up_side(closed: bool, up: Any, keys: Any) -> None:
    m = model(RING if closed else WAY)
    m.set_closed(closed)
    m.set_up(up)
    for s, degrees in keys:
        m.set_keyframe(s, degrees)
    before, length = frames(m), m.state.curve.length  # type: ignore[union-attr]
    start = m.state.points_nm[0]
    m.reverse()
    after = frames(m)
    if closed:
        np.testing.assert_array_equal(m.state.points_nm[0], start)
    for share in (0.1, 0.35, 0.5, 0.8):
        i = int(np.argmin(np.abs(before.s - share * length)))
        j = int(np.argmin(np.abs(length - after.s - before.s[i])))
        # The nearest slices of both are up to half a slice apart, and turn in between.
        assert degrees_apart(before.B[i], after.B[j]) < 1.5
        assert degrees_apart(before.T[i], -after.T[j]) < 1.5


def test_a_keyframe_turns_its_slice_and_fades_towards_the_next() -> None:
    m = model()
    length = m.state.curve.length  # type: ignore[union-attr]
    m.set_keyframe(0.2 * length, 0)
    m.set_keyframe(0.8 * length, 0)
    low, middle, high = (up_at(m, f * length) for f in (0.2, 0.5, 0.8))
    m.set_keyframe(0.5 * length, 50)
    assert degrees_apart(up_at(m, 0.5 * length), middle) == pytest.approx(50, abs=0.5)
    assert degrees_apart(up_at(m, 0.2 * length), low) < 0.5
    assert degrees_apart(up_at(m, 0.8 * length), high) < 0.5
    m.remove_keyframe(0.5 * length)
    assert [k.degrees for k in m.state.keyframes if k.by_user] == [0, 0]
    assert degrees_apart(up_at(m, 0.5 * length), middle) < 0.5
    m.remove_keyframe(0)
    m.remove_keyframe(0)
    assert m.state.twist is None


def test_up_side_here_is_up_and_an_up_direction_leaves_it_so() -> None:
    m = model()
    map_ = Straightening(m.state.trace(), 20, 20, pitch_nm=10, spacing_nm=10, twist=m.state.twist)
    index, wanted = 120, np.array([0.3, -1.0, 0.4])
    m.up_side_here(map_, index, wanted)
    t = map_.frames.T[index]
    flat = wanted - wanted @ t * t
    flat /= np.linalg.norm(flat)
    np.testing.assert_allclose(-frames(m).B[index], flat, atol=1e-9)
    m.set_up([-1.0, 0.5, 0])
    assert degrees_apart(up_at(m, map_.frames.s[index]), flat) < 0.5
    with pytest.raises(UserError, match="across"):
        m.up_side_here(map_, index, t)


def test_the_centre_moves_the_point_of_its_slice_or_inserts_one() -> None:
    m = model()
    s = m.state.points_s
    m.centre_here(s[2] + 4, [1210, 1000, 1500])
    assert len(m.state) == 5
    assert m.state.points_nm[2].tolist() == [1210, 1000, 1500]
    m.undo()
    m.centre_here(s[2] + 60, [1300, 900, 1600])
    assert m.state.points_nm[3].tolist() == [1300, 900, 1600]
    assert len(m.state) == 6


def test_many_edits_that_nobody_looked_at_are_settled_at_once() -> None:
    m = model()
    m.set_keyframe(1000, 20)
    for i in range(40):
        m.append([3000 + 50 * i, 0, 2000])
    assert [k.degrees for k in m.state.keyframes if k.by_user] == pytest.approx([20], abs=0.5)


def test_a_trace_that_is_no_curve_has_no_keyframes_and_undo_brings_them_back() -> None:
    m = model()
    m.set_keyframe(1000, 20)
    m.delete(range(1, 5))
    assert m.state.keyframes == ()
    assert m.state.curve is None
    m.undo()
    assert m.state.twist == [(1000, 20)]


def test_nothing_holds_a_model() -> None:
    m = model()
    m.append([1, 2, 3])
    _ = m.state.keyframes
    gone = weakref.ref(m)
    del m
    gc.collect()
    assert gone() is None


def test_a_keyframe_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    m = model()
    m.set_keyframe(500, 20)
    for i in range(3):
        m.move({2: WAY[2] + i + 1})
    anchored = anchoring.reanchored
    asked: list[int] = []

    def counted(*arguments: Any) -> Any:
        asked.append(1)
        return anchored(*arguments)

    monkeypatch.setattr(anchoring, "reanchored", counted)
    s = m.state.curve.length / 2  # type: ignore[union-attr]
    m.turn(s, 30)
    m.up_side_here(Straightening(m.state.trace(), 20, 20, 10.0, 10.0), 40, (0, 1, 0))
    assert not asked  # it may take long: for the thread that makes the map
    assert sum(key.by_user for key in m.state.keyframes) == 3
    assert len(asked) == 3
    before, m2 = m.state, model()
    m2.state = before.changed()
    m2.turn(s, 10)
    assert twisting.turned(m2.state, s) == pytest.approx(twisting.turned(before, s) + 10)
