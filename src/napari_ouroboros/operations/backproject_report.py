"""What a backprojection can be asked, and what it tells."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from numpy.typing import DTypeLike

from napari_ouroboros.errors import Notice


class BackprojectOptions(TypedDict, total=False):
    """Keywords of `backproject` and `BackprojectJob`, where they are explained."""

    keep: Sequence[int] | None
    labels_scale: Sequence[float] | None
    labels_offset: Sequence[float] | None
    dtype: DTypeLike | None
    conflicts: str | os.PathLike[str] | None
    pyramid: bool
    sharded: bool
    memory: int
    timeout: float
    threads: int | None
    overwrite: bool
    command: str | None


@dataclass(frozen=True)
class BackprojectReport:
    """What a run of `backproject` did.

    Attributes
    ----------
    path : Path
        The segmentation.
    mip : int
        The source's level whose grid it has.
    coarser_mips : tuple of int
        Levels made from it by majority.
    dtype : str
    voxels_in_tube : int
        Voxels whose centre lies in a slice, background included.
    voxels_labelled : int
    voxels_contested : int
        Voxels that several slices of one trace claim; the nearest centre line got them.
    voxels_between_traces : int
        Voxels to which two traces gave different labels.
    chunks_touched, chunks_written : int
    bounds : tuple or None
        Box of the written chunks, ((z0, z1), (y0, y1), (x0, x1)) in array indices of the source's
        level; a TIFF holds just that.
    corner_nm : (float, float, float) or None
        Outer corner of `bounds`, zyx nm.
    shift_nm : (float, float, float)
        What has to be added to positions in the result to lie on the source, zyx: a precomputed
        volume begins at a whole voxel, an OME-Zarr or N5 source perhaps not. 0 below a hundredth
        of a voxel.
    seconds : float
    """

    path: Path
    mip: int
    coarser_mips: tuple[int, ...]
    dtype: str
    voxels_in_tube: int
    voxels_labelled: int
    voxels_contested: int
    voxels_between_traces: int
    chunks_touched: int
    chunks_written: int
    bounds: tuple[tuple[int, int], ...] | None
    corner_nm: tuple[float, float, float] | None
    shift_nm: tuple[float, float, float]
    seconds: float


def what_is_empty(keep: Sequence[int] | None) -> str:
    """Say that no voxel got a label; `keep`: the ids that were asked for."""
    which = "no label"
    if keep is not None:
        ids = list(keep)
        which += f" among those to keep ({', '.join(map(str, ids[:5]))}{', ...' * (len(ids) > 5)})"
    return f"the result is empty: {which} lies within the volume"


def notice_empty(keep: Sequence[int] | None) -> None:
    """Warn of what `what_is_empty` says."""
    warnings.warn(what_is_empty(keep), Notice, stacklevel=3)
