"""From which values on slices are suspicious: the rules applied to what is known of all slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ouroboros.operations.qa.rules import Checks, Rules

# The median absolute deviation of normally distributed numbers is 0.6745 standard deviations.
_MAD_TO_STD = 1.4826


def limits(
    checks: Checks, rules: Rules, half_side_nm: float | None
) -> dict[str, tuple[float, ...]]:
    """Return the limits of each check; nothing for rules that are off, or have too few values.

    What lies beyond them is suspicious, and they are the lines of a plot.

    Parameters
    ----------
    checks : Checks
    rules : Rules
    half_side_nm : float or None
        Half of the slice's shorter side; None: not known.

    Returns
    -------
    dict of str to tuple of float
        By the check's name: "fold", "mean", "std", "jump", "off_centre", "agreement" and
        "contested". The diameter has none: its change from slice to slice is looked at.
    """
    found: dict[str, tuple[float, ...]] = {}
    if rules.fold:
        found["fold"] = (1.0,)
    image, trip = checks.image, checks.round_trip
    if image is not None and rules.jump is not None:
        found["jump"] = (upper_limit(image.jump, rules.jump, rules.least_jump),)
    if image is not None and rules.intensity is not None:
        for name, values in (("mean", image.mean), ("std", image.std)):
            known = values[np.isfinite(values)]
            if len(known):
                median = float(np.median(known))
                least = rules.least_intensity * abs(median)
                away = upper_limit(np.abs(values - median), rules.intensity, least)
                found[name] = (median - away, median + away)
    if checks.labels is not None and rules.off_centre is not None and half_side_nm is not None:
        found["off_centre"] = (rules.off_centre * half_side_nm,)
    if trip is not None and rules.agreement is not None:
        lost = upper_limit(1 - trip.agreement, rules.agreement, rules.least_agreement)
        found["agreement"] = (1 - lost,)
    if trip is not None and rules.contested is not None:
        found["contested"] = (rules.contested,)
    return {name: lines for name, lines in found.items() if np.isfinite(lines).all()}


def upper_limit(values: NDArray[np.float64], spreads: float, least: float) -> float:
    """Median of the values that are known, plus `spreads` times their spread; at least `least`."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.inf
    median = np.median(known)
    spread = _MAD_TO_STD * np.median(np.abs(known - median))
    return float(max(median + spreads * spread, least))
