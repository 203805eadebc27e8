"""Everything known about each slice as a CSV file, with both coordinates."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.operations.cells import Cells
from napari_ouroboros.operations.marks import Marks
from napari_ouroboros.operations.qa.rules import Checks
from napari_ouroboros.operations.table import number, write_table

Column = Sequence[object] | NDArray[np.float64] | NDArray[np.int64]


def write_checks(
    path: str | os.PathLike[str],
    checks: Checks,
    straightening: Straightening,
    reasons: Sequence[Sequence[str]] | None = None,
    marks: Marks | None = None,
) -> None:
    """Write one line per slice: where its centre is, what was measured, and what was said of it.

    The centre is given as slice, row, column and as z, y, x in nm; so is the centroid of its
    labels. What has not been measured has no column, what is not known stays empty.

    Raises
    ------
    UserError
        Checks of other slices.
    DestinationError
        It cannot be written; a file that was there before is untouched.
    """
    n = straightening.shape[0]
    parts = (checks.geometry, checks.image, checks.labels, checks.round_trip, reasons)
    if any(part is not None and len(part) != n for part in parts):
        raise UserError(f"these checks are not those of the {n} slices of this map")
    columns = dict(_columns(checks, straightening, reasons, marks))
    rows = ([_cell(values[k]) for values in columns.values()] for k in range(n))
    write_table(path, list(columns), rows)


def _columns(
    checks: Checks,
    straightening: Straightening,
    reasons: Sequence[Sequence[str]] | None,
    marks: Marks | None,
) -> Iterator[tuple[str, Column]]:
    n, rows, columns = straightening.shape
    yield "slice", list(range(n))
    yield "row", np.full(n, 0.5 * (rows - 1))
    yield "column", np.full(n, 0.5 * (columns - 1))
    geometry = checks.geometry
    for name, values in zip("zyx", geometry.centres_nm.T, strict=True):
        yield f"{name}_nm", values
    yield "s_nm", geometry.s_nm
    yield "curvature_x_reach", geometry.fold
    if geometry.samples_outside is not None:
        yield "samples_outside", geometry.samples_outside
    if checks.image is not None:
        yield "chunks_missing", checks.image.chunks_missing
        yield "mean", checks.image.mean
        yield "std", checks.image.std
        yield "jump", checks.image.jump
    labels = checks.labels
    if labels is not None:
        yield "labelled_area_nm2", labels.area_nm2
        yield "labelled_diameter_nm", labels.diameter_nm
        yield "labelled_row", labels.rows
        yield "labelled_column", labels.columns
        places = Cells.of(straightening).places(np.arange(n), labels.rows, labels.columns)
        for name, values in zip("zyx", places.T, strict=True):
            yield f"labelled_{name}_nm", values
        yield "off_centre_nm", labels.off_centre_nm
        yield "labelled_at_edge", labels.edge_samples
    if checks.round_trip is not None:
        yield "round_trip_agreement", checks.round_trip.agreement
        yield "contested", checks.round_trip.contested
    if reasons is not None:
        yield "suspicious", ["; ".join(why) for why in reasons]
    if marks is not None:
        found = [marks.get(k) for k in range(n)]
        yield "mark", ["" if mark is None else mark.verdict for mark in found]
        yield "comment", ["" if mark is None else mark.comment for mark in found]


def _cell(value: object) -> object:
    return number(float(value)) if isinstance(value, float | np.floating) else value
