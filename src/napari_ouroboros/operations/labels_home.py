"""Labels at home while they are painted: chunks of the original volume, computed when looked at.

Nothing is run and nothing is written: the streaming machinery asks for the chunks that a window
shows, and they are gathered from the label array as it is. Each is bit for bit what
`backproject` would write at that mip.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.touched import touched_chunks
from napari_ouroboros.operations.gather import Gatherer, LabelGrid
from napari_ouroboros.operations.home_places import HomePlaces
from napari_ouroboros.operations.label_tiles import LabelTiles, PaintedLabels
from napari_ouroboros.operations.labels_reach import LabelReach
from napari_ouroboros.operations.outputs import CHUNK
from napari_ouroboros.operations.plan import default_threads
from napari_ouroboros.volumes.level import Box, Index, Level
from napari_ouroboros.volumes.streaming import (
    ChunkLoader,
    ChunkSource,
    DecodedChunks,
    loader_of,
    shared_chunks,
)
from napari_ouroboros.volumes.streaming.decoded import new_owner

if TYPE_CHECKING:
    from napari_ouroboros.volumes.level import Kind


class Change(Protocol):
    """What was written to labels; `LabelArray.changed` emits one."""

    @property
    def parts(self) -> Sequence[Box]:
        """Boxes ((k0, k1), (r0, r1), (c0, c1)) that hold all that changed."""
        ...


class LiveLabels(PaintedLabels, Protocol):
    """Labels that say when they change; a `LabelArray` is one."""

    @property
    def changed(self) -> Any:
        """A psygnal signal with a `Change`, emitted after every write."""
        ...


class LabelsHome:
    """Labels of a straightened volume, shown in the original one as they are painted.

    ``volume`` goes wherever a volume is streamed (`StreamedPyramid`). What is painted from now on
    shows up by itself; until a chunk is computed anew, its old picture stays.

    Parameters
    ----------
    labels : LabelArray
        (slices, rows, columns), the recipe's shape.
    map : Straightening
        The recipe that they were painted in.
    source : Volume
        The original: its levels' grids are those of the result.
    kept : DecodedChunks, optional
        The memory for chunks and for what is known of their geometry; that which all streamed
        volumes of the process share if not given.

    Attributes
    ----------
    volume : HomeVolume
    loader : ChunkLoader
        That of `volume`.

    Raises
    ------
    UserError
        The labels do not have the recipe's shape, or are no unsigned integers.

    Notes
    -----
    Where much is painted already, finding out where it can be takes a while (0.2 s for 10,000
    slices of 200 x 200 at five mips): make it in a worker.
    """

    def __init__(
        self,
        labels: LiveLabels,
        map: Straightening,
        source: ChunkSource,
        kept: DecodedChunks | None = None,
    ) -> None:
        _check(labels, map)
        levels = tuple(
            Level(v.shape, v.resolution, v.voxel_offset, chunk=CHUNK, key=v.key)
            for v in source.levels
        )
        self._reach = LabelReach(map, levels)
        self.volume = HomeVolume(labels, map, levels, source.url, kept, self._reach)
        self.loader: ChunkLoader = (
            loader_of(self.volume) if kept is None else ChunkLoader(self.volume, kept=kept)
        )
        self._labels = labels
        labels.changed.connect(self.changed)
        # What was painted while this was made; boxes that were known are whole tiles.
        self.volume.add(self.volume.unknown(labels.painted_chunks()))

    def touched(self, box: Box) -> tuple[set[Index], ...]:
        """Chunks of each mip that samples of a box can reach; conservative, from geometry.

        Parameters
        ----------
        box : ((k0, k1), (r0, r1), (c0, c1))
            Slices, rows and columns, the last ones excluded.
        """
        return self._reach.chunks([box])

    def changed(self, change: Change) -> None:
        """Compute anew what a write can reach, and is looked at. Called by the labels' signal."""
        chunks = self.volume.add(change.parts)
        self.loader.invalidate(
            (mip, index) for mip, indices in enumerate(chunks) for index in indices
        )

    def close(self) -> None:
        """Follow the labels no longer, and compute nothing more. Harmless when called twice."""
        self._labels.changed.disconnect(self.changed, missing_ok=True)
        self.loader.close()


class HomeVolume:
    """The volume that `backproject` would write, chunk by chunk, never written. Thread-safe.

    Made by `LabelsHome`. It is a `napari_ouroboros.volumes.streaming.ComputedSource`.

    Attributes
    ----------
    levels : tuple of Level
        The source's grids, in chunks of 64^3.
    dtype : dtype
        The labels'.
    """

    channels = 1
    kind: Kind = "segmentation"
    holds_labels = True

    def __init__(
        self,
        labels: PaintedLabels,
        map: Straightening,
        levels: Sequence[Level],
        source_url: str,
        kept: DecodedChunks | None,
        reach: LabelReach,
    ) -> None:
        self.url = f"labels on {source_url}"
        self.levels = tuple(levels)
        self.dtype = np.dtype(labels.dtype)
        self.n_at_once = default_threads()
        self._reach = reach
        self._tiles = LabelTiles(labels)
        self._held = tuple(set[Index]() for _ in self.levels)
        self._places = _AllPlaces(map, self.levels, labels, self._tiles, kept)
        self._token = uuid.uuid4().hex
        self.add(self._tiles.painted_boxes())

    def __repr__(self) -> str:
        return f"<HomeVolume {self.url}: {self.dtype}, {len(self.levels)} levels>"

    def add(self, boxes: Iterable[Box]) -> tuple[set[Index], ...]:
        """Samples of these boxes may hold labels from now on; the chunks that they can reach."""
        boxes = list(boxes)
        self._tiles.add(boxes)
        chunks = self._reach.chunks(boxes)
        for held, new in zip(self._held, chunks, strict=True):
            held |= new
        return chunks

    def unknown(self, boxes: Iterable[Box]) -> list[Box]:
        """Those of the boxes in which nothing was known to be painted."""
        return [box for box in boxes if not self._tiles.covers(box)]

    def mip(self, mip: int) -> Level:
        """Return level `mip`; UserError if there is none."""
        if 0 <= mip < len(self.levels):
            return self.levels[mip]
        raise UserError(f"there is no mip {mip}; {self.url} have mips 0 to {len(self.levels) - 1}")

    def is_empty(self, mip: int, index: Index) -> bool:
        """Whether no painted sample can reach a chunk; known at once."""
        return index not in self._held[mip]

    def fetch_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """Compute one chunk from the labels as they are now.

        Returns
        -------
        array (1, z, y, x) or None
            Clipped at the volume's end; None where nothing is labelled.

        Raises
        ------
        SourceError
            Labels cannot be read.
        UserError, IndexError
            No such mip, no such chunk.
        """
        z, y, x = (b - a for a, b in self.mip(mip).chunk_box(index))
        if self.is_empty(mip, index):
            return None
        places = self._places.of_chunk(mip, index)
        found = None if places is None else places.labels(self._tiles, (z, y, x), self.dtype)
        return None if found is None else found[None]

    def fetch_chunks(
        self, mip: int, indices: Iterable[Index]
    ) -> Iterator[tuple[Index, NDArray[Any] | None]]:
        """Yield (index, chunk or None) for each index."""
        for index in indices:
            yield index, self.fetch_chunk(mip, index)

    def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """No chunk takes long."""

    def __dask_tokenize__(self) -> str:
        """Unlike any other's: what is painted changes."""
        return self._token


class _AllPlaces:
    """Geometry of the chunks that were asked for, in the memory that pictures share."""

    def __init__(
        self,
        map_: Straightening,
        levels: Sequence[Level],
        labels: PaintedLabels,
        tiles: LabelTiles,
        kept: DecodedChunks | None,
    ) -> None:
        self._map, self._levels, self._tiles = map_, levels, tiles
        grid = LabelGrid(_Shape(labels), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        self._gatherers = [Gatherer(map_, level, grid) for level in levels]
        self._kept = shared_chunks() if kept is None else kept
        self._owner = new_owner()
        weakref.finalize(self, self._kept.drop, self._owner)
        self._lock = threading.Lock()
        self._segments: dict[int, dict[Index, NDArray[np.int64]]] = {}

    def of_chunk(self, mip: int, index: Index) -> HomePlaces | None:
        """Return what is kept, or find it out; None: the tube does not reach the chunk."""
        key = (self._owner, mip, index)
        found: HomePlaces | None = self._kept.get(key)
        if found is None:
            segments = self._table(mip).get(index)
            if segments is None:
                return None
            voxels, samples = self._gatherers[mip].samples(index, CHUNK, segments)
            found = HomePlaces(voxels, samples, self._tiles)
            self._kept.put(key, found, spare=True)
        return found

    def _table(self, mip: int) -> dict[Index, NDArray[np.int64]]:
        """Segments that may reach into each chunk of the tube."""
        with self._lock:
            if mip not in self._segments:
                touched = touched_chunks(self._map, self._levels[mip], CHUNK)
                self._segments[mip] = {item.chunk: item.segments for item in touched}
            return self._segments[mip]


class _Shape:
    """What the gatherer knows of labels that it does not read."""

    def __init__(self, labels: PaintedLabels) -> None:
        self.shape, self.out_dtype = labels.shape, np.dtype(labels.dtype)
        self.read: Callable[[int, int], NDArray[Any]] = _never


def _never(k0: int, k1: int) -> NDArray[Any]:
    raise RuntimeError("labels are read tile by tile")


def _check(labels: PaintedLabels, map_: Straightening) -> None:
    if tuple(labels.shape) != map_.shape:
        raise UserError(
            f"the labels have shape {tuple(labels.shape)}, the recipe {map_.shape} (slices, rows, "
            "columns): they were painted in another one"
        )
    if np.dtype(labels.dtype).kind != "u":
        raise UserError(f"labels are uint8, uint16, uint32 or uint64, not {labels.dtype}")
