"""Labels painted along one trace, carried over to the slices of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.carry_reach import Box, corners_nm, reachable_blocks
from napari_ouroboros.operations.local_locate import LocalLocate
from napari_ouroboros.operations.plan import Cancel, Progress, default_threads
from napari_ouroboros.volumes.labels.label_array import LabelArray

Ints = NDArray[np.int64]
Samples = tuple[Ints, Ints, Ints]
T = TypeVar("T")

# Blocks that are made ahead of the one that is counted.
_AHEAD = 8


@dataclass(frozen=True)
class CarryReport:
    """What became of every labelled sample of the old labels: ``carried + lost`` are all of them.

    Attributes
    ----------
    carried : int
        Labelled old samples whose own place (nm) has their id in the new labels.
    lost : int
        Labelled old samples whose own place has another id there, none, or no sample at all.
    contested : int
        Those of the lost whose place went to another id: several old ids had their places in one
        new sample, which can only have one.
    written : int
        Labelled samples of the new labels.
    ids_lost : tuple of int
        Ids of which nothing is left.
    """

    carried: int
    lost: int
    contested: int
    written: int
    ids_lost: tuple[int, ...] = field(default=())


def carry_labels(
    labels: LabelArray,
    old: Straightening,
    new: Straightening,
    destination: LabelArray,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> CarryReport:
    """Write labels of one map into the slices of another.

    Each new sample gets the label of the old sample in whose cell it lies: its position
    ``new.to_volume`` goes through ``old.to_straightened``, to the nearest whole slice, row and
    column; outside of the old map it gets 0. Where a new slice lies exactly where an old one lay,
    with pixels of the same size, its samples are the old ones themselves: they keep their labels
    even where slices run into each other, and a map that did not change changes no label.

    Memory does not grow with the labels, nor time with what is not painted: only blocks that
    painted chunks can reach are computed.

    Parameters
    ----------
    labels : LabelArray
        Of the shape of `old`. Not to be written to meanwhile.
    old, new : Straightening
        Both with all lengths settled.
    destination : LabelArray
        Empty, of the shape of `new`, and a dtype that holds that of `labels`.
    progress : callable, optional
        In painted blocks, those of both directions.
    cancel : object with ``is_set()``, optional

    Raises
    ------
    UserError
        Shapes that do not fit, a destination that is not empty or too narrow.
    Cancelled
        The destination is empty again, as after every other error.
    """
    for name, array, map_ in (("labels", labels, old), ("destination", destination, new)):
        if array.shape != map_.shape:
            raise UserError(f"the {name} {array.shape} do not have the shape {map_.shape} of a map")
    if not np.can_cast(labels.dtype, destination.dtype):
        raise UserError(f"{destination.dtype} does not hold the ids of {labels.dtype} labels")
    if destination.any():
        raise UserError("the destination of labels that are carried over must be empty")
    job = _Carrying(labels, old, new, destination)
    try:
        return job.run(progress, cancel)
    except BaseException:
        destination.clear()
        raise


class _Carrying:
    def __init__(
        self, labels: LabelArray, old: Straightening, new: Straightening, destination: LabelArray
    ) -> None:
        self.labels, self.old, self.new, self.destination = labels, old, new, destination
        #: Of every new slice the old one that lies exactly there, or -1; and the other way round.
        self.same_old, self.same_new = _same_slices(old, new)
        #: What is added to an old (row, column) to have the new one, where slices are the same.
        self.shift = (new.height - old.height) // 2, (new.width - old.width) // 2
        self._in_old, self._in_new = LocalLocate(old), LocalLocate(new)

    def run(self, progress: Progress | None, cancel: Cancel | None) -> CarryReport:
        painted = self.labels.painted_chunks()
        blocks = reachable_blocks(self.old, painted, self.new, self.destination.chunks)
        total = len(blocks) + len(painted)
        report = _Counted(progress, total)
        written = sum(report.each(_in_threads(self._fill, blocks, cancel)))
        carried = lost = contested = 0
        had: set[int] = set()
        for ids, there in report.each(_in_threads(self._now_at_home, painted, cancel)):
            gone = ids != there
            carried += int(np.count_nonzero(~gone))
            lost += int(np.count_nonzero(gone))
            contested += int(np.count_nonzero(gone & (there != 0)))
            had.update(np.unique(ids).tolist())
        have = {int(i) for i in np.unique(self.destination)}
        return CarryReport(carried, lost, contested, written, tuple(sorted(had - have)))

    def _fill(self, box: Box) -> int:
        """Write a block of the new labels; how many of its samples have a label."""
        found = np.zeros([b - a for a, b in box], self.destination.dtype)
        samples = _samples(box)
        sources, inside = self._sources(samples, box)
        k, r, c = (axis[inside] for axis in sources)
        flat = found.reshape(-1)
        flat[inside] = self.labels[k, r, c]
        if not found.any():
            return 0
        self.destination[tuple(slice(a, b) for a, b in box)] = found
        return int(np.count_nonzero(found))

    def _sources(self, samples: Samples, box: Box) -> tuple[Samples, NDArray[np.bool_]]:
        """The old sample of each new one, and whether there is any."""
        k, r, c = samples
        twin = self.same_old[k], r - self.shift[0], c - self.shift[1]
        return _at(samples, twin, self.new, self._in_old, box)

    def _now_at_home(self, box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
        """Ids of the labelled samples of an old chunk, and what the new labels have there."""
        values = self.labels[tuple(slice(a, b) for a, b in box)]
        where = np.nonzero(values)
        ids = values[where].astype(self.destination.dtype)
        k, r, c = (axis + edge[0] for axis, edge in zip(where, box, strict=True))
        twin = self.same_new[k], r + self.shift[0], c + self.shift[1]
        places, inside = _at((k, r, c), twin, self.old, self._in_new, box)
        there = np.zeros_like(ids)
        k, r, c = (axis[inside] for axis in places)
        there[inside] = self.destination[k, r, c]
        return ids, there


def _at(
    samples: Samples, twin: Samples, source: Straightening, locate: LocalLocate, box: Box
) -> tuple[Samples, NDArray[np.bool_]]:
    """Nearest samples of another map at the places of samples of a box, and whether there are any.

    `twin` are the samples that lie exactly there, where its slices are not -1.
    """
    target = locate.map
    known = twin[0] >= 0
    for axis, n in zip(twin, target.shape, strict=True):
        known &= (axis >= 0) & (axis < n)
    found = np.stack(twin, axis=1)
    inside = known.copy()
    if not known.all():
        svu = np.stack(samples, axis=1)[~known].astype(np.float64)
        index = locate(source.to_volume(svu), corners_nm(source, box))
        is_there = ~np.isnan(index[:, 0])
        nearest = np.floor(np.where(is_there[:, None], index, 0.0) + 0.5).astype(np.int64)
        found[~known] = np.clip(nearest, 0, np.array(target.shape) - 1)
        inside[~known] = is_there
    k, r, c = found.T
    return (k, r, c), inside


def _same_slices(old: Straightening, new: Straightening) -> tuple[Ints, Ints]:
    """For new and for old slices the other's that lies exactly there; -1: none."""
    n_old, n_new = old.shape[0], new.shape[0]
    of_new, of_old = np.full(n_new, -1), np.full(n_old, -1)
    # Pixels coincide when the sizes differ by an even number: slices are centred.
    odd = (new.height - old.height) % 2 or (new.width - old.width) % 2
    if odd or old.pitch_nm != new.pitch_nm:
        return of_new, of_old
    known: dict[bytes, int] = {}
    for j, plane in enumerate(old.planes[:n_old]):
        known.setdefault(plane.tobytes(), j)
    for k, plane in enumerate(new.planes[:n_new]):
        j = known.pop(plane.tobytes(), -1)
        if j >= 0:
            of_new[k], of_old[j] = j, k
    return of_new, of_old


def _samples(box: Box) -> Samples:
    k, r, c = np.meshgrid(*(np.arange(a, b) for a, b in box), indexing="ij")
    return k.reshape(-1), r.reshape(-1), c.reshape(-1)


def _in_threads(
    work: Callable[[Box], T], boxes: Sequence[Box], cancel: Cancel | None
) -> Iterator[T]:
    """What `work` makes of each box, in order; a few are made ahead."""
    with ThreadPoolExecutor(default_threads()) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for box in boxes:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("carrying the labels over was cancelled")
                waiting.append(pool.submit(work, box))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Counted:
    """Tells how many of all have been done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def each(self, found: Iterable[T]) -> Iterator[T]:
        for one in found:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
            yield one
