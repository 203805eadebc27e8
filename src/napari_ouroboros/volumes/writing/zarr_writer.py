"""OME-Zarr volumes out, chunk by chunk, through tensorstore.

NGFF 0.4 on zarr v2 with ``/`` between the chunk indices: what Neuroglancer, napari, Fiji and
BigDataViewer all read today. The metadata is handed to the staged folder as its last files, so an
unfinished volume cannot be opened. What this program writes carries the attribute
``napari_ouroboros``: only such a volume is ever overwritten.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.level import Box, Kind
from napari_ouroboros.volumes.writing.chunk_writer import (
    OUR_KEY,
    ChunkWriter,
    lengths,
    whole_numbers,
)
from napari_ouroboros.volumes.writing.staging import StagedFolder

if TYPE_CHECKING:
    import tensorstore

VERSION = "0.4"
_DATA_TYPES = {
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float32", "float64"),
}
_COLORS = ("FF0000", "00FF00", "0000FF", "FF00FF", "FFFF00", "00FFFF")


def is_our_zarr(folder: Path) -> bool:
    """Whether `folder` holds a finished OME-Zarr volume written by this program."""
    try:
        found = json.loads((folder / ".zattrs").read_bytes())[OUR_KEY]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(found, dict)


class ZarrWriter(ChunkWriter):
    """One scale of an OME-Zarr volume in the making.

    Parameters
    ----------
    folder : StagedFolder
        Entered. The volume is complete when it commits.
    shape : (int, int, int)
        Voxels, zyx.
    resolution : (float, float, float)
        Nm per voxel, zyx.
    voxel_offset : (float, float, float)
        Position of the outer corner of array index 0 in voxels, zyx; need not be whole.
    dtype : dtype
        Any integer, float32 or float64.
    kind : "image" or "segmentation"
        Chunks of a segmentation that are all 0 are not written; an image's are. A segmentation
        of whole numbers is marked as an ``image-label``.
    chunk : (int, int, int)
        Zyx; clipped to the shape.
    channels : int
        With more than one, arrays given to `write` have the channel as their last axis; on disk
        it is the first (c, z, y, x).
    key : str, optional
        Folder of the scale; default its number.
    extra_info : dict, optional
        JSON-able facts noted in the attributes (the recipe's hash, the command).

    Raises
    ------
    UserError
        OME-Zarr cannot hold the dtype, shape, resolution or offset asked for.
    """

    def __init__(
        self,
        folder: StagedFolder,
        *,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[float],
        dtype: DTypeLike,
        kind: Kind,
        chunk: Sequence[int] = (64, 64, 64),
        channels: int = 1,
        key: str | None = None,
        extra_info: Mapping[str, Any] | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.name not in _DATA_TYPES:
            raise UserError(f"OME-Zarr volumes of {self.dtype.name} are not written")
        if channels < 1:
            raise UserError(f"a volume needs at least one channel, not {channels}")
        self.folder = folder
        self.kind = kind
        self.channels = int(channels)
        self._datasets: list[dict[str, Any]] = []
        self._extra_info = dict(extra_info or {})
        self._window = _Window(self.dtype)
        self._add_scale(shape, resolution, voxel_offset, chunk, key)

    def coarser(
        self,
        *,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[float],
        chunk: Sequence[int] | None = None,
        key: str | None = None,
    ) -> Self:
        """Return the writer of one more scale of the same volume, as `ChunkWriter` says."""
        other = object.__new__(type(self))
        for name in (
            *("dtype", "folder", "kind", "channels"),
            *("_datasets", "_extra_info", "_window", "_asked_chunk"),
        ):
            setattr(other, name, getattr(self, name))
        other._add_scale(shape, resolution, voxel_offset, chunk or self._asked_chunk, key)
        return other

    def _add_scale(
        self,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[float],
        chunk: Sequence[int],
        key: str | None,
    ) -> None:
        self.shape = whole_numbers(shape, "shape of an OME-Zarr volume", least=1)
        self._asked_chunk = whole_numbers(chunk, "chunk size of an OME-Zarr volume", least=1)
        z, y, x = (min(c, n) for c, n in zip(self._asked_chunk, self.shape, strict=True))
        self.chunk = (z, y, x)
        self.resolution = lengths(resolution)
        if len(voxel_offset) != 3 or not all(map(math.isfinite, voxel_offset)):
            raise UserError(f"a voxel offset is three numbers, not {list(voxel_offset)}")
        self.voxel_offset = tuple(float(o) for o in voxel_offset)
        self.key = key or str(len(self._datasets))
        if self.key in [dataset["path"] for dataset in self._datasets]:
            raise UserError(f"two scales have the same key {self.key}; give one of them another")
        self._array = self._array_metadata()
        self._start()
        self._datasets.append(
            {
                "path": self.key,
                "coordinateTransformations": [
                    {"type": "scale", "scale": self._with_channel(1, self.resolution)},
                    # The centre of voxel 0, as the format counts.
                    {
                        "type": "translation",
                        "translation": self._with_channel(
                            0,
                            (
                                (o + 0.5) * r
                                for o, r in zip(self.voxel_offset, self.resolution, strict=True)
                            ),
                        ),
                    },
                ],
            }
        )
        self.folder.last(f"{self.key}/.zarray", _json(self._array))
        self.folder.last(".zgroup", _json({"zarr_format": 2}))
        self._hand_over_attributes()

    def _with_channel(self, of_channel: float, of_zyx: Iterable[float]) -> list[float]:
        return [*([] if self.channels == 1 else [of_channel]), *of_zyx]

    def _array_metadata(self) -> dict[str, Any]:
        channel = [] if self.channels == 1 else [self.channels]
        return {
            "zarr_format": 2,
            "shape": [*channel, *self.shape],
            "chunks": [*(1 for _ in channel), *self.chunk],
            "dtype": self.dtype.newbyteorder("<").str,
            "compressor": {
                "id": "blosc",
                "cname": "zstd",
                "clevel": 1,
                # Ids repeat as a whole; the bytes of grey values are more alike one by one.
                "shuffle": 0 if self.kind == "segmentation" else 1,
                # Whole chunks: a third faster than blosc's own choice, and smaller.
                "blocksize": math.prod(self.chunk) * self.dtype.itemsize,
            },
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        }

    def _open(self, cache_bytes: int) -> tensorstore.TensorStore:
        import tensorstore as ts

        spec = {
            "driver": "zarr",
            "kvstore": {"driver": "file", "path": f"{(self.folder.path / self.key).as_posix()}/"},
            "metadata": self._array,
        }
        store = self._open_store(spec, cache_bytes, "zarr array")
        if self.channels == 1:
            return store[..., ts.newaxis]
        return store.transpose([1, 2, 3, 0])

    def _put(self, parts: Iterable[tuple[Box, NDArray[Any]]]) -> int:
        pieces = list(parts)
        written = super()._put(pieces)
        if self.kind == "image":
            with self._window.lock:
                if self._window.widen(piece for _, piece in pieces):
                    self._hand_over_attributes()
        return written

    def _hand_over_attributes(self) -> None:
        name = self.folder.destination.name
        space = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
        channel = [] if self.channels == 1 else [{"name": "c", "type": "channel"}]
        attributes: dict[str, Any] = {
            "multiscales": [
                {
                    "version": VERSION,
                    "name": name.removesuffix(".zarr").removesuffix(".ome"),
                    "axes": [*channel, *space],
                    "datasets": self._datasets,
                }
            ],
        }
        if self.kind == "image":
            attributes["omero"] = {
                "version": VERSION,
                "channels": [
                    {
                        "label": f"channel {i}" if channel else "",
                        "color": _COLORS[i % len(_COLORS)] if channel else "FFFFFF",
                        "active": True,
                        "window": self._window.as_dict(),
                    }
                    for i in range(self.channels)
                ],
            }
        elif self.channels == 1 and self.dtype.kind in "iu":
            attributes["image-label"] = {"version": VERSION}
        attributes[OUR_KEY] = self._extra_info
        self.folder.last(".zattrs", _json(attributes))


class _Window:
    """Grey values from black to white: all of uint8, else what occurs in the data."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.lock = threading.Lock()
        self._seen: tuple[float, float] | None = None
        self._limits: tuple[float, float] | None = None
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            self._limits = (int(limits.min), int(limits.max))
        if dtype == np.uint8:
            self._seen = self._limits
        self._fixed = dtype == np.uint8

    def widen(self, arrays: Iterable[NDArray[Any]]) -> bool:
        """Take in more data, `lock` being held; whether that changed anything."""
        if self._fixed:
            return False
        before = self._seen
        for array in arrays:
            finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
            if finite.size:
                low, high = finite.min().item(), finite.max().item()
                seen = self._seen or (low, high)
                self._seen = (min(low, seen[0]), max(high, seen[1]))
        return self._seen != before

    def as_dict(self) -> dict[str, float]:
        start, end = self._seen or (0, 1)
        end = max(end, start + 1)  # viewers want a range
        low, high = self._limits or (start, end)
        return {"min": low, "max": high, "start": start, "end": end}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
