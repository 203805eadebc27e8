"""A volume: levels of chunks, read chunk by chunk, as a block, or as a lazy array."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.chunks.chunk_cache import (
    CachedReader,
    ChunkCache,
    as_cache,
    volume_key,
)
from napari_ouroboros.volumes.chunks.readers import Reader, choose_reader, make_reader
from napari_ouroboros.volumes.formats.precomputed import chunk_name
from napari_ouroboros.volumes.level import Box, Index, Kind, Level, VolumeInfo, checked_box
from napari_ouroboros.volumes.stores.fetch import AbortableFetcher, make_fetcher
from napari_ouroboros.volumes.stores.inflight import CancelSignal, as_completed
from napari_ouroboros.volumes.stores.location import Location

if TYPE_CHECKING:
    import dask.array

Missing = Literal["fill", "error"]

__all__ = ["Level", "Volume"]


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

    def __init__(
        self,
        location: Location,
        info: VolumeInfo,
        timeout: float,
        reader: str | None = None,
        resolution: Sequence[float] | None = None,
        cache: ChunkCache | float | None = None,
    ) -> None:
        self._location = location
        self._info = info
        self.url: str = location.url
        self.levels: tuple[Level, ...] = info.levels
        self.dtype: np.dtype[Any] = info.dtype
        self.channels: int = info.channels
        self.kind: Kind = info.kind
        self.timeout = float(timeout)
        self.reader, self.reader_reason = choose_reader(location, info, reader)
        self._given_resolution = resolution
        # What is in a folder already gains nothing from a second one.
        self._cache = None if location.local else as_cache(cache)
        self._lock = threading.Lock()
        self._open_reader: Reader | None = None
        self._fetcher: AbortableFetcher | None = None

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
        state["_open_reader"] = state["_fetcher"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __dask_tokenize__(self) -> str:
        """What tells this volume from others: its whole address and its metadata, as a hash."""
        return volume_key(self._location, self._info)

    @property
    def holds_labels(self) -> bool:
        """Whether its voxels are ids, which nothing may blend, unless a user knows better.

        Integers of 64 bits are taken for ids, too: as float64 they would lose their last digits.
        """
        return self.kind == "segmentation" or self.dtype.name in ("int64", "uint64")

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

    def abort(self) -> None:
        """End the requests of this object that are under way: who waits gets `Cancelled`.

        It can still be used. Requests to graphene servers end by themselves.
        """
        with self._lock:
            fetcher, self._fetcher = self._fetcher, None
        self.close()
        if fetcher is not None:
            fetcher.abort()

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

    def chunk_name(self, mip: int, index: Index) -> str:
        """Return the name, below `url`, of the file that a chunk is in, or would be in.

        Precomputed shards are not named: which one it is takes a voxel library to find out.
        """
        level = self.mip(mip)
        if level.array is None:
            return chunk_name(level, index)
        from napari_ouroboros.volumes.formats.zarr import array_chunk_name

        return array_chunk_name(level, index)

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
                self._open_reader = self._make_reader()
            reader = self._open_reader
        return reader.read_chunk(mip, index)

    def _make_reader(self) -> Reader:
        reader: Reader
        if self._location.format == "graphene":
            from napari_ouroboros.volumes.formats.graphene import GrapheneReader

            reader = GrapheneReader(self._location, self._info, self.timeout, self.reader)
        else:
            fetcher = self._fetcher = make_fetcher(self._location, self.timeout)
            reader = make_reader(self.reader, self._location, self._info, fetcher)
        if self._cache is not None:
            reader = CachedReader(reader, self._location, self._info, self._cache)
        return reader

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
        except (MemoryError, ValueError) as error:  # the latter beyond what can be counted
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
                    raise self._missing_error(mip, index)
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
        """Return what a recipe records about the volume, ready for JSON; everything zyx.

        `given_resolution` is there where the user gave it: `open_volume` needs it again.
        """
        given = self._given_resolution
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
            **({} if given is None else {"given_resolution": [float(size) for size in given]}),
        }

    def read_chunk_filled(
        self, mip: int, index: Index, missing: Missing, fill: float
    ) -> NDArray[Any]:
        """Return one whole chunk (z, y, x[, channel]), filled if missing; one task of `dask`."""
        chunk = self.fetch_chunk(mip, index)
        if chunk is None:
            level = self.mip(mip)
            if missing == "error":
                raise self._missing_error(mip, index)
            size = [b - a for a, b in level.chunk_box(index)]
            chunk = np.full((self.channels, *size), self._checked_fill(missing, fill))
        return chunk[0] if self.channels == 1 else np.moveaxis(chunk, 0, -1)

    def _missing_error(self, mip: int, index: Index) -> SourceError:
        name = self._location.shown(self.chunk_name(mip, index))
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
