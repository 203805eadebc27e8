"""Slices as affine grids of array indices, and how a volume is to be sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.sampling import TAPS, Interpolation, SliceGrid

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Level, Volume


def affine(
    straightening: Straightening, level: Level, slices: tuple[int, int], step: int = 1
) -> SliceGrid:
    """Return where the samples of slices (every `step`-th) lie in a level."""
    part = slice(*slices, step)
    frames, pitch = straightening.frames, straightening.pitch_nm
    resolution = np.asarray(level.resolution, float)
    drow = frames.B[part] * pitch / resolution
    dcolumn = frames.N[part] * pitch / resolution
    v, u = -0.5 * (straightening.height - 1), -0.5 * (straightening.width - 1)
    start = level.to_index(frames.c[part]) + v * drow + u * dcolumn
    return SliceGrid(*(np.ascontiguousarray(a) for a in (start, drow, dcolumn)))


def choose_interpolation(
    volume: Volume, interpolation: str | None, kind: str | None = None
) -> Interpolation:
    """Nearest for segmentations and 64-bit integers, else linear; an error for others on these."""
    labels = kind == "segmentation" or volume.holds_labels
    if interpolation is None:
        return "nearest" if labels else "linear"
    for known in TAPS:
        if known == interpolation:
            if labels and known != "nearest":
                raise UserError(
                    f"{interpolation} interpolation would invent label ids: this volume is a "
                    "segmentation, or of 64-bit integers; use nearest"
                )
            return known
    raise UserError(
        f"interpolation must be 'nearest', 'linear' or 'cubic'; it is {interpolation!r}"
    )


def fill_value(fill: float | None, dtype: np.dtype[Any]) -> Any:
    """The fill as a value of the dtype; UserError if it cannot hold it."""
    if fill is None:
        return np.nan if dtype.kind == "f" else 0
    if dtype.kind == "f":
        return float(fill)
    info = np.iinfo(dtype)
    if not (np.isfinite(fill) and int(fill) == fill and info.min <= fill <= info.max):
        raise UserError(f"--fill {fill} does not fit the volume's {dtype}: whole numbers from "
                        f"{info.min} to {info.max} do")  # fmt: skip
    return int(fill)
