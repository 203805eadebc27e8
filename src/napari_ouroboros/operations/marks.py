"""Slices marked good or bad: they stay where they are when the trace is edited."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.table import read_table, write_table

Verdict = Literal["good", "bad"]

CSV_COLUMNS = ("slice", "row", "column", "z_nm", "y_nm", "x_nm", "mark", "comment")


@dataclass(frozen=True)
class Mark:
    """What somebody thinks of a slice.

    Attributes
    ----------
    slice : int
    centre_nm : (z, y, x)
        Where the centre of the slice was when it was marked.
    verdict : {"good", "bad"}
    comment : str
    """

    slice: int
    centre_nm: tuple[float, float, float]
    verdict: Verdict
    comment: str = ""

    @property
    def said(self) -> tuple[tuple[float, float, float], Verdict, str]:
        """What somebody has said of a place; its slice is only where that lies at the moment."""
        return self.centre_nm, self.verdict, self.comment


@dataclass(frozen=True)
class CarriedMarks:
    """Marks after an edit of the trace.

    Attributes
    ----------
    marks : Marks
    lost : tuple of Mark
        Places that the new trace does not pass.
    merged : int
        Marks that share a slice with another one now.
    """

    marks: Marks
    lost: tuple[Mark, ...]
    merged: int


class Marks:
    """At most one mark per slice of a map.

    Parameters
    ----------
    straightening : Straightening
        Whose slices are marked; pixel size and distance between slices are known.
    """

    def __init__(self, straightening: Straightening) -> None:
        self._map = straightening
        self._marks: dict[int, Mark] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def __iter__(self) -> Iterator[Mark]:
        return iter(sorted(self._marks.values(), key=lambda mark: mark.slice))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # changes

    def get(self, k: int) -> Mark | None:
        """Return the mark of a slice."""
        return self._marks.get(k)

    def mark(self, k: int, verdict: Verdict, comment: str = "") -> Mark:
        """Mark slice `k`; an earlier mark of it is replaced.

        Raises
        ------
        UserError
            There is no such slice, or the verdict is neither good nor bad.
        """
        n = len(self._map.frames)
        if not 0 <= k < n:
            raise UserError(f"there is no slice {k}; there are {n}, from 0")
        z, y, x = (float(value) for value in self._map.frames.c[k])
        mark = Mark(int(k), (z, y, x), _verdict(verdict), str(comment))
        self._marks[mark.slice] = mark
        return mark

    def clear(self, k: int) -> None:
        """Take the mark of slice `k` away, if it has one."""
        self._marks.pop(k, None)

    def join(self, k: int, mark: Mark) -> None:
        """Give slice `k` a mark that keeps its own place, beside what the slice has already.

        A bad one of several makes the slice bad, and the comments are joined.
        """
        there = self._marks.get(k)
        verdict, comment = mark.verdict, mark.comment
        if there is not None:
            verdict = "bad" if "bad" in (verdict, there.verdict) else "good"
            comment = "; ".join(text for text in (there.comment, comment) if text)
        self._marks[k] = Mark(k, mark.centre_nm, verdict, comment)

    def carried_to(self, new: Straightening) -> CarriedMarks:
        """Return the marks on the slices of another map that are at their places now.

        A mark goes to the slice that `slices_at` finds; where several meet, see `join`. Carried
        marks keep their own places, so that one edit after the other loses nothing.
        """
        carried = Marks(new)
        lost: list[Mark] = []
        merged = 0
        own = list(self)
        for mark, k in zip(own, slices_at(own, new), strict=True):
            if k is None:
                lost.append(mark)
                continue
            merged += carried.get(k) is not None
            carried.join(k, mark)
        return CarriedMarks(carried, tuple(lost), merged)

    # -- as text --------------------------------------------------------------------------

    def as_list(self) -> list[dict[str, Any]]:
        """Return the marks ready for JSON."""
        return [
            {
                "slice": mark.slice,
                "centre_nm": list(mark.centre_nm),
                "verdict": mark.verdict,
                "comment": mark.comment,
            }
            for mark in self
        ]

    @classmethod
    def from_list(cls, marks: Any, straightening: Straightening) -> Marks:
        """Read what `as_list` gave; UserError for anything else."""
        found = cls(straightening)
        if not isinstance(marks, list):
            raise UserError("the marks are no list")
        for i, entry in enumerate(marks):
            try:
                place = np.asarray(entry["centre_nm"], np.float64)
                texts = entry["verdict"], entry["comment"]
                k = entry["slice"]
            except (TypeError, KeyError, ValueError) as error:
                raise UserError(f"mark {i} is damaged") from error
            found._add(k, place, texts, f"mark {i}")
        n = len(straightening.frames)
        beyond = [mark.slice for mark in found if mark.slice >= n]
        if beyond:
            raise UserError(f"slice {beyond[0]} is marked, and there are {n}, from 0")
        return found

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per mark: slice, row and column of its centre, zyx nm, mark, comment.

        Raises
        ------
        DestinationError
            It cannot be written; a file that was there before is untouched.
        """
        row, column = 0.5 * (self._map.height - 1), 0.5 * (self._map.width - 1)
        lines = (
            [mark.slice, row, column, *map(repr, mark.centre_nm), mark.verdict, mark.comment]
            for mark in self
        )
        write_table(path, CSV_COLUMNS, lines)

    @classmethod
    def read_csv(cls, path: str | os.PathLike[str], straightening: Straightening) -> CarriedMarks:
        """Read marks, also ones of another trace: they go to the slices at their places.

        Lines without a mark are passed by, so that the table of all slices is read as well.

        Raises
        ------
        UserError
            What is wrong, in which line.
        """
        found = cls(straightening)
        for mark in read_marks(path):
            found._marks[mark.slice] = mark
        return found.carried_to(straightening)

    def _add(
        self, k: object, place: NDArray[np.float64], texts: tuple[Any, Any], where: str
    ) -> None:
        """A mark from a file."""
        mark = _mark(k, place, texts, where)
        self._marks[mark.slice] = mark


def read_marks(path: str | os.PathLike[str]) -> list[Mark]:
    """Return the marks of a table, as they were when it was written.

    Lines without a mark are passed by, so that the table of all slices is read as well.

    Raises
    ------
    UserError
        What is wrong, in which line.
    """
    found = []
    for line, cells in read_table(path, ("slice", "z_nm", "y_nm", "x_nm", "mark", "comment")):
        if not cells["mark"].strip():
            continue
        where = f"line {line} of {os.fspath(path)}"
        try:
            k = int(cells["slice"])
            place = np.array([float(cells[f"{axis}_nm"]) for axis in "zyx"])
        except ValueError as error:
            raise UserError(f"{where} has no slice, or no place in nm") from error
        found.append(_mark(k, place, (cells["mark"].strip(), cells["comment"]), where))
    return found


def slices_at(
    marks: Sequence[Mark], straightening: Straightening, limit_nm: float | None = None
) -> list[int | None]:
    """Return the slice of a map at the place of each mark; None where it passes too far away.

    Parameters
    ----------
    marks : sequence of Mark
    straightening : Straightening
        The slice is the one whose centre is nearest.
    limit_nm : float, optional
        Farther away than this is too far. Default: half the distance between slices, or half the
        shorter side of a slice, if that is more.
    """
    if not marks:
        return []
    from scipy.spatial import cKDTree

    map_ = straightening
    if limit_nm is None:
        half_side = 0.5 * map_.pitch_nm * min(map_.width, map_.height)
        limit_nm = max(0.5 * map_.spacing_nm, half_side)
    centres = np.array([mark.centre_nm for mark in marks], np.float64)
    distance, k = cKDTree(map_.frames.c).query(centres)
    return [int(i) if d <= limit_nm else None for d, i in zip(distance, k, strict=True)]


def _mark(k: object, place: NDArray[np.float64], texts: tuple[Any, Any], where: str) -> Mark:
    verdict, comment = texts
    good = (
        isinstance(k, int)
        and k >= 0
        and place.shape == (3,)
        and bool(np.isfinite(place).all())
        and isinstance(comment, str)
    )
    if not good or not isinstance(k, int):
        raise UserError(f"{where} is damaged: it needs a slice, a place in nm and a comment")
    z, y, x = (float(value) for value in place)
    return Mark(k, (z, y, x), _verdict(verdict, where), comment)


def _verdict(value: object, where: str = "a mark") -> Verdict:
    for known in get_args(Verdict):
        if value == known:
            return known
    raise UserError(f"{where} must be 'good' or 'bad'; it is {value!r}")
