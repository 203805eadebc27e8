"""Levels of chunks: what a volume is, whatever format it is stored in. Everything zyx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry.grid import Grid

Index = tuple[int, int, int]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Kind = Literal["image", "segmentation"]


@dataclass(frozen=True)
class ArrayLayout:
    """How the axes of a stored array (zarr, N5) become (channel, z, y, x).

    Attributes
    ----------
    driver : {"zarr2", "zarr3", "n5"}
        The array's own format.
    axes : (int or None, int, int, int)
        Where channel, z, y and x are among the array's axes, in the order of its metadata;
        ``None``: there is no channel axis. An N5 array is stored xyz, so its are (None, 2, 1, 0).
    fixed : tuple of (axis, index)
        The other axes (time), and which one index of them is read.
    chunk : tuple of int
        Size of the array's chunks along its own axes.
    separator : str
        Between the numbers in a chunk's name.
    prefix : str
        Before them: ``c/`` in zarr 3.
    metadata : dict
        The array's own JSON (``.zarray``, ``zarr.json``, ``attributes.json``), which says how its
        chunks are encoded.
    """

    driver: Literal["zarr2", "zarr3", "n5"]
    axes: tuple[int | None, int, int, int]
    fixed: tuple[tuple[int, int], ...] = ()
    chunk: tuple[int, ...] = ()
    separator: str = "/"
    prefix: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Level(Grid):
    """One mip of a volume: a `Grid` cut into chunks. Everything zyx.

    Parameters
    ----------
    shape, resolution, voxel_offset
        See `Grid`; resolution in nm, voxel_offset in voxels of this level.
    chunk : (int, int, int)
        Size of a chunk in voxels; those at the upper ends are clipped.
    key : str
        Name of the level's folder inside the volume.
    encoding : str
        How the chunks are encoded: ``raw``, ``jpeg``, ``compressed_segmentation``, ...
    sharded : bool
        Whether many chunks share one file.
    block : (int, int, int) or None
        Block size of ``compressed_segmentation``.
    sharding : dict or None
        The `sharding` member as it stands in the file.
    array : ArrayLayout or None
        For levels that are arrays of their own (zarr, N5); None for precomputed.
    """

    chunk: Index = field(default=(64, 64, 64), kw_only=True)
    key: str = field(default="", kw_only=True)
    encoding: str = field(default="raw", kw_only=True)
    block: Index | None = field(default=None, kw_only=True, repr=False)
    sharding: Mapping[str, Any] | None = field(
        default=None, kw_only=True, repr=False, compare=False
    )
    array: ArrayLayout | None = field(default=None, kw_only=True, repr=False)

    @property
    def sharded(self) -> bool:
        """Whether many chunks share one file."""
        return self.sharding is not None

    @property
    def chunk_grid(self) -> Index:
        """Number of chunks along z, y and x."""
        z, y, x = (-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))
        return z, y, x

    def chunk_box(self, index: Index) -> Box:
        """Array indices ((z0, z1), (y0, y1), (x0, x1)) of the chunk with index zyx, clipped.

        Raises
        ------
        IndexError
            There is no such chunk.
        """
        for i, n in zip(index, self.chunk_grid, strict=True):
            if not 0 <= i < n:
                raise IndexError(f"chunk {tuple(index)} is outside the grid {self.chunk_grid}")
        z, y, x = (
            (int(i) * c, min((int(i) + 1) * c, n))
            for i, c, n in zip(index, self.chunk, self.shape, strict=True)
        )
        return z, y, x


def checked_box(box: Box | None, level: Level) -> Box:
    """Return `box`, or the whole level for ``None``.

    Raises
    ------
    UserError
        It is not three pairs of whole numbers inside the level.
    """
    if box is None:
        z, y, x = level.shape
        return (0, z), (0, y), (0, x)
    try:
        spans = [(int(a), int(b)) for a, b in box]
        exact = all(a == c and b == d for (a, b), (c, d) in zip(spans, box, strict=True))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"a box is ((z0, z1), (y0, y1), (x0, x1)) in voxels; this is {box!r}"
        ) from error
    if len(spans) != 3 or not exact:
        raise UserError(f"a box is ((z0, z1), (y0, y1), (x0, x1)) in voxels; this is {box!r}")
    for (a, b), n in zip(spans, level.shape, strict=True):
        if not 0 <= a <= b <= n:
            raise UserError(f"the box {box} is not inside the level's shape {level.shape} (zyx)")
    return spans[0], spans[1], spans[2]


@dataclass(frozen=True)
class VolumeInfo:
    """What the metadata of a volume say: levels finest first."""

    levels: tuple[Level, ...]
    dtype: np.dtype[Any]
    channels: int
    kind: Kind
