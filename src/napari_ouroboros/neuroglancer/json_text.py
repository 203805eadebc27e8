"""JSON that people hand over: every mistake in it is one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_ouroboros.errors import UserError, one_line

STATE = "a Neuroglancer state"


def read_json(path: Path, what: str = STATE) -> dict[str, Any]:
    """Read a JSON object from a file; `what` says what it should be.

    Raises
    ------
    UserError
        No such file, a folder, no permission, not UTF-8, empty, broken JSON (with line and
        column), or no object.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the JSON file of {what}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {one_line(reason)}") from error
    return decode(data, str(path), what)


def decode(data: bytes, where: str, what: str = STATE) -> dict[str, Any]:
    """Read a JSON object from the bytes of a file or a reply."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where} is not text in UTF-8, so it is not {what}") from None
    if not text.strip():
        raise UserError(f"{where} is empty")
    return parse_json(text, where, what)


def parse_json(text: str, where: str, what: str = STATE) -> dict[str, Any]:
    """Read a JSON object; `where` begins the error, which names line and column.

    `what` says what it should be.
    """
    try:
        state = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise UserError(f"{where} is nested too deeply to be {what}") from None
    except ValueError:  # an integer with thousands of digits
        raise UserError(f"{where} holds a number that is too long") from None
    if not isinstance(state, dict):
        raise UserError(f"{where} is not a JSON object, so it is not {what}")
    return state
