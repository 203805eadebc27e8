"""Neuroglancer precomputed volumes out, chunk by chunk or shard by shard, through tensorstore.

The ``info`` file is handed to the staged folder as its last file, so an unfinished volume cannot
be opened. What this program writes carries the key ``napari_ouroboros`` in its ``info``: only
such a volume is ever overwritten.
"""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_ouroboros.errors import DestinationError, UserError, one_line
from napari_ouroboros.volumes.disk import destination_error
from napari_ouroboros.volumes.staging import StagedFolder

if TYPE_CHECKING:
    import tensorstore

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Kind = Literal["image", "segmentation"]

OUR_KEY = "napari_ouroboros"
DATA_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
BLOCK = (8, 8, 8)

# A shard is held in memory whole while it is written, by every thread.
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


class PrecomputedWriter:
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
        voxel_offset: Sequence[int],
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
        self._open_scale(shape, resolution, voxel_offset, chunk, key)

    def coarser(
        self,
        *,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[int],
        chunk: Sequence[int] | None = None,
        key: str | None = None,
    ) -> PrecomputedWriter:
        """Return the writer of one more scale of the same volume; add scales from fine to coarse.

        The parameters mean what they mean for the class; dtype, kind and encoding are shared.
        """
        other = object.__new__(PrecomputedWriter)
        for name in ("dtype", "folder", "kind", "channels", "encoding", "sharded", "_info"):
            setattr(other, name, getattr(self, name))
        other._open_scale(shape, resolution, voxel_offset, chunk or self.chunk, key)
        return other

    def _open_scale(
        self,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[int],
        chunk: Sequence[int],
        key: str | None,
    ) -> None:
        self.shape = _whole(shape, "shape", least=1)
        self.chunk = _whole(chunk, "chunk size", least=1)
        self.voxel_offset = _whole(voxel_offset, "voxel offset")
        self.resolution = _lengths(resolution)
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
        self._store = self._open_store(scale)
        self.unit: tuple[int, int, int] = self.chunk
        if self.sharded:
            # The box of one shard, as tensorstore groups the chunks.
            x, y, z, _ = (int(n or 1) for n in self._store.chunk_layout.write_chunk.shape or ())
            self.unit = (z, y, x)
        self._info["scales"].append(scale)
        self.folder.last("info", (json.dumps(self._info, indent=2) + "\n").encode())
        self.chunks_written = 0
        self._count_lock = threading.Lock()

    def _sharding(self) -> dict[str, Any]:
        grid = [math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True)]
        all_bits = sum((n - 1).bit_length() for n in grid)
        chunk_bytes = math.prod(self.chunk) * self.dtype.itemsize * self.channels
        shard_bits = min(all_bits, max(0, (_SHARD_BYTES // chunk_bytes).bit_length() - 1))
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

    def _open_store(self, scale: Mapping[str, Any]) -> tensorstore.TensorStore:
        import tensorstore as ts

        metadata = dict(scale)
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
            "scale_index": len(self._info["scales"]),
            "store_data_equal_to_fill_value": self.kind == "image",
            # A result counts once its folder is renamed; a power cut before that loses the
            # whole job anyway, so waiting for the disk after every chunk buys nothing.
            "context": {"file_io_sync": False},
        }
        try:
            # Metadata is taken as given: tensorstore writes no info of its own.
            store = ts.open(ts.Spec(spec), open=True, create=True, assume_metadata=True).result()
        except ValueError as error:
            raise UserError(f"no such precomputed volume is possible: {one_line(error)}") from error
        return store[ts.d[:].translate_to[0]]

    def chunks(self) -> Iterator[Box]:
        """Boxes of all chunks in array indices zyx, clipped at the end, z slowest."""
        return _boxes(self.shape, self.chunk)

    def units(self) -> Iterator[Box]:
        """Boxes of all write units: shards if sharded, otherwise chunks."""
        return _boxes(self.shape, self.unit)

    def write(self, box: Box, array: NDArray[Any]) -> int:
        """Write one or more whole write units and return when they are on disk. Thread-safe.

        Parameters
        ----------
        box : ((z0, z1), (y0, y1), (x0, x1))
            Array indices; every bound a multiple of the unit or the end of the volume.
        array : (z, y, x) or (z, y, x, channel)
            Of exactly the volume's dtype: ids are never narrowed on the way.

        Returns
        -------
        int
            Number of chunks written: in a segmentation those that are not all 0.

        Raises
        ------
        DestinationError
            No space, no permission, or another trouble of the disk.
        Cancelled
            The job has ended meanwhile.
        """
        array = self._checked(box, array)
        chunks = self._count(array)
        if chunks == 0:
            return 0
        import tensorstore as ts

        with self.folder.writing():
            (z0, z1), (y0, y1), (x0, x1) = box
            try:
                if self.sharded:
                    # One transaction, or a shard would be read and rewritten for every chunk.
                    with ts.Transaction() as transaction:
                        store = self._store.with_transaction(transaction)
                        store[x0:x1, y0:y1, z0:z1].write(array.transpose(2, 1, 0, 3)).result()
                else:
                    self._write_chunks(box, array)
            except (ValueError, OSError) as error:
                raise self._trouble(error, array.nbytes) from error
        with self._count_lock:
            self.chunks_written += chunks
        return chunks

    def _write_chunks(self, box: Box, array: NDArray[Any]) -> None:
        """Write chunks one by one and wait for all of them, also when one of them fails.

        A single write of several chunks gives up at the first that fails and leaves the others
        under way: they would come back into a folder that is being removed.
        """
        futures = []
        for part in _boxes(array.shape[:3], self.unit):
            (z0, z1), (y0, y1), (x0, x1) = (
                (low + a, low + b) for (low, _), (a, b) in zip(box, part, strict=True)
            )
            piece = array[tuple(slice(a, b) for a, b in part)]
            futures.append(self._store[x0:x1, y0:y1, z0:z1].write(piece.transpose(2, 1, 0, 3)))
        first: Exception | None = None
        for future in futures:
            try:
                future.result()
            except (ValueError, OSError) as error:
                first = first or error
        if first is not None:
            raise first

    def _checked(self, box: Box, array: NDArray[Any]) -> NDArray[Any]:
        """Array (z, y, x, channel) that fits `box`; a misfit is a mistake of the caller."""
        for (low, high), n, unit in zip(box, self.shape, self.unit, strict=True):
            if not (0 <= low < high <= n and low % unit == 0 and (high % unit == 0 or high == n)):
                raise ValueError(
                    f"box {box} is not made of whole units {self.unit} of {self.shape}"
                )
        if array.dtype != self.dtype:
            raise TypeError(f"{array.dtype} data for a volume of {self.dtype}")
        if array.ndim == 3:
            array = array[..., None]
        expected = (*(high - low for low, high in box), self.channels)
        if array.shape != expected:
            raise ValueError(f"an array of {array.shape} for a box of {expected}")
        return array

    def _count(self, array: NDArray[Any]) -> int:
        boxes = _boxes(array.shape[:3], self.chunk)
        if self.kind == "image":
            return sum(1 for _ in boxes)
        return sum(bool(array[tuple(slice(*ends) for ends in box)].any()) for box in boxes)

    def _trouble(self, error: Exception, n_bytes: int) -> DestinationError:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code:
            number = int(code.group(1))
            text = os.strerror(number)
        else:
            number, text = errno.EIO, one_line(error)
        return destination_error(OSError(number, text), self.folder.destination, n_bytes)


def _default_encoding(dtype: np.dtype[Any], kind: Kind) -> str:
    wide = dtype.name in ("uint32", "uint64")
    return "compressed_segmentation" if wide and kind == "segmentation" else "raw"


def _whole(numbers: Sequence[float], what: str, least: int | None = None) -> tuple[int, int, int]:
    z, y, x = numbers
    for n in (z, y, x):
        if n != int(n) or (least is not None and n < least):
            wanted = "whole numbers" + (f" of at least {least}" if least is not None else "")
            raise UserError(f"the {what} of a precomputed volume must be {wanted}, not {numbers}")
    return int(z), int(y), int(x)


def _lengths(resolution: Sequence[float]) -> tuple[float, float, float]:
    """Integral resolutions as int: 8.0 would end up as ``8.0`` in the info and in the key."""
    values = [float(r) for r in resolution]
    if len(values) != 3 or not all(math.isfinite(r) and r > 0 for r in values):
        raise UserError(f"a resolution is three lengths above 0 nm, not {list(resolution)}")
    z, y, x = (int(r) if r.is_integer() else r for r in values)
    return z, y, x


def _boxes(shape: Sequence[int], unit: Sequence[int]) -> Iterator[Box]:
    spans = [
        [(low, min(low + step, n)) for low in range(0, n, step)]
        for n, step in zip(shape, unit, strict=True)
    ]
    z, y, x = spans
    yield from itertools.product(z, y, x)
