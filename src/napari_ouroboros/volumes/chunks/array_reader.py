"""Volumes that are zarr or N5 arrays: our own requests, decoded by tensorstore's codecs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, one_line
from napari_ouroboros.volumes.chunks.array_shards import ArrayShards
from napari_ouroboros.volumes.chunks.tensorstore_codecs import array_decoder
from napari_ouroboros.volumes.chunks.whole import CorruptChunk
from napari_ouroboros.volumes.formats.zarr import array_file_name
from napari_ouroboros.volumes.level import ArrayLayout, Index, Level, VolumeInfo
from napari_ouroboros.volumes.stores.fetch import Fetcher
from napari_ouroboros.volumes.stores.location import Location


class ArrayReader:
    """See `napari_ouroboros.volumes.chunks.readers.Reader`.

    A chunk that is not stored consists of the array's `fill_value`. One that is all 0 is given as
    missing, since it may as well have been lost; so is one of several channels only if it is
    missing in each of them.
    """

    def __init__(self, location: Location, info: VolumeInfo, fetcher: Fetcher) -> None:
        self._location = location
        self._info = info
        self._fetcher = fetcher
        self._lock = threading.Lock()
        self._levels: dict[int, _ArrayLevel] = {}

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.read_chunk`."""
        array = self._array(mip)
        size = [high - low for low, high in array.level.chunk_box(index)]
        step = array.channels_per_chunk
        starts = range(0, self._info.channels, step)
        parts = [
            array.read(index, start // step, min(step, self._info.channels - start), size)
            for start in starts
        ]
        if all(part is None for part in parts) and not array.fill:
            return None
        if len(parts) == 1 and parts[0] is not None:
            return parts[0]
        chunk = np.full((self._info.channels, *size), array.fill, self._info.dtype)
        for start, part in zip(starts, parts, strict=True):
            if part is not None:
                chunk[start : start + step] = part
        return chunk

    def close(self) -> None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.close`."""
        self._fetcher.close()

    def _array(self, mip: int) -> _ArrayLevel:
        with self._lock:
            if mip not in self._levels:
                self._levels[mip] = _ArrayLevel(
                    self._info.levels[mip], self._info.dtype, self._fetcher, self._location
                )
            return self._levels[mip]


class _ArrayLevel:
    """One array, its axes in the order czyx."""

    def __init__(
        self, level: Level, dtype: np.dtype[Any], fetcher: Fetcher, location: Location
    ) -> None:
        assert level.array is not None
        self.level = level
        self._layout: ArrayLayout = level.array
        self._dtype = dtype
        self._fetcher = fetcher
        self._location = location
        channel, *_ = self._layout.axes
        self.channels_per_chunk = 1 if channel is None else self._layout.chunk[channel]
        metadata = self._layout.metadata
        self._shards = None
        try:
            if level.sharding is not None:
                self._shards = ArrayShards(level, fetcher, location)
                metadata = {**metadata, "codecs": level.sharding["codecs"]}
            self._decoder = array_decoder(self._layout.driver, metadata, self._layout.chunk)
        # The latter two for what is JSON, and nothing that tensorstore could take for an answer.
        except (ValueError, OverflowError, RuntimeError) as error:
            raise SourceError(
                f"{location.shown(level.key)}: tensorstore cannot read this array: "
                f"{one_line(error, 200)}"
            ) from error
        fill = self._decoder.fill
        self.fill = dtype.type(0 if fill is None else fill)

    def read(
        self, index: Index, channel_chunk: int, channels: int, size: Sequence[int]
    ) -> NDArray[Any] | None:
        """Return `channels` channels (c, z, y, x) of a chunk, or None if it is not stored."""
        layout = self._layout
        numbers = [0] * len(layout.chunk)
        box = [slice(0, 1)] * len(layout.chunk)
        for axis, i in layout.fixed:
            numbers[axis], inside = divmod(i, layout.chunk[axis])
            box[axis] = slice(inside, inside + 1)
        wanted = (channel_chunk, *index)
        for axis_, i, n in zip(layout.axes, wanted, (channels, *size), strict=True):
            if axis_ is not None:
                numbers[axis_] = i
                box[axis_] = slice(0, n)
        data, shown = self._fetch(numbers)
        if data is None:
            return None
        # The axes of which only one index is read come first, and are dropped.
        order = [axis for axis, _ in layout.fixed]
        order += [axis for axis in layout.axes if axis is not None]
        try:
            chunk = self._decoder.decode(data, box, order)
        except CorruptChunk as error:
            raise SourceError(f"chunk {shown} is corrupt: {error}") from error
        if chunk.dtype == np.bool_:
            chunk = chunk.view(np.uint8)
        if chunk.dtype != self._dtype:
            raise SourceError(f"chunk {shown} holds {chunk.dtype}, not {self._dtype}")
        return chunk.reshape(channels, *size)

    def _fetch(self, numbers: Sequence[int]) -> tuple[bytes | None, str]:
        """Return a chunk as stored, and how messages name it."""
        if self._shards is None:
            name = array_file_name(self.level.key, self._layout, numbers)
            return self._fetcher.get(name), self._location.shown(name)
        shard, place = self._shards.split(numbers)
        name = array_file_name(self.level.key, self._layout, shard)
        shown = f"{place} in {self._location.shown(name)}"
        return self._shards.get(name, place, f"chunk {shown}"), shown
