"""Labels on the source's grid as one TIFF: the box around the chunks that hold any.

Where that box lies is known only when the last chunk is there. So every chunk's planes are
compressed at once, as the tiles that they are going to be, and kept in a file beside the result;
at the end the tiles are copied into the TIFF in their order. No more than the chunks that are
being written is ever in memory, however large the box is.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.geometry.touched import block_bounds
from napari_ouroboros.volumes.level import Box, Index
from napari_ouroboros.volumes.writing.disk import destination_errors
from napari_ouroboros.volumes.writing.staging import StagedFile
from napari_ouroboros.volumes.writing.tiff import tiff_form

_TILES = "tiles"


class CancelSignal(Protocol):
    """Such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the job is to stop."""


class LabelTiff:
    """Labels on a grid, on their way into a TIFF of (z, y, x) planes.

    Each page is one plane in z, in zlib-compressed tiles of a chunk's rows and columns. The
    dtypes are those of `write_tiff`: OME-TIFF up to uint32, plain BigTIFF for uint64. Beside the
    facts the metadata says, as `tiff_metadata` reads it, all zyx:

    - ``resolution``: nm per voxel;
    - ``voxel_offset``: position of the outer corner of array index 0, in voxels of the grid;
    - ``corner_nm``: the same in nm. Voxel i's centre is at corner + (i + 0.5) x resolution.

    Parameters
    ----------
    file : StagedFile
        Entered; its owner commits it, after `finish`.
    grid : Grid
        Of the whole volume.
    dtype : dtype
        Unsigned.
    chunk : (int, int, int)
        Zyx; rows and columns are multiples of 16, as TIFF asks of tiles.
    facts : dict
        JSON-able; noted in the metadata.
    """

    def __init__(
        self,
        file: StagedFile,
        grid: Grid,
        dtype: DTypeLike,
        chunk: Index,
        facts: Mapping[str, Any],
    ) -> None:
        self.grid, self.chunk, self.facts = grid, chunk, facts
        self.dtype = np.dtype(dtype)
        self._on_disk = self.dtype.newbyteorder("<")
        self._file = file
        self._tiles = file.path.with_name(_TILES)
        # Where a chunk's tiles begin in the file of tiles, and their lengths; 0: all of it is 0.
        self._places: dict[Index, tuple[int, list[int]]] = {}
        self._end = 0
        self._lock = threading.Lock()

    def write_unit(self, parts: Iterable[tuple[Box, NDArray[Any]]]) -> int:
        """Keep whole chunks (z, y, x); return how many were not all 0. Thread-safe.

        Raises
        ------
        DestinationError
            No space, no permission.
        Cancelled
            The job has ended meanwhile.
        """
        count = 0
        for box, array in parts:
            index = self._checked(box, array)
            if not array.any():
                continue
            packed = [self._packed(plane) if plane.any() else b"" for plane in array]
            with (
                self._file.writing(),
                destination_errors(self._file.destination),
                self._lock,
                open(self._tiles, "ab") as stream,
            ):
                # A write that failed half-way may have left bytes behind what counts.
                stream.truncate(self._end)
                stream.write(b"".join(packed))
                stream.flush()
                lengths = [len(tile) for tile in packed]
                self._places[index] = (self._end, lengths)
                self._end += sum(lengths)
            count += 1
        return count

    @property
    def box(self) -> Box | None:
        """Array indices, zyx, of the box that the TIFF holds so far; None before any label."""
        return block_bounds(self._places, self.chunk, self.grid.shape)

    def finish(self, cancel: CancelSignal | None = None) -> None:
        """Write the TIFF of what was kept; nothing may be written afterwards.

        Raises
        ------
        DestinationError
            No space, no permission.
        Cancelled
            `cancel` was set.
        ValueError
            There is no label, and so no box.
        """
        import tifffile

        box = self.box
        if box is None:
            raise ValueError("no chunk holds a label")
        shape = tuple(high - low for low, high in box)
        offset = [float(o + low) for o, (low, _) in zip(self.grid.voxel_offset, box, strict=True)]
        resolution = [float(r) for r in self.grid.resolution]
        facts = {
            **self.facts,
            "resolution": resolution,
            "voxel_offset": offset,
            "corner_nm": [o * r for o, r in zip(offset, resolution, strict=True)],
        }
        form = tiff_form(shape, self.dtype, resolution, facts)
        with (
            self._file.writing(),
            destination_errors(self._file.destination, self._end),
            open(self._tiles, "rb") as stream,
            tifffile.TiffWriter(
                self._file.path, bigtiff=form.big, ome=form.ome, byteorder="<"
            ) as writer,
        ):
            writer.write(
                self._in_order(box, stream, cancel),
                **form.options,
                shape=shape,
                dtype=self.dtype,
                tile=self.chunk[1:],
                compression="zlib",
                photometric="minisblack",
            )

    def _in_order(self, box: Box, stream: BinaryIO, cancel: CancelSignal | None) -> Iterator[bytes]:
        """Every tile of every plane of the box, row by row."""
        (z0, z1), *sides = box
        depth = self.chunk[0]
        rows, columns = (
            range(low // n, -(-high // n))
            for (low, high), n in zip(sides, self.chunk[1:], strict=True)
        )
        # Not left out: not every program takes a tile without bytes for 0.
        empty = self._packed(np.zeros(self.chunk[1:], self.dtype))
        for first in range(z0, z1, depth):
            layer = [self._places.get((first // depth, y, x)) for y in rows for x in columns]
            at = [0 if place is None else place[0] for place in layer]
            for plane in range(min(depth, z1 - first)):
                if cancel is not None and cancel.is_set():
                    raise Cancelled("the job was cancelled; nothing was kept")
                for i, place in enumerate(layer):
                    length = 0 if place is None else place[1][plane]
                    if not length:
                        yield empty
                        continue
                    stream.seek(at[i])
                    yield stream.read(length)
                    at[i] += length

    def _packed(self, plane: NDArray[Any]) -> bytes:
        """A tile of a plane, with zeros where the volume ends before it does."""
        rows, columns = self.chunk[1:]
        tile = np.zeros((rows, columns), self._on_disk)
        tile[: plane.shape[0], : plane.shape[1]] = plane
        return zlib.compress(tile.tobytes())

    def _checked(self, box: Box, array: NDArray[Any]) -> Index:
        """The chunk's index; a misfit is a mistake of the caller."""
        z, y, x = (low // n for (low, _), n in zip(box, self.chunk, strict=True))
        wanted = block_bounds([(z, y, x)], self.chunk, self.grid.shape)
        if tuple(map(tuple, box)) != wanted or min((z, y, x)) < 0:
            raise ValueError(f"{box} is no chunk {self.chunk} of {self.grid.shape}")
        if array.dtype != self.dtype or array.shape != tuple(b - a for a, b in box):
            raise ValueError(f"{array.dtype} {array.shape} for chunk {box} of {self.dtype}")
        return z, y, x


def box_share(indices: Sequence[Index], chunk: Index, grid: Grid) -> tuple[int, float]:
    """Voxels of the box around chunks, and which part of them lies in these chunks."""
    box = block_bounds(indices, chunk, grid.shape)
    if box is None:
        return 0, 1.0
    voxels = math.prod(high - low for low, high in box)
    return voxels, min(1.0, len(indices) * math.prod(chunk) / voxels)
