"""A TIFF, whoever wrote it, as one stack (slices, rows, columns) that is read slice by slice.

tifffile knows the dialects (OME, ImageJ, its own, plain pages); here it is only decided which of
their axes is the slice, and a file that ends too early is refused instead of read short.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError, one_line
from napari_ouroboros.volumes.writing.tiff import metadata_of, open_tiff
from napari_ouroboros.volumes.writing.tiff_check import check_pages

if TYPE_CHECKING:
    import tifffile

# A slab of decoded slices that is worth one visit to the file.
_SLAB_BYTES = 4 * 1024 * 1024


class TiffStack:
    """The slices of a TIFF, read lazily; safe to share between threads.

    Parameters
    ----------
    path : path
        Of a file that begins like a TIFF and holds one stack: pages or tiles, any compression
        that imagecodecs knows.

    Attributes
    ----------
    shape : (slices, rows, columns)
    dtype : dtype
    thickness : int
        Slices to read at a time for speed; 0 where any part is read without decoding.
    metadata : dict
        See `tiff_metadata`.

    Raises
    ------
    UserError
        No TIFF, or one that is not one stack of single values.
    SourceError
        Broken or truncated.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        check_pages(path)
        tif = open_tiff(path)
        # Whatever happens to this object, the file gets closed.
        self._closer = weakref.finalize(self, tif.close)
        try:
            self._open(tif)
        except (UserError, SourceError):
            self.close()
            raise
        except Exception as error:  # tifffile raises whatever a broken file leads to
            self.close()
            raise SourceError(f"{path} is broken or truncated: {one_line(error, 120)}") from error

    def _open(self, tif: tifffile.TiffFile) -> None:
        self.metadata = metadata_of(tif)
        every = list(tif.series)
        if not every:
            raise UserError(f"{self.name} holds no image")
        layouts = [_layout(series, self.name) for series in every]
        # Slices that were saved one by one are a series each.
        one_by_one = len(set(layouts)) == 1 and len({series.dtype for series in every}) == 1
        if len(every) > 1 and (not one_by_one or every[0].kind == "ome"):
            raise UserError(
                f"{self.name} holds {len(every)} images; save the labels alone as one stack"
            )
        n, rows, columns = layouts[0]
        self.dtype = np.dtype(every[0].dtype).newbyteorder("=")
        self.shape = (n * len(every), rows, columns)
        self._size = tif.filehandle.size
        self._mapped: NDArray[Any] | None = None
        offset = every[0].dataoffset if len(every) == 1 else None
        if offset is not None:
            n_bytes = n * rows * columns * self.dtype.itemsize
            if offset + n_bytes > self._size:
                raise SourceError(
                    f"{self.name} is truncated: {self._size} bytes instead of at least "
                    f"{offset + n_bytes}"
                )
            self._mapped = np.memmap(
                tif.filehandle.path,
                dtype=self.dtype.newbyteorder(tif.byteorder),
                mode="r",
                offset=offset,
                shape=self.shape,
            )
            self.thickness = 0
            self.close()
            return
        self._pages = [series.pages for series in every]
        counts = [len(pages) for pages in self._pages]
        self._slices_per_page, rest = divmod(self.shape[0], sum(counts))
        if rest:
            raise UserError(f"{self.name}: {self.shape[0]} slices on {sum(counts)} pages")
        self._pages_per_series = counts[0]
        self._lock = threading.RLock()
        tif.filehandle.set_lock(True)
        slice_bytes = rows * columns * self.dtype.itemsize
        self.thickness = max(self._slices_per_page, min(64, _SLAB_BYTES // slice_bytes), 1)

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        """Slices k0 <= k < k1 as an array (k1 - k0, rows, columns).

        Raises
        ------
        SourceError
            A slice cannot be decoded; it is named.
        """
        if self._mapped is not None:
            return self._mapped[k0:k1]
        out = np.empty((k1 - k0, *self.shape[1:]), self.dtype)
        per_page = self._slices_per_page
        for i in range(k0 // per_page, -(-k1 // per_page)):
            first = i * per_page
            page = self._decode(i, first)
            low, high = max(first, k0), min(first + per_page, k1)
            out[low - k0 : high - k0] = page[low - first : high - first]
        return out

    def close(self) -> None:
        """Close the file."""
        self._closer()

    def _decode(self, index: int, k: int) -> NDArray[Any]:
        """Page number `index`, whose first slice is `k`, as (slices, rows, columns)."""
        series, i = divmod(index, self._pages_per_series)
        try:
            with _tifffile_errors() as errors:
                with self._lock:  # the list of pages is read on demand, too
                    page = self._pages[series][i]
                if page is None:
                    raise SourceError(f"{self.name} is incomplete: slice {k} is missing")
                ends = zip(page.dataoffsets, page.databytecounts, strict=True)
                if max((offset + n for offset, n in ends), default=0) > self._size:
                    raise SourceError(f"{self.name} is truncated: slice {k} is not all there")
                array = page.asarray(maxworkers=1)
            if errors:
                raise SourceError(f"{self.name}: slice {k} is broken: {one_line(errors[0], 120)}")
            return array.reshape(-1, *self.shape[1:])
        except SourceError:
            raise
        except Exception as error:  # every codec has errors of its own
            raise SourceError(
                f"{self.name}: slice {k} cannot be decoded: {one_line(error, 120)}"
            ) from error


def _layout(series: tifffile.TiffPageSeries, name: str) -> tuple[int, int, int]:
    """(slices, rows, columns) of a series; UserError where its axes mean something else."""
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    y, x = axes.rfind("Y"), axes.rfind("X")
    shown = " x ".join(f"{n} {axis}" for axis, n in zip(axes, shape, strict=True) if n > 1)
    if not 0 <= y < x:
        raise UserError(f"{name} has no rows and columns: its axes are {shown}")
    if np.prod(shape[x + 1 :]) > 1:
        raise UserError(
            f"{name} holds {shape[-1]} values per pixel (a colour image?), not labels: {shown}"
        )
    # tifffile takes 3 or 4 slices of uint8 for the planes of a colour image; as labels, with
    # nothing else to count, they are slices.
    leading = [n for n in shape[:y] if n > 1]
    if len(leading) > 1:
        raise UserError(
            f"{name} has more axes than slices, rows and columns: {shown}; "
            "save one channel and one point in time"
        )
    return (leading[0] if leading else 1), int(shape[y]), int(shape[x])


@contextmanager
def _tifffile_errors() -> Iterator[list[str]]:
    """Collect what tifffile logs as errors in this thread, instead of printing it."""
    import tifffile

    lines: list[str] = []
    thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread or record.levelno < logging.ERROR:
            return True
        lines.append(record.getMessage())
        return False

    logger = tifffile.logger()
    logger.addFilter(keep)
    try:
        yield lines
    finally:
        logger.removeFilter(keep)
