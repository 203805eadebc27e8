"""Where labels go home to: the source's own grids, as far as the destination can say them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.outputs import (
    CHUNK,
    Output,
    is_replaceable,
    local_path,
    output_kind,
    volume_writer,
)

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.level import Index
    from napari_ouroboros.volumes.writing.chunk_writer import ChunkWriter
    from napari_ouroboros.volumes.writing.label_tiff import LabelTiff
    from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder

# Voxels by which a result may lie beside its source without a word: no viewer shows it.
_TOLERANCE = 0.01

# From where on the box of a TIFF is worth a word: bytes of its planes, and the part of them that
# the chunks along the trace take.
_WIDE_BYTES, _WIDE_SHARE = 2**30, 0.05


@dataclass(frozen=True)
class Scale:
    """One level of the source, and how the result says it.

    Attributes
    ----------
    mip : int
    source : Grid
        Where the source's voxels lie; a zarr's or N5's voxel_offset need not be whole.
    written : Grid
        The same voxels as the destination says them.
    key : str or None
        The source's name of the level; None lets the writer choose.
    """

    mip: int
    source: Grid
    written: Grid
    key: str | None

    @property
    def shift_nm(self) -> tuple[float, float, float]:
        """What has to be added to written positions, zyx nm; 0 below a hundredth of a voxel."""
        voxels = np.subtract(self.source.voxel_offset, self.written.voxel_offset)
        voxels[np.abs(voxels) <= _TOLERANCE] = 0
        z, y, x = (float(n) for n in voxels * self.source.resolution)
        return z, y, x


def scales_of(
    recorded: dict[str, Any] | None, like: Volume | None, mip: int | None, output: Output
) -> list[Scale]:
    """Scale M of the source and all that are coarser, from fine to coarse.

    Parameters
    ----------
    recorded : dict or None
        What the recipe noted of its source.
    like : Volume, optional
        The source itself; counts before `recorded`.
    mip : int, optional
        M; default the recipe's, else 0.
    output : {"precomputed", "zarr", "tiff"}
        Precomputed volumes have whole voxel offsets.

    Raises
    ------
    UserError
        No source is known, or it has no such mip.
    """
    number = int((recorded or {}).get("mip", 0)) if mip is None else int(mip)
    if like is not None:
        like.mip(number)  # says which mips there are
        levels = [(Grid(v.shape, v.resolution, v.voxel_offset), v.key) for v in like.levels]
    else:
        levels = _recorded_levels(recorded)
    if not 0 <= number < len(levels):
        raise UserError(f"there is no mip {number}; the source has mips 0 to {len(levels) - 1}")
    return [
        Scale(
            i, grid, _as_written(grid, output), _safe_key(key) if output == "precomputed" else None
        )
        for i, (grid, key) in enumerate(levels)
        if i >= number
    ]


def check_coarser(scales: Sequence[Scale]) -> None:
    """UserError when a scale that `--pyramid` would make is not coarser; Notice when there is none.

    The first of `scales` is the one that labels are written to.
    """
    finest, *coarser = scales
    if not coarser:
        warnings.warn(
            f"the source has no scale coarser than mip {finest.mip}, so a pyramid adds nothing",
            Notice,
            stacklevel=3,
        )
    for scale in coarser:
        ratio = np.divide(scale.source.resolution, finest.source.resolution)
        if ratio.min() < 1 - 1e-6:
            raise UserError(
                f"mip {scale.mip} of the source is finer than mip {finest.mip} along an axis "
                f"({scale.source.resolution} and {finest.source.resolution} nm, zyx): it cannot "
                "be made from it; leave --pyramid out"
            )


def corner_nm(grid: Grid, box: tuple[tuple[int, int], ...]) -> tuple[float, float, float]:
    """The outer corner, zyx nm, of a box of array indices."""
    z, y, x = (
        float((o + low) * r)
        for o, r, (low, _) in zip(grid.voxel_offset, grid.resolution, box, strict=True)
    )
    return z, y, x


def notice_shift(scale: Scale) -> None:
    """Say so when the result cannot lie where its source does."""
    if any(scale.shift_nm):
        z, y, x = scale.shift_nm
        warnings.warn(
            f"the source begins at {_three(scale.source.voxel_offset)} voxels (zyx), a precomputed "
            f"volume at whole ones: shift the result by {z:g}, {y:g}, {x:g} nm (zyx) to lay it on "
            "the source, or write a .zarr",
            Notice,
            stacklevel=3,
        )


def label_place(path: str | os.PathLike[str]) -> tuple[Path, Output]:
    """The folder or file that a destination names, and the kind of result it asks for."""
    return local_path(path), output_kind(path)


def conflict_folder(path: str | os.PathLike[str], labels: Path) -> tuple[Path, Output]:
    """The folder of the mask of contested voxels, and the kind of volume it asks for.

    Raises
    ------
    UserError
        It asks for a TIFF, or is where the labels go.
    """
    place, output = label_place(path)
    if output == "tiff":
        raise UserError(
            "the conflicts go into a precomputed folder or a .zarr; "
            f"{os.fspath(path)} asks for a TIFF"
        )
    if place == labels:
        raise UserError("the conflicts need a folder of their own, not the labels'")
    return place, output


def check_form(output: Output, pyramid: bool, sharded: bool) -> None:
    """UserError when a kind of result has no room for coarser levels, or for shards."""
    if output == "tiff" and pyramid:
        raise UserError(
            "a TIFF holds one level; write a .zarr or a precomputed folder, or no pyramid"
        )
    if output != "precomputed" and sharded:
        kind = "a TIFF has no shards" if output == "tiff" else "OME-Zarr results are not sharded"
        raise UserError(f"{kind}; write a precomputed folder, or no shards")


def notice_wide(chunks: Sequence[Index], scale: Scale, dtype: np.dtype[Any]) -> None:
    """Say so when a TIFF would be mostly background, because it holds whole planes."""
    from napari_ouroboros.volumes.writing.label_tiff import box_share

    voxels, share = box_share(chunks, CHUNK, scale.source)
    if voxels * dtype.itemsize > _WIDE_BYTES and share < _WIDE_SHARE:
        warnings.warn(
            f"a TIFF holds whole planes, {voxels * dtype.itemsize / 1e9:.0f} GB of them before "
            f"compression around this trace, and the labels lie in {share:.1%} of that: "
            "a .zarr or a precomputed folder holds the labels alone",
            Notice,
            stacklevel=3,
        )


def staged(path: Path, output: Output, overwrite: bool) -> StagedFolder:
    """The folder of a result in the making."""
    from napari_ouroboros.volumes.writing.staging import StagedFolder

    return StagedFolder(path, overwrite, partial(is_replaceable, output=output))


def staged_file(path: Path, overwrite: bool) -> StagedFile:
    """The file of a result in the making."""
    from napari_ouroboros.volumes.writing.staging import StagedFile

    return StagedFile(path, overwrite)


def label_tiff(
    file: StagedFile, scale: Scale, dtype: DTypeLike, facts: dict[str, Any]
) -> LabelTiff:
    """The writer of labels as a TIFF."""
    from napari_ouroboros.volumes.writing.label_tiff import LabelTiff

    return LabelTiff(file, scale.written, dtype, CHUNK, facts)


def label_writer(
    folder: StagedFolder,
    output: Output,
    scale: Scale,
    dtype: DTypeLike,
    facts: dict[str, Any],
    sharded: bool = False,
) -> ChunkWriter:
    """The writer of the finest scale of labels."""
    options: dict[str, Any] = {"sharded": True} if sharded else {}
    return volume_writer(output)(
        folder,
        shape=scale.written.shape,
        resolution=scale.written.resolution,
        voxel_offset=scale.written.voxel_offset,
        dtype=dtype,
        kind="segmentation",
        chunk=CHUNK,
        key=scale.key,
        extra_info=facts,
        **options,
    )


def _recorded_levels(recorded: dict[str, Any] | None) -> list[tuple[Grid, str]]:
    levels = (recorded or {}).get("levels")
    if not levels:
        raise UserError(
            "the recipe records no source volume, so there is no grid to label; use the recipe "
            "that straighten wrote, or name a volume in Python: like=open_volume(url)"
        )
    return [
        (
            Grid(tuple(level["shape"]), tuple(level["resolution"]), tuple(level["voxel_offset"])),
            str(level["key"]),
        )
        for level in levels
    ]


def _as_written(grid: Grid, output: Output) -> Grid:
    if output != "precomputed":
        return grid
    # Half up, as everywhere; Python's own round() goes to the even neighbour.
    z, y, x = (int(np.floor(o + 0.5)) for o in grid.voxel_offset)
    return Grid(grid.shape, grid.resolution, (z, y, x))


def _safe_key(key: str) -> str | None:
    """A recipe may come from anywhere: its keys must not lead out of the result's folder."""
    path = PurePosixPath(key)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in key or ":" in key:
        return None
    return key


def _three(numbers: Sequence[float]) -> str:
    return ", ".join(f"{n:g}" for n in numbers)
