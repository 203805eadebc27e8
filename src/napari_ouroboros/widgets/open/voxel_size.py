"""The size of a voxel as people write it: "40, 8, 8", "40 8 8 nm", "0.04 um, 8 nm, 8 nm"."""

from __future__ import annotations

import re

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.controls.lengths import parse_length

HOW = 'write it as three lengths z, y, x: "40, 8, 8 nm"'


def parse_voxel_size(text: str) -> tuple[float, float, float]:
    """Return zyx nm; UserError that says how to write it."""
    parts = [part.strip() for part in re.split(r"[,;×]|\bx\b", text.strip().strip("[]()"))]
    if len(parts) == 1:
        parts = re.findall(r"[-+.\deE]+\s*[^\W\d]*", parts[0])
    if len(parts) != 3 or not all(parts):
        raise UserError(f"{text[:60]!r} is no voxel size; {HOW}")
    unit = re.search(r"[^\W\d]+$", parts[2])
    bare = all(re.fullmatch(r"[-+.\d]+(e[-+]?\d+)?", part, re.IGNORECASE) for part in parts[:2])
    if unit and bare:  # one unit at the end is for all three
        parts = [f"{parts[0]} {unit[0]}", f"{parts[1]} {unit[0]}", parts[2]]
    z, y, x = (parse_length(part, automatic=False).nm for part in parts)
    assert z is not None
    assert y is not None
    assert x is not None
    return z, y, x
