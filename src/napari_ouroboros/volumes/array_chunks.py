"""Encoded chunks of zarr and N5 arrays -> numpy arrays. The codecs are tensorstore's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from napari_ouroboros.errors import one_line
from napari_ouroboros.volumes.whole import CorruptChunk

Driver = Literal["zarr2", "zarr3", "n5"]

# What an array's JSON says beside these is of no use to a chunk of it.
_ZARR2 = ("zarr_format", "dtype", "compressor", "order", "fill_value")
_ZARR3 = ("zarr_format", "node_type", "data_type", "fill_value", "codecs")
_N5 = ("dataType", "compression")


class ArrayDecoder:
    """Decodes chunks of one array; safe to share between threads.

    tensorstore decodes what it has read from a store of its own, so each chunk becomes the only
    one of an array in memory.

    Parameters
    ----------
    driver : {"zarr2", "zarr3", "n5"}
        The array's format.
    metadata : dict
        The array's JSON.
    chunk : tuple of int
        Shape of a chunk, in the order of the JSON.

    Attributes
    ----------
    fill : scalar or None
        What voxels of a chunk that is not stored are; None is not said, and so 0.

    Raises
    ------
    ValueError
        tensorstore does not know the codecs, or the JSON is not valid; its words.
    """

    def __init__(self, driver: Driver, metadata: Mapping[str, Any], chunk: Sequence[int]) -> None:
        self._spec = _spec(driver, metadata, list(chunk))
        self._name = {
            "zarr2": ".".join("0" * len(chunk)),
            "zarr3": "/".join("c" + "0" * len(chunk)),
            "n5": "/".join("0" * len(chunk)),
        }[driver]
        self._free: list[tuple[Any, Any]] = []  # stores that no thread uses now
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
        folder, array = self._take()
        try:
            folder.write(self._name, data).result()
            chunk: NDArray[Any] = array[tuple(box)].transpose(list(order)).read(order="C").result()
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
            {**self._spec, "kvstore": "memory://", "fill_missing_data_reads": False},
            read=True,
            open=True,
            assume_metadata=True,
            context=context,
        ).result()
        return folder, array


def _spec(driver: Driver, metadata: Mapping[str, Any], chunk: list[int]) -> dict[str, Any]:
    """Specify, for tensorstore, an array of one chunk."""
    keys = {"zarr2": _ZARR2, "zarr3": _ZARR3, "n5": _N5}[driver]
    json: dict[str, Any] = {key: metadata[key] for key in keys if key in metadata}
    if driver == "n5":
        return {"driver": "n5", "metadata": {**json, "dimensions": chunk, "blockSize": chunk}}
    if driver == "zarr2":
        more: dict[str, Any] = {"chunks": chunk, "filters": None, "dimension_separator": "."}
        return {"driver": "zarr", "metadata": {**json, "shape": chunk, **more}}
    grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
    names = {"name": "default", "configuration": {"separator": "/"}}
    more = {"chunk_grid": grid, "chunk_key_encoding": names}
    return {"driver": "zarr3", "metadata": {**json, "shape": chunk, **more}}
