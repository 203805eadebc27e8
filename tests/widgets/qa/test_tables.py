"""The tables: what is listed, in which order, with which units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from tests.operations.qa.conftest import STEP
from tests.widgets.qa.conftest import Bench

from napari_ouroboros import measure
from napari_ouroboros.operations.measure_report import MeasureReport
from napari_ouroboros.operations.qa import Checks, suspicious
from napari_ouroboros.widgets.qa.label_table import LabelTable
from napari_ouroboros.widgets.qa.quantities import curves, profile_curves, value_text
from napari_ouroboros.widgets.qa.slice_table import ALONG, COMMENT, MARK, SLICE, WHY, SliceTable

DOWN = Qt.SortOrder.DescendingOrder
UP = Qt.SortOrder.AscendingOrder


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (np.nan, "nm", ""),
        (0.12344, "", "0.1234"),
        (12345, "count", "12,345"),
        (0.98765, "share", "98.77 %"),
        (1, "share", "100 %"),
        (815.4321, "nm", "815.4 nm"),
        (23456.0, "nm", "23.46 µm"),
        (9999, "nm2", "9999 nm²"),
        (1234567, "nm2", "1.235 µm²"),
        (0.0, "nm2", "0 nm²"),
        (1.234567e9, "nm3", "1.23 µm³"),
        (4096, "nm3", "4.1e+03 nm³"),
    ],
)
def test_values_have_units(value: float, unit: Any, text: str) -> None:
    assert value_text(value, unit) == text


def column(table: SliceTable, at: int) -> list[str]:
    return [table.data(table.index(row, at)) for row in range(table.rowCount())]


def titles(table: Any) -> list[str]:
    return [table.headerData(i, Qt.Orientation.Horizontal) for i in range(table.columnCount())]


@pytest.fixture
def shown(column_bench: Bench) -> tuple[SliceTable, Bench]:
    bench = column_bench
    entry = bench.labels()
    entry.array[10:20, 5:10, 5:10] = 1
    entry.array[14] = 0
    entry.array[30, 5:7, 5:7] = 1
    bench.qa.toggle_mark("good", 3)
    bench.qa.toggle_mark("bad", 14)
    bench.qa.set_comment(14, "a gap")
    bench.settle()
    table = SliceTable()
    assert bench.qa.checks is not None
    table.show(bench.map.frames.s, curves(bench.qa.checks), bench.qa.reasons, bench.qa.marks)
    return table, bench


@pytest.fixture
def column_bench(bench: Bench) -> Bench:
    bench.open()
    bench.trace()
    return bench


def test_one_row_per_slice(shown: tuple[SliceTable, Bench]) -> None:
    table, bench = shown
    n = bench.map.shape[0]
    assert titles(table) == [
        *("slice", "along", "suspicious", "mark", "comment"),
        *("fold", "outside", "area", "diameter", "off centre", "at edge"),
    ]
    assert column(table, SLICE) == [str(k) for k in range(n)]
    assert column(table, ALONG)[5] == f"{5 * STEP:g} nm"
    assert column(table, MARK)[14] == "bad"
    assert column(table, COMMENT)[14] == "a gap"
    assert column(table, WHY)[14] == "has no label, and slices before and behind it have"
    assert column(table, 7)[10] == f"{25 * STEP**2:g} nm²"
    assert table.headerData(7, Qt.Orientation.Vertical) is None
    tip = table.headerData(7, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert tip.startswith("Labelled area: ")


def test_only_suspicious(shown: tuple[SliceTable, Bench]) -> None:
    table, bench = shown
    wanted = [k for k, why in enumerate(bench.qa.reasons) if why]
    assert wanted
    table.only_suspicious = True
    assert column(table, SLICE) == [str(k) for k in wanted]
    assert [table.row_of(k) for k in wanted] == list(range(len(wanted)))
    assert table.row_of(0) is None
    assert table.row_of(10**6) is None


def test_sorted_with_what_has_no_value_last(shown: tuple[SliceTable, Bench]) -> None:
    table, bench = shown
    n = bench.map.shape[0]
    table.sort(SLICE, DOWN)
    assert column(table, SLICE) == [str(k) for k in reversed(range(n))]
    off_centre = titles(table).index("off centre")
    assert bench.qa.checks is not None
    assert bench.qa.checks.labels is not None
    values = bench.qa.checks.labels.off_centre_nm
    for order in (UP, DOWN):
        table.sort(off_centre, order)
        rows = [values[table.slice_of(row)] for row in range(n)]
        known = [value for value in rows if value == value]
        assert rows[: len(known)] == sorted(known, reverse=order == DOWN)
    for order, first in ((UP, "bad"), (DOWN, "good")):
        table.sort(MARK, order)
        assert column(table, MARK)[0] == first
        assert column(table, MARK)[2:] == [""] * (n - 2)
    table.sort(WHY, DOWN)
    counts = [len(bench.qa.reasons[table.slice_of(row)]) for row in range(n)]
    assert counts == sorted(counts, reverse=True)


def test_what_changes_in_place_resets_nothing(shown: tuple[SliceTable, Bench]) -> None:
    table, bench = shown
    told: list[str] = []
    table.modelReset.connect(lambda: told.append("reset"))
    table.dataChanged.connect(lambda *_: told.append("changed"))
    bench.qa.toggle_mark("bad", 20)
    table.show_marks(bench.qa.marks)
    assert told == ["changed"]
    assert column(table, MARK)[20] == "bad"
    # Sorted by marks the rows do move.
    table.sort(MARK, UP)
    told.clear()
    bench.qa.toggle_mark("bad", 21)
    table.show_marks(bench.qa.marks)
    assert told == ["reset"]
    assert column(table, MARK)[:3] == ["bad"] * 3


def test_measured_labels() -> None:
    from napari_ouroboros import Straightening, Trace

    map_ = Straightening(Trace(np.array([[0.0, 0, 0], [190, 0, 0]])), 10, 10, 10.0, 10.0)
    labels = np.zeros(map_.shape, np.uint64)
    labels[2:6, :4, :4], labels[5:15, 6:, 6:] = 2**64 - 1, 300
    report: MeasureReport = measure(labels, map_)
    table = LabelTable()
    table.show(report.labels)
    assert titles(table)[:3] == ["label", "length", "volume"]
    cells = [[table.data(table.index(row, i)) for i in range(3)] for row in range(2)]
    assert cells == [
        ["300", "100 nm", "1.6e+05 nm³"],
        [str(2**64 - 1), "40 nm", "6.4e+04 nm³"],
    ]
    table.sort(0, DOWN)
    assert table.label_of(0) == 2**64 - 1
    assert table.row_of(300) == 1
    assert table.row_of(None) is None
    drawn = profile_curves(300, report.profile(300), map_.shape[0])
    assert [curve.quantity.title for curve in drawn][:2] == [
        "Label 300: diameter", "Label 300: area"
    ]  # fmt: skip
    area = drawn[1].values
    assert np.flatnonzero(np.isfinite(area)).tolist() == list(range(5, 15))
    np.testing.assert_allclose(area[5:15], 16 * 100)


def test_what_is_not_known_is_not_offered(column_bench: Bench) -> None:
    qa = column_bench.qa
    assert curves(None) == []
    assert [c.quantity.key for c in curves(qa.checks)] == ["fold", "outside"]
    qa.check_image()
    qa.check_round_trip()
    column_bench.settle()
    assert [c.quantity.key for c in curves(qa.checks)] == [
        "fold", "outside", "missing", "mean", "std", "jump", "agreement", "contested"
    ]  # fmt: skip
    assert isinstance(qa.checks, Checks)
    assert suspicious(qa.checks) == qa.reasons
