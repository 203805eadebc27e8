"""Measure labels in straightened space: lengths, areas and volumes of what they mean in nm."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, Notice, UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.cells import Cells
from napari_ouroboros.operations.measure_report import (
    LabelMeasures,
    MeasureReport,
    SliceMeasures,
    summaries,
)
from napari_ouroboros.operations.plan import Cancel, Plan, Progress, Unit, default_threads
from napari_ouroboros.operations.sampler import DEFAULT_MEMORY
from napari_ouroboros.operations.tally import Tally, tally

if TYPE_CHECKING:
    from napari_ouroboros.volumes.labels.label_stack import LabelStack

__all__ = ["LabelMeasures", "MeasureJob", "MeasureReport", "SliceMeasures", "measure"]

# Samples counted at once; what is kept of each takes about 100 bytes.
_SLAB_SAMPLES = 500_000
_BYTES_PER_SAMPLE = 100


def measure(
    labels: Any,
    straightening: Straightening,
    ids: Sequence[int] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    memory: int = DEFAULT_MEMORY,
    timeout: float = 60.0,
    threads: int | None = None,
) -> MeasureReport:
    """Measure labels of the straightened space, per slice and as a whole.

    Volumes are those of the places in the original volume that the samples stand for: weighted
    with the determinant of the map's Jacobian (see `cells.Cells`), without going there.

    Parameters
    ----------
    labels : path, URL or array
        (slices, rows, columns), of the recipe's shape: .tif, .npy, .zarr, a precomputed folder;
        numpy, dask or zarr array, `LabelArray`, `LabelStack`. Read slab by slab; what an array
        with ``painted_chunks()`` does not store is passed by.
    straightening : Straightening
        The map that they belong to.
    ids : sequence of int, optional
        Only these labels.
    progress : callable, optional
        ``progress(done, total)`` in slabs of slices.
    cancel : object with ``is_set()``, optional
    memory : int
        Bytes: an eighth of it for decoded slices of labels.
    timeout : float
        Seconds without a byte after which labels at a URL are given up.
    threads : int, optional
        Default one per processor.

    Returns
    -------
    MeasureReport

    Raises
    ------
    UserError
        Labels of another shape or recipe, negative or fractional ids, an id that cannot be.
    SourceError
        The labels cannot be read.
    Cancelled
    """
    with MeasureJob(
        labels, straightening, ids, memory=memory, timeout=timeout, threads=threads
    ) as job:
        return job.run(progress, cancel)


class MeasureJob:
    """A measurement that is known before it is run; the parameters are those of `measure`.

    Attributes
    ----------
    notices : bool
        Whether to say which labels are not there.
    """

    def __init__(
        self,
        labels: Any,
        straightening: Straightening,
        ids: Sequence[int] | None = None,
        *,
        memory: int = DEFAULT_MEMORY,
        timeout: float = 60.0,
        threads: int | None = None,
    ) -> None:
        self.straightening = straightening
        self.cells = Cells.of(straightening)
        self.ids = None if ids is None else sorted({int(i) for i in ids})
        self.threads = threads or default_threads()
        self.notices = True
        self._ours = not _is_stack(labels)
        self.stack = open_for(labels, straightening, memory // 8, timeout)
        try:
            if self.ids is not None:
                self.stack = self.stack.select(self.ids)
            self.slabs = slabs_of(labels, straightening.shape)
        except BaseException:
            self.close()
            raise
        self._found: dict[int, tuple[Tally, NDArray[np.float64]]] = {}
        self._lock = threading.Lock()

    def plan(self) -> Plan:
        """One unit per slab of slices."""
        page = int(np.prod(self.straightening.shape[1:]))
        slices = sum(last - first for first, last in self.slabs)
        thickest = max((last - first for first, last in self.slabs), default=0)
        return Plan(
            "the measurement",
            [
                Unit(f"{first}:{last}", partial(self._measure, first, last))
                for first, last in self.slabs
            ],
            bytes_to_fetch=slices * page * self.stack.out_dtype.itemsize,
            bytes_to_write=0,
            memory_bytes=self.threads * thickest * page * _BYTES_PER_SAMPLE,
        )

    def run(self, progress: Progress | None = None, cancel: Cancel | None = None) -> MeasureReport:
        """Measure; errors as those of `measure`."""
        start = time.monotonic()
        self._found.clear()
        self.plan().run(self.threads, progress, cancel)
        slices = self._gathered()
        if self.notices:
            self._notice_missing(slices)
        labelled = np.unique(slices.slices)
        return MeasureReport(
            labels=summaries(slices),
            slices=slices,
            slices_folding=int(np.count_nonzero(self.cells.folds[labelled])),
            seconds=time.monotonic() - start,
        )

    def close(self) -> None:
        """Close the files of labels that were given as a path."""
        if self._ours:
            self.stack.close()

    def __enter__(self) -> MeasureJob:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _measure(self, first: int, last: int, cancel: Cancel) -> None:
        labels = self.stack.read(first, last)
        found = tally(labels)
        slices = found.slices + first
        volumes = self.cells.volumes(slices, found.samples, found.rows, found.columns)
        for k in np.unique(slices[self.cells.folds[slices]]):
            if cancel.is_set():
                raise Cancelled("the measurement was cancelled")
            own = slices == k
            volumes[own] = self.cells.folded_volumes(int(k), labels[k - first], found.labels[own])
        with self._lock:
            self._found[first] = found, volumes

    def _gathered(self) -> SliceMeasures:
        """All slabs together, by label, then by slice."""
        starts = sorted(self._found)
        parts = [self._found[first][0] for first in starts]

        def joined(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
            return np.concatenate([*arrays, np.zeros(0, dtype)]).astype(dtype, copy=False)

        labels = np.concatenate([np.zeros(0, self.stack.out_dtype), *(p.labels for p in parts)])
        slices = joined([p.slices + k for p, k in zip(parts, starts, strict=True)], np.int64)
        order = np.lexsort((slices, labels))
        labels, slices = labels[order], slices[order]
        samples = joined([p.samples for p in parts], np.int64)[order]
        rows = joined([p.rows for p in parts], np.float64)[order] / samples
        columns = joined([p.columns for p in parts], np.float64)[order] / samples
        pitch = self.straightening.pitch_nm
        area = samples * pitch**2
        return SliceMeasures(
            labels=labels,
            slices=slices,
            s_nm=self.straightening.frames.s[slices],
            samples=samples,
            rows=rows,
            columns=columns,
            centres_nm=self.cells.places(slices, rows, columns),
            area_nm2=area,
            perimeter_nm=joined([p.perimeter for p in parts], np.float64)[order] * pitch,
            diameter_nm=2 * np.sqrt(area / np.pi),
            length_nm=self.cells.lengths[slices],
            volume_nm3=joined([self._found[k][1] for k in starts], np.float64)[order],
        )

    def _notice_missing(self, slices: SliceMeasures) -> None:
        there = {int(label) for label in np.unique(slices.labels)}
        missing = [i for i in self.ids or () if i not in there]
        if missing or not there:
            which = f"label {', '.join(map(str, missing[:5]))}{', ...' * (len(missing) > 5)}"
            warnings.warn(
                f"there is no {which if missing else 'label'} in any slice", Notice, stacklevel=3
            )


def open_for(
    labels: Any, straightening: Straightening, cache_bytes: int, timeout: float = 60.0
) -> LabelStack:
    """Open labels and check that they have the recipe's shape, and are not another recipe's.

    Raises
    ------
    UserError, SourceError
    """
    from napari_ouroboros.volumes.labels.label_stack import open_labels

    ours = not _is_stack(labels)
    stack = open_labels(labels, cache_bytes=cache_bytes, timeout=timeout) if ours else labels
    written_for = stack.metadata.get("frames_sha256")
    problem = None
    if stack.shape != straightening.shape:
        problem = (
            f"the labels have shape {stack.shape}, the recipe {straightening.shape} (slices, rows, "
            "columns); labels are measured on the recipe's own grid"
        )
    elif written_for is not None and written_for != straightening.recipe_hash:
        problem = (
            f"these labels were made with another recipe ({stack.metadata.get('recipe', 'unnamed')}"
            "); give that one"
        )
    if problem is not None:
        if ours:
            stack.close()
        raise UserError(problem)
    return stack


def slabs_of(labels: Any, shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """(first, last + 1) of the slabs of slices that may hold labels, in order.

    Arrays with ``painted_chunks()`` say so themselves: boxes ((k0, k1), rows, columns).
    """
    n, rows, columns = shape
    step = max(1, _SLAB_SAMPLES // (rows * columns))
    slabs = [(k, min(k + step, n)) for k in range(0, n, step)]
    painted = getattr(labels, "painted_chunks", None)
    if painted is None:
        return slabs
    held = np.zeros(n, bool)
    for (k0, k1), *_ in painted():
        held[k0:k1] = True
    return [(first, last) for first, last in slabs if held[first:last].any()]


def _is_stack(labels: Any) -> bool:
    from napari_ouroboros.volumes.labels.label_stack import LabelStack

    return isinstance(labels, LabelStack)
