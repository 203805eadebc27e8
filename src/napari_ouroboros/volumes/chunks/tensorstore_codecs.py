"""Encoded chunks of zarr, N5 and precomputed volumes -> arrays. The codecs are tensorstore's.

tensorstore makes no requests here. Over HTTP it is no faster than our own requests, waits for
ever for a silent server, finds other logins for buckets than cloud-volume does, and reads local
``*.gz`` chunks as zeros. It can abort the process at its end
(https://github.com/google/tensorstore/issues/275): see `foreign_calls.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import one_line
from napari_ouroboros.volumes.chunks.foreign_calls import foreign_call
from napari_ouroboros.volumes.chunks.whole import CorruptChunk
from napari_ouroboros.volumes.level import VolumeInfo

#: Encodings and voxels of precomputed chunks that it knows.
ENCODINGS = ("raw", "jpeg", "png", "compressed_segmentation")
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")

# What an array's JSON says beside these is of no use to a chunk of it.
_ZARR2 = ("zarr_format", "dtype", "compressor", "order", "fill_value")
_ZARR3 = ("zarr_format", "node_type", "data_type", "fill_value", "codecs")
_N5 = ("dataType", "compression")


class OneChunk:
    """Decodes the only chunk of an array in memory, again and again; threads may share it.

    Parameters
    ----------
    spec : dict
        The array, as `tensorstore.open` takes it, without its store.
    name : str
        Of its chunk.

    Attributes
    ----------
    fill : scalar or None
        What voxels of a chunk that is not stored are; None is not said, and so 0.

    Raises
    ------
    ValueError
        tensorstore does not know the codecs, or the description is not valid; its words.
    """

    def __init__(self, spec: Mapping[str, Any], name: str) -> None:
        self._spec = dict(spec)
        self._name = name
        self._free: list[tuple[Any, Any]] = []  # stores that no thread uses now
        with foreign_call():
            first = self._take()
            self.fill: Any = first[1].fill_value
            self._free.append(first)

    def decode(self, data: bytes, box: Sequence[slice], order: Sequence[int]) -> NDArray[Any]:
        """Decode a chunk.

        Parameters
        ----------
        data : bytes
            As stored.
        box : sequence of slice
            What to return of each axis of the array.
        order : sequence of int
            Its axes, as the result's axes are to be.

        Returns
        -------
        array
            C-contiguous, in native byte order.

        Raises
        ------
        CorruptChunk
            The bytes are not such a chunk.
        """
        with foreign_call():
            folder, array = self._take()
            try:
                folder.write(self._name, data).result()
                part = array[tuple(box)].transpose(list(order))
                chunk: NDArray[Any] = part.read(order="C").result()
            except ValueError as error:
                reason = re.split(r" \[[\w ]+='", str(error).partition("\n")[0])[0]
                reason = re.sub(r'^[A-Z_]+: |Error reading "[^"]*": ', "", reason)
                raise CorruptChunk(f"tensorstore says {one_line(reason, 160)}") from error
            finally:
                folder.write(self._name, None).result()  # free the memory
                self._free.append((folder, array))
            return chunk

    def _take(self) -> tuple[Any, Any]:
        """Return a folder in memory, and the array in it whose only chunk it can hold."""
        try:
            return self._free.pop()
        except IndexError:
            pass
        import tensorstore

        context = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})
        folder = tensorstore.KvStore.open("memory://", context=context).result()
        array = tensorstore.open(
            # A chunk that is not there must never read as zeros.
            {**self._spec, "kvstore": "memory://", "fill_missing_data_reads": False},
            read=True,
            open=True,
            assume_metadata=True,
            context=context,
        ).result()
        return folder, array


def array_decoder(
    driver: Literal["zarr2", "zarr3", "n5"], metadata: Mapping[str, Any], chunk: Sequence[int]
) -> OneChunk:
    """Return the decoder of the chunks of a zarr or N5 array.

    Parameters
    ----------
    driver : {"zarr2", "zarr3", "n5"}
        The array's format.
    metadata : dict
        The array's JSON.
    chunk : sequence of int
        Shape of a chunk, in the order of the JSON.

    Raises
    ------
    ValueError
        As `OneChunk`.
    """
    sizes = list(chunk)
    zeros = "0" * len(sizes)
    keys = {"zarr2": _ZARR2, "zarr3": _ZARR3, "n5": _N5}[driver]
    json: dict[str, Any] = {key: metadata[key] for key in keys if key in metadata}
    if driver == "n5":
        json.update(dimensions=sizes, blockSize=sizes)
        return OneChunk({"driver": "n5", "metadata": json}, "/".join(zeros))
    json["shape"] = sizes
    if driver == "zarr2":
        json.update(chunks=sizes, filters=None, dimension_separator=".")
        return OneChunk({"driver": "zarr", "metadata": json}, ".".join(zeros))
    json["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": sizes}}
    json["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": "/"}}
    return OneChunk({"driver": "zarr3", "metadata": json}, "/".join(f"c{zeros}"))


class PrecomputedDecoder:
    """Decodes precomputed chunks; safe to share between threads.

    Parameters
    ----------
    info : VolumeInfo
        Of the volume; the encodings of its levels are all in `ENCODINGS`.
    """

    def __init__(self, info: VolumeInfo) -> None:
        self._info = info
        self._chunks: dict[tuple[int, tuple[int, ...]], OneChunk] = {}

    def __call__(self, data: bytes, mip: int, shape: tuple[int, int, int, int]) -> NDArray[Any]:
        """Return the chunk of level `mip`, which must be of `shape` (channels, z, y, x).

        Raises
        ------
        CorruptChunk
            It is not.
        """
        key = mip, shape
        if key not in self._chunks:  # twice at the same time does no harm
            self._chunks[key] = self._make(mip, shape)
        # The driver's axes are xyzc.
        return self._chunks[key].decode(data, [slice(None)] * 4, (3, 2, 1, 0))

    def _make(self, mip: int, shape: tuple[int, int, int, int]) -> OneChunk:
        channels, z, y, x = shape
        level = self._info.levels[mip]
        scale: dict[str, Any] = {
            "key": "chunk",
            "size": [x, y, z],
            "chunk_size": [x, y, z],
            "voxel_offset": [0, 0, 0],
            "resolution": [1, 1, 1],
            "encoding": level.encoding,
            "sharding": None,
        }
        if level.block is not None:
            scale["compressed_segmentation_block_size"] = list(level.block[::-1])
        volume = {
            "type": self._info.kind,
            "data_type": np.dtype(self._info.dtype).name,
            "num_channels": channels,
        }
        spec = {
            "driver": "neuroglancer_precomputed",
            "multiscale_metadata": volume,
            "scale_metadata": scale,
        }
        return OneChunk(spec, f"chunk/0-{x}_0-{y}_0-{z}")
