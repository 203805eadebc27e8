"""The `info` file of a Neuroglancer precomputed volume, and the names of its chunks.

Format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md
The file's order is xyz; what leaves this module is zyx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.formats.json_values import brief, positive, whole, zyx
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
        raise SourceError(f"{shown}: data_type {brief(name)} is none of {', '.join(DTYPES)}")
    (channels,) = whole([info.get("num_channels", 1)], None, f"{shown}: num_channels")
    kind: Kind = "segmentation" if info.get("type") == "segmentation" else "image"
    levels = tuple(_level(scale, f"{shown}: scale {i}") for i, scale in enumerate(scales))
    return VolumeInfo(levels, np.dtype(name), channels, kind)


def _level(scale: Any, shown: str) -> Level:
    if not isinstance(scale, Mapping):
        raise SourceError(f"{shown} is no JSON object")
    key = scale.get("key")
    if not isinstance(key, str) or not key.strip("/"):
        raise SourceError(f"{shown} has no key")
    sizes = scale.get("chunk_sizes")
    first = sizes[0] if isinstance(sizes, list) and sizes else None
    shape = _index(whole(scale.get("size"), 3, f"{shown}: size"))
    chunk = _index(whole(first, 3, f"{shown}: chunk_sizes"))
    offset = whole(scale.get("voxel_offset", [0, 0, 0]), 3, f"{shown}: voxel_offset", None)
    resolution = positive(scale.get("resolution"), 3, f"{shown}: resolution")
    encoding = scale.get("encoding")
    if not isinstance(encoding, str) or not encoding:
        raise SourceError(f"{shown} has no encoding")
    encoding = encoding.lower()
    block = None
    if encoding == "compressed_segmentation":
        name = "compressed_segmentation_block_size"
        block = _index(whole(scale.get(name, [8, 8, 8]), 3, f"{shown}: {name}"))
    sharding = scale.get("sharding")
    if sharding is not None and not isinstance(sharding, Mapping):
        raise SourceError(f"{shown}: sharding is no JSON object")
    return Level(
        shape,
        zyx(resolution[::-1]),
        _index(offset),
        chunk=chunk,
        key=key.strip("/"),
        encoding=encoding,
        block=block,
        sharding=sharding,
    )


def _index(xyz: tuple[int, ...]) -> Index:
    x, y, z = xyz
    return z, y, x
