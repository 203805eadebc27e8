"""Values out of JSON, checked: numbers are exact fractions, errors name what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from napari_ouroboros.errors import SourceError, one_line

Triple = tuple[float, float, float]

_TYPES: dict[type, str] = {dict: "an object", list: "a list", str: "text"}


def exact(number: float) -> Fraction:
    """Return the decimal number that a float stands for, so that 0.008 um are 8 nm."""
    return Fraction(repr(number))


def plain(number: Fraction) -> float:
    """Return a whole number as int, so that it prints as such, anything else as float."""
    return int(number) if number.denominator == 1 else float(number)


def zyx(numbers: Sequence[Fraction]) -> Triple:
    """Three fractions as plain numbers."""
    z, y, x = (plain(number) for number in numbers)
    return z, y, x


def numbers(value: object, count: int | None, shown: str) -> list[Fraction]:
    """Return a JSON list of finite numbers; `count` of them, or any number for None.

    Raises
    ------
    SourceError
        It is something else; `shown` begins the message.
    """
    good = (
        isinstance(value, list)
        and (count is None or len(value) == count)
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
        and all(math.isfinite(v) for v in value)
    )
    if not good or not isinstance(value, list):
        many = "" if count is None else f"{count} "
        raise SourceError(f"{shown} must be {many}numbers; it is {value!r}")
    return [exact(v) for v in value]


def positive(value: object, count: int | None, shown: str) -> list[Fraction]:
    """Return `numbers` that must be above 0."""
    found = numbers(value, count, shown)
    if any(number <= 0 for number in found):
        raise SourceError(f"{shown} must be above 0; it is {value!r}")
    return found


def whole(value: object, count: int | None, shown: str) -> tuple[int, ...]:
    """Return `numbers` that must be whole and 1 or more."""
    found = numbers(value, count, shown)
    if any(number.denominator != 1 or number < 1 for number in found):
        raise SourceError(f"{shown} must be whole numbers of 1 or more; it is {value!r}")
    return tuple(int(number) for number in found)


def entry(value: Mapping[str, Any], key: str, type_: type, shown: str) -> Any:
    """Return an entry of a JSON object; SourceError unless it is there and of that type."""
    found = value.get(key)
    if not isinstance(found, type_):
        raise SourceError(f"{shown}: {key} must be {_TYPES[type_]}; it is {one_line(found, 80)}")
    return found
