"""Lengths as people write them: read, written, stepped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.controls.lengths import (
    Length,
    best_unit,
    length_text,
    other_text,
    parse_length,
    stepped,
)

# Anything from an atom to a metre.
NM = st.floats(0.01, 1e9, allow_nan=False)
PIXEL = st.floats(0.1, 1e5, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "nm", "unit"),
    [
        ("800 nm", 800.0, "nm"),
        ("800nm", 800.0, "nm"),
        ("800", 800.0, "nm"),
        ("  1.2 um ", 1200.0, "µm"),
        ("1.2 µm", 1200.0, "µm"),  # the micro sign
        ("1.2 μm", 1200.0, "µm"),  # the Greek letter
        ("1.2 UM", 1200.0, "µm"),
        ("2 mm", 2e6, "mm"),
        ("0.1 cm", 1e6, "mm"),
        (".5um", 500.0, "µm"),
        ("1e3 nm", 1000.0, "nm"),
        ("5 \u00c5", 0.5, "nm"),
        ("5 \u212b", 0.5, "nm"),  # the sign that looks the same
        ("100 px", 800.0, "px"),
        ("100 pixels", 800.0, "px"),
        ("1 voxel", 8.0, "px"),
        ("0.5 microns", 500.0, "µm"),
    ],
)
def test_what_is_read(text: str, nm: float, unit: str) -> None:
    length = parse_length(text, pixel_nm=8.0)
    assert length.nm == pytest.approx(nm, rel=1e-15)
    assert length.unit == unit


@pytest.mark.parametrize("text", ["", " ", "auto", "Automatic", "-"])
def test_left_open(text: str) -> None:
    assert parse_length(text) == Length(None)
    with pytest.raises(UserError, match="a length is needed here"):
        parse_length(text, automatic=False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abc", '"abc" is no length; write it as "800 nm"'),
        ("12 nm 3", "is no length"),
        ("1.2.3 nm", "is no length"),
        ("nan", "is no length"),
        ("inf nm", "is no length"),
        ("12 parsec", 'no unit is called "parsec"'),
        ("1,2 um", "decimals with a point"),
        ("1,200 nm", "thousands without a mark"),
        ("0 nm", "must be more than 0"),
        ("-5 nm", "must be more than 0"),
        ("1e400 nm", "must be more than 0"),
        ("100 px", "the size of a pixel is not known"),
        ("x" * 500, "is no length"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_way_out(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        parse_length(text)
    line = str(error.value)
    assert says in line
    assert "\n" not in line
    assert len(line) < 150


def test_zero_where_it_is_allowed() -> None:
    assert parse_length("0", zero=True).nm == 0
    with pytest.raises(UserError, match="0 or more"):
        parse_length("-1", zero=True)


@given(NM, st.sampled_from(["", "nm", "µm", "mm", "px"]), PIXEL)
def test_what_is_written_is_read_again(nm: float, unit: str, pixel: float) -> None:
    length = parse_length(length_text(nm, unit, pixel), pixel)
    assert length.nm == pytest.approx(nm, rel=1e-9)
    assert length.unit == (unit or best_unit(nm))


@given(NM, PIXEL)
def test_the_other_unit_says_the_same(nm: float, pixel: float) -> None:
    in_pixels = other_text(Length(nm, "nm"), pixel)
    assert in_pixels.endswith(" px")
    assert parse_length(in_pixels, pixel).nm == pytest.approx(nm, rel=1e-3)
    in_nm = other_text(Length(nm, "px"), pixel)
    assert not in_nm.endswith("px")
    assert parse_length(in_nm).nm == pytest.approx(nm, rel=1e-4)


def test_the_other_unit_of_what_is_not_known() -> None:
    assert other_text(Length(800.0, "nm"), None) == ""
    assert other_text(Length(None), None) == ""
    assert other_text(Length(None), 8.0) == "8 nm"


@pytest.mark.parametrize(
    ("length", "steps", "nm"),
    [
        (Length(800.0, "nm"), 1, 810.0),
        (Length(800.0, "nm"), -1, 790.0),
        (Length(1200.0, "µm"), 1, 1300.0),
        (Length(100.0, "nm"), -1, 99.0),
        (Length(99.0, "nm"), 1, 100.0),
        (Length(99.0, "nm"), 2, 110.0),
        (Length(80.0, "px"), 1, 88.0),
        (Length(80.0, "px"), -100, 8.0),  # never less than a pixel
        (Length(None), 1, 8.1),
    ],
)
def test_a_step(length: Length, steps: int, nm: float) -> None:
    assert stepped(length, steps, 8.0).nm == pytest.approx(nm, rel=1e-12)


@given(NM, st.sampled_from(["nm", "µm", "mm", "px"]), st.integers(1, 10), PIXEL)
def test_steps_go_their_way_and_stay_lengths(
    nm: float, unit: str, steps: int, pixel: float
) -> None:
    length = Length(nm, unit)
    up, down = stepped(length, steps, pixel).nm, stepped(length, -steps, pixel).nm
    assert up is not None
    assert down is not None
    assert math.isfinite(up)
    assert down > 0
    assert up > nm * 1.0000001 or unit == "px"
    assert down < nm * 0.9999999 or unit == "px"
