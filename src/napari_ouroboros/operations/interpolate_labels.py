"""Labels between painted slices, each id by itself, by the signed distance from its outline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.operations.plan import Cancel

#: Slice, rows (n,), columns (n,), values (n,): ``labels[k, rows, columns] = values``.
Filled = tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[Any]]
Float = NDArray[np.float64]

# Slices that are looked through at a time in an array that does not say what is painted.
_SLAB = 16
# An outline through the middle of a pixel takes the pixel in, whatever the rounding.
_ON_THE_LINE = 1e-9


def interpolate_labels(
    labels: Any,
    slices: Sequence[int] | None = None,
    ids: Sequence[int] | None = None,
    between: tuple[int, int] | None = None,
    cancel: Cancel | None = None,
    *,
    max_gap: int | None = None,
    replace: bool = False,
    keep_painted_slices: bool = False,
    pixel_nm: tuple[float, float] = (1.0, 1.0),
) -> Iterator[Filled]:
    """Fill the slices between those that were painted, slice by slice; nothing is written.

    For each id and each two neighbouring slices ka < kb in which it is painted, the signed
    distance from its outline (positive inside; Raya and Udupa, IEEE TMI 9(1), 1990) goes over
    linearly from one to the other: at k the pixels with (1 - f) d_a + f d_b >= 0 belong to the id,
    f = (k - ka) / (kb - ka). Where both are in one piece and touch no edge of the slice, outlines
    move along with their centroids: a disc that is painted elsewhere is a disc on the way, too.

    Ids are never mixed: of several that claim a pixel the one with the larger distance gets it,
    of equal ones the smaller id. A pixel that has a label keeps it. A slice gets nothing of an id
    that is painted in it; an id in one slice only gives nothing.

    Parameters
    ----------
    labels : LabelArray or array (slices, rows, columns)
        Of a LabelArray only painted chunks are read. The voxels of a slice may be written as soon
        as they are had: slices to come do not look at them.
    slices : sequence of int, optional
        Only these count as painted. Default all.
    ids : sequence of int, optional
        Only these. Default all.
    between : (k0, k1), optional
        Fill only k0 <= k < k1; neighbours outside count.
    cancel : object with ``is_set()``, optional
    max_gap : int, optional
        Leave gaps of more slices than this as they are.
    replace : bool
        What an id has in a slice between two of `slices` is made anew: after a slice between was
        corrected.
    keep_painted_slices : bool
        Put nothing into slices in which any other label is painted.
    pixel_nm : (row, column)
        Distance of pixels along rows' and columns' numbers, where they differ.

    Yields
    ------
    k : int
        Increasing.
    rows, columns : int arrays (n,)
    values : array (n,)
        In the dtype of the labels; 0 only with `replace`.

    Raises
    ------
    UserError
        Slices, ids or a range that the labels do not have.
    Cancelled
        Between two slices.
    """
    job = _Job(labels, slices, ids, between, max_gap, (replace, keep_painted_slices), pixel_nm)
    return job.run(cancel)


@dataclass(frozen=True)
class _Painted:
    """An id in a slice, and the box around it: rows r0 <= r < r1, columns c0 <= c < c1."""

    k: int
    r0: int
    r1: int
    c0: int
    c1: int


@dataclass(frozen=True)
class _Pair:
    """An id in two neighbouring painted slices."""

    id: int
    a: _Painted
    b: _Painted


class _Job:
    def __init__(
        self, labels: Any, slices: Sequence[int] | None, ids: Sequence[int] | None,
        between: tuple[int, int] | None, max_gap: int | None, how: tuple[bool, bool],
        pixel_nm: tuple[float, float],
    ) -> None:  # fmt: skip
        self.labels = labels
        self.dtype = np.dtype(labels.dtype)
        if self.dtype.kind not in "iu" or len(labels.shape) != 3:
            raise UserError(
                "labels to interpolate must be whole numbers (slices, rows, columns), not "
                f"{self.dtype} of the shape {tuple(labels.shape)}"
            )
        self.n, self.rows, self.columns = (int(length) for length in labels.shape)
        self.slices = None if slices is None else self._checked(slices)
        self.ids = None if ids is None else frozenset(int(i) for i in ids)
        if self.ids is not None and (not self.ids or min(self.ids) < 1):
            raise UserError(f"ids to interpolate must be over 0; they are {sorted(self.ids)}")
        self.first, self.stop = (0, self.n) if between is None else (int(k) for k in between)
        if not 0 <= self.first <= self.stop <= self.n:
            raise UserError(
                f"the slices {between} to fill are not among the {self.n} of the labels"
            )
        if max_gap is not None and max_gap < 1:
            raise UserError(f"the largest gap to fill must be 1 slice or more, not {max_gap}")
        self.max_gap = max_gap
        self.replace, self.keep_painted = how
        if not (np.isfinite(pixel_nm).all() and min(pixel_nm) > 0):
            raise UserError(f"the size of a pixel must be two lengths over 0; it is {pixel_nm}")
        self.pixel = pixel_nm

    def run(self, cancel: Cancel | None) -> Iterator[Filled]:
        pairs = sorted(self._pairs(cancel), key=lambda pair: (pair.a.k, pair.id), reverse=True)
        active: list[_Between] = []
        k = 0
        while pairs or active:
            active = [one for one in active if one.pair.b.k > k]
            if not active and pairs:
                k = max(k, pairs[-1].a.k + 1, self.first)
            while pairs and pairs[-1].a.k < k:
                pair = pairs.pop()
                if pair.b.k > k:
                    active.append(_Between(pair, self))
            if k >= self.stop:
                return
            if active:
                _go_on(cancel)
                if (
                    filled := self._fill(k, sorted(active, key=lambda one: one.pair.id))
                ) is not None:
                    yield filled
            k += 1

    def _fill(self, k: int, active: list[_Between]) -> Filled | None:
        plane = np.asarray(self.labels[k])
        if self.keep_painted and not self.replace and plane.any():
            return None
        free = plane == 0
        if self.replace:
            free |= np.isin(plane, np.array([one.pair.id for one in active], self.dtype))
        best = np.full(plane.shape, -np.inf)
        values = np.zeros_like(plane)
        for one in active:
            inside = one.distance(k)
            wins = (inside >= -_ON_THE_LINE) & (inside > best[one.box])
            best[one.box][wins] = inside[wins]
            values[one.box][wins] = one.pair.id
        rows, columns = np.nonzero(free & (values != plane))
        if not len(rows):
            return None
        return k, rows, columns, values[rows, columns]

    # -- what is painted ------------------------------------------------------------------

    def _pairs(self, cancel: Cancel | None) -> Iterator[_Pair]:
        last: dict[int, _Painted] = {}
        for k in self._painted_slices():
            _go_on(cancel)
            for number, found in self._ids_in(k):
                before = last.get(number)
                last[number] = found
                if before is None or k - before.k < 2:
                    continue
                if self.max_gap is None or k - before.k - 1 <= self.max_gap:
                    yield _Pair(number, before, found)

    def _painted_slices(self) -> Iterator[int]:
        if self.slices is not None:
            yield from self.slices
            return
        boxes = getattr(self.labels, "painted_chunks", None)
        if boxes is None:
            yield from range(self.n)
            return
        last = 0
        for k0, k1 in sorted({box[0] for box in boxes()}):
            yield from range(max(k0, last), k1)
            last = max(k1, last)

    def _ids_in(self, k: int) -> Iterator[tuple[int, _Painted]]:
        from scipy import ndimage

        plane = np.asarray(self.labels[k])
        rows, columns = np.nonzero(plane)
        if not len(rows):
            return
        found, number = np.unique(plane[rows, columns], return_inverse=True)
        # Small numbers for find_objects, which makes a list as long as the largest.
        small = np.zeros(plane.shape, np.int32)
        small[rows, columns] = number + 1
        for value, box in zip(found, ndimage.find_objects(small), strict=True):
            if self.ids is None or int(value) in self.ids:
                r, c = box
                yield int(value), _Painted(k, r.start, r.stop, c.start, c.stop)

    def _checked(self, slices: Sequence[int]) -> list[int]:
        found = sorted({int(k) for k in slices})
        for k in found:
            if not 0 <= k < self.n:
                raise UserError(f"there is no slice {k} among the {self.n} of the labels")
        return found


class _Between:
    """The signed distance of one id on the way from one painted slice to the next.

    Attributes
    ----------
    box : (slice, slice)
        Rows and columns that `distance` covers; beyond them it is negative.
    """

    def __init__(self, pair: _Pair, job: _Job) -> None:
        self.pair = pair
        a, b = pair.a, pair.b
        low = min(a.r0, b.r0) - 1, min(a.c0, b.c0) - 1
        high = max(a.r1, b.r1) + 1, max(a.c1, b.c1) + 1
        inner = min(low) >= 0 and high[0] <= job.rows and high[1] <= job.columns
        self.box = (
            slice(max(low[0], 0), min(high[0], job.rows)),
            slice(max(low[1], 0), min(high[1], job.columns)),
        )
        masks = [np.asarray(job.labels[(one.k, *self.box)]) == pair.id for one in (a, b)]
        self._moves = np.zeros(2)
        if inner and all(map(_in_one_piece, masks)):
            first, second = (np.argwhere(mask).mean(axis=0) for mask in masks)
            self._moves = second - first
        # Room for outlines that are moved before they are compared.
        margin = np.ceil(np.abs(self._moves)).astype(int)
        self._inner = tuple(slice(int(m), -int(m) or None) for m in margin)
        self._distances = [
            signed_distance(np.pad(mask, [(int(m), int(m)) for m in margin]), job.pixel)
            for mask in masks
        ]

    def distance(self, k: int) -> Float:
        """Over the box at slice k; in nm where `pixel_nm` is, otherwise in pixels."""
        f = (k - self.pair.a.k) / (self.pair.b.k - self.pair.a.k)
        first, second = self._distances
        if self._moves.any():
            from scipy import ndimage

            first = ndimage.shift(first, f * self._moves, order=1, mode="nearest")
            second = ndimage.shift(second, (f - 1) * self._moves, order=1, mode="nearest")
        return np.asarray(((1 - f) * first + f * second)[self._inner])


def signed_distance(mask: NDArray[np.bool_], pixel: tuple[float, float] = (1.0, 1.0)) -> Float:
    """Distance from the outline of a mask (rows, columns), positive inside.

    From centre to nearest centre beyond the outline (Euclidean distance transform), less the half
    pixel that the outline lies before that. A mask without any pixel is refused.
    """
    from scipy import ndimage

    if not mask.any():
        raise ValueError("a mask without a pixel has no outline")
    half = 0.5 * min(pixel)
    outside = ndimage.distance_transform_edt(~mask, pixel)
    if mask.all():
        # The outline lies beyond what is seen: as far inside as may be.
        return np.full(mask.shape, float(np.hypot(*np.multiply(mask.shape, pixel))))
    inside = ndimage.distance_transform_edt(mask, pixel)
    return np.where(mask, inside - half, half - outside)


def _in_one_piece(mask: NDArray[np.bool_]) -> bool:
    from scipy import ndimage

    return int(ndimage.label(mask, np.ones((3, 3)))[1]) == 1


def _go_on(cancel: Cancel | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled("interpolating the labels was cancelled")
