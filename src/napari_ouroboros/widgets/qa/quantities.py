"""What can be drawn along the path and listed slice by slice, in plain words. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.widgets.controls.lengths import length_text

if TYPE_CHECKING:
    from napari_ouroboros.operations.measure_report import SliceMeasures
    from napari_ouroboros.operations.qa import Checks

Float = NDArray[np.float64]
Unit = Literal["", "count", "share", "nm", "nm2", "nm3"]


@dataclass(frozen=True)
class Quantity:
    """One number per slice.

    Attributes
    ----------
    key : str
    title : str
        Of the choice above the plot.
    column : str
        Of the table, where there is little room.
    unit : str
        "" for a bare number, "count", "share" (of 1), "nm", "nm2", "nm3".
    about : str
        What it is, for tooltips.
    from_zero : bool
        Whether 0 belongs into the plot.
    """

    key: str
    title: str
    column: str
    unit: Unit
    about: str
    from_zero: bool = True


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity with its values (n,), NaN where there is none, and limits that rules set."""

    quantity: Quantity
    values: Float
    limits: tuple[float, ...] = ()


_Values = Callable[["Checks"], Any]

_ALL: tuple[tuple[Quantity, _Values], ...] = (
    (
        Quantity("fold", "Fold (1: slices meet)", "fold", "",
                 "How far the slice reaches towards the inner side of the bend, as a share of the "
                 "bend's radius: from 1 on it meets its neighbours."),
        lambda c: c.geometry.fold,
    ),
    (
        Quantity("outside", "Samples outside the volume", "outside", "count",
                 "Samples of the slice that lie beyond the volume."),
        lambda c: c.geometry.samples_outside,
    ),
    (
        Quantity("missing", "Missing chunks", "missing", "count",
                 "Chunks that the slice needs and the source does not have."),
        lambda c: c.image and _where(c.image.chunks_missing, c.image.done),
    ),
    (
        Quantity("mean", "Mean intensity", "mean", "", "Mean of the slice's samples.",
                 from_zero=False),
        lambda c: c.image and c.image.mean,
    ),
    (
        Quantity("std", "Contrast (standard deviation)", "contrast", "",
                 "Standard deviation of the slice's samples."),
        lambda c: c.image and c.image.std,
    ),
    (
        Quantity("jump", "Jump from the slice before", "jump", "",
                 "How much the slice differs from the one before: 0 where they look the same, 1 "
                 "where they have nothing in common (1 - correlation)."),
        lambda c: c.image and c.image.jump,
    ),
    (
        Quantity("area", "Labelled area", "area", "nm2", "Area of all labels in the slice."),
        lambda c: c.labels and c.labels.area_nm2,
    ),
    (
        Quantity("diameter", "Diameter of the labels", "diameter", "nm",
                 "Of the circle of the same area as all labels in the slice."),
        lambda c: c.labels and c.labels.diameter_nm,
    ),
    (
        Quantity("off_centre", "Labels off the centre", "off centre", "nm",
                 "Distance of the labels' centroid from the slice's centre."),
        lambda c: c.labels and c.labels.off_centre_nm,
    ),
    (
        Quantity("edge", "Labels at the edge", "at edge", "count",
                 "Labelled samples at the edge of the slice: the label may be cut off."),
        lambda c: c.labels and c.labels.edge_samples,
    ),
    (
        Quantity("agreement", "Samples that come back", "come back", "share",
                 "Share of the samples that come back to themselves along the way to "
                 "their voxel and back.",
                 from_zero=False),
        lambda c: c.round_trip and c.round_trip.agreement,
    ),
    (
        Quantity("contested", "Voxels in several slices", "in several", "share",
                 "Share of the slice's voxels that lie in other slices, too (contested voxels)."),
        lambda c: c.round_trip and c.round_trip.contested,
    ),
)  # fmt: skip

#: With this the keys of what was measured begin.
MEASURED = "measured "
#: What a measured label has along the path: attribute of `SliceMeasures`, title, unit.
_MEASURED: tuple[tuple[str, str, Unit], ...] = (
    ("diameter_nm", "diameter", "nm"),
    ("area_nm2", "area", "nm2"),
    ("perimeter_nm", "perimeter", "nm"),
    ("volume_nm3", "volume", "nm3"),
)


def curves(
    checks: Checks | None, limits: Mapping[str, tuple[float, ...]] | None = None
) -> list[Curve]:
    """Return all that is known of the slices, with the limits that `operations.qa.limits` says."""
    if checks is None:
        return []
    found = []
    for quantity, values in _ALL:
        known = values(checks)
        if known is not None:
            lines = (limits or {}).get(quantity.key, ())
            found.append(Curve(quantity, np.asarray(known, np.float64), lines))
    return found


def profile_curves(label: int, profile: SliceMeasures, n: int) -> list[Curve]:
    """Return what was measured of one label at each of `n` slices; NaN where it is not."""
    found = []
    for attribute, name, unit in _MEASURED:
        values = np.full(n, np.nan)
        values[profile.slices] = getattr(profile, attribute)
        title = f"Label {label}: {name}"
        about = f"The {name} of this label in the slice, as it was measured."
        found.append(Curve(Quantity(MEASURED + attribute, title, name, unit, about), values))
    return found


def value_text(value: float, unit: Unit) -> str:
    """Write a value with its unit; nothing for NaN."""
    if not np.isfinite(value):
        return ""
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "share":
        return f"{100 * value:.4g} %"
    if unit == "nm":
        return length_text(value, digits=4)
    if unit in ("nm2", "nm3"):
        power = 2 if unit == "nm2" else 3
        # From a cube of 100 nm on people think in micrometres.
        large = value >= 100.0**power
        sign = "²" if power == 2 else "³"
        scaled = value / 1000.0**power if large else value
        digits = 4 if power == 2 else 3
        return f"{scaled:.{digits}g} {'µm' if large else 'nm'}{sign}"
    return f"{value:.4g}"


def _where(values: NDArray[np.int64], known: NDArray[np.bool_]) -> Float:
    return np.where(known, values, np.nan)
