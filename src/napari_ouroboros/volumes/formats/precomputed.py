"""The `info` file of a Neuroglancer precomputed volume, and the names of its chunks.

Format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md
The file's order is xyz; what leaves this module is zyx.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.level import Index, Kind, Level, VolumeInfo

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


def chunk_name(level: Level, index: Index) -> str:
    """Name of the chunk with index zyx in an unsharded level: ``<key>/x0-x1_y0-y1_z0-z1``."""
    parts = [
        f"{low + int(offset)}-{high + int(offset)}"
        for (low, high), offset in zip(level.chunk_box(index), level.voxel_offset, strict=True)
    ]
    return f"{level.key}/{'_'.join(reversed(parts))}"


def parse_info(info: Mapping[str, Any], shown: str) -> VolumeInfo:
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
    return VolumeInfo(levels, np.dtype(name), int(channels), kind)


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
