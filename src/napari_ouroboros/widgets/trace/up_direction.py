"""The direction that is up in every slice, as people type it. No Qt."""

from __future__ import annotations

import re

from napari_ouroboros.errors import UserError

#: What is offered: axes of the volume.
CHOICES = ("none", "-z", "+z", "-y", "+y", "-x", "+x")


def parse_up(text: str) -> tuple[float, float, float] | None:
    """Read "none", an axis with its sign ("-y"), or three numbers z, y, x."""
    plain = text.strip().lower()
    if plain in ("", "none"):
        return None
    if match := re.fullmatch(r"([+-]?)([zyx])", plain):
        sign = -1.0 if match[1] == "-" else 1.0
        z, y, x = (sign * (axis == match[2]) for axis in "zyx")
        return z, y, x
    try:
        numbers = [float(part) for part in re.split(r"[,;\s]+", plain.strip("()[]"))]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not any(numbers) or not all(abs(n) < 1e30 for n in numbers):
        raise UserError(f"up: write none, an axis like -y, or three numbers z, y, x; not {text!r}")
    return numbers[0], numbers[1], numbers[2]


def up_text(up: object) -> str:
    """Write a direction (3,) as `parse_up` reads it; None: "none"."""
    if up is None:
        return "none"
    numbers = [float(n) for n in up]  # type: ignore[attr-defined]
    for axis, number in zip("zyx", numbers, strict=True):
        if abs(number) == 1 and sum(map(abs, numbers)) == 1:
            return f"{'-' if number < 0 else '+'}{axis}"
    return ", ".join(f"{n:g}" for n in numbers)
