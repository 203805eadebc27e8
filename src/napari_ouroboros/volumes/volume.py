"""A volume: levels of chunks, read chunk by chunk, as a block, or as a lazy array."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.deadline import call
from napari_ouroboros.volumes.fetch import Fetcher, fetch_json, make_fetcher
from napari_ouroboros.volumes.inflight import CancelSignal, as_completed
from napari_ouroboros.volumes.level import Box, Index, Kind, Level, VolumeInfo, checked_box
from napari_ouroboros.volumes.location import Location, parse_location
from napari_ouroboros.volumes.precomputed import chunk_name, parse_info
from napari_ouroboros.volumes.readers import Reader, choose_reader, make_reader

if TYPE_CHECKING:
    import dask.array

Missing = Literal["fill", "error"]

__all__ = ["Level", "Volume", "open_volume"]

# So that another format is named, not reported as "no info file".
_OTHER_FILES = {
    "zarr.json": "zarr",
    ".zarray": "zarr",
    ".zgroup": "zarr",
    ".zattrs": "zarr",
    "attributes.json": "N5",
}


def open_volume(
    url: str | os.PathLike[str], *, timeout: float = 60.0, open_timeout: float = 20.0
) -> Volume:
    """Open a Neuroglancer precomputed volume. Reads its `info` file and imports no voxel library.

    Parameters
    ----------
    url : str or path
        A folder, ``file://``, ``http(s)://``, with or without ``precomputed://`` before or
        ``|neuroglancer-precomputed:`` after it.
    timeout : float
        Seconds without a byte after which a chunk is given up.
    open_timeout : float
        Seconds for the whole of opening.

    Raises
    ------
    UserError
        The address cannot be right, or names a format or store that is not supported.
    SourceError
        Nothing there, no answer, or no volume.
    """
    for name, seconds in (("timeout", timeout), ("open_timeout", open_timeout)):
        if not seconds > 0:
            raise UserError(f"{name} must be more than 0 s; it is {seconds}")
    location = parse_location(url)

    def read_info() -> VolumeInfo:
        fetcher = make_fetcher(location, open_timeout)
        try:
            info = fetch_json(fetcher, location, "info")
            if info is None:
                raise _no_info(fetcher, location)
            return parse_info(info, location.shown("info"))
        finally:
            fetcher.close()

    # Not renewed by single bytes, unlike the chunks' limit: `info` is small.
    info = call(read_info, open_timeout, location.shown("info"))
    return Volume(location.with_format("precomputed"), info, timeout)


def _no_info(fetcher: Fetcher, location: Location) -> Exception:
    for name, form in _OTHER_FILES.items():
        if fetcher.get(name) is not None:
            return UserError(f"{location.shown('')} is {form}, which is not supported yet")
    if location.local and not os.path.isdir(location.base):
        return UserError(f"there is no folder {location.base}")
    return SourceError(
        f"no volume here: there is no {location.shown('info')}; give the folder that holds `info`"
    )


class Volume:
    """A chunked volume that `open_volume` opened. Everything zyx; safe to share between threads.

    Attributes
    ----------
    url : str
        Canonical address, without credentials; `open_volume` reads it.
    levels : tuple of Level
        Finest first: shape, resolution (nm), voxel_offset, chunk, key, encoding, sharded.
    dtype : numpy.dtype
        Of the voxels, as stored.
    channels : int
        Values per voxel.
    kind : {"image", "segmentation"}
        What the volume says it is.
    reader, reader_reason : str
        The library that reads its chunks, and why that one.
    timeout : float
        Seconds without a byte after which a chunk is given up.
    """

    def __init__(self, location: Location, info: VolumeInfo, timeout: float) -> None:
        self._location = location
        self._info = info
        self.url: str = location.url
        self.levels: tuple[Level, ...] = info.levels
        self.dtype: np.dtype[Any] = info.dtype
        self.channels: int = info.channels
        self.kind: Kind = info.kind
        self.timeout = float(timeout)
        self.reader, self.reader_reason = choose_reader(location, info)
        self._lock = threading.Lock()
        self._open_reader: Reader | None = None

    def __repr__(self) -> str:
        first = self.levels[0]
        return (
            f"<Volume {self.url}: {self.kind} {self.dtype}, {len(self.levels)} levels, "
            f"finest {first.shape} voxels of {first.resolution} nm (zyx)>"
        )

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to open its own connections."""
        state = self.__dict__.copy()
        del state["_lock"]
        state["_open_reader"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def bounds_nm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Outer corners of the finest level: lower and upper, each (3,) zyx nm."""
        return self.levels[0].bounds_nm

    def close(self) -> None:
        """Drop open connections. The volume can still be used and opens new ones."""
        with self._lock:
            reader, self._open_reader = self._open_reader, None
        if reader is not None:
            reader.close()

    def mip(self, mip: int) -> Level:
        """Return level `mip`.

        Raises
        ------
        UserError
            There is no such level; the message lists those there are.
        """
        if isinstance(mip, (int, np.integer)) and 0 <= mip < len(self.levels):
            return self.levels[mip]
        there = "; ".join(
            f"{i}: {' x '.join(f'{r:g}' for r in level.resolution)} nm"
            for i, level in enumerate(self.levels)
        )
        raise UserError(f"there is no mip {mip}; {self.url} has {there} (zyx)")

    def chunk_grid(self, mip: int) -> Index:
        """Return the number of chunks of level `mip` along z, y and x."""
        return self.mip(mip).chunk_grid

    def chunk_box(self, mip: int, index: Index) -> Box:
        """Return the array indices ((z0, z1), (y0, y1), (x0, x1)) of a chunk, clipped at the end.

        Raises
        ------
        IndexError
            There is no such chunk.
        """
        return self.mip(mip).chunk_box(index)

    def fetch_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Return one chunk, or ``None`` if the store has none there.

        Parameters
        ----------
        mip : int
            Level.
        index : (z, y, x)
            Which chunk, counted in chunks.

        Returns
        -------
        array (channels, z, y, x) or None
            C-contiguous, clipped at the volume's end, perhaps read-only.

        Raises
        ------
        SourceError
            Names the chunk: corrupt, cut off, refused, or no byte within `timeout`.
        UserError
            Its codec is not installed; no such level.
        IndexError
            No such chunk.
        """
        self.chunk_box(mip, index)
        with self._lock:
            if self._open_reader is None:
                fetcher = make_fetcher(self._location, self.timeout)
                self._open_reader = make_reader(self.reader, self._location, self._info, fetcher)
            reader = self._open_reader
        return reader.read_chunk(mip, index)

    def fetch_chunks(
        self,
        mip: int,
        indices: Iterable[Index],
        n_in_flight: int = 16,
        cancel: CancelSignal | None = None,
    ) -> Iterator[tuple[Index, NDArray[Any] | None]]:
        """Yield (index, chunk or ``None``) for each index, as they arrive.

        At most `n_in_flight` chunks are requested or waiting to be taken at any time.

        Raises
        ------
        Cancelled
            ``cancel.is_set()`` became true; it is asked at least every 0.1 s.
        SourceError, UserError
            As `fetch_chunk`; the rest is dropped.
        """
        self.mip(mip)

        def fetch(index: Index) -> tuple[Index, NDArray[Any] | None]:
            return index, self.fetch_chunk(mip, index)

        tasks = (partial(fetch, _as_index(index)) for index in indices)
        return as_completed(tasks, n_in_flight, cancel)

    def read(
        self,
        mip: int,
        box: Box | None = None,
        missing: Missing = "fill",
        fill: float = 0,
        cancel: CancelSignal | None = None,
    ) -> NDArray[Any]:
        """Read a block of level `mip`.

        Parameters
        ----------
        mip : int
            Level.
        box : ((z0, z1), (y0, y1), (x0, x1)), optional
            Array indices, 0 to shape; the whole level by default.
        missing : {"fill", "error"}
            What to do where the store has no chunk.
        fill : number
            The value for missing chunks.
        cancel : object with is_set(), optional
            Stops the reading.

        Returns
        -------
        array (z, y, x), or (z, y, x, channel) if there are several channels

        Raises
        ------
        SourceError
            A chunk could not be read, or is missing under ``missing="error"``.
        UserError
            The box is not inside the level or does not fit into memory, or `fill` does not fit
            the dtype.
        Cancelled
            See `fetch_chunks`.
        """
        level = self.mip(mip)
        box = checked_box(box, level)
        value = self._checked_fill(missing, fill)
        size = (*(b - a for a, b in box), self.channels)
        try:
            out = np.empty(size, self.dtype)
        except MemoryError as error:
            gb = math.prod(size) * self.dtype.itemsize / 1e9
            raise UserError(f"the box needs {gb:.1f} GB of memory; read a smaller one") from error
        if out.size:
            spans = [range(a // c, -(-b // c)) for (a, b), c in zip(box, level.chunk, strict=True)]
            for index, chunk in self.fetch_chunks(mip, product(*spans), cancel=cancel):  # type: ignore[arg-type]
                inside, target = [], []
                for (low, high), (a, b) in zip(level.chunk_box(index), box, strict=True):
                    first, last = max(low, a), min(high, b)
                    inside.append(slice(first - low, last - low))
                    target.append(slice(first - a, last - a))
                if chunk is not None:
                    out[tuple(target)] = np.moveaxis(chunk[(slice(None), *inside)], 0, -1)
                elif missing == "error":
                    raise self._missing_error(level, index)
                else:
                    out[tuple(target)] = value
        return out[..., 0] if self.channels == 1 else out

    def dask(self, mip: int, missing: Missing = "fill", fill: float = 0) -> dask.array.Array:
        """Return level `mip` as a lazy dask array (z, y, x[, channel]): one chunk, one task.

        Equal volumes give equal task names. `missing` and `fill` are as in `read`.
        """
        from napari_ouroboros.volumes.lazy import lazy_array

        self._checked_fill(missing, fill)
        return lazy_array(self, mip, missing, fill)

    def source_info(self) -> dict[str, Any]:
        """Return what a recipe records about the volume, ready for JSON; everything zyx."""
        return {
            "url": self.url,
            "dtype": self.dtype.name,
            "channels": self.channels,
            "kind": self.kind,
            "levels": [
                {
                    "shape": list(level.shape),
                    "resolution": list(level.resolution),
                    "voxel_offset": list(level.voxel_offset),
                    "chunk": list(level.chunk),
                    "key": level.key,
                    "encoding": level.encoding,
                }
                for level in self.levels
            ],
        }

    def read_chunk_filled(
        self, mip: int, index: Index, missing: Missing, fill: float
    ) -> NDArray[Any]:
        """Return one whole chunk (z, y, x[, channel]), filled if missing; one task of `dask`."""
        chunk = self.fetch_chunk(mip, index)
        if chunk is None:
            level = self.mip(mip)
            if missing == "error":
                raise self._missing_error(level, index)
            size = [b - a for a, b in level.chunk_box(index)]
            chunk = np.full((self.channels, *size), self._checked_fill(missing, fill))
        return chunk[0] if self.channels == 1 else np.moveaxis(chunk, 0, -1)

    def _missing_error(self, level: Level, index: Index) -> SourceError:
        name = self._location.shown(chunk_name(level, index))
        return SourceError(f"chunk {name} is missing; --missing fill reads it as the fill value")

    def _checked_fill(self, missing: str, fill: float) -> Any:
        """Return `fill` as a value of the volume's dtype."""
        if missing not in ("fill", "error"):
            raise UserError(f'missing must be "fill" or "error"; it is {missing!r}')
        if self.dtype.kind in "ui":
            limits = np.iinfo(self.dtype)
            if not (math.isfinite(fill) and fill % 1 == 0 and limits.min <= fill <= limits.max):
                raise UserError(f"the fill value {fill} does not fit {self.dtype}")
            return self.dtype.type(int(fill))
        return self.dtype.type(fill)


def _as_index(index: Iterable[int]) -> Index:
    z, y, x = (int(i) for i in index)
    return z, y, x
