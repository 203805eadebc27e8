"""What the JSON of a zarr array says, version 2 and 3, and the level that it is.

Formats: https://zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.formats.array_axes import ArrayAxes, default_names, voxel_dtype
from napari_ouroboros.volumes.formats.json_values import brief, entry, whole
from napari_ouroboros.volumes.formats.zarr_store import ZarrNode
from napari_ouroboros.volumes.level import ArrayLayout, Kind, Level
from napari_ouroboros.volumes.stores.location import Location

# What tensorstore, which reads the chunks, decodes. "" is no compression.
_COMPRESSORS = ("blosc", "bz2", "gzip", "zlib", "zstd")
_CODECS = ("blosc", "gzip", "zstd")
_OTHER_CODECS = ("bytes", "crc32c", "transpose", "sharding_indexed")


@dataclass(frozen=True)
class ZarrArray:
    """An array's JSON, checked.

    Attributes
    ----------
    shape, chunk : tuple of int
        In the order of the array's axes; `chunk` is what can be read on its own, also in shards.
    names, neuroglancer_names : tuple of str
        Of the axes, as far as known; and as Neuroglancer calls them.
    encoding : str
        What compresses the chunks; ``raw``: nothing.
    sharding : dict or None
        Configuration of the codec `sharding_indexed`, and `shard_shape`.
    """

    node: ZarrNode
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    names: tuple[str, ...]
    neuroglancer_names: tuple[str, ...]
    encoding: str
    separator: str
    prefix: str
    sharding: Mapping[str, Any] | None


def read_array(node: ZarrNode) -> ZarrArray:
    """Return the JSON of an array, checked.

    Raises
    ------
    SourceError
        It breaks the format, or its voxels or codecs are not supported.
    """
    array = _array3(node) if node.version == 3 else _array2(node)
    if 0 in array.shape or len(array.shape) == 0:
        raise SourceError(f"{node.shown} is an empty array: its shape is {array.shape}")
    return array


def make_level(
    array: ZarrArray,
    axes: ArrayAxes,
    resolution: tuple[float, float, float],
    voxel_offset: tuple[float, float, float],
) -> Level:
    """Return the level that an array is; resolution in nm, both zyx."""
    spatial = axes.spatial
    z, y, x = (array.shape[axis] for axis in spatial)
    # A chunk larger than the array is no larger than the array here.
    chunk = tuple(min(array.chunk[axis], array.shape[axis]) for axis in spatial)
    driver: Literal["zarr2", "zarr3"] = "zarr3" if array.node.version == 3 else "zarr2"
    return Level(
        (z, y, x),
        resolution,
        voxel_offset,
        chunk=(chunk[0], chunk[1], chunk[2]),
        key=array.node.key,
        encoding=array.encoding,
        sharding=array.sharding,
        array=ArrayLayout(
            driver,
            axes.axes,
            axes.fixed,
            array.chunk,
            array.separator,
            array.prefix,
            array.node.json,
        ),
    )


def channels_of(array: ZarrArray, axes: ArrayAxes) -> int:
    """Values per voxel."""
    return 1 if axes.axes[0] is None else array.shape[axes.axes[0]]


def volume_kind(
    dtype: np.dtype[Any],
    attributes: Mapping[str, Any],
    location: Location,
    path: Sequence[str],
) -> Kind:
    """Return whether voxels are labels: said by `image-label`, or by a folder ``labels`` above.

    Parameters
    ----------
    attributes : dict
        Those that may hold `image-label`.
    path : sequence of str
        From the location down to the image.
    """
    parts = [*re.split(r"[/\\]", location.base.rstrip("/\\")), *path]
    below_labels = len(parts) > 1 and parts[-2] == "labels"
    labels = "image-label" in attributes or below_labels
    return "segmentation" if labels and dtype.kind in "ui" else "image"


def _array2(node: ZarrNode) -> ZarrArray:
    json, shown = node.json, node.shown
    if json.get("zarr_format") != 2:
        raise SourceError(f"{shown}: the zarr_format in its .zarray is not 2")
    shape = whole(json.get("shape"), None, f"{shown}: shape", 0)
    chunk = whole(json.get("chunks"), len(shape), f"{shown}: chunks")
    separator = json.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise SourceError(
            f"{shown}: dimension_separator must be '.' or '/'; it is {brief(separator)}"
        )
    if json.get("order", "C") not in ("C", "F"):
        raise SourceError(f"{shown}: order must be 'C' or 'F'; it is {brief(json['order'])}")
    if json.get("filters"):
        raise _unsupported_codec(shown, f"the filter {brief(_codec_name(json['filters'], shown))}")
    compressor = json.get("compressor")
    encoding = "raw"
    if compressor is not None:
        encoding = entry({"compressor": compressor}, "compressor", dict, shown).get("id", "")
        if encoding not in _COMPRESSORS:
            raise _unsupported_codec(shown, f"the compressor {brief(encoding)}")
    own = _names(node.attributes.get("_ARRAY_DIMENSIONS"), len(shape))
    return ZarrArray(
        node,
        shape,
        chunk,
        _dtype2(json.get("dtype"), shown),
        _axis_names(own, shape, shown),
        _neuroglancer_names(own, "d"),
        encoding,
        separator,
        "",
        None,
    )


def _dtype2(text: object, shown: str) -> np.dtype[Any]:
    if isinstance(text, str) and re.fullmatch(r"[<>|=]?(b1|[iu][1248]|f[248])", text):
        return voxel_dtype(np.dtype(text).name, shown)
    raise SourceError(f"{shown}: voxels of type {brief(text)} are not supported")


def _array3(node: ZarrNode) -> ZarrArray:
    json, shown = node.json, node.shown
    shape = whole(json.get("shape"), None, f"{shown}: shape", 0)
    name, settings = _named(json.get("chunk_grid"), f"{shown}: chunk_grid")
    if name != "regular":
        raise SourceError(f"{shown}: chunks in a grid of type {brief(name)} are not supported")
    chunk = whole(settings.get("chunk_shape"), len(shape), f"{shown}: chunk_shape")
    if json.get("storage_transformers"):
        raise SourceError(f"{shown}: storage transformers are not supported")
    name, settings = _named(json.get("chunk_key_encoding"), f"{shown}: chunk_key_encoding")
    if name not in ("default", "v2"):
        raise SourceError(f"{shown}: chunk names of type {brief(name)} are not supported")
    separator = settings.get("separator", "/" if name == "default" else ".")
    if separator not in (".", "/"):
        raise SourceError(f"{shown}: separator must be '.' or '/'; it is {brief(separator)}")
    data_type = json.get("data_type")
    if not isinstance(data_type, str):
        raise SourceError(f"{shown}: voxels of type {brief(data_type)} are not supported")
    sharding = None
    codecs = entry(json, "codecs", list, shown)
    named = [_named(codec, f"{shown}: codecs") for codec in codecs]
    if "sharding_indexed" in dict(named):
        if others := [name for name, _ in named if name != "sharding_indexed"]:
            raise _unsupported_codec(shown, f"{', '.join(others)} around its shards")
        settings = named[0][1]
        sharding = {**settings, "shard_shape": list(chunk)}
        chunk = whole(settings.get("chunk_shape"), len(shape), f"{shown}: inner chunk_shape")
        codecs = entry(settings, "codecs", list, shown)
    own = _names(json.get("dimension_names"), len(shape))
    return ZarrArray(
        node,
        shape,
        chunk,
        voxel_dtype(data_type, shown),
        _axis_names(own, shape, shown),
        _neuroglancer_names(own, "dim_"),
        _compression3(codecs, shown),
        separator,
        f"c{separator}" if name == "default" else "",
        sharding,
    )


def _compression3(codecs: Sequence[Any], shown: str) -> str:
    found = "raw"
    for codec in codecs:
        name = _named(codec, f"{shown}: codecs")[0]
        if name in _CODECS:
            found = name
        elif name not in _OTHER_CODECS:
            raise _unsupported_codec(shown, f"the codec {brief(name)}")
    return found


def _unsupported_codec(shown: str, what: str) -> UserError:
    known = ", ".join(_COMPRESSORS)
    return UserError(
        f"{shown} uses {what}, which is not supported; copy it into a zarr without compression or "
        f"with one of {known}"
    )


def _codec_name(filters: object, shown: str) -> str:
    first = filters[0] if isinstance(filters, list) else None
    if not isinstance(first, dict):
        raise SourceError(
            f"{shown}: filters must be a list of objects or null; it is {brief(filters)}"
        )
    return str(first.get("id"))


def _named(value: object, shown: str) -> tuple[str, dict[str, Any]]:
    """Name and configuration of one of zarr 3's extension points; a bare name will do."""
    if isinstance(value, str):
        return value, {}
    name = value.get("name") if isinstance(value, dict) else None
    settings = value.get("configuration", {}) if isinstance(value, dict) else None
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise SourceError(f"{shown} must have a name and a configuration; it is {brief(value)}")
    return name, settings


def _names(value: object, rank: int) -> list[str | None]:
    """Names of the axes as written, where they are a name or null for each axis."""
    if isinstance(value, list) and len(value) == rank:
        return [name if isinstance(name, str) and name else None for name in value]
    return [None] * rank


def _axis_names(own: Sequence[str | None], shape: Sequence[int], shown: str) -> tuple[str, ...]:
    named = [name for name in own if name is not None]
    if len(named) == len(own) and len(set(named)) == len(named):
        return tuple(named)
    return default_names(len(shape), shown)


def _neuroglancer_names(own: Sequence[str | None], prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{i}" if name is None else name for i, name in enumerate(own))
