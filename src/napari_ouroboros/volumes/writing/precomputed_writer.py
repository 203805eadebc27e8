"""Neuroglancer precomputed volumes out, chunk by chunk or shard by shard, through tensorstore.

The ``info`` file is handed to the staged folder as its last file, so an unfinished volume cannot
be opened. What this program writes carries the key ``napari_ouroboros`` in its ``info``: only
such a volume is ever overwritten.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
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

__all__ = ["OUR_KEY", "Box", "PrecomputedWriter", "is_our_precomputed", "our_metadata"]

DATA_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
BLOCK = (8, 8, 8)

# Offsets in a chunk have 24 bits, which any ids of a chunk of this size need less of.
_MOST_VOXELS = 2**20

# A shard's chunks are held in memory while it is written, by every thread.
_SHARD_BYTES = 128 * 1024 * 1024
_MINISHARD_CHUNKS_BITS = 6


def is_our_precomputed(folder: Path) -> bool:
    """Whether `folder` holds a finished precomputed volume written by this program."""
    return our_metadata(folder) is not None


def our_metadata(folder: Path) -> dict[str, Any] | None:
    """What this program noted in the ``info`` of `folder`; None for other people's folders."""
    try:
        info = json.loads((folder / "info").read_bytes())
        found = info[OUR_KEY]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(found) if isinstance(found, dict) else None


def shard_unit(
    shape: Sequence[int], chunk: Sequence[int], chunk_bytes: int
) -> tuple[int, int, int]:
    """Voxels (zyx) of the box of chunks that `PrecomputedWriter` packs into one shard.

    Chunks are numbered by interleaving the bits of their x, y and z indices, an axis dropping out
    when its bits are used up; those that differ only in the lowest bits share a shard.
    """
    grid = [math.ceil(n / c) for n, c in zip(shape, chunk, strict=True)]
    left = _shard_bits(grid, chunk_bytes)
    bits = [0, 0, 0]
    while left:
        for axis in (2, 1, 0):
            if left and 1 << bits[axis] < grid[axis]:
                bits[axis] += 1
                left -= 1
    z, y, x = (c << b for c, b in zip(chunk, bits, strict=True))
    return z, y, x


def _shard_bits(grid: Sequence[int], chunk_bytes: int) -> int:
    """How many bits of a chunk's number are within its shard."""
    all_bits = sum((n - 1).bit_length() for n in grid)
    return min(all_bits, max(0, (_SHARD_BYTES // chunk_bytes).bit_length() - 1))


class PrecomputedWriter(ChunkWriter):
    """One scale of a precomputed volume in the making.

    Parameters
    ----------
    folder : StagedFolder
        Entered. The volume is complete when it commits.
    shape : (int, int, int)
        Voxels, zyx.
    resolution : (float, float, float)
        Nm per voxel, zyx.
    voxel_offset : (int, int, int)
        Position of array index 0, zyx.
    dtype : dtype
        One of `DATA_TYPES`.
    kind : "image" or "segmentation"
        Chunks of a segmentation that are all 0 are not written; an image's are.
    chunk : (int, int, int)
        Zyx.
    channels : int
        With more than one, arrays have the channel as their last axis.
    key : str, optional
        Folder of the scale; default the resolution as ``x_y_z``.
    encoding : str, optional
        ``raw``, ``compressed_segmentation``, ``png`` or ``jpeg``. Default
        compressed_segmentation (blocks of 8^3) for uint32 and uint64 segmentations, else raw.
    sharded : bool
        Pack many gzipped chunks into one file. The write unit then is a whole shard (`units`),
        and memory of one shard is needed for every thread that writes.
    extra_info : dict, optional
        JSON-able facts noted in ``info`` (the recipe's hash, the command).

    Raises
    ------
    UserError
        Precomputed volumes cannot hold the dtype, shape, encoding, resolution or offset asked for.
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
        encoding: str | None = None,
        sharded: bool = False,
        extra_info: Mapping[str, Any] | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.name not in DATA_TYPES:
            raise UserError(
                f"a precomputed volume cannot hold {self.dtype.name}; "
                f"it can hold {', '.join(DATA_TYPES)}"
            )
        if channels < 1:
            raise UserError(f"a volume needs at least one channel, not {channels}")
        self.folder = folder
        self.kind: Kind = kind
        self.channels = int(channels)
        self.encoding = encoding or _default_encoding(self.dtype, kind)
        self.sharded = sharded
        self._info: dict[str, Any] = {
            "@type": "neuroglancer_multiscale_volume",
            "type": kind,
            "data_type": self.dtype.name,
            "num_channels": self.channels,
            "scales": [],
            OUR_KEY: dict(extra_info or {}),
        }
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
        """Return the writer of one more scale, as `ChunkWriter` says."""
        other = object.__new__(type(self))
        for name in ("dtype", "folder", "kind", "channels", "encoding", "sharded", "_info"):
            setattr(other, name, getattr(self, name))
        other._add_scale(shape, resolution, voxel_offset, chunk or self.chunk, key)
        return other

    def _add_scale(
        self,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[float],
        chunk: Sequence[int],
        key: str | None,
    ) -> None:
        what = "of a precomputed volume"
        self.shape = whole_numbers(shape, f"shape {what}", least=1)
        self.chunk = whole_numbers(chunk, f"chunk size {what}", least=1)
        self.voxel_offset = whole_numbers(voxel_offset, f"voxel offset {what}")
        self.resolution = lengths(resolution)
        self.key = key or "_".join(str(r) for r in reversed(self.resolution))
        if self.key in [scale["key"] for scale in self._info["scales"]]:
            raise UserError(f"two scales have the same key {self.key}; give one of them another")
        scale: dict[str, Any] = {
            "key": self.key,
            "size": list(reversed(self.shape)),
            "resolution": list(reversed(self.resolution)),
            "voxel_offset": list(reversed(self.voxel_offset)),
            "chunk_sizes": [list(reversed(self.chunk))],
            "encoding": self.encoding,
        }
        if self.encoding == "compressed_segmentation":
            scale["compressed_segmentation_block_size"] = list(BLOCK)
        if self.sharded:
            scale["sharding"] = self._sharding()
        self._number = len(self._info["scales"])
        self._scale = scale
        self._start()
        if self.sharded:
            chunk_bytes = math.prod(self.chunk) * self.dtype.itemsize * self.channels
            self.unit = shard_unit(self.shape, self.chunk, chunk_bytes)
        self._info["scales"].append(scale)
        self.folder.last("info", (json.dumps(self._info, indent=2) + "\n").encode())

    def _write_pieces(self, pieces: Sequence[tuple[Box, NDArray[Any]]]) -> None:
        if not self._encoded_here:
            super()._write_pieces(pieces)
            return
        from napari_ouroboros.volumes.writing.cseg_kernel import encode

        folder = self.folder.path / self.key
        folder.mkdir(parents=True, exist_ok=True)
        for box, piece in pieces:
            spans = [
                f"{low + offset}-{high + offset}"
                for (low, high), offset in zip(box, self.voxel_offset, strict=True)
            ]
            (folder / "_".join(reversed(spans))).write_bytes(encode(piece[..., 0]))

    @property
    def _encoded_here(self) -> bool:
        """Whether chunks are plain files that our own encoder writes, much faster."""
        return (
            self.encoding == "compressed_segmentation"
            and not self.sharded
            and self.channels == 1
            and math.prod(self.chunk) <= _MOST_VOXELS
        )

    def _sharding(self) -> dict[str, Any]:
        grid = [math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True)]
        all_bits = sum((n - 1).bit_length() for n in grid)
        shard_bits = _shard_bits(grid, math.prod(self.chunk) * self.dtype.itemsize * self.channels)
        preshift = min(shard_bits, _MINISHARD_CHUNKS_BITS)
        return {
            "@type": "neuroglancer_uint64_sharded_v1",
            # With "identity" a shard is a box of neighbouring chunks, so it can be a write unit.
            "hash": "identity",
            "preshift_bits": preshift,
            "minishard_bits": shard_bits - preshift,
            "shard_bits": all_bits - shard_bits,
            "minishard_index_encoding": "gzip",
            "data_encoding": "raw" if self.encoding in ("jpeg", "png") else "gzip",
        }

    def _open(self, cache_bytes: int) -> tensorstore.TensorStore:
        import tensorstore as ts

        metadata = dict(self._scale)
        metadata["chunk_size"] = metadata.pop("chunk_sizes")[0]
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{self.folder.path.as_posix()}/"},
            "multiscale_metadata": {
                "type": self.kind,
                "data_type": self.dtype.name,
                "num_channels": self.channels,
            },
            "scale_metadata": metadata,
            "scale_index": self._number,
        }
        store = self._open_store(spec, cache_bytes, "precomputed volume")
        return store[ts.d[:].translate_to[0]].transpose([2, 1, 0, 3])


def _default_encoding(dtype: np.dtype[Any], kind: Kind) -> str:
    wide = dtype.name in ("uint32", "uint64")
    return "compressed_segmentation" if wide and kind == "segmentation" else "raw"
