"""Marks in a scene: toggled, carried along with every edit, each trace's its own."""

from __future__ import annotations

import numpy as np
from tests.operations.qa.conftest import SHAPE, STEP
from tests.widgets.qa.conftest import ENDS, Bench

from napari_ouroboros.operations.marks import Mark

N = SHAPE[0]


def shown(bench: Bench) -> dict[int, tuple[str, str]]:
    assert bench.qa.marks is not None
    return {mark.slice: (mark.verdict, mark.comment) for mark in bench.qa.marks}


def test_pressing_again_takes_it_back(column: Bench) -> None:
    qa, place = column.qa, column.scene.place
    told: list[int] = []
    qa.marks_changed.connect(lambda: told.append(1))
    place.go_to_slice(12)
    qa.toggle_mark("bad")
    qa.set_comment(12, "torn")
    qa.toggle_mark("good")
    assert shown(column) == {12: ("good", "torn")}
    qa.toggle_mark("good")
    assert shown(column) == {}
    qa.toggle_mark("bad")
    assert shown(column) == {12: ("bad", "torn")}
    assert len(told) == 5
    qa.set_comment(13, "no mark, no comment")
    qa.set_comment(12, "torn")
    assert len(told) == 5


def test_marks_stay_at_their_places(column: Bench) -> None:
    trace = column.scene.traces.active
    assert trace is not None
    column.qa.toggle_mark("bad", 30)
    column.qa.toggle_mark("good", 5)
    said: list[str] = []
    column.qa.said.connect(said.append)
    # Begun eight slices later: all others have other numbers.
    trace.move({0: ENDS[0] + [8 * STEP, 0, 0]})
    column.settle()
    assert shown(column) == {22: ("bad", ""), 0: ("good", "")}
    trace.move({0: ENDS[0] + [20 * STEP, 0, 0]})
    column.settle()
    assert shown(column) == {10: ("bad", "")}
    assert said == [
        "1 mark lies where the trace does not pass any more; undo the edit to have it back."
    ]
    column.qa.toggle_mark("good", 10)
    trace.undo()
    trace.undo()
    column.settle()
    assert shown(column) == {30: ("good", ""), 5: ("good", "")}
    assert len(said) == 1


def test_each_trace_has_its_own(column: Bench) -> None:
    first = column.scene.traces.active
    column.qa.toggle_mark("bad", 30)
    second = column.trace(ENDS + [0, 3 * STEP, 0], "beside it")
    assert shown(column) == {}
    column.qa.toggle_mark("good", 3)
    said: list[str] = []
    column.qa.said.connect(said.append)
    column.scene.traces.active = first
    column.settle()
    assert shown(column) == {30: ("bad", "")}
    column.scene.traces.active = second
    column.settle()
    assert shown(column) == {3: ("good", "")}
    assert said == []
    assert {(m.slice, m.verdict) for m in column.qa.saved_marks()} == {(30, "bad"), (3, "good")}


def test_saved_marks_come_back_to_their_traces(column: Bench) -> None:
    first = column.scene.traces.active
    column.qa.toggle_mark("bad", 30)
    second = column.trace(ENDS + [0, 3 * STEP, 0], "beside it")
    column.qa.toggle_mark("good", 3)
    saved = column.qa.saved_marks()
    column.qa.toggle_mark("bad", 40)
    column.qa.bring_back(saved)
    assert shown(column) == {3: ("good", "")}
    assert set(column.qa.saved_marks()) == set(saved)
    column.scene.traces.active = first
    column.settle()
    assert shown(column) == {30: ("bad", "")}
    column.scene.traces.active = second
    column.settle()
    assert shown(column) == {3: ("good", "")}


def test_marks_brought_back_before_there_are_slices(bench: Bench) -> None:
    place = np.array([10.5, 20.5, 20.5]) * STEP
    mark = Mark(10, (float(place[0]), float(place[1]), float(place[2])), "bad", "torn")
    bench.qa.bring_back([mark])
    assert bench.qa.saved_marks() == (mark,)
    bench.open()
    bench.trace()
    assert shown(bench) == {10: ("bad", "torn")}


def test_saved_marks_have_the_slices_of_now(column: Bench) -> None:
    trace = column.scene.traces.active
    assert trace is not None
    column.qa.toggle_mark("bad", 30)
    (before,) = column.qa.saved_marks()
    trace.move({0: ENDS[0] + [8 * STEP, 0, 0]})
    column.settle()
    (mark,) = column.qa.saved_marks()
    assert (mark.slice, mark.centre_nm) == (22, before.centre_nm)


def test_what_was_removed_is_not_there_again(column: Bench) -> None:
    column.qa.toggle_mark("bad", 30)
    column.scene.settings.spacing_nm = 2 * STEP
    column.settle()
    assert shown(column) == {15: ("bad", "")}
    column.qa.toggle_mark("bad", 15)
    column.scene.settings.spacing_nm = STEP
    column.settle()
    assert shown(column) == {}


def test_carried_marks_come_back_too(column: Bench) -> None:
    """Beside the trace by now, and yet its own."""
    trace = column.scene.traces.active
    assert trace is not None
    column.qa.toggle_mark("bad", 24)
    trace.move({1: trace.state.points_nm[1] + [0, 4 * STEP, 0]})
    column.settle()
    ((k, said),) = shown(column).items()
    assert said == ("bad", "")
    saved = column.qa.saved_marks()
    assert [mark.slice for mark in saved] == [k]
    assert np.linalg.norm(column.map.frames.c[k] - saved[0].centre_nm) > 3 * STEP
    column.qa.bring_back(())
    assert shown(column) == {}
    column.qa.bring_back(saved)
    assert shown(column) == {k: ("bad", "")}
