"""A TIFF of labels that were brought home, chunk by chunk in its place: so that it can stream."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError, one_line
from napari_ouroboros.volumes.level import Index, Level
from napari_ouroboros.volumes.writing.tiff import metadata_of, open_tiff

if TYPE_CHECKING:
    import tifffile

#: Planes of a chunk: those that the writer's chunks have.
_DEEP = 64


class TiffHome:
    """Labels in a TIFF that `backproject` wrote; a `ChunkSource`. Thread-safe.

    A chunk is one tile of each of 64 planes; no others are read for it.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    levels : tuple of Level
        One: the box that the file holds, where it lies in the volume.
    dtype : dtype

    Raises
    ------
    UserError
        It is no TIFF, or was not written by `backproject`.
    """

    channels = 1

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.url = str(self.path)
        with open_tiff(self.path) as tiff:
            facts, page = metadata_of(tiff), tiff.pages.first
            if "voxel_offset" not in facts or not page.is_tiled or page.dtype is None:
                raise UserError(
                    f"{self.path} does not say where in a volume it lies; bring the labels home "
                    "again"
                )
            n_planes, (rows, columns) = len(tiff.pages), page.shape
            tile = page.chunks
            self.dtype: np.dtype[Any] = page.dtype.newbyteorder("=")
        self.levels = (
            Level(
                (n_planes, rows, columns), tuple(facts["resolution"]), tuple(facts["voxel_offset"]),
                chunk=(_DEEP, tile[0], tile[1]), key=self.path.name,
            ),
        )  # fmt: skip
        self._across = math.ceil(columns / tile[1])
        self._lock = threading.Lock()
        self._opened: list[tifffile.TiffFile] = []  # none, or one
        weakref.finalize(self, _close, self._opened)

    def __copy__(self) -> TiffHome:
        return self

    def mip(self, mip: int) -> Level:
        """Return level `mip`; UserError if there is none."""
        if mip != 0:
            raise UserError(f"there is no mip {mip}; a TIFF has one level")
        return self.levels[0]

    def fetch_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Read one chunk (1, z, y, x), clipped at the end of the box; None: all of it is 0.

        Raises
        ------
        SourceError
            It cannot be read.
        """
        box = self.mip(mip).chunk_box(index)
        z, y, x = (b - a for a, b in box)
        out = np.zeros((1, z, y, x), self.dtype)
        number = index[1] * self._across + index[2]
        try:
            # One at a time: tifffile reads from one place in its file.
            with self._lock:
                if not self._opened:
                    self._opened.append(open_tiff(self.path))
                for k in range(z):
                    tile = _tile(self._opened[0], box[0][0] + k, number)
                    if tile is not None:
                        out[0, k] = tile[:y, :x]
        except UserError:
            raise
        except Exception as error:  # tifffile raises whatever a broken file leads to
            raise SourceError(f"cannot read {self.path}: {one_line(error)}") from error
        return out if out.any() else None

    def fetch_chunks(
        self, mip: int, indices: Iterable[Index]
    ) -> Iterator[tuple[Index, NDArray[Any] | None]]:
        """Yield (index, chunk or None) for each index."""
        for index in indices:
            yield index, self.fetch_chunk(mip, index)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            _close(self._opened)

    def abort(self) -> None:
        """No chunk takes long."""


def _tile(tiff: tifffile.TiffFile, plane: int, number: int) -> NDArray[Any] | None:
    page = tiff.pages[plane]
    count = page.databytecounts[number]
    if not count:
        return None
    tiff.filehandle.seek(page.dataoffsets[number])
    tile = page.decode(tiff.filehandle.read(count), number)[0]
    # (depth, rows, columns, samples)
    return None if tile is None else np.asarray(tile)[0, ..., 0]


def _close(opened: list[tifffile.TiffFile]) -> None:
    while opened:
        opened.pop().close()
