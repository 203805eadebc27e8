"""The `info` file of a Neuroglancer precomputed volume, and the names of its chunks.

Format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md
The file's order is xyz; what leaves this module is zyx.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.geometry.grid import Grid

Index = tuple[int, int, int]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Kind = Literal["image", "segmentation"]

DTYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
)  # fmt: skip

_OTHER_THINGS = {
    "neuroglancer_legacy_mesh": "meshes",
    "neuroglancer_multilod_draco": "meshes",
    "neuroglancer_skeletons": "skeletons",
    "neuroglancer_annotations_v1": "annotations",
    "neuroglancer_segment_properties": "segment properties",
}


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
    """

    chunk: Index = field(default=(64, 64, 64), kw_only=True)
    key: str = field(default="", kw_only=True)
    encoding: str = field(default="raw", kw_only=True)
    block: Index | None = field(default=None, kw_only=True, repr=False)
    sharding: Mapping[str, Any] | None = field(
        default=None, kw_only=True, repr=False, compare=False
    )

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


def chunk_name(level: Level, index: Index) -> str:
    """Name of the chunk with index zyx in an unsharded level: ``<key>/x0-x1_y0-y1_z0-z1``."""
    parts = [
        f"{low + int(offset)}-{high + int(offset)}"
        for (low, high), offset in zip(level.chunk_box(index), level.voxel_offset, strict=True)
    ]
    return f"{level.key}/{'_'.join(reversed(parts))}"


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
class PrecomputedInfo:
    """What an `info` file says: levels finest first, as in the file."""

    levels: tuple[Level, ...]
    dtype: np.dtype[Any]
    channels: int
    kind: Kind


def parse_info(info: Mapping[str, Any], shown: str) -> PrecomputedInfo:
    """Read an `info` file.

    Parameters
    ----------
    info : dict
        The file's JSON.
    shown : str
        Where it comes from, for the messages.

    Raises
    ------
    SourceError
        It describes something else (meshes, skeletons, annotations), or breaks the format.
    """
    at_type = info.get("@type")
    if isinstance(at_type, str) and at_type in _OTHER_THINGS:
        raise SourceError(f"{shown} describes {_OTHER_THINGS[at_type]}, not a volume")
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales:
        raise SourceError(f"{shown} describes no volume: it has no scales")
    name = str(info.get("data_type", "")).lower()
    if name not in DTYPES:
        raise SourceError(f"{shown}: data_type {name!r} is none of {', '.join(DTYPES)}")
    channels = info.get("num_channels", 1)
    if not _is_whole(channels) or channels < 1:
        raise SourceError(f"{shown}: num_channels must be 1 or more; it is {channels!r}")
    kind: Kind = "segmentation" if info.get("type") == "segmentation" else "image"
    levels = tuple(_level(scale, f"{shown}: scale {i}") for i, scale in enumerate(scales))
    return PrecomputedInfo(levels, np.dtype(name), int(channels), kind)


def _level(scale: Any, shown: str) -> Level:
    if not isinstance(scale, Mapping):
        raise SourceError(f"{shown} is no JSON object")
    key = scale.get("key")
    if not isinstance(key, str) or not key.strip("/"):
        raise SourceError(f"{shown} has no key")
    sizes = scale.get("chunk_sizes")
    first = sizes[0] if isinstance(sizes, list) and sizes else None
    shape = _whole_zyx(scale.get("size"), f"{shown}: size")
    chunk = _whole_zyx(first, f"{shown}: chunk_sizes")
    offset = _whole_zyx(scale.get("voxel_offset", [0, 0, 0]), f"{shown}: voxel_offset", None)
    resolution = _numbers_zyx(scale.get("resolution"), f"{shown}: resolution")
    if min(resolution) <= 0:
        raise SourceError(f"{shown}: resolution must be positive; it is {scale['resolution']}")
    encoding = scale.get("encoding")
    if not isinstance(encoding, str) or not encoding:
        raise SourceError(f"{shown} has no encoding")
    encoding = encoding.lower()
    block = None
    if encoding == "compressed_segmentation":
        name = "compressed_segmentation_block_size"
        block = _whole_zyx(scale.get(name, [8, 8, 8]), f"{shown}: {name}")
    sharding = scale.get("sharding")
    if sharding is not None and not isinstance(sharding, Mapping):
        raise SourceError(f"{shown}: sharding is no JSON object")
    return Level(
        shape,
        resolution,
        offset,
        chunk=chunk,
        key=key.strip("/"),
        encoding=encoding,
        block=block,
        sharding=sharding,
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0


def _numbers_zyx(value: Any, shown: str) -> tuple[float, float, float]:
    """Three finite JSON numbers xyz -> zyx, whole ones as int so that they print as such."""
    good = (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
        and all(math.isfinite(v) for v in value)
    )
    if not good:
        raise SourceError(f"{shown} must be three numbers; it is {value!r}")
    z, y, x = (int(v) if v % 1 == 0 else float(v) for v in reversed(value))
    return z, y, x


def _whole_zyx(value: Any, shown: str, least: int | None = 1) -> Index:
    z, y, x = (int(v) if v % 1 == 0 else None for v in _numbers_zyx(value, shown))
    if z is None or y is None or x is None:
        raise SourceError(f"{shown} must be whole numbers; it is {value!r}")
    if least is not None and min(z, y, x) < least:
        raise SourceError(f"{shown} must be {least} or more; it is {value!r}")
    return z, y, x
