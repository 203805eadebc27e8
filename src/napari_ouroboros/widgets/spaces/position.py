"""Positions as people write them: read, and shown. No napari, no Qt."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.grid import Grid

Float = NDArray[np.float64]

#: For the tooltip of every field that takes a position.
HOW_TO_WRITE = (
    'A position as Neuroglancer shows it: "x, y, z" in voxels of the finest level.\n'
    'Or lengths: "z, y, x nm", in the order of napari\'s sliders; also um, mm.'
)
_UNITS = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def read_position(text: str, grid: Grid) -> Float:
    """Position zyx in nm that a text means; see `HOW_TO_WRITE`.

    Parameters
    ----------
    text : str
    grid : Grid
        The finest level of the volume.

    Returns
    -------
    array (3,)
        Neuroglancer's integers are voxel corners, and those of a position copied from it mean
        the voxel that begins there: whole numbers become the voxel's centre.

    Raises
    ------
    UserError
        The text is no position.
    """
    cleaned = text.strip().strip("[]()")
    unit = next((u for u in _UNITS if cleaned.endswith(u)), "")
    if unit:
        # Both "1, 2, 3 nm" and "1 nm, 2 nm, 3 nm".
        cleaned = cleaned.replace(unit, " ")
    parts = [part for part in re.split(r"[\s,;]+", cleaned.strip()) if part]
    if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise UserError(
            f"{text[:80]!r} is no position; write it as x, y, z in voxels, or as z, y, x nm"
        )
    numbers = np.array([float(part) for part in parts])
    if not np.isfinite(numbers).all():
        raise UserError(f"{text[:80]!r} lies beyond every volume; write smaller numbers")
    if unit:
        return numbers * _UNITS[unit]
    voxels = numbers[::-1]
    whole = np.array([number == math.floor(number) for number in voxels])
    return (voxels + np.where(whole, 0.5, 0.0)) * np.asarray(grid.resolution)


def voxel_text(nm: ArrayLike, grid: Grid) -> str:
    """Return "x, y, z" of the voxel at zyx nm, counted as Neuroglancer counts."""
    voxel = np.floor(np.asarray(nm, np.float64) / grid.resolution + 1e-9).astype(np.int64)
    return ", ".join(str(v) for v in voxel[::-1])


def nm_text(nm: ArrayLike) -> str:
    """Return "z, y, x nm"."""
    return ", ".join(f"{v:.0f}" for v in np.asarray(nm, np.float64)) + " nm"


def index_text(index: ArrayLike) -> str:
    """Return slice, row and column of a straightened index."""
    k, row, column = (round(float(v)) for v in np.asarray(index, np.float64))
    return f"slice {k}, row {row}, column {column}"
