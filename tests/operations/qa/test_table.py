"""All of it as a table with both coordinates, and back."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from oracles.curves import Helix

from napari_ouroboros import Straightening, Trace, UserError
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.marks import Marks
from napari_ouroboros.operations.qa import (
    Checks,
    geometry_checks,
    label_checks,
    round_trip_checks,
    suspicious,
    write_checks,
)


@pytest.fixture
def map_() -> Straightening:
    points = Helix(300.0, 200.0).position(np.linspace(0, 3, 30))
    return Straightening(Trace(points), 21, 17, 10.0, 20.0)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_one_line_per_slice_with_both_coordinates(map_: Straightening, tmp_path: Path) -> None:
    labels = np.zeros(map_.shape, np.uint8)
    labels[4:30, 3:8, 6:11] = 1
    checks = Checks(
        geometry_checks(map_),
        labels=label_checks(labels, map_),
        round_trip=round_trip_checks(map_, Grid((90, 90, 90), (10.0,) * 3, (-5.0, -35, -35))),
    )
    marks = Marks(map_)
    marks.mark(6, "bad", 'torn; "very", too')
    reasons = suspicious(checks)
    write_checks(tmp_path / "qa.csv", checks, map_, reasons, marks)
    rows = rows_of(tmp_path / "qa.csv")
    n = map_.shape[0]
    assert [int(row["slice"]) for row in rows] == list(range(n))
    here = [[float(row[name]) for name in ("slice", "row", "column")] for row in rows]
    nm = [[float(row[f"{axis}_nm"]) for axis in "zyx"] for row in rows]
    np.testing.assert_allclose(nm, map_.to_volume(here), atol=1e-5)
    inside = [row for row in rows if row["labelled_row"]]
    assert [int(row["slice"]) for row in inside] == list(range(4, 30))
    here = [[float(row[x]) for x in ("slice", "labelled_row", "labelled_column")] for row in inside]
    nm = [[float(row[f"labelled_{axis}_nm"]) for axis in "zyx"] for row in inside]
    np.testing.assert_allclose(nm, map_.to_volume(here), atol=1e-5)
    assert [row["suspicious"] for row in rows] == ["; ".join(why) for why in reasons]
    assert (rows[6]["mark"], rows[6]["comment"]) == ("bad", 'torn; "very", too')
    assert "mean" not in rows[0]
    # The marks of this table are read as marks.
    assert Marks.read_csv(tmp_path / "qa.csv", map_).marks.get(6).comment == 'torn; "very", too'  # type: ignore[union-attr]


def test_checks_of_another_map(map_: Straightening, tmp_path: Path) -> None:
    other = Straightening(map_.trace, 21, 17, 10.0, 30.0)
    with pytest.raises(UserError, match="not those of the"):
        write_checks(tmp_path / "qa.csv", Checks(geometry_checks(other)), map_)
    assert list(tmp_path.iterdir()) == []
