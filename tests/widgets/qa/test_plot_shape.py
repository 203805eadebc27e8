"""A curve of any length in so many pixels: against going through it slice by slice."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.widgets.qa.plot_shape import column_of, envelope, extent, flag_columns

NUMBERS = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), min_size=1, max_size=60)


@given(values=NUMBERS, width=st.integers(1, 40))
def test_no_outlier_is_lost(values: list[float], width: int) -> None:
    low, high = envelope(np.array(values), width)
    n = len(values)
    columns: dict[int, list[float]] = {}
    for k, value in enumerate(values):
        column = min(int((k + 0.5) * width / n), width - 1)
        if value == value:
            columns.setdefault(column, []).append(value)
    for column in range(width):
        if column in columns:
            assert (low[column], high[column]) == (min(columns[column]), max(columns[column]))
        else:
            assert np.isnan(low[column])
            assert np.isnan(high[column])


@given(n=st.integers(1, 5000), width=st.integers(1, 300))
def test_columns_go_from_edge_to_edge(n: int, width: int) -> None:
    columns = column_of(np.arange(n), n, width)
    assert (np.diff(columns) >= 0).all()
    assert columns.min() >= 0
    assert columns.max() <= width - 1
    # A click there finds a slice of that column again.
    clicked = ((columns + 0.5) / width * n).astype(int)
    assert (np.abs(clicked - np.arange(n)) <= max(1, n / width)).all()


def test_flags_are_drawn_once_per_column() -> None:
    assert flag_columns(np.array([0, 1, 2, 999]), 1000, 100).tolist() == [0, 99]
    assert flag_columns(np.zeros(0, int), 1000, 100).tolist() == []


def test_the_extent_has_room() -> None:
    nan = np.nan
    assert extent(np.array([nan, 3, 5]), from_zero=True) == (0, 5)
    assert extent(np.array([nan, 3, 5]), from_zero=False) == (3, 5)
    assert extent(np.array([3.0, 3.0]), from_zero=False) == (2.5, 3.5)
    assert extent(np.zeros(4), from_zero=True) == (0, 1)
    assert extent(np.array([nan]), from_zero=True) == (0, 1)
