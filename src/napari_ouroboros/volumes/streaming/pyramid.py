"""A volume as napari wants it: levels with common corners that never keep a window waiting."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes.level import Box, Index
from napari_ouroboros.volumes.streaming.compose import Ints, Lattice, Part, at_hand, exact
from napari_ouroboros.volumes.streaming.level import Axis, StreamedLevel
from napari_ouroboros.volumes.streaming.loader import Chunk, ChunkLoader

if TYPE_CHECKING:
    from napari_ouroboros.volumes.streaming.source import ChunkSource

#: Voxels that are read without waiting when a window shows three dimensions.
MOST_VOXELS_IN_3D = 1 << 24
#: The coarsest level is read in whole planes; where a volume has none so small, one is made.
_LONGEST_PLANE = 1024
_SHORT_ENOUGH = 128
#: The whole coarsest level is fetched after what is looked at, if it has no more chunks.
_MOST_AHEAD = 512
#: Seconds after which what was read last is fetched, where nobody says when napari is done.
_QUIET = 0.06
_NOBODY = "nobody"

_loaders: weakref.WeakKeyDictionary[ChunkSource, ChunkLoader] = weakref.WeakKeyDictionary()


def loader_of(volume: ChunkSource) -> ChunkLoader:
    """The loader of a volume: all views of it have one."""
    if volume not in _loaders:
        _loaders[volume] = ChunkLoader(volume)
    return _loaders[volume]


class _Reading:
    """What was read last without waiting: the chunks of one part."""

    def __init__(self, part: Part) -> None:
        self.lattice = part.lattice
        self.chunks: list[Chunk] = [(part.lattice.mip, index) for index in part.chunks()]
        self.n_beyond = part.n_beyond


class StreamedPyramid:
    """Levels of a volume that stream. Everything zyx.

    Parameters
    ----------
    volume : Volume, or another ChunkSource
    mips : sequence of int
        Levels that are used, the finest first.
    boxes : sequence of Box
        For each its part in array indices (`napari_ouroboros.layers.align`); what lies beyond
        the array is padding and reads as 0.
    loader : ChunkLoader, optional
        That of the volume if not given.

    Attributes
    ----------
    volume : ChunkSource
    mips, boxes
        As given; where the coarsest is too large to be read in whole planes, `levels` has more,
        which show every second, fourth, ... voxel of it, and the boxes are padded for them.
    levels : tuple of StreamedLevel
        For a layer: (z, y, x), or (z, y, x, channel) if there are several.
    lattices : tuple of Lattice
        Where the voxels of the levels are in the volume.
    loader : ChunkLoader
    in_3d : set
        Who shows this volume in three dimensions: for them whole levels are read without waiting.
    thick : bool
        Several planes are shown as one: blocks are read without waiting, too.
    watched : bool
        Whether somebody calls `claim` after each slicing; else what was read last is fetched.
    """

    def __init__(
        self,
        volume: ChunkSource,
        mips: Sequence[int],
        boxes: Sequence[Box],
        loader: ChunkLoader | None = None,
    ) -> None:
        self.volume = volume
        self.mips = tuple(mips)
        self._given = tuple(boxes)
        self.boxes, strides = _with_coarser(boxes)
        self.lattices = tuple(
            Lattice(mip, _starts(box), stride, _lengths(box, stride), level.chunk, level.shape)
            for mip, box, stride, level in (
                *((m, b, (1, 1, 1), volume.mip(m)) for m, b in zip(mips, self.boxes, strict=True)),
                *((mips[-1], self.boxes[-1], s, volume.mip(mips[-1])) for s in strides),
            )
        )
        last: tuple[Axis, ...] = (range(volume.channels) if volume.channels > 1 else 0,)
        self.levels = tuple(
            StreamedLevel(self, k, (*map(range, lattice.shape), *last))
            for k, lattice in enumerate(self.lattices)
        )
        self.loader = loader_of(volume) if loader is None else loader
        self.in_3d: set[Hashable] = set()
        self.thick = False
        self._watched = False
        # napari slices a layer of levels in two readings: what is shown, and the thumbnail.
        self._readings: deque[_Reading] = deque(maxlen=2)
        self._sizes: dict[tuple[int, int], tuple[int, ...]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return StreamedPyramid, (self.volume, self.mips, self._given)

    @property
    def token(self) -> tuple[Any, ...]:
        """What tells this pyramid from others."""
        return (self.volume, self.mips, self.boxes)

    @property
    def watched(self) -> bool:
        """Whether somebody says what is wanted; else it is what was read last."""
        return self._watched

    @watched.setter
    def watched(self, value: bool) -> None:
        self._watched = value
        if value:
            self.loader.drop((_NOBODY, id(self)))

    def claim(self, key: Hashable, readings: Sequence[Any]) -> None:
        """Fetch what a slicing read, and only that, for `key`. See `take_readings`."""
        shown = readings[:-1] or readings  # the last one is the thumbnail
        self.loader.want(key, self._wish(readings), sum(reading.n_beyond for reading in shown))

    def take_readings(self) -> list[Any]:
        """Return what the last slicing read."""
        return list(self._readings)

    def drop(self, key: Hashable) -> None:
        """`key` looks at nothing any more."""
        self.loader.drop(key)

    def chunk_sizes(self, number: int, axis: int, part: Axis) -> tuple[int, ...]:
        """Sizes of the pieces into which chunks cut a part of an axis of a level."""
        if isinstance(part, int):
            return ()
        if axis == 3:
            return (len(part),)
        lattice = self.lattices[number]
        full = part == range(lattice.shape[axis])
        if full and (number, axis) in self._sizes:
            return self._sizes[number, axis]
        where = lattice.positions(axis, np.asarray(part))
        inside = np.clip(where, 0, lattice.array[axis] - 1) // lattice.chunk[axis]
        cuts = [0, *(np.flatnonzero(np.diff(inside)) + 1).tolist(), len(part)]
        sizes = tuple(high - low for low, high in zip(cuts, cuts[1:], strict=False))
        if full:
            self._sizes[number, axis] = sizes
        return sizes

    def read(self, number: int, axes: Sequence[Axis], may_wait: bool) -> NDArray[Any]:
        """Read a part of a level; see `StreamedLevel`.

        Parameters
        ----------
        number : int
            Level.
        axes : four of range or int
            Indices along z, y, x and channel.
        may_wait : bool
            Not the thread of the window: the result is exact.
        """
        spatial, backwards = [], []
        for axis in axes:
            along = axis if isinstance(axis, range) else range(axis, axis + 1)
            flip = along.step < 0
            spatial.append(np.asarray(along[::-1] if flip else along, np.intp))
            backwards.append(slice(None, None, -1) if flip else slice(None))
        channels = axes[3]
        picked = slice(channels, channels + 1) if isinstance(channels, int) else slice(None)
        indices = spatial[:3]
        if may_wait or not self._is_shown(number, indices):
            found = exact(
                self.volume, self.lattices[number], indices, picked, self._n(picked), self._peek_new
            )
        else:
            found = self._shown(number, indices, picked)
        found = np.moveaxis(found, 0, -1)
        if isinstance(channels, range):
            found = found[..., spatial[3]]
        found = found[tuple(backwards)]
        gone = tuple(0 if isinstance(axis, int) else slice(None) for axis in axes)
        return np.asarray(found[gone])  # without axes numpy makes it a number

    def _n(self, channels: slice) -> int:
        return len(range(*channels.indices(self.volume.channels)))

    def _peek(self, mip: int, index: Index) -> Any:
        return self.loader.peek(mip, index)

    def _peek_new(self, mip: int, index: Index) -> Any:
        return self.loader.peek(mip, index, outdated=False)

    def _is_shown(self, number: int, indices: Sequence[Ints]) -> bool:
        """Whether this is what a window shows: at most one plane, or a level in 3D."""
        lengths = [len(along) for along in indices]
        if min(lengths) <= 1:
            return True
        if self.thick and math.prod(lengths) <= MOST_VOXELS_IN_3D:
            return True
        return bool(self.in_3d) and tuple(lengths) == self.lattices[number].shape

    def _shown(self, number: int, indices: Sequence[Ints], channels: slice) -> NDArray[Any]:
        n_channels = self._n(channels)
        lengths = [len(along) for along in indices]
        if min(lengths) > 1 and math.prod(lengths) > MOST_VOXELS_IN_3D:
            # Too much for a window; who watches it shows a coarser level instead.
            return np.broadcast_to(np.zeros((), self.volume.dtype), (n_channels, *lengths))
        lattice = self.lattices[number]
        self._readings.append(_Reading(Part(lattice, indices)))
        if not self._watched:
            self.loader.want_later((_NOBODY, id(self)), self._wish(self._readings), _QUIET)
        return at_hand(
            self.lattices[number:], indices, channels, n_channels, self.volume.dtype, self._peek
        )

    def _wish(self, readings: Sequence[_Reading]) -> list[Chunk]:
        """What to fetch for a slicing, the most urgent first: coarse, then what is shown."""
        if not readings:
            return []
        *shown, thumbnail = readings
        wish: list[Chunk] = []
        if thumbnail.lattice.real or not shown:
            wish += thumbnail.chunks
        for reading in shown:
            wish += reading.chunks
        last = self.lattices[-1]
        if last.real:  # small, and then every fast look at another place shows something
            grid = self.volume.mip(last.mip).chunk_grid
            if math.prod(grid) <= _MOST_AHEAD:
                wish += [(last.mip, index) for index in np.ndindex(*grid)]
        return wish


def _starts(box: Box) -> Index:
    z, y, x = (start for start, _ in box)
    return z, y, x


def _lengths(box: Box, stride: Index) -> Index:
    z, y, x = ((stop - start) // step for (start, stop), step in zip(box, stride, strict=True))
    return z, y, x


def _with_coarser(boxes: Sequence[Box]) -> tuple[tuple[Box, ...], list[Index]]:
    """Pad boxes of levels so that further halvings of the coarsest one fit; their strides."""
    strides: list[Index] = []
    shape = _lengths(boxes[-1], (1, 1, 1))
    stride: Index = (1, 1, 1)
    while max(shape) > _LONGEST_PLANE or math.prod(shape) > MOST_VOXELS_IN_3D:
        # Long axes; short ones have little to give.
        longest = max(shape)
        doubled = [n > _SHORT_ENOUGH or n == longest for n in shape]
        z, y, x = (s * (2 if long else 1) for s, long in zip(stride, doubled, strict=True))
        stride = (z, y, x)
        strides.append(stride)
        z, y, x = (-(-(b - a) // s) for (a, b), s in zip(boxes[-1], stride, strict=True))
        shape = (z, y, x)
    if not strides:
        return tuple(boxes), []
    whole = [n * s for n, s in zip(shape, stride, strict=True)]  # of the coarsest level
    coarsest = _lengths(boxes[-1], (1, 1, 1))

    def pad(box: Box, axis: int) -> tuple[int, int]:
        start, stop = box[axis]
        return start, start + (stop - start) * whole[axis] // coarsest[axis]

    return tuple((pad(box, 0), pad(box, 1), pad(box, 2)) for box in boxes), strides
