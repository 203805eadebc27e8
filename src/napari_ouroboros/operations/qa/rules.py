"""Which slices deserve a look, and why, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.operations.qa.geometry import GeometryChecks
from napari_ouroboros.operations.qa.image import ImageChecks
from napari_ouroboros.operations.qa.labels import LabelChecks
from napari_ouroboros.operations.qa.limits import limits, upper_limit
from napari_ouroboros.operations.qa.round_trip import RoundTripChecks

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

Lines = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Checks:
    """All that is known so far; every part is of the same slices.

    Attributes
    ----------
    geometry : GeometryChecks
    image : ImageChecks, optional
    labels : LabelChecks, optional
    round_trip : RoundTripChecks, optional
    """

    geometry: GeometryChecks
    image: ImageChecks | None = None
    labels: LabelChecks | None = None
    round_trip: RoundTripChecks | None = None


@dataclass(frozen=True)
class Rules:
    """From where on a slice is suspicious; None or False switches a rule off.

    What is compared with the other slices is so many times their spread away from their median.
    The spread is the median distance from the median, times 1.48: that of most slices, however
    odd the others are.

    Attributes
    ----------
    fold, outside, missing : bool
        The slice folds, has samples outside the volume, or needs chunks that are not there.
    jump : float or None
        How many times the spread a jump to the neighbouring slice is.
    least_jump : float
        Smaller ones (1 - correlation) are never suspicious.
    intensity : float or None
        The same for mean and standard deviation of the intensity.
    least_intensity : float
        Smaller differences, as a share of the median, are never suspicious.
    flat : bool
        All samples have one value.
    diameter : float or None
        The same for how the diameter changes from slice to slice.
    least_diameter : float
        Smaller changes, as a share of the diameter, are never suspicious.
    off_centre : float or None
        Share of the way from the centre to the nearest edge at which the labels' centroid is.
    edge, gaps : bool
        Labels at the edge of a slice, unless they are in most slices; unlabelled slices between
        labelled ones.
    contested : float or None
        Share of the voxels that other slices claim, too: more is suspicious.
    agreement : float or None
        As `jump`, for samples that do not find themselves again.
    least_agreement : float
        Smaller losses than this share are never suspicious.
    """

    fold: bool = True
    outside: bool = True
    missing: bool = True
    jump: float | None = 6.0
    least_jump: float = 0.05
    intensity: float | None = 6.0
    least_intensity: float = 0.1
    flat: bool = True
    diameter: float | None = 6.0
    least_diameter: float = 0.15
    off_centre: float | None = 0.5
    edge: bool = True
    gaps: bool = True
    contested: float | None = 0.0
    agreement: float | None = 6.0
    least_agreement: float = 0.02

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Rules:
        """Return the rules of a dict, as `dataclasses.asdict` gives; what is wrong stays usual."""
        rules = cls()
        for field in fields(cls):
            usual, value = field.default, data.get(field.name, field.default)
            if isinstance(usual, bool):
                good = isinstance(value, bool)
            else:
                # A switch that is off is None; what is "least" is always a number.
                good = (value is None and not field.name.startswith("least")) or (
                    isinstance(value, int | float)
                    and not isinstance(value, bool)
                    and 0 <= value < np.inf
                )
            if good:
                rules = replace(rules, **{field.name: value})
        return rules


def suspicious(
    checks: Checks,
    rules: Rules | None = None,
    *,
    half_side_nm: float | None = None,
    lines: Lines | None = None,
) -> list[list[str]]:
    """Return the reasons to look at each slice (n,): an empty list where there are none.

    A single slice that differs from both neighbours is named itself; a jump between two slices
    that go on as they are is named at the later one.

    Parameters
    ----------
    checks : Checks
        What has not come yet (NaN) is not suspicious.
    rules : Rules, optional
    half_side_nm : float, optional
        Half of the slice's shorter side, for `Rules.off_centre`; without it that rule rests.
    lines : dict, optional
        What `limits` returns for the same, where it is known already.
    """
    r = Rules() if rules is None else rules
    reasons: list[list[str]] = [[] for _ in range(len(checks.geometry))]
    lines = limits(checks, r, half_side_nm) if lines is None else lines
    _of_geometry(checks.geometry, r, reasons)
    if checks.image is not None:
        _of_image(checks.image, r, lines, reasons)
    if checks.labels is not None:
        _of_labels(checks.labels, r, lines, reasons)
    if checks.round_trip is not None:
        _of_round_trip(checks.round_trip, lines, reasons)
    return reasons


def following(reasons: Sequence[Sequence[str]], k: int, step: int = 1) -> int | None:
    """Return the next suspicious slice after `k` (before it for step -1), around the end; or None.

    Parameters
    ----------
    reasons : of `suspicious`
    k : int
    step : {1, -1}
    """
    n = len(reasons)
    return next(((k + step * i) % n for i in range(1, n + 1) if reasons[(k + step * i) % n]), None)


def _of_geometry(checks: GeometryChecks, rules: Rules, reasons: list[list[str]]) -> None:
    if rules.fold:
        for k in np.flatnonzero(checks.folds):
            reasons[k].append(
                f"folds: the curve bends so much here that the slice meets its neighbours (fold "
                f"{checks.fold[k]:.2f}; from 1 on slices meet)"
            )
    if rules.outside and checks.samples_outside is not None:
        for k in np.flatnonzero(checks.samples_outside):
            share = _percent(checks.samples_outside[k] / checks.samples)
            reasons[k].append(
                f"{checks.samples_outside[k]} samples ({share}) lie outside the volume"
            )


def _of_image(checks: ImageChecks, rules: Rules, lines: Lines, reasons: list[list[str]]) -> None:
    if rules.missing:
        for k in np.flatnonzero(checks.chunks_missing):
            count = checks.chunks_missing[k]
            reasons[k].append("a chunk is missing" if count == 1 else f"{count} chunks are missing")
    if rules.flat:
        for k in np.flatnonzero(checks.std == 0):
            reasons[k].append(f"is empty: all of it has the value {checks.mean[k]:g}")
    if "jump" in lines:
        _jumps(checks.jump, lines["jump"][0], reasons)
    for name, values, what in (
        ("mean", checks.mean, "mean intensity"), ("std", checks.std, "contrast"),
    ):  # fmt: skip
        if name not in lines:
            continue
        low, high = lines[name]
        for k in np.flatnonzero((values < low) | (values > high)):
            reasons[k].append(
                f"{what} is {values[k]:.4g}, of most slices within {(high - low) / 2:.3g} of "
                f"{(low + high) / 2:.4g}"
            )


def _jumps(jump: Float, limit: float, reasons: list[list[str]]) -> None:
    large = jump > limit
    n = len(large)
    if n < 2:
        return
    # Only a closed trace has a gap between its last slice and its first.
    after, earlier = np.roll(large, -1), np.roll(large, 1)
    usual = f"limit {limit:.2g}"
    for k in np.flatnonzero(large):
        if after[k]:
            worst = max(jump[k], jump[(k + 1) % n])
            reasons[k].append(f"differs from both neighbouring slices (jump {worst:.2g}, {usual})")
        elif not earlier[k]:
            reasons[k].append(f"jumps from slice {(k - 1) % n} (jump {jump[k]:.2g}, {usual})")


def _of_labels(checks: LabelChecks, rules: Rules, lines: Lines, reasons: list[list[str]]) -> None:
    labelled = np.flatnonzero(checks.samples)
    if not len(labelled):
        return
    if rules.gaps:
        inner = np.arange(labelled[0], labelled[-1])
        for k in inner[checks.samples[inner] == 0]:
            reasons[k].append("has no label, and slices before and behind it have")
    at_edge = np.flatnonzero(checks.edge_samples)
    # What is larger than the slices is cut off in nearly all of them, and meant to be.
    if rules.edge and 2 * len(at_edge) <= len(labelled):
        for k in at_edge:
            reasons[k].append(
                f"{checks.edge_samples[k]} labelled samples lie at the slice's edge: the label may "
                "be cut off"
            )
    if "off_centre" in lines:
        (limit,) = lines["off_centre"]
        for k in np.flatnonzero(checks.off_centre_nm > limit):
            reasons[k].append(
                f"the labels are {checks.off_centre_nm[k]:.0f} nm off the centre (limit "
                f"{limit:.0f} nm)"
            )
    if rules.diameter is not None:
        _diameters(checks.diameter_nm, rules.diameter, rules.least_diameter, reasons)


def _diameters(diameter: Float, spreads: float, least: float, reasons: list[list[str]]) -> None:
    """Changes from slice to slice, as a ratio; between labelled neighbours only."""
    pair = (diameter[1:] > 0) & (diameter[:-1] > 0)
    ratio = np.divide(diameter[1:], diameter[:-1], out=np.full(len(pair), np.nan), where=pair)
    change = np.abs(np.log(ratio))
    limit = upper_limit(change, spreads, float(np.log1p(least)))
    for k in np.flatnonzero(change > limit) + 1:
        reasons[k].append(
            f"the labels' diameter is {diameter[k]:.0f} nm, and {diameter[k - 1]:.0f} nm in the "
            "slice before"
        )


def _of_round_trip(checks: RoundTripChecks, lines: Lines, reasons: list[list[str]]) -> None:
    if "contested" in lines:
        for k in np.flatnonzero(checks.contested > lines["contested"][0]):
            reasons[k].append(
                f"{_percent(checks.contested[k])} of its voxels lie in other slices, too"
            )
    if "agreement" in lines:
        (least,) = lines["agreement"]
        for k in np.flatnonzero(checks.agreement < least):
            reasons[k].append(
                f"{_percent(1 - checks.agreement[k])} of its samples do not come back to "
                f"themselves (limit {_percent(1 - least)})"
            )


def _percent(share: float) -> str:
    """Two digits; never more than there is, as in "1e+02 %"."""
    percent = 100 * float(share)
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
