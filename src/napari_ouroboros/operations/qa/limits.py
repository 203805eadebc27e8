"""From which values on slices are suspicious: the rules applied to what is known of all slices."""

from __future__ import annotations

import numpy as np

from napari_ouroboros.operations.qa.rules import Checks, Rules, upper_limit


def limits(checks: Checks, rules: Rules, half_side_nm: float) -> dict[str, tuple[float, ...]]:
    """Return where a plot of a check has its limits; nothing for rules that are switched off.

    Parameters
    ----------
    checks : Checks
    rules : Rules
    half_side_nm : float
        Half of the slice's shorter side.

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
    if checks.labels is not None and rules.off_centre is not None:
        found["off_centre"] = (rules.off_centre * half_side_nm,)
    if trip is not None and rules.agreement is not None:
        lost = upper_limit(1 - trip.agreement, rules.agreement, rules.least_agreement)
        found["agreement"] = (1 - lost,)
    if trip is not None and rules.contested is not None:
        found["contested"] = (rules.contested,)
    return {name: lines for name, lines in found.items() if np.isfinite(lines).all()}
