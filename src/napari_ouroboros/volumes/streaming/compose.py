"""A part of a level from chunks: from those at hand and coarser levels, or exactly.

Levels are those of a `napari_ouroboros.volumes.streaming.pyramid.StreamedPyramid`: with common
corners, and padded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.volumes.level import Index
from napari_ouroboros.volumes.streaming.loader import MISSING, Missing

if TYPE_CHECKING:
    from napari_ouroboros.volumes.streaming.source import ChunkSource

Ints = NDArray[np.intp]
#: Chunks that a picture is made of at most: the thread of a window looks for each of them.
MOST_CHUNKS = 4096
#: The same for levels that the volume does not have: of each chunk hardly a voxel may be shown.
MOST_OF_MADE_LEVELS = 1024
Peek = Callable[[int, Index], "NDArray[Any] | Missing | None"]


@dataclass(frozen=True)
class Lattice:
    """Where the voxels of a shown level are in the arrays of the volume. Everything zyx.

    Attributes
    ----------
    mip : int
        The volume's level.
    start : (int, int, int)
        Array index of the first voxel; negative where there is padding.
    stride : (int, int, int)
        Every how many voxels one is shown: 1, but for levels that the volume does not have.
    shape : (int, int, int)
        Voxels of the shown level.
    chunk, array : (int, int, int)
        Shape of a chunk and of the array.
    """

    mip: int
    start: Index
    stride: Index
    shape: Index
    chunk: Index
    array: Index

    @property
    def real(self) -> bool:
        """Whether the volume itself has this level."""
        return self.stride == (1, 1, 1)

    def positions(self, axis: int, indices: Ints) -> Ints:
        """Array indices of indices of the shown level; in the middle of what they stand for."""
        stride = self.stride[axis]
        return indices * stride + (self.start[axis] + stride // 2)


#: Chunk index along one axis, where it lies in the result, and where that is in the chunk.
_Run = tuple[int, slice, "slice | Ints"]


def _runs(lattice: Lattice, axis: int, indices: Ints) -> list[_Run]:
    """Cut increasing indices into runs that lie in one chunk each; padding is in none."""
    size = lattice.chunk[axis]
    where = lattice.positions(axis, indices)
    first, stop = np.searchsorted(where, (0, lattice.array[axis]))
    where = where[first:stop]
    if not len(where):
        return []
    chunks = where // size
    cuts = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(where)]
    runs: list[_Run] = []
    for low, high in zip(cuts, cuts[1:], strict=False):
        chunk = int(chunks[low])
        inside = where[low:high] - chunk * size
        steps = np.diff(inside)
        local: slice | Ints = inside
        if not len(steps) or (steps[0] > 0 and (steps == steps[0]).all()):
            step = int(steps[0]) if len(steps) else 1
            local = slice(int(inside[0]), int(inside[-1]) + 1, step)
        runs.append((chunk, slice(int(first) + low, int(first) + high), local))
    return runs


def _in_the_middle(runs: list[list[_Run]], most: int) -> list[list[_Run]]:
    """Leave out the ends of long axes until there are not more than `most` chunks.

    A volume without coarser mips may have millions of chunks in a plane: no memory holds them.
    """
    counts = [len(along) for along in runs]
    while math.prod(counts) > most:
        longest = counts.index(max(counts))
        counts[longest] = -(-counts[longest] // 2)
    starts = [(len(along) - n) // 2 for along, n in zip(runs, counts, strict=True)]
    return [along[a : a + n] for along, a, n in zip(runs, starts, counts, strict=True)]


class Part:
    """A box of a level, with steps, and the chunks that it lies in.

    Parameters
    ----------
    lattice : Lattice
    indices : three arrays of int
        Increasing indices of the shown level along z, y and x.
    """

    def __init__(self, lattice: Lattice, indices: Sequence[Ints]) -> None:
        self.lattice = lattice
        self.indices = tuple(indices)
        self.shape = tuple(len(along) for along in indices)
        self._runs = [_runs(lattice, axis, along) for axis, along in enumerate(indices)]
        most = MOST_CHUNKS if lattice.real else MOST_OF_MADE_LEVELS
        self._middle = _in_the_middle(self._runs, most)

    def chunks(self) -> list[Index]:
        """Chunks of the volume's level, those in the middle first; not more than `MOST_CHUNKS`."""
        along = [[chunk for chunk, _, _ in runs] for runs in self._middle]
        if not all(along):
            return []
        middle = [(chunks[0] + chunks[-1]) / 2 for chunks in along]

        def distance(index: Index) -> float:
            return sum((i - m) ** 2 for i, m in zip(index, middle, strict=True))

        return sorted(product(*along), key=distance)  # type: ignore[arg-type]

    @property
    def n_beyond(self) -> int:
        """How many chunks there are beyond `chunks`."""
        return math.prod(map(len, self._runs)) - math.prod(map(len, self._middle))

    def pieces(
        self, of_all: bool = False
    ) -> Iterator[tuple[Index, tuple[slice, ...], list[slice | Ints]]]:
        """For each of `chunks` where it lies in the part and which of its voxels are wanted.

        `of_all`: for those beyond `MOST_CHUNKS`, too.
        """
        for runs in product(*(self._runs if of_all else self._middle)):
            index = (runs[0][0], runs[1][0], runs[2][0])
            yield index, tuple(run[1] for run in runs), [run[2] for run in runs]

    @property
    def padded(self) -> bool:
        """Whether a part of it lies outside the array."""
        inside = [sum(run[1].stop - run[1].start for run in runs) for runs in self._runs]
        return tuple(inside) != self.shape

    def clear_padding(self, out: NDArray[Any]) -> None:
        """Set what is outside the array to 0 in an array (channels, z, y, x)."""
        for axis, runs in enumerate(self._runs):
            low = runs[0][1].start if runs else self.shape[axis]
            high = runs[-1][1].stop if runs else self.shape[axis]
            for outside in (slice(0, low), slice(high, None)):
                out[(slice(None),) * (axis + 1) + (outside,)] = 0


def _put(
    out: NDArray[Any],
    target: tuple[slice, ...],
    chunk: NDArray[Any] | Missing | None,
    wanted: list[slice | Ints],
    channels: slice,
) -> None:
    if chunk is None or isinstance(chunk, Missing):
        out[(slice(None), *target)] = 0
        return
    chunk = chunk[channels]
    if all(isinstance(along, slice) for along in wanted):
        out[(slice(None), *target)] = chunk[(slice(None), *wanted)]
        return
    arrays = [
        np.arange(*along.indices(size)) if isinstance(along, slice) else along
        for along, size in zip(wanted, chunk.shape[1:], strict=True)
    ]
    picked: tuple[Any, ...] = (slice(None), *np.ix_(*arrays))
    out[(slice(None), *target)] = chunk[picked]


def at_hand(
    lattices: Sequence[Lattice],
    indices: Sequence[Ints],
    channels: slice,
    n_channels: int,
    dtype: np.dtype[Any],
    peek: Peek,
) -> NDArray[Any]:
    """Return a part from the chunks at hand; the rest repeats coarser voxels, else it is 0.

    Parameters
    ----------
    lattices : sequence of Lattice
        The level and the coarser ones behind it.
    indices : three arrays of int
        Increasing indices of the first level.
    channels : slice
        Which channels; `n_channels` of them.
    dtype : dtype
    peek : callable
        ``peek(mip, chunk index)``: the chunk, `MISSING`, or None if it is not at hand.

    Returns
    -------
    array (channels, z, y, x)
        Nothing is ever blended: labels stay labels.
    """
    part = Part(lattices[0], indices)
    here = [
        (target, chunk, wanted)
        for index, target, wanted in part.pieces()
        if (chunk := peek(part.lattice.mip, index)) is not None
    ]
    covered = sum(
        int(np.prod([along.stop - along.start for along in target])) for target, _, _ in here
    )
    shape = (n_channels, *part.shape)
    if covered == int(np.prod(part.shape)):
        out = np.empty(shape, dtype)
    elif len(lattices) > 1:
        out = _repeated(lattices, indices, channels, n_channels, dtype, peek)
        if part.padded:
            part.clear_padding(out)
    else:
        out = np.zeros(shape, dtype)
    for target, chunk, wanted in here:
        _put(out, target, chunk, wanted, channels)
    return out


def _repeated(
    lattices: Sequence[Lattice],
    indices: Sequence[Ints],
    channels: slice,
    n_channels: int,
    dtype: np.dtype[Any],
    peek: Peek,
) -> NDArray[Any]:
    coarser, places = [], []
    for along, fine, coarse in zip(indices, lattices[0].shape, lattices[1].shape, strict=True):
        found, place = np.unique(((2 * along + 1) * coarse) // (2 * fine), return_inverse=True)
        coarser.append(found)
        places.append(place)
    out = at_hand(lattices[1:], coarser, channels, n_channels, dtype, peek)
    for axis, place in enumerate(places, start=1):
        if len(place) != out.shape[axis]:
            out = np.take(out, place, axis=axis)
    return out


def exact(
    volume: ChunkSource,
    lattice: Lattice,
    indices: Sequence[Ints],
    channels: slice,
    n_channels: int,
    peek: Peek,
) -> NDArray[Any]:
    """Return a part (channels, z, y, x) as it is in the volume: waits for what is not at hand.

    Raises
    ------
    SourceError, UserError
        A chunk could not be had.
    """
    part = Part(lattice, indices)
    out = np.zeros((n_channels, *part.shape), volume.dtype)
    away: dict[Index, tuple[tuple[slice, ...], list[slice | Ints]]] = {}
    for index, target, wanted in part.pieces(of_all=True):
        chunk = peek(lattice.mip, index)
        if chunk is None:
            away[index] = (target, wanted)
        elif chunk is not MISSING:
            _put(out, target, chunk, wanted, channels)
    for index, data in _fetched(volume, lattice.mip, away):
        target, wanted = away[index]
        _put(out, target, data, wanted, channels)
    return out


def _fetched(
    volume: ChunkSource, mip: int, wanted: Iterable[Index]
) -> Iterator[tuple[Index, NDArray[Any] | None]]:
    wanted = list(wanted)
    return volume.fetch_chunks(mip, wanted) if wanted else iter(())
