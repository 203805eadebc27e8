"""Values out of JSON, checked: numbers are exact fractions, errors name what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from napari_ouroboros.errors import SourceError, one_line

Triple = tuple[float, float, float]

# Larger ones are no lengths, and overflow in another unit; floats tell no more voxels apart.
_LARGEST, _MOST_VOXELS = 10**30, 2**53

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


def brief(value: object) -> str:
    """A value as messages show it: in one line, and not too long."""
    return one_line(repr(value), 80)


def numbers(value: object, count: int | None, shown: str) -> list[Fraction]:
    """Return a JSON list of numbers, none beyond 1e30; `count` of them, or any number for None.

    Raises
    ------
    SourceError
        It is something else; `shown` begins the message.
    """
    good = (
        isinstance(value, list)
        and (count is None or len(value) == count)
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
        and all(abs(v) <= _LARGEST for v in value)
    )
    if not good or not isinstance(value, list):
        many = "" if count is None else f"{count} "
        raise SourceError(f"{shown} must be {many}numbers; it is {brief(value)}")
    return [exact(v) for v in value]


def positive(value: object, count: int | None, shown: str) -> list[Fraction]:
    """Return `numbers` that must be above 0, and not below 1e-30."""
    found = numbers(value, count, shown)
    if any(number * _LARGEST < 1 for number in found):
        raise SourceError(f"{shown} must be above 0; it is {brief(value)}")
    return found


def whole(value: object, count: int | None, shown: str, least: int | None = 1) -> tuple[int, ...]:
    """Return `numbers` of voxels, which must be whole, and `least` or more; None: of any sign."""
    found = numbers(value, count, shown)
    if any(n.denominator != 1 or (least is not None and n < least) for n in found):
        least_words = "" if least is None else f" of {least} or more"
        what = f"{shown} must be whole numbers{least_words}"
    elif any(abs(number) > _MOST_VOXELS for number in found):
        what = f"{shown} is beyond any volume"
    else:
        return tuple(int(number) for number in found)
    raise SourceError(f"{what}; it is {brief(value)}")


def entry(value: Mapping[str, Any], key: str, type_: type, shown: str) -> Any:
    """Return an entry of a JSON object; SourceError unless it is there and of that type."""
    found = value.get(key)
    if not isinstance(found, type_):
        raise SourceError(f"{shown}: {key} must be {_TYPES[type_]}; it is {brief(found)}")
    return found
