"""A store that holds nothing but JSON, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class JsonStore:
    """What a `Fetcher` is, over a dict of file names and JSON; counts what is asked for."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self.files = dict(files)
        self.asked: list[str] = []

    def get(self, name: str, byte_range: tuple[int, int] | None = None) -> bytes | None:
        assert byte_range is None, "only whole files are JSON"
        self.asked.append(name)
        value = self.files.get(name)
        if isinstance(value, Exception):
            raise value
        return None if value is None else json.dumps(value).encode()

    def close(self) -> None:
        pass


def array2(shape: tuple[int, ...], **others: Any) -> dict[str, Any]:
    """``.zarray`` of an array with chunks of 4."""
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": [4] * len(shape),
        "dtype": "<u2",
        "compressor": {"id": "zstd", "level": 1},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        **others,
    }


def array3(shape: tuple[int, ...], **others: Any) -> dict[str, Any]:
    """``zarr.json`` of an array with chunks of 4."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4] * len(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "gzip", "configuration": {"level": 1}},
        ],
        "attributes": {},
        **others,
    }


def dataset5(dimensions: tuple[int, ...], **others: Any) -> dict[str, Any]:
    """``attributes.json`` of an N5 dataset with blocks of 4; xyz."""
    return {
        "dimensions": list(dimensions),
        "blockSize": [4] * len(dimensions),
        "dataType": "uint16",
        "compression": {"type": "gzip", "level": 1},
        **others,
    }


def ome_axes(names: str = "zyx", unit: str | None = "nanometer") -> list[dict[str, Any]]:
    """Axes of OME-Zarr 0.4 and 0.5."""
    types = {"t": "time", "c": "channel"}
    return [
        {"name": n, "type": types.get(n, "space")}
        | ({"unit": unit} if unit is not None and n in "zyx" else {})
        for n in names
    ]


def scale(*numbers: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(numbers)}


def translation(*numbers: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(numbers)}


def ome_group(
    levels: list[tuple[tuple[int, ...], list[dict[str, Any]] | None]],
    version: str = "0.4",
    prefix: str = "",
    array: dict[str, Any] | None = None,
    attributes: dict[str, Any] | None = None,
    **multiscale: Any,
) -> dict[str, Any]:
    """Files of an OME-Zarr group: (shape, coordinateTransformations) of each level."""
    datasets = [
        {"path": str(i)} | ({} if steps is None else {"coordinateTransformations": steps})
        for i, (_, steps) in enumerate(levels)
    ]
    image = {"axes": ome_axes(), "datasets": datasets, "version": version} | multiscale
    image = {key: value for key, value in image.items() if value is not None}
    ome = {"multiscales": [image], **(attributes or {})}
    if version == "0.5":
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
        files: dict[str, Any] = {f"{prefix}zarr.json": group}
        for i, (shape, _) in enumerate(levels):
            files[f"{prefix}{i}/zarr.json"] = array3(shape, **(array or {}))
        return files
    files = {f"{prefix}.zgroup": {"zarr_format": 2}, f"{prefix}.zattrs": ome}
    for i, (shape, _) in enumerate(levels):
        files[f"{prefix}{i}/.zarray"] = array2(shape, **(array or {}))
    return files
