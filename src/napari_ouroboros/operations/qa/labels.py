"""What the labels say about each slice: how much there is, and where; again where they changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.measure_job import open_for, slabs_of
from napari_ouroboros.operations.plan import Cancel, Progress

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class LabelChecks:
    """Per slice (n,), all labels (or those that were asked for) taken as one.

    Attributes
    ----------
    samples : int array
        Labelled ones.
    edge_samples : int array
        Of them, those at the edge of the slice: the label may go on beyond it.
    area_nm2, diameter_nm : arrays
        Of the labelled samples, and of the circle of the same area; 0 without labels.
    rows, columns : arrays
        Their centroid; NaN without labels.
    off_centre_nm : array
        Distance of the centroid from the slice's centre; NaN without labels.
    """

    samples: Int
    edge_samples: Int
    area_nm2: Float
    diameter_nm: Float
    rows: Float
    columns: Float
    off_centre_nm: Float

    def __len__(self) -> int:
        return len(self.samples)


def label_checks(
    labels: Any,
    straightening: Straightening,
    *,
    ids: Sequence[int] | None = None,
    previous: LabelChecks | None = None,
    changed: tuple[int, int] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> LabelChecks:
    """Check labels slab by slab.

    Parameters
    ----------
    labels : LabelStack, LabelArray, or whatever `measure` takes
        Of the map's shape.
    straightening : Straightening
    ids : sequence of int, optional
        Only these labels.
    previous : LabelChecks, optional
        What was found before: only the slices `changed` are looked at again.
    changed : (k0, k1), optional
        Slices k0 <= k < k1.
    progress : callable, optional
        ``progress(slabs done, slabs)``.
    cancel : object with ``is_set()``, optional

    Returns
    -------
    LabelChecks
        A new one; `previous` stays as it is.

    Raises
    ------
    UserError, SourceError
        As `measure`.
    Cancelled
    """
    n = straightening.shape[0]
    sums = np.zeros((4, n))
    todo = slabs_of(labels, straightening.shape)
    if previous is not None and changed is not None:
        k0 = min(max(changed[0], 0), n)
        k1 = min(max(changed[1], k0), n)
        cut = ((max(a, k0), min(b, k1)) for a, b in todo)
        todo = [(a, b) for a, b in cut if a < b]
        sums[:] = _sums(previous)
        sums[:, k0:k1] = 0
    if progress is not None:
        progress(0, len(todo))
    with _Slices(labels, straightening, ids) as read:
        for i, (a, b) in enumerate(todo):
            if cancel is not None and cancel.is_set():
                raise Cancelled("the check of the labels was cancelled")
            sums[:, a:b] = _count(read(a, b))
            if progress is not None:
                progress(i + 1, len(todo))
    return _checks(sums, straightening)


class _Slices:
    """Reads slabs of labels as masks; what it opened itself it closes."""

    def __init__(
        self, labels: Any, straightening: Straightening, ids: Sequence[int] | None
    ) -> None:
        # Live arrays are read directly: what is kept of them could be old.
        live = callable(getattr(labels, "read", None)) and labels.shape == straightening.shape
        self._opened = None if live else open_for(labels, straightening, _CACHE_BYTES)
        self._source: Any = labels if live else self._opened
        self._ids = None if ids is None else sorted({int(i) for i in ids})

    def __call__(self, k0: int, k1: int) -> NDArray[np.bool_]:
        labels = np.asarray(self._source.read(k0, k1))
        if self._ids is None:
            return np.asarray(labels != 0)
        largest = np.iinfo(labels.dtype).max
        chosen = [i for i in self._ids if 0 < i <= largest]
        return np.isin(labels, np.array(chosen, labels.dtype))

    def __enter__(self) -> _Slices:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()


def _count(mask: NDArray[np.bool_]) -> Float:
    """Samples, sums of rows and columns, samples at the edge: (4, slices)."""
    by_row, by_column = mask.sum(axis=2), mask.sum(axis=1)
    samples = by_row.sum(axis=1)
    inner = mask[:, 1:-1, 1:-1].sum(axis=(1, 2))
    return np.stack(
        [
            samples,
            by_row @ np.arange(mask.shape[1]),
            by_column @ np.arange(mask.shape[2]),
            samples - inner,
        ]
    ).astype(np.float64)


def _checks(sums: Float, straightening: Straightening) -> LabelChecks:
    samples, row_sums, column_sums, edge = sums
    pitch = straightening.pitch_nm
    none = np.full(len(samples), np.nan)
    there = samples > 0
    rows = np.divide(row_sums, samples, out=none.copy(), where=there)
    columns = np.divide(column_sums, samples, out=none.copy(), where=there)
    v = rows - 0.5 * (straightening.height - 1)
    u = columns - 0.5 * (straightening.width - 1)
    area = samples * pitch**2
    return LabelChecks(
        samples=samples.astype(np.int64),
        edge_samples=edge.astype(np.int64),
        area_nm2=area,
        diameter_nm=2 * np.sqrt(area / np.pi),
        rows=rows,
        columns=columns,
        off_centre_nm=np.hypot(u, v) * pitch,
    )


def _sums(checks: LabelChecks) -> Float:
    """What `_checks` made these of."""
    return np.stack(
        [
            checks.samples,
            np.round(np.nan_to_num(checks.rows) * checks.samples),
            np.round(np.nan_to_num(checks.columns) * checks.samples),
            checks.edge_samples,
        ]
    )
