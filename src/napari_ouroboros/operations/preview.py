"""Single slices and strips, again and again while the trace changes: for a live preview.

No Qt here. Everything may be called from any thread; what waits for chunks can be cancelled.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.sampling import start_compiling
from napari_ouroboros.operations.boxes import Box
from napari_ouroboros.operations.plan import Cancel
from napari_ouroboros.operations.sampler import N_IN_FLIGHT, SliceSampler
from napari_ouroboros.operations.slice_grid import choose_interpolation, fill_value

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.chunks.pool import ChunkPool

SliceAxis = Literal["row", "column"]

_MEMORY = 256 * 1024 * 1024


class Preview:
    """Looks at straightenings of one volume, and keeps its chunks from one to the next.

    A curve that moves a little needs the same chunks: a slice then takes milliseconds. The first
    ones come from numpy, with the same samples, while the kernels compile in the background.

    Parameters
    ----------
    volume : Volume
    memory : int
        Bytes for the decoded chunks of each level that is looked at. It is touched as it is used.
    fill : number, optional
        Value outside the volume and of missing chunks. Default 0, NaN for floats.
    kind : {"image", "segmentation"}, optional
        What the layer says of the volume.
    threads : int, optional
        That sample what is larger than a slice; default one per processor.
    in_flight : int
        Chunks of a level fetched at one time.

    Raises
    ------
    UserError
        The fill does not fit the volume's dtype.
    """

    def __init__(
        self,
        volume: Volume,
        *,
        memory: int = _MEMORY,
        fill: float | None = None,
        kind: str | None = None,
        threads: int | None = None,
        in_flight: int = N_IN_FLIGHT,
    ) -> None:
        self.volume = volume
        self.kind = kind
        self._fill = fill
        self._memory, self._threads, self._in_flight = memory, threads, in_flight
        self._lock = threading.Lock()
        self._pools: dict[int, ChunkPool] = {}
        self._maps: dict[int, tuple[Straightening, Straightening]] = {}
        self._closed = False
        fill_value(fill, volume.dtype)
        start_compiling(choose_interpolation(volume, None, kind), volume.dtype)

    def slice(
        self,
        straightening: Straightening,
        k: int,
        mip: int = 0,
        interpolation: str | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[Any]:
        """One slice; waits for the chunks that are not here yet.

        Parameters
        ----------
        straightening : Straightening
            Lengths left open become the finest resolution of the level.
        k : int
            Which slice, from 0.
        mip : int
            Level of the volume to read: a coarser one needs fewer chunks.
        interpolation : {"nearest", "linear", "cubic"}, optional
            As for `straighten`.
        cancel : object with ``is_set()``, optional
            Ends the waiting. Chunks that nobody else waits for are not fetched any more.

        Returns
        -------
        array (rows, columns) or (rows, columns, channels)
            Of the volume's dtype: exactly the slice of `straighten`.

        Raises
        ------
        UserError
            No such slice or level; linear or cubic interpolation of labels.
        SourceError
            A chunk could not be had.
        Cancelled
            `cancel` was set, or the preview was closed.
        """
        sampler, box = self._slice(straightening, k, mip, interpolation)
        return self._squeezed(sampler.read(box, cancel)[0])

    def slice_is_here(
        self, straightening: Straightening, k: int, mip: int = 0, interpolation: str | None = None
    ) -> bool:
        """Whether `slice` would fetch nothing: if not, show a coarser mip first. Never waits."""
        sampler, box = self._slice(straightening, k, mip, interpolation)
        return sampler.are_here(box)

    def strip(
        self,
        straightening: Straightening,
        mip: int = 0,
        axis: SliceAxis = "column",
        at: int | None = None,
        slices: tuple[int, int] | None = None,
        step: int = 1,
        interpolation: str | None = None,
        cancel: Cancel | None = None,
    ) -> NDArray[Any]:
        """A longitudinal section: what a cut along the curve shows.

        Parameters
        ----------
        straightening, mip, interpolation, cancel
            As for `slice`.
        axis : {"column", "row"}
            What runs across the strip: the columns of one row, or the rows of one column.
        at : int, optional
            That row (or column); default the middle one, ``size // 2``.
        slices : (first, last + 1), optional
            Default all.
        step : int
            Every `step`-th slice from the first.

        Returns
        -------
        array (slices, columns) or (slices, rows), with channels (..., channels)
            Exactly ``straighten(...)[first:last:step, at, :]`` or ``[first:last:step, :, at]``.

        Raises
        ------
        As `slice`.
        """
        sampler, box = self._strip(straightening, mip, axis, at, slices, step, interpolation)
        return self._squeezed(np.squeeze(sampler.read(box, cancel), 1 if axis == "column" else 2))

    def strip_is_here(
        self,
        straightening: Straightening,
        mip: int = 0,
        axis: SliceAxis = "column",
        at: int | None = None,
        slices: tuple[int, int] | None = None,
        step: int = 1,
        interpolation: str | None = None,
    ) -> bool:
        """Whether `strip` would fetch nothing. Never waits."""
        sampler, box = self._strip(straightening, mip, axis, at, slices, step, interpolation)
        return sampler.are_here(box)

    def close(self) -> None:
        """Stop fetching and give the memory back; those who wait get `Cancelled`."""
        with self._lock:
            self._closed = True
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def __enter__(self) -> Preview:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- what is asked for, as a box ------------------------------------------------------

    def _slice(
        self, straightening: Straightening, k: int, mip: int, interpolation: str | None
    ) -> tuple[SliceSampler, Box]:
        sampler = self._sampler(straightening, mip, interpolation, 0, 1)
        n, rows, columns = sampler.straightening.shape
        _check_index(k, n, "slice")
        return sampler, Box((k, k + 1), (0, rows), (0, columns))

    def _strip(
        self, straightening: Straightening, mip: int, axis: SliceAxis, at: int | None,
        slices: tuple[int, int] | None, step: int, interpolation: str | None,
    ) -> tuple[SliceSampler, Box]:  # fmt: skip
        if axis not in ("row", "column"):
            raise UserError(f"axis must be 'row' or 'column'; it is {axis!r}")
        if step < 1:
            raise UserError(f"step must be 1 or more; it is {step}")
        first = 0 if slices is None else slices[0]
        sampler = self._sampler(straightening, mip, interpolation, first, step)
        n, rows, columns = sampler.straightening.shape
        last = n if slices is None else slices[1]
        if not 0 <= first < last <= n:
            raise UserError(
                f"slices {first}:{last} are not within 0:{n}, the slices that there are"
            )
        count = -(-(last - first) // step)
        across = rows if axis == "column" else columns
        at = across // 2 if at is None else at
        _check_index(at, across, "row" if axis == "column" else "column")
        if axis == "column":
            return sampler, Box((0, count), (at, at + 1), (0, columns))
        return sampler, Box((0, count), (0, rows), (at, at + 1))

    def _sampler(
        self, straightening: Straightening, mip: int, interpolation: str | None, first: int,
        step: int,
    ) -> SliceSampler:  # fmt: skip
        method = choose_interpolation(self.volume, interpolation, self.kind)
        level = self.volume.mip(mip)
        with self._lock:
            # The resolved map is another object: kept, so that its frames are made only once.
            given, map_ = self._maps.get(mip, (None, None))
            if map_ is None or given is not straightening:
                map_ = straightening.resolved(level.resolution)
                self._maps[mip] = straightening, map_
        return SliceSampler(
            self.volume, map_, mip, method, self._fill, "fill", threads=self._threads,
            pool=self._pool(mip), first=first, step=step, wait=False,
        )  # fmt: skip

    def _pool(self, mip: int) -> ChunkPool:
        from napari_ouroboros.volumes.chunks.pool import ChunkPool

        with self._lock:
            if self._closed:
                raise Cancelled("the preview was closed")
            if mip not in self._pools:
                self._pools[mip] = ChunkPool(self.volume, mip, self._memory, self._in_flight)
            return self._pools[mip]

    def _squeezed(self, samples: NDArray[Any]) -> NDArray[Any]:
        return samples[..., 0] if self.volume.channels == 1 else samples


def _check_index(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise UserError(f"there is no {what} {index}; there are {count}, from 0")
