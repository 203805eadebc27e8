"""What a measurement of labels tells: per label and slice, and per label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.operations.table import number, write_table

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SliceMeasures:
    """One entry per label of each slice: arrays (m,), by label, then by slice.

    Attributes
    ----------
    labels : array of the labels' dtype
    slices : int array
    s_nm : array
        Arc length of the slice.
    samples : int array
    rows, columns : arrays
        The centroid in the slice.
    centres_nm : array (m, 3)
        The centroid in the volume, zyx.
    area_nm2, perimeter_nm : arrays
        Of the section, and of its outline (Crofton's formula, four directions).
    diameter_nm : array
        Of the circle of the same area.
    length_nm : array
        Of the path that the slice stands for.
    volume_nm3 : array
        Weighted with det J; what lies behind a fold counts 0.
    """

    labels: NDArray[Any]
    slices: Int
    s_nm: Float
    samples: Int
    rows: Float
    columns: Float
    centres_nm: Float
    area_nm2: Float
    perimeter_nm: Float
    diameter_nm: Float
    length_nm: Float
    volume_nm3: Float

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, chosen: slice) -> SliceMeasures:
        """Some of the entries."""
        return SliceMeasures(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class LabelMeasures:
    """One label as a whole; means are along the path, so that every nm of it counts the same.

    Attributes
    ----------
    label : int
    slices : int
        How many hold it.
    first_slice, last_slice : int
    samples : int
    length_nm : float
        Along the curve: of the path that its slices stand for.
    volume_nm3 : float
    area_nm2, perimeter_nm, diameter_nm : float
        Means.
    diameter_min_nm, diameter_max_nm : float
    centre_nm : (z, y, x)
        Mean of the sections' centroids, weighted with their volumes.
    """

    label: int
    slices: int
    first_slice: int
    last_slice: int
    samples: int
    length_nm: float
    volume_nm3: float
    area_nm2: float
    perimeter_nm: float
    diameter_nm: float
    diameter_min_nm: float
    diameter_max_nm: float
    centre_nm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class MeasureReport:
    """What `measure` found.

    Attributes
    ----------
    labels : tuple of LabelMeasures
        By id.
    slices : SliceMeasures
    slices_folding : int
        Labelled slices that fold, with cells that count no volume.
    seconds : float
    """

    labels: tuple[LabelMeasures, ...]
    slices: SliceMeasures
    slices_folding: int
    seconds: float

    def profile(self, label: int) -> SliceMeasures:
        """Return the entries of one label along the path.

        Raises
        ------
        UserError
            There is no such label.
        """
        if not 0 <= label <= np.iinfo(self.slices.labels.dtype).max:
            raise UserError(f"there is no label {label}")
        of_dtype = self.slices.labels.dtype.type(label)
        first, last = (
            np.searchsorted(self.slices.labels, of_dtype, "left"),
            np.searchsorted(self.slices.labels, of_dtype, "right"),
        )
        if first == last:
            raise UserError(f"there is no label {label}")
        return self.slices.part(slice(int(first), int(last)))

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per label and slice; a file that is there already is replaced."""
        write_table(path, CSV_COLUMNS, self._rows())

    def facts(self) -> dict[str, Any]:
        """Return what is ready for JSON: all but the slices."""
        return {
            "labels": [asdict(label) for label in self.labels],
            "slices_folding": self.slices_folding,
            "seconds": self.seconds,
        }

    @property
    def text(self) -> str:
        """A table for people: a line per label."""
        if not self.labels:
            return "there is no label"
        rows = [_HEADER] + [_line(label) for label in self.labels]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        if self.slices_folding:
            lines.append(
                f"{self.slices_folding} of the labelled slices fold: what lies behind the fold "
                "counts no volume"
            )
        return "\n".join(lines)

    def _rows(self) -> Iterator[list[object]]:
        m = self.slices
        for i in range(len(m)):
            yield [
                int(m.labels[i]),
                int(m.slices[i]),
                *(number(values[i]) for values in (m.s_nm, m.rows, m.columns)),
                *(number(value) for value in m.centres_nm[i]),
                int(m.samples[i]),
                *(number(values[i]) for values in (m.area_nm2, m.perimeter_nm, m.diameter_nm)),
                *(number(values[i]) for values in (m.length_nm, m.volume_nm3)),
            ]


CSV_COLUMNS = (
    *("label", "slice", "s_nm", "row", "column", "z_nm", "y_nm", "x_nm", "samples"),
    *("area_nm2", "perimeter_nm", "diameter_nm", "length_nm", "volume_nm3"),
)

_HEADER = (
    *("label", "slices", "length nm", "volume nm3", "area nm2", "perimeter nm"),
    *("diameter nm", "smallest", "largest"),
)


def _line(label: LabelMeasures) -> tuple[str, ...]:
    return (
        str(label.label),
        f"{label.slices} ({label.first_slice} to {label.last_slice})",
        f"{label.length_nm:.1f}",
        f"{label.volume_nm3:.4g}",
        f"{label.area_nm2:.4g}",
        f"{label.perimeter_nm:.1f}",
        f"{label.diameter_nm:.1f}",
        f"{label.diameter_min_nm:.1f}",
        f"{label.diameter_max_nm:.1f}",
    )


def summaries(slices: SliceMeasures) -> tuple[LabelMeasures, ...]:
    """Each label as a whole."""
    if not len(slices):
        return ()
    starts = np.append(0, np.flatnonzero(slices.labels[1:] != slices.labels[:-1]) + 1)
    ends = np.append(starts[1:], len(slices))
    return tuple(
        _summary(slices.part(slice(int(a), int(b)))) for a, b in zip(starts, ends, strict=True)
    )


def _summary(own: SliceMeasures) -> LabelMeasures:
    length, volume = own.length_nm.sum(), own.volume_nm3.sum()
    # Wholly behind a fold there is no volume to weigh with.
    weights = own.volume_nm3 if volume > 0 else own.samples
    z, y, x = (float(value) for value in np.average(own.centres_nm, axis=0, weights=weights))
    area, perimeter, diameter = (
        float(np.average(values, weights=own.length_nm))
        for values in (own.area_nm2, own.perimeter_nm, own.diameter_nm)
    )
    return LabelMeasures(
        label=int(own.labels[0]),
        slices=len(own),
        first_slice=int(own.slices[0]),
        last_slice=int(own.slices[-1]),
        samples=int(own.samples.sum()),
        length_nm=float(length),
        volume_nm3=float(volume),
        area_nm2=area,
        perimeter_nm=perimeter,
        diameter_nm=diameter,
        diameter_min_nm=float(own.diameter_nm.min()),
        diameter_max_nm=float(own.diameter_nm.max()),
        centre_nm=(z, y, x),
    )
