"""Precomputed volumes written by code that shares nothing with the package.

By hand (raw chunks, from the text of the specification), by tensorstore and by cloud-volume.
Arrays are (channel, z, y, x), everything else zyx.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def write_by_hand(
    folder: Path,
    levels: Sequence[Array],
    *,
    chunk: Sequence[int] = (8, 8, 8),
    offsets: Sequence[Sequence[int]] | None = None,
    resolutions: Sequence[Sequence[float]] | None = None,
    kind: str = "image",
    packed: bool = False,
    leave_out: Sequence[Sequence[int]] = (),
) -> Path:
    """Write raw chunks; `packed` as ``*.gz``; `leave_out` lists chunk indices of every level."""
    folder = Path(folder)
    scales = []
    for i, array in enumerate(levels):
        offset = offsets[i] if offsets else (0, 0, 0)
        key = f"mip{i}"
        (folder / key).mkdir(parents=True)
        size = array.shape[1:]
        for index in product(*(range(-(-n // c)) for n, c in zip(size, chunk, strict=True))):
            if index in [tuple(left) for left in leave_out]:
                continue
            low = [j * c for j, c in zip(index, chunk, strict=True)]
            high = [min(a + c, n) for a, c, n in zip(low, chunk, size, strict=True)]
            # One voxel after the other, x fastest, then y, z, channel; little endian.
            part = array[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
            data = part.astype(array.dtype.newbyteorder("<")).tobytes(order="C")
            names = [f"{a + o}-{b + o}" for a, b, o in zip(low, high, offset, strict=True)]
            path = folder / key / "_".join(names[::-1])
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(data, 1))
            else:
                path.write_bytes(data)
        scales.append(
            {
                "key": key,
                "size": list(size)[::-1],
                "resolution": list(resolutions[i] if resolutions else (4 << i,) * 3)[::-1],
                "voxel_offset": list(offset)[::-1],
                "chunk_sizes": [list(chunk)[::-1]],
                "encoding": "raw",
            }
        )
    info = {
        "@type": "neuroglancer_multiscale_volume",
        "type": kind,
        "data_type": str(levels[0].dtype),
        "num_channels": len(levels[0]),
        "scales": scales,
    }
    (folder / "info").write_text(json.dumps(info))
    return folder


def write_tensorstore(
    folder: Path,
    array: Array,
    encoding: str,
    *,
    chunk: Sequence[int] = (8, 8, 8),
    offset: Sequence[int] = (0, 0, 0),
    sharding: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Write one level with tensorstore; `more` goes into the scale's metadata."""
    import tensorstore as ts

    scale: dict[str, Any] = {
        "key": "scale",
        "size": list(array.shape[:0:-1]),
        "resolution": [4, 4, 4],
        "voxel_offset": list(offset)[::-1],
        "chunk_size": list(chunk)[::-1],
        "encoding": encoding,
        **more,
    }
    if encoding == "compressed_segmentation":
        scale.setdefault("compressed_segmentation_block_size", [8, 8, 8])
    if sharding is not None:
        scale["sharding"] = {"@type": "neuroglancer_uint64_sharded_v1", **sharding}
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {
            "type": "segmentation" if array.dtype.itemsize > 2 else "image",
            "data_type": str(array.dtype),
            "num_channels": len(array),
        },
        "scale_metadata": scale,
    }
    store = ts.open(spec, create=True).result()
    store.write(array.transpose(3, 2, 1, 0)).result()
    return Path(folder)


def write_cloudvolume(
    folder: Path,
    array: Array,
    encoding: str,
    *,
    chunk: Sequence[int] = (8, 8, 8),
    offset: Sequence[int] = (0, 0, 0),
    compress: str | bool = "gzip",
) -> Path:
    """Write one level with cloud-volume."""
    from cloudvolume import CloudVolume

    info = CloudVolume.create_new_info(
        num_channels=len(array),
        layer_type="segmentation" if array.dtype.itemsize > 2 else "image",
        data_type=str(array.dtype),
        encoding=encoding,
        resolution=(4, 4, 4),
        voxel_offset=list(offset)[::-1],
        chunk_size=list(chunk)[::-1],
        volume_size=list(array.shape[:0:-1]),
    )
    volume = CloudVolume(
        f"file://{folder}", info=info, compress=compress, progress=False, bounded=True,
        non_aligned_writes=True,
    )  # fmt: skip
    volume.commit_info()
    volume[:] = np.asfortranarray(array.transpose(3, 2, 1, 0))
    return Path(folder)


def blobs(shape: Sequence[int], dtype: str, seed: int = 0) -> Array:
    """Return an array of constant blocks, as segmentations are, that uses the whole dtype."""
    rng = np.random.default_rng(seed)
    small = [shape[0], *(-(-n // 3) for n in shape[1:])]
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = rng.normal(0, 1e3, small).astype(kind)
    else:
        limits = np.iinfo(kind)
        values = rng.choice(
            np.array([limits.min, limits.max, 0, 1, limits.max // 3, limits.max // 2], kind), small
        )
    big = values.repeat(3, 1).repeat(3, 2).repeat(3, 3)
    return np.ascontiguousarray(big[:, : shape[1], : shape[2], : shape[3]])
