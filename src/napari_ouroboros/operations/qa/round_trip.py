"""What each slice loses on the way home and back, and where other slices claim its voxels."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial as bound
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Grid, Straightening
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit, default_threads

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Level

Float = NDArray[np.float64]

# Samples followed at once: a moment's work, so that cancel gets its turn.
_BATCH = 20_000


@dataclass(frozen=True, eq=False)
class RoundTripChecks:
    """Per slice (n,), of samples spread evenly over it; NaN where it has not come, or is outside.

    Attributes
    ----------
    tested : int array
        Samples whose nearest voxel lies in the volume.
    agreement : array
        Share of them that find themselves again: sample -> nearest voxel -> its centre's sample.
    contested : array
        Share of these voxels that several slices claim; the nearest centre line gets them.
    """

    tested: NDArray[np.int64]
    agreement: Float
    contested: Float

    def __len__(self) -> int:
        return len(self.tested)


#: ``partial(checks, first, last)``: slices `first` to `last` of the checks have come.
Partial = Callable[[RoundTripChecks, int, int], None]


def round_trip_checks(
    straightening: Straightening,
    level: Level | Grid,
    *,
    samples: int = 144,
    threads: int | None = None,
    partial: Partial | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> RoundTripChecks:
    """Follow samples of every slice to their voxel and back; geometry alone, nothing is read.

    Parameters
    ----------
    straightening : Straightening
    level : Level or Grid
        The voxels that labels are brought home to.
    samples : int
        Of every slice, at most so many, its corners among them. All of them: rows x columns.
    threads : int, optional
    partial : callable, optional
        ``partial(checks, first, last)``, in this thread; always the same checks, which grow.
    progress : callable, optional
        ``progress(done, total)`` in batches of slices.
    cancel : object with ``is_set()``, optional

    Raises
    ------
    UserError
        Fewer than one sample.
    Cancelled
    """
    if samples < 1:
        raise UserError(f"a round trip needs at least one sample of a slice; not {samples}")
    grid = Grid(level.shape, level.resolution, level.voxel_offset)
    map_ = straightening.resolved(grid.resolution)
    n = map_.shape[0]
    checks = RoundTripChecks(np.zeros(n, np.int64), np.full(n, np.nan), np.full(n, np.nan))
    pixels = _spread(map_.height, map_.width, samples)
    step = max(1, _BATCH // len(pixels))
    finished: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()

    def follow(first: int, last: int, stop: Cancel) -> None:
        _follow(map_, grid, pixels, first, last, checks)
        finished.put((first, last))

    def told(done: int, total: int) -> None:
        while partial is not None and not finished.empty():
            partial(checks, *finished.get())
        if progress is not None:
            progress(done, total)

    units = [
        Unit(str(k), bound(follow, k, min(k + step, n))) for k in range(0, n, step)
    ]  # fmt: skip
    # Frames, planes and bounds are made once, here, and not by every thread.
    map_.locate(map_.frames.c[:1])
    Plan("the round trip", units, 0, 0, 0).run(threads or default_threads(), told, cancel)
    return checks


def _spread(rows: int, columns: int, samples: int) -> NDArray[np.int64]:
    """Pixels (m, 2) on an even grid of at most `samples`."""
    if rows * columns <= samples:
        return np.argwhere(np.ones((rows, columns), bool))
    down = min(rows, max(1, int(np.sqrt(samples * rows / columns))))
    across = min(columns, max(1, samples // down))
    row = np.unique(np.round(np.linspace(0, rows - 1, down)).astype(np.int64))
    column = np.unique(np.round(np.linspace(0, columns - 1, across)).astype(np.int64))
    return np.stack(np.meshgrid(row, column, indexing="ij"), -1).reshape(-1, 2)


def _follow(
    map_: Straightening,
    grid: Grid,
    pixels: NDArray[np.int64],
    first: int,
    last: int,
    checks: RoundTripChecks,
) -> None:
    """Fill in slices `first` to `last`."""
    index = np.empty((last - first, len(pixels), 3), np.int64)
    index[..., 0] = np.arange(first, last)[:, None]
    index[..., 1:] = pixels
    voxel = np.floor(grid.to_index(map_.to_volume(index)) + 0.5)
    inside = np.all((voxel >= 0) & (voxel < grid.shape), axis=-1)
    back, contested = map_.locate(grid.to_nm(voxel))
    with np.errstate(invalid="ignore"):
        same = np.all(np.floor(back + 0.5) == index, axis=-1) & inside
    tested = inside.sum(axis=1)
    checks.tested[first:last] = tested
    for share, found in ((checks.agreement, same), (checks.contested, contested & inside)):
        nothing = np.full(last - first, np.nan)
        share[first:last] = np.divide(found.sum(axis=1), tested, out=nothing, where=tested > 0)
