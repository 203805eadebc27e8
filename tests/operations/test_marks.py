"""Marks of slices: they stay at their places in the tissue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.curves import Helix

from napari_ouroboros import DestinationError, Straightening, Trace, UserError
from napari_ouroboros.operations.marks import Mark, Marks

HELIX = Helix(300.0, 200.0)
POINTS = HELIX.position(np.linspace(0, 5, 40))


def helix(spacing: float = 10.0, points: Any = POINTS) -> Straightening:
    return Straightening(Trace(np.asarray(points)), 21, 17, 10.0, spacing)


@pytest.fixture
def marks() -> Marks:
    marks = Marks(helix())
    marks.mark(30, "bad", "a fold in the section")
    marks.mark(12, "good")
    marks.mark(31, "good", 'a comma, and "quotes"\nand a line')
    return marks


def test_one_mark_per_slice(marks: Marks) -> None:
    assert [(mark.slice, mark.verdict) for mark in marks] == [
        (12, "good"), (30, "bad"), (31, "good")
    ]  # fmt: skip
    np.testing.assert_allclose(marks.get(30).centre_nm, helix().frames.c[30])  # type: ignore[union-attr]
    marks.mark(30, "good")
    marks.clear(12)
    marks.clear(13)
    assert len(marks) == 2
    assert marks.get(30).comment == ""  # type: ignore[union-attr]
    assert marks.get(12) is None
    n = helix().shape[0]
    for wrong in (-1, n):
        with pytest.raises(UserError, match=f"there is no slice {wrong}; there are {n}, from 0"):
            marks.mark(wrong, "bad")
    with pytest.raises(UserError, match="'good' or 'bad'"):
        marks.mark(3, "ugly")  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.floats(4, 10),
    slices=st.sets(st.integers(0, 150), min_size=1, max_size=12),
)
def test_finer_slices_keep_every_mark_at_its_place(spacing: float, slices: set[int]) -> None:
    old = helix()
    marks = Marks(old)
    for k in slices:
        marks.mark(k, "bad", str(k))
    new = helix(spacing)
    carried = marks.carried_to(new)
    assert carried.lost == ()
    assert carried.merged == 0
    for mark in carried.marks:
        k = int(mark.comment)
        assert np.linalg.norm(new.frames.c[mark.slice] - old.frames.c[k]) <= 0.51 * spacing
        assert mark.centre_nm == marks.get(k).centre_nm  # type: ignore[union-attr]
    # Back again: nothing has drifted.
    assert carried.marks.carried_to(old).marks == marks


def test_an_edit_far_away_changes_nothing() -> None:
    line = np.stack([np.linspace(0, 2000, 21), np.zeros(21), np.zeros(21)], -1)
    marks = Marks(helix(points=line))
    for k in (5, 60, 100):
        marks.mark(k, "bad")
    line[19, 1] += 30
    carried = marks.carried_to(helix(points=line))
    assert carried.marks == marks
    # A trace begun 300 nm earlier counts its slices anew; the places stay.
    longer = np.concatenate([[[-300.0, 0, 0]], line])
    carried = marks.carried_to(helix(points=longer))
    assert [mark.slice for mark in carried.marks] == [35, 90, 130]
    assert [mark.centre_nm for mark in carried.marks] == [mark.centre_nm for mark in marks]


def test_what_the_new_trace_does_not_pass_is_lost_and_told() -> None:
    marks = Marks(helix())
    marks.mark(10, "good")
    end = marks.mark(150, "bad", "the end")
    carried = marks.carried_to(helix(points=POINTS[:20]))
    assert carried.lost == (end,)
    assert [mark.slice for mark in carried.marks] == [10]


def test_marks_that_meet_are_bad_together() -> None:
    marks = Marks(helix())
    marks.mark(40, "good", "fine")
    marks.mark(41, "bad", "torn")
    marks.mark(42, "good")
    carried = marks.carried_to(helix(200.0))
    assert (len(carried.marks), carried.merged, carried.lost) == (1, 2, ())
    (mark,) = carried.marks
    assert (mark.verdict, mark.comment) == ("bad", "fine; torn")


def test_as_json_and_back(marks: Marks) -> None:
    again = Marks.from_list(json.loads(json.dumps(marks.as_list())), helix())
    assert again == marks


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "no list"),
        ([1], "mark 0 is damaged"),
        ([{"slice": 1}], "mark 0 is damaged"),
        ([{"slice": -1, "centre_nm": [0, 0, 0], "verdict": "bad", "comment": ""}], "mark 0"),
        ([{"slice": 1, "centre_nm": [0, 0], "verdict": "bad", "comment": ""}], "mark 0"),
        ([{"slice": 1, "centre_nm": [0, 0, 0], "verdict": "so so", "comment": ""}], "good"),
        ([{"slice": 9999, "centre_nm": [0, 0, 0], "verdict": "bad", "comment": ""}], "9999"),
    ],
)
def test_damaged_lists(wrong: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Marks.from_list(wrong, helix())


def test_as_csv_and_back(marks: Marks, tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    marks.write_csv(path)
    read = Marks.read_csv(path, helix())
    assert read.marks == marks
    assert (read.lost, read.merged) == ((), 0)
    with pytest.raises(DestinationError, match="cannot write"):
        marks.write_csv(tmp_path / "none" / "marks.csv")
    path.write_text("slice,z_nm,y_nm,x_nm,mark,comment\n3,1,2,three,bad,\n")
    with pytest.raises(UserError, match=r"line 2 of .* has no slice, or no place"):
        Marks.read_csv(path, helix())
    path.write_text("slice,mark\n3,bad\n")
    with pytest.raises(UserError, match="has no column"):
        Marks.read_csv(path, helix())


def test_a_mark_keeps_its_own_place() -> None:
    marks = Marks(helix())
    place = marks.mark(20, "good").centre_nm
    assert marks.carried_to(helix(7.0)).marks.carried_to(helix(9.0)).marks.get(20) is None
    (mark,) = marks.carried_to(helix(7.0)).marks.carried_to(helix(9.0)).marks
    assert mark == Mark(mark.slice, place, "good")
