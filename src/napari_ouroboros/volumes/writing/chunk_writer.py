"""What every writer of a chunked volume has in common: boxes, checks, writes that are waited for.

The store is tensorstore's. A format adds how its store is opened and what its metadata says.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import DestinationError, UserError, one_line
from napari_ouroboros.volumes.level import Box, Kind
from napari_ouroboros.volumes.writing.disk import destination_error
from napari_ouroboros.volumes.writing.staging import StagedFolder

if TYPE_CHECKING:
    import tensorstore

#: Where results carry what this program notes about them; only what has it is ever overwritten.
OUR_KEY = "napari_ouroboros"


class ChunkWriter(ABC):
    """One scale of a volume in the making; several of them share the folder and its metadata.

    Attributes
    ----------
    folder : StagedFolder
    shape, chunk, unit : (int, int, int)
        Zyx. `unit` is the write unit: a chunk, or the box of a shard.
    dtype : dtype
    channels : int
    kind : {"image", "segmentation"}
        Chunks of a segmentation that are all 0 are not written; an image's are.
    sharded : bool
    chunks_written : int
    """

    folder: StagedFolder
    shape: tuple[int, int, int]
    chunk: tuple[int, int, int]
    unit: tuple[int, int, int]
    dtype: np.dtype[Any]
    channels: int
    kind: Kind
    sharded: bool = False
    #: Axes (z, y, x, channel), whatever the order on disk.
    _store: tensorstore.TensorStore

    @abstractmethod
    def coarser(
        self,
        *,
        shape: Sequence[int],
        resolution: Sequence[float],
        voxel_offset: Sequence[float],
        chunk: Sequence[int] | None = None,
        key: str | None = None,
    ) -> Self:
        """Return the writer of one more scale of the same volume; add scales from fine to coarse.

        The parameters mean what they mean for the class; dtype, kind and encoding are shared.
        """

    @abstractmethod
    def _open(self, cache_bytes: int) -> tensorstore.TensorStore:
        """Open the scale with the axes (z, y, x, channel)."""

    def _open_store(
        self, spec: Mapping[str, Any], cache_bytes: int, what: str
    ) -> tensorstore.TensorStore:
        """Open the store that `spec` describes; UserError, which names `what`, if there is none."""
        import tensorstore as ts

        options = {
            "store_data_equal_to_fill_value": self.kind == "image",
            # A result counts once its folder is renamed; a power cut before that loses the
            # whole job anyway, so waiting for the disk after every chunk buys nothing.
            "context": {
                "file_io_sync": False,
                "cache_pool": {"total_bytes_limit": cache_bytes},
            },
        }
        try:
            # Metadata are taken as given: tensorstore writes none of its own.
            return ts.open(
                ts.Spec({**spec, **options}), open=True, create=True, assume_metadata=True
            ).result()
        except ValueError as error:
            raise UserError(f"no such {what} is possible: {one_line(error)}") from error

    def _start(self) -> None:
        """Open the store; to be called when the scale is described."""
        self._store = self._open(cache_bytes=0)
        self.unit = self.chunk
        self.chunks_written = 0
        self._count_lock = threading.Lock()

    # boxes -----------------------------------------------------------------------------------

    def chunks(self) -> Iterator[Box]:
        """Boxes of all chunks in array indices zyx, clipped at the end, z slowest."""
        return boxes(self.shape, self.chunk)

    def units(self) -> Iterator[Box]:
        """Boxes of all write units: shards if sharded, otherwise chunks."""
        return boxes(self.shape, self.unit)

    # writing ---------------------------------------------------------------------------------

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
        array = self._checked(box, array, self.unit)
        return self._put(
            (moved(part, box), array[tuple(slice(*ends) for ends in part)])
            for part in boxes(array.shape[:3], self.chunk)
        )

    def write_unit(self, parts: Iterable[tuple[Box, NDArray[Any]]]) -> int:
        """Write the chunks of one write unit, those that are not given being empty. Thread-safe.

        Parameters
        ----------
        parts : iterable of (box, array)
            Whole chunks, as for `write`. A shard is written once, so all of its chunks must be
            there; they are held together until it is on disk.

        Returns
        -------
        int
            As for `write`; so are the errors.
        """
        return self._put((box, self._checked(box, array, self.chunk)) for box, array in parts)

    def _put(self, parts: Iterable[tuple[Box, NDArray[Any]]]) -> int:
        pieces = [part for part in parts if self.kind == "image" or part[1].any()]
        if not pieces:
            return 0
        with self.folder.writing():
            try:
                self._write_pieces(pieces)
            except (ValueError, OSError) as error:
                raise self._trouble(error, sum(piece.nbytes for _, piece in pieces)) from error
        with self._count_lock:
            self.chunks_written += len(pieces)
        return len(pieces)

    def _write_pieces(self, pieces: Sequence[tuple[Box, NDArray[Any]]]) -> None:
        """Write whole chunks (z, y, x, channel), and return when they are on disk.

        Raises
        ------
        ValueError, OSError
            As tensorstore and the system do.
        """
        if not self.sharded:
            _write_all(self._store, pieces)
            return
        import tensorstore as ts

        # One transaction, or a shard would be read and rewritten for every chunk.
        with ts.Transaction() as transaction:
            _write_all(self._store.with_transaction(transaction), pieces)

    def _checked(self, box: Box, array: NDArray[Any], unit: Sequence[int]) -> NDArray[Any]:
        """Array (z, y, x, channel) that fits `box`; a misfit is a mistake of the caller."""
        for (low, high), n, step in zip(box, self.shape, unit, strict=True):
            if not (0 <= low < high <= n and low % step == 0 and (high % step == 0 or high == n)):
                raise ValueError(f"box {box} is not made of whole units {unit} of {self.shape}")
        if array.dtype != self.dtype:
            raise TypeError(f"{array.dtype} data for a volume of {self.dtype}")
        if array.ndim == 3:
            array = array[..., None]
        expected = (*(high - low for low, high in box), self.channels)
        if array.shape != expected:
            raise ValueError(f"an array of {array.shape} for a box of {expected}")
        return array

    def _trouble(self, error: Exception, n_bytes: int) -> DestinationError:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if isinstance(error, OSError) and error.errno:
            number, text = error.errno, error.strerror or one_line(error)
        elif code:
            number = int(code.group(1))
            text = os.strerror(number)
        else:
            number, text = errno.EIO, one_line(error)
        return destination_error(OSError(number, text), self.folder.destination, n_bytes)

    # reading back ----------------------------------------------------------------------------

    def read_back(self, cache_bytes: int = 0) -> WrittenVolume:
        """Return what has been written so far; the cache holds what cannot be read chunk by chunk.

        Ask for it when the writing has ended: later writes may or may not be seen.
        """
        return WrittenVolume(self._open(cache_bytes), self)


class WrittenVolume:
    """A scale whose chunks have been written, to be read before the result is complete."""

    def __init__(self, store: tensorstore.TensorStore, writer: ChunkWriter) -> None:
        self._store, self._writer = store, writer

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels (z, y, x) of the first channel; 0 where nothing was written. Thread-safe.

        Raises
        ------
        DestinationError
            What has just been written cannot be read.
        Cancelled
            The job has ended meanwhile.
        """
        (z0, z1), (y0, y1), (x0, x1) = box
        with self._writer.folder.writing():
            try:
                found = self._store[z0:z1, y0:y1, x0:x1, 0].read().result()
            except (ValueError, OSError) as error:
                raise self._writer._trouble(error, 0) from error
        return np.asarray(found)


def _write_all(store: tensorstore.TensorStore, pieces: Sequence[tuple[Box, NDArray[Any]]]) -> None:
    """Write chunks one by one and wait for all of them, also when one of them fails.

    A single write of several chunks gives up at the first that fails and leaves the others
    under way: they would come back into a folder that is being removed.
    """
    futures = []
    for ((z0, z1), (y0, y1), (x0, x1)), piece in pieces:
        futures.append(store[z0:z1, y0:y1, x0:x1].write(piece))
    first: Exception | None = None
    for future in futures:
        try:
            future.result()
        except (ValueError, OSError) as error:
            first = first or error
    if first is not None:
        raise first


# numbers -------------------------------------------------------------------------------------


def whole_numbers(
    numbers: Sequence[float], what: str, least: int | None = None
) -> tuple[int, int, int]:
    """Three whole numbers, zyx; UserError, which begins "the `what`", for others."""
    z, y, x = numbers
    for n in (z, y, x):
        if n != int(n) or (least is not None and n < least):
            wanted = "whole numbers" + (f" of at least {least}" if least is not None else "")
            raise UserError(f"the {what} must be {wanted}, not {numbers}")
    return int(z), int(y), int(x)


def lengths(resolution: Sequence[float]) -> tuple[float, float, float]:
    """Integral resolutions as int: 8.0 would end up as ``8.0`` in the metadata and in keys."""
    values = [float(r) for r in resolution]
    if len(values) != 3 or not all(math.isfinite(r) and r > 0 for r in values):
        raise UserError(f"a resolution is three lengths above 0 nm, not {list(resolution)}")
    z, y, x = (int(r) if r.is_integer() else r for r in values)
    return z, y, x


def boxes(shape: Sequence[int], unit: Sequence[int]) -> Iterator[Box]:
    """Boxes of `unit` that cover `shape`, clipped at the end, z slowest."""
    spans = [
        [(low, min(low + step, n)) for low in range(0, n, step)]
        for n, step in zip(shape, unit, strict=True)
    ]
    z, y, x = spans
    yield from itertools.product(z, y, x)


def moved(part: Box, box: Box) -> Box:
    """`part`, counted from the corner of `box`."""
    z, y, x = ((low + a, low + b) for (low, _), (a, b) in zip(box, part, strict=True))
    return z, y, x
