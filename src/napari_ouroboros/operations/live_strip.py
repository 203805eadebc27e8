"""The longitudinal strip while the trace is edited: what has not moved is not computed again.

No Qt here. A `LiveStrip` is used by one thread at a time, a worker's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.moved import slices_moved
from napari_ouroboros.operations.plan import Cancel
from napari_ouroboros.operations.preview import Preview, SliceAxis

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Level

Index = NDArray[np.int64]

#: What a row of a strip shows: nothing, another place, a coarser level, the level asked for.
EMPTY, STALE, COARSE, SHARP = range(4)
#: Rows of a strip at most: more than a screen has.
MOST_ROWS = 1000
#: What counts as moved, in voxels of the level.
MOVED_VOXELS = 0.01
# Rows that are computed at one time while chunks are on their way.
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Strip:
    """One state of a strip.

    Attributes
    ----------
    image : array (rows, columns) or (rows, rows of a slice), with channels (..., channels)
        One row per shown slice, of the volume's dtype.
    slices : int array (rows,)
        Which slice each row is.
    quality : uint8 array (rows,)
        `EMPTY`, `STALE`, `COARSE` or `SHARP`. A row that was kept because its slice has not moved
        is `SHARP`.
    exact : bool
        Every row was computed for this very map: the strip is ``straighten(...)[slices, at]``.
    """

    image: NDArray[Any]
    slices: Index
    quality: NDArray[np.uint8]
    exact: bool = False


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is to be shown."""

    map: Straightening
    mip: int
    axis: SliceAxis
    at: int
    first: int
    last: int
    step: int
    interpolation: str | None

    @property
    def slices(self) -> Index:
        return np.arange(self.first, self.last, self.step, dtype=np.int64)

    @property
    def across(self) -> tuple[object, ...]:
        """What must be equal for rows of one to be rows of the other."""
        return (self.mip, self.axis, self.at, self.interpolation)


class LiveStrip:
    """The strip along one volume, from one map to the next.

    While a point is dragged only the slices are computed that have moved since the strip was last
    whole, by over a hundredth of a voxel; the others keep their row. Otherwise all rows are.

    Parameters
    ----------
    preview : Preview
        Of the volume; who made it closes it.

    Attributes
    ----------
    computed : int
        Slices computed so far. One that was first computed at a coarser level counts once.
    computed_last : int array
        Those of the last update, in order.
    """

    def __init__(self, preview: Preview) -> None:
        self.preview = preview
        self.computed = 0
        self.computed_last: Index = np.empty(0, np.int64)
        self._whole: tuple[_Wanted, NDArray[Any]] | None = None

    def update(
        self,
        straightening: Straightening,
        mip: int = 0,
        axis: SliceAxis = "column",
        at: int | None = None,
        slices: tuple[int, int] | None = None,
        step: int | None = None,
        interpolation: str | None = None,
        dragging: bool = False,
        show: Callable[[Strip], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Strip:
        """The strip of a map; waits for the chunks that are not here yet.

        Parameters
        ----------
        straightening : Straightening
            With pixel size and distance between slices known, as of `LiveState.map`.
        mip : int
            Level of the volume.
        axis : {"column", "row"}
            What runs across the strip: the columns of row `at`, or the rows of column `at`.
        at : int, optional
            That row or column; default the middle one.
        slices : (first, last + 1), optional
            Default all.
        step : int, optional
            Every `step`-th slice; default as few as make no more than `MOST_ROWS` rows.
        interpolation : {"nearest", "linear", "cubic"}, optional
            As for `straighten`.
        dragging : bool
            Keep the rows of slices that have not moved.
        show : callable, optional
            Is given the strip as it gets better: first with what is known, then coarser levels,
            then block by block. Called in this thread.
        cancel : object with ``is_set()``, optional

        Returns
        -------
        Strip
            All rows `SHARP`; `Strip.exact` unless it was dragged.

        Raises
        ------
        As `Preview.strip`.
        """
        wanted = _wanted(straightening, mip, axis, at, slices, step, interpolation)
        image, quality = self._known(wanted)
        todo = np.flatnonzero(quality < SHARP)
        if not dragging or not len(image):
            kept = np.flatnonzero(quality == SHARP)
            todo = np.concatenate([todo, kept])
        self.computed_last = np.empty(0, np.int64)
        rows = _Rows(self, wanted, image, quality, show, cancel)
        rows.say()
        rows.coarse(np.sort(todo[quality[todo] < SHARP]))
        rows.sharp(todo)
        exact = len(todo) == len(quality)
        if exact:
            self._whole = wanted, rows.image.copy()
        return rows.strip(exact)

    def forget(self) -> None:
        """Compute every row next time: the volume itself has changed."""
        self._whole = None

    def _count(self, slices: Index) -> None:
        before = len(self.computed_last)
        self.computed_last = np.union1d(self.computed_last, slices)
        self.computed += len(self.computed_last) - before

    def _known(self, wanted: _Wanted) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Rows of the last whole strip that show the same, and stale ones for the others."""
        volume = self.preview.volume
        _, height, width = wanted.map.shape
        across = width if wanted.axis == "column" else height
        channels = () if volume.channels == 1 else (volume.channels,)
        n = len(wanted.slices)
        image = np.zeros((n, across, *channels), volume.dtype)
        quality = np.full(n, EMPTY, np.uint8)
        if self._whole is None:
            return image, quality
        old, rows = self._whole
        if old.across != wanted.across or rows.shape[1:] != image.shape[1:]:
            return image, quality
        tolerance = MOVED_VOXELS * min(_level(self.preview, wanted.mip).resolution)
        place = slices_moved(old.map, wanted.map, tolerance)[wanted.slices]
        row = np.round((place - old.first) / old.step)
        same = ~np.isnan(row) & (row >= 0) & (row < len(rows))
        image[same] = rows[row[same].astype(np.int64)]
        quality[same] = SHARP
        if same.any():
            # The row that came before, for a moment: dimmed it is better than none.
            last = np.maximum.accumulate(np.where(same, np.arange(n), -1))
            last = np.where(last < 0, int(np.argmax(same)), last)
            image[~same] = image[last[~same]]
            quality[~same] = STALE
        return image, quality


class _Rows:
    """The rows of one update, as they come."""

    def __init__(
        self, live: LiveStrip, wanted: _Wanted, image: NDArray[Any], quality: NDArray[np.uint8],
        show: Callable[[Strip], None] | None, cancel: Cancel | None,
    ) -> None:  # fmt: skip
        self.image, self._quality = image, quality
        self._live, self._wanted, self._show, self._cancel = live, wanted, show, cancel

    def strip(self, exact: bool = False) -> Strip:
        image, quality = self.image.copy(), self._quality.copy()
        return Strip(image, self._wanted.slices, quality, exact)

    def say(self) -> None:
        """Show what there is."""
        self._check()
        if self._show is not None:
            self._show(self.strip())

    def coarse(self, rows: Index) -> None:
        """Rows from a coarser level, if those of the level itself are not here."""
        if self._show is None or all(self._is_here(run, self._wanted.mip) for run in _runs(rows)):
            return
        preview = self._live.preview
        coarser = range(self._wanted.mip + 1, len(preview.volume.levels))
        runs = _runs(rows)
        here = (mip for mip in coarser if all(self._is_here(run, mip) for run in runs))
        mip = next(here, coarser[-1] if coarser else None)
        if mip is None:
            return
        for run in runs:
            self._compute(run, mip, COARSE)
        self.say()

    def sharp(self, rows: Index) -> None:
        """Rows of the level itself; those first that were not known."""
        unknown = np.sort(rows[self._quality[rows] < SHARP])
        known = np.sort(rows[self._quality[rows] == SHARP])
        blocks: list[Index] = []
        for run in [*_runs(unknown), *_runs(known)]:
            whole = self._is_here(run, self._wanted.mip)
            blocks += [run] if whole else np.array_split(run, -(-len(run) // _BLOCK))
        for i, block in enumerate(blocks):
            self._compute(block, self._wanted.mip, SHARP)
            if i + 1 < len(blocks):
                self.say()

    def _is_here(self, run: Index, mip: int) -> bool:
        w = self._wanted
        return self._live.preview.strip_is_here(
            w.map, mip, w.axis, w.at, self._slices(run), w.step, w.interpolation
        )

    def _compute(self, run: Index, mip: int, quality: int) -> None:
        self._check()
        w = self._wanted
        self.image[run] = self._live.preview.strip(
            w.map, mip, w.axis, w.at, self._slices(run), w.step, w.interpolation, self._cancel
        )
        self._quality[run] = quality
        self._live._count(w.slices[run])

    def _slices(self, run: Index) -> tuple[int, int]:
        slices = self._wanted.slices
        return int(slices[run[0]]), int(slices[run[-1]]) + 1

    def _check(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("the strip is no longer wanted")


def _wanted(
    map_: Straightening, mip: int, axis: SliceAxis, at: int | None,
    slices: tuple[int, int] | None, step: int | None, interpolation: str | None,
) -> _Wanted:  # fmt: skip
    if axis not in ("row", "column"):
        raise UserError(f"axis must be 'row' or 'column'; it is {axis!r}")
    n, height, width = map_.shape
    first, last = (0, n) if slices is None else slices
    if not 0 <= first < last <= n:
        raise UserError(f"slices {first}:{last} are not within 0:{n}, the slices that there are")
    if step is None:
        step = max(1, -(-(last - first) // MOST_ROWS))
    if step < 1:
        raise UserError(f"step must be 1 or more; it is {step}")
    middle = (height if axis == "column" else width) // 2
    at = middle if at is None else at
    return _Wanted(map_, mip, axis, at, first, last, step, interpolation)


def _level(preview: Preview, mip: int) -> Level:
    return preview.volume.mip(mip)


def _runs(rows: Index) -> list[Index]:
    """Rows in order as runs of neighbours."""
    return np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []
