"""Wrong input is one line that says what is wrong, never a traceback from numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

LINE = np.array([[0, 0, 0], [0, 0, 1000]], float)


def assert_one_line(error: pytest.ExceptionInfo[UserError]) -> None:
    text = str(error.value)
    assert text.strip()
    assert "\n" not in text
    assert len(text) <= 300


@pytest.mark.parametrize(
    "points",
    [
        [],
        np.zeros((0, 3)),
        [[1, 2, 3]],
        [[1, 2, 3], [1, 2, 3]],
        np.ones((5, 3)),
        [[0, 0, 0], [1, np.nan, 0]],
        [[0, 0, 0], [np.inf, 0, 0]],
        [[0, 0], [1, 1]],
        [0, 1, 2],
        np.zeros((2, 2, 3)),
        "not points",
        [["a", "b", "c"], ["d", "e", "f"]],
        [[0, 0, 0], [1, 1]],
        None,
        [[1j, 0, 0], [1, 1, 1]],
    ],
    ids=lambda p: repr(p)[:40].replace("\n", " "),
)
def test_points_that_are_no_trace(points: Any) -> None:
    with pytest.raises(UserError) as error:
        Trace(points)
    assert_one_line(error)


@pytest.mark.parametrize(
    "options",
    [
        {"tolerance_nm": -1},
        {"tolerance_nm": np.nan},
        {"tolerance_nm": np.inf},
        {"parametrisation": "uniform"},
        {"closed": True},
    ],
    ids=str,
)
def test_options_of_a_trace(options: dict[str, Any]) -> None:
    with pytest.raises(UserError) as error:
        Trace(LINE, **options)
    assert_one_line(error)


@pytest.mark.filterwarnings("ignore::napari_ouroboros.errors.Notice")
def test_a_closed_trace_of_two_different_points() -> None:
    with pytest.raises(UserError) as error:
        Trace([[0, 0, 0], [0, 0, 9], [0, 0, 0]], closed=True)
    assert_one_line(error)


def test_repeated_points_are_merged_with_a_notice() -> None:
    points = [[0, 0, 0], [0, 0, 0], [0, 30, 40], [0, 30, 40], [0, 30, 140]]
    with pytest.warns(Notice, match="2"):
        trace = Trace(points)
    np.testing.assert_array_equal(trace.points_nm, [[0, 0, 0], [0, 30, 40], [0, 30, 140]])


def test_a_closed_trace_drops_its_repeated_first_point_with_a_notice() -> None:
    square = [[0, 0, 0], [0, 0, 100], [0, 100, 100], [0, 100, 0]]
    with pytest.warns(Notice):
        trace = Trace([*square, square[0]], closed=True)
    np.testing.assert_array_equal(trace.points_nm, square)


def test_a_trace_may_pass_the_same_place_twice() -> None:
    points = [[0, 0, 0], [0, 0, 100], [0, 100, 100], [0, 0, 50]]
    np.testing.assert_array_equal(Trace(points).points_nm, points)


@pytest.mark.parametrize(
    "options",
    [
        {"width": 0},
        {"width": -3},
        {"width": 2.5},
        {"width": np.nan},
        {"width": "wide"},
        {"height": 0},
        {"height": -1},
        {"pitch_nm": 0},
        {"pitch_nm": -8},
        {"pitch_nm": np.nan},
        {"pitch_nm": np.inf},
        {"spacing_nm": 0},
        {"spacing_nm": -8},
        {"spacing_nm": np.nan},
        {"spacing_nm": np.inf},
        {"spacing_nm": "far"},
        {"adaptive_radius_nm": -1},
        {"adaptive_radius_nm": np.nan},
        {"up": (0, 0, 0)},
        {"up": (1, 0)},
        {"up": (np.nan, 0, 1)},
        {"up": "north"},
        {"twist": [(0, np.nan), (100, 3)]},
        {"twist": [(0, 1, 2)]},
        {"twist": [(100, 0), (100, 90)]},
        {"twist": "much"},
    ],
    ids=str,
)
def test_options_of_a_straightening(options: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"pitch_nm": 10, "spacing_nm": 10} | options
    with pytest.raises(UserError) as error:
        _ = Straightening(Trace(LINE), **settings).frames
    assert_one_line(error)


def test_something_else_than_a_trace() -> None:
    with pytest.raises(UserError) as error:
        _ = Straightening(LINE, pitch_nm=10, spacing_nm=10).frames  # type: ignore[arg-type]
    assert_one_line(error)


@pytest.mark.parametrize("spacing", [0, -1.0, np.nan, np.inf])
def test_spacing_of_positions(spacing: float) -> None:
    with pytest.raises(UserError) as error:
        Curve(Trace(LINE)).positions(spacing)
    assert_one_line(error)


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (3, 4)])
def test_points_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    straightening = Straightening(Trace(LINE), pitch_nm=10, spacing_nm=10)
    for convert in (straightening.to_volume, straightening.to_straightened):
        with pytest.raises(UserError) as error:
            convert(np.zeros(shape))
        assert_one_line(error)


@pytest.mark.parametrize("resolution", [(0, 8, 8), (8, 8), (-8, 8, 8), (np.nan, 8, 8)], ids=str)
def test_resolution_of_the_exactness(resolution: Any) -> None:
    straightening = Straightening(Trace(LINE), pitch_nm=10, spacing_nm=10)
    with pytest.raises(UserError) as error:
        straightening.exactness(resolution)
    assert_one_line(error)


def test_nan_and_infinite_points_are_outside() -> None:
    straightening = Straightening(Trace(LINE), pitch_nm=10, spacing_nm=10)
    found = straightening.to_straightened([[np.nan, 0, 5], [0, np.inf, 5], [0, 0, 5]])
    assert np.isnan(found[:2]).all()
    np.testing.assert_allclose(found[2, 0], 0.5)
