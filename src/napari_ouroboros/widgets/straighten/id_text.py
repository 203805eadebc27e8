"""Ids as people write them: "7, 300"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from napari_ouroboros.errors import UserError


def ids_of(text: str, dtype: np.dtype[Any]) -> list[int]:
    """Return the ids of a text; commas, semicolons or spaces lie between them.

    Raises
    ------
    UserError
        One is no whole number from 1 to what the dtype can hold.
    """
    most = int(np.iinfo(dtype).max)
    ids = []
    for word in re.split(r"[\s,;]+", text.strip()):
        if not word:
            continue
        if not (word.isascii() and word.isdecimal() and 1 <= int(word) <= most):
            raise UserError(f"{word!r} is no id: whole numbers from 1 to {most} are")
        ids.append(int(word))
    return ids


def text_of(ids: Iterable[int]) -> str:
    """Return ids as a text that `ids_of` reads."""
    return ", ".join(str(label) for label in ids)
