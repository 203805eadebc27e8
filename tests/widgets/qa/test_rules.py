"""Rules that a user changes, and marks that are read from a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tests.operations.qa.conftest import STEP
from tests.widgets.qa.conftest import ENDS, Bench

from napari_ouroboros.errors import UserError
from napari_ouroboros.operations.qa import Rules
from napari_ouroboros.widgets.qa.quantities import curves


def test_a_rule_that_is_changed_finds_other_slices(column: Bench) -> None:
    qa = column.qa
    entry = column.labels()
    entry.array[10:20, 2:6, 2:6] = 1
    column.settle()
    off = qa.checks.labels.off_centre_nm[12]  # type: ignore[union-attr]
    side = 0.5 * column.map.pitch_nm * column.map.width
    told: list[int] = []
    qa.rules_changed.connect(lambda: told.append(1))
    qa.rules = Rules(off_centre=1.1 * off / side, edge=False)
    column.settle()
    assert not qa.reasons[12]
    assert qa.limits["off_centre"] == pytest.approx((1.1 * off,))
    qa.rules = Rules(off_centre=0.9 * off / side, edge=False)
    column.settle()
    assert "off the centre" in qa.reasons[12][0]
    assert 12 in qa.suspicious
    assert qa.limits["off_centre"] == pytest.approx((0.9 * off,))
    (curve,) = [c for c in curves(qa.checks, qa.limits) if c.quantity.key == "off_centre"]
    assert curve.limits == qa.limits["off_centre"]
    qa.rules = Rules(off_centre=None, edge=False, fold=False)
    column.settle()
    assert not qa.reasons[12]
    assert set(qa.limits) == set()
    qa.rules = Rules(off_centre=None, edge=False, fold=False)  # the same again
    assert len(told) == 3


def test_limits_are_what_is_compared(column: Bench) -> None:
    """Exactly the slices beyond a limit have its reason."""
    qa = column.qa
    assert qa.check_image()
    column.settle()
    image = qa.checks.image  # type: ignore[union-attr]
    assert image is not None
    qa.rules = Rules(jump=0.0, least_jump=0.0, intensity=0.5, least_intensity=0.0)
    column.settle()
    low, high = qa.limits["mean"]
    beyond = np.flatnonzero((image.mean < low) | (image.mean > high))
    said = [k for k, why in enumerate(qa.reasons) if any("mean intensity" in w for w in why)]
    assert 0 < len(said) < len(qa.reasons)
    assert said == beyond.tolist()
    (limit,) = qa.limits["jump"]
    assert limit == pytest.approx(np.nanmedian(image.jump))


def test_rules_are_read_as_far_as_they_can_be() -> None:
    rules = Rules(jump=3.5, fold=False, contested=None)
    assert Rules.of(asdict(rules)) == rules
    assert Rules.of({}) == Rules()
    wrong = {"jump": "six", "fold": 1, "least_jump": None, "contested": -1, "intensity": np.inf}
    assert Rules.of({**wrong, "diameter": 4, "else": 3}) == Rules(diameter=4)


def test_marks_are_written_and_read_again(column: Bench, tmp_path: Path) -> None:
    qa = column.qa
    qa.toggle_mark("bad", 30)
    qa.set_comment(30, "torn")
    qa.toggle_mark("good", 5)
    qa.toggle_mark("bad", 8)
    assert qa.write_table(tmp_path / "slices.csv")
    column.settle()
    lines: list[str] = []
    qa.marks_read.connect(lines.append)
    assert qa.read_marks(tmp_path / "slices.csv")
    column.settle()
    assert lines == ["slices.csv: 0 marks were added; 3 there already."]
    qa.bring_back([])
    # Begun twenty slices later: two have gone, the third has another number.
    trace = column.scene.traces.active
    trace.move({0: ENDS[0] + [20 * STEP, 0, 0]})
    column.settle()
    qa.toggle_mark("good", 10)
    changed: list[int] = []
    qa.marks_changed.connect(lambda: changed.append(1))
    assert qa.read_marks(tmp_path / "slices.csv")
    column.settle()
    assert lines[1] == (
        "slices.csv: 1 mark was added; 1 at another slice than in the file; 2 could not be "
        "placed: the trace does not pass there."
    )
    assert len(changed) == 1
    (mark,) = qa.marks
    # A slice that had a mark keeps what was said of it.
    assert (mark.slice, mark.verdict, mark.comment) == (10, "bad", "torn")
    assert len(qa.saved_marks()) == 2


def test_a_file_that_is_no_table_of_marks_is_said(column: Bench, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("slice,mark\n1,bad\n")
    ended: list[object] = []
    column.qa.reading.ended.connect(ended.append)
    assert column.qa.read_marks(tmp_path / "x.csv")
    column.settle()
    (error,) = ended
    assert isinstance(error, UserError)
    assert "has no column z_nm" in str(error)
