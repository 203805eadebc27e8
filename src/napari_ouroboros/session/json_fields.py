"""Dataclasses to JSON and back, checked field by field against their type hints.

A value that does not fit is named by where it stands, ``traces[2].points_nm[0]``, so that a file
that was changed by hand can be mended. What a file does not have takes the field's default, and
what this version does not know is passed over: a newer version may have added it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import types
import typing
from functools import cache
from typing import Any, Literal, TypeVar, Union

from napari_ouroboros.errors import UserError

T = TypeVar("T")

_PLAIN = {str: "a text", bool: "true or false", int: "a whole number", float: "a finite number"}


def to_json(value: Any) -> dict[str, Any]:
    """Return a dataclass as JSON's dicts, lists, texts and numbers.

    Raises
    ------
    UserError
        A value is not what its field says, or no finite number; the message names the field.
    """
    kind: Any = type(value)
    return _write(value, kind, "")


def from_json(kind: type[T], data: Any) -> T:
    """Return the dataclass `kind` that `data`, parsed JSON, describes; the inverse of `to_json`.

    Raises
    ------
    UserError
        A field is missing or not what it should be; the message names it.
    """
    return _read(data, kind, "")


def _write(value: Any, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, typing.cast(type, hint)):
            raise _misfit(value, where, "a set of fields")
        return {
            name: _write(getattr(value, name), field_hint, _inside(where, name))
            for name, field_hint in _hints(typing.cast(Any, hint)).items()
        }
    return _other(value, hint, where, _write, list)


def _read(value: Any, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise _misfit(value, where, "a set of fields")
        return _object(value, hint, where)
    return _other(value, hint, where, _read, tuple)


def _object(value: dict[str, Any], hint: Any, where: str) -> Any:
    found = {}
    hints = _hints(hint)
    for field in dataclasses.fields(hint):
        place = _inside(where, field.name)
        if field.name in value:
            found[field.name] = _read(value[field.name], hints[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"it has no {place!r}")
    try:
        return hint(**found)
    except UserError as error:
        raise UserError(f"{where}: {error}" if where else str(error)) from None


def _other(value: Any, hint: Any, where: str, step: Any, sequence: Any) -> Any:
    """A value of a type that is no dataclass; `step` goes on into what lies in it."""
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of(value, arms, where, step)
    if origin is Literal:
        if not any(value == arm and type(value) is type(arm) for arm in arms):
            raise _misfit(value, where, "one of " + ", ".join(map(repr, arms)))
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _misfit(value, where, "a list")
        if arms[-1] is Ellipsis:
            arms = arms[:1] * len(value)
        elif len(value) != len(arms):
            raise _misfit(value, where, f"a list of {len(arms)}")
        pairs = enumerate(zip(value, arms, strict=True))
        return sequence(step(item, arm, f"{where}[{i}]") for i, (item, arm) in pairs)
    if origin is dict:
        if not isinstance(value, dict):
            raise _misfit(value, where, "a set of fields")
        return _copy(value, where)
    return _scalar(value, hint, where)


def _one_of(value: Any, arms: tuple[Any, ...], where: str, step: Any) -> Any:
    if value is None and type(None) in arms:
        return None
    real = [arm for arm in arms if arm is not type(None)]
    for arm in real[:-1]:
        try:
            return step(value, arm, where)
        except UserError:
            continue  # the next arm may take it, and the last one says what is wrong
    return step(value, real[-1], where)


def _scalar(value: Any, hint: Any, where: str) -> Any:
    """Numbers of numpy become Python's; a bool is no number, and a number no bool."""
    truth = isinstance(value, bool)
    if hint is str and isinstance(value, str):
        return str(value)
    if hint is bool and truth:
        return value
    if hint is int and isinstance(value, numbers.Integral) and not truth:
        return int(value)
    if hint is float and isinstance(value, numbers.Real) and not truth:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    if hint not in _PLAIN:
        raise TypeError(f"{where}: fields of type {hint} are not kept")
    raise _misfit(value, where, _PLAIN[hint])


def _copy(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Make a copy that shares nothing with `value`, which must be what JSON can hold."""
    try:
        copied: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} cannot be written as JSON: {error}") from error
    return copied


def _misfit(value: Any, where: str, wanted: str) -> UserError:
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return UserError(f"{where or 'the whole'} must be {wanted}; it is {shown}")


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
