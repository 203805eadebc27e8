"""Zarr and N5 arrays written by code that shares nothing with the package.

By hand (uncompressed chunks, from the text of the specifications) and by tensorstore. Arrays are
given as they are stored: in the order of the file's axes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def write_zarr2_by_hand(
    folder: Path,
    array: Array,
    *,
    chunk: Sequence[int],
    fill: Any = 0,
    separator: str = ".",
    leave_out: Sequence[Sequence[int]] = (),
) -> Path:
    """Write uncompressed zarr 2; all chunks are whole, those at the ends padded with `fill`."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "zarr_format": 2, "shape": list(array.shape), "chunks": list(chunk),
        "dtype": array.dtype.str, "compressor": None, "fill_value": fill, "order": "C",
        "filters": None, "dimension_separator": separator,
    }  # fmt: skip
    (folder / ".zarray").write_text(json.dumps(metadata))
    for index, part in _parts(array, chunk):
        if list(index) in [list(left) for left in leave_out]:
            continue
        whole = np.full(chunk, fill, array.dtype)
        whole[tuple(slice(0, n) for n in part.shape)] = part
        path = folder / separator.join(map(str, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole.tobytes())
    return folder


def write_n5_by_hand(
    folder: Path, array: Array, *, chunk: Sequence[int], leave_out: Sequence[Sequence[int]] = ()
) -> Path:
    """Write raw N5: big endian, first axis fastest, blocks clipped at the ends, with headers."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "dimensions": list(array.shape), "blockSize": list(chunk),
        "dataType": array.dtype.name, "compression": {"type": "raw"},
        "resolution": [4.0] * array.ndim,
    }  # fmt: skip
    (folder / "attributes.json").write_text(json.dumps(metadata))
    for index, part in _parts(array, chunk):
        if list(index) in [list(left) for left in leave_out]:
            continue
        header = struct.pack(f">HH{part.ndim}I", 0, part.ndim, *part.shape)
        path = folder.joinpath(*map(str, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header + part.astype(part.dtype.newbyteorder(">")).tobytes(order="F"))
    return folder


def write_array(
    folder: Path, driver: str, array: Array, *, chunk: Sequence[int], metadata: dict[str, Any]
) -> Path:
    """Write with tensorstore's driver "zarr", "zarr3" or "n5"; `metadata` as it takes them."""
    import tensorstore as ts

    sizes = {
        "zarr": {"shape": list(array.shape), "chunks": list(chunk)},
        "n5": {"dimensions": list(array.shape), "blockSize": list(chunk)},
        "zarr3": {
            "shape": list(array.shape),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        },
    }[driver]
    store = ts.open(
        {
            "driver": driver,
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "metadata": {**sizes, **metadata},
        },
        create=True,
        dtype=array.dtype,
    ).result()
    store.write(array).result()
    return folder


def shards(
    inner: Sequence[int], codecs: Sequence[Any], location: str = "end", crc: bool = True
) -> list[dict[str, Any]]:
    """Return the codecs of a sharded zarr 3 array."""
    index: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if crc:
        index.append({"name": "crc32c"})
    settings = {
        "chunk_shape": list(inner), "codecs": list(codecs), "index_codecs": index,
        "index_location": location,
    }  # fmt: skip
    return [{"name": "sharding_indexed", "configuration": settings}]


def _parts(array: Array, chunk: Sequence[int]) -> list[tuple[tuple[int, ...], Array]]:
    """Index and content of every chunk."""
    grid = product(*(range(-(-n // c)) for n, c in zip(array.shape, chunk, strict=True)))
    return [
        (i, array[tuple(slice(k * c, (k + 1) * c) for k, c in zip(i, chunk, strict=True))])
        for i in grid
    ]
