"""Marks that were read from a file go to their slices; what became of them, in a line. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_ouroboros.operations.marks import Mark
from napari_ouroboros.widgets.qa.mark_book import MarkBook


def add_marks(book: MarkBook, found: Sequence[tuple[Mark, int | None]]) -> str:
    """Add marks, each to its slice of the map that is shown; say what became of them.

    Parameters
    ----------
    book : MarkBook
    found : sequence of (Mark, slice)
        As they are in the file, and the slices at their places; None: there is none.
    """
    if not found:
        return "there are no marks in it."
    placed = [(mark, replace(mark, slice=k)) for mark, k in found if k is not None]
    new = book.add(now for _, now in placed)
    moved = sum(mark.slice != now.slice for mark, now in placed)
    parts = ["1 mark was added" if new == 1 else f"{new:,} marks were added"]
    if new < len(placed):
        parts.append(f"{len(placed) - new:,} there already")
    if moved:
        parts.append(f"{moved:,} at another slice than in the file")
    lost = len(found) - len(placed)
    if lost:
        parts.append(f"{lost:,} could not be placed: the trace does not pass there")
    return "; ".join(parts) + "."
