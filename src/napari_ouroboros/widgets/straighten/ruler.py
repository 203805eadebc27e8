"""Ticks of a ruler in round lengths."""

from __future__ import annotations

import numpy as np

_UNITS = ((1e9, "m"), (1e6, "mm"), (1e3, "µm"), (1.0, "nm"))


def ticks(length_nm: float, most: int) -> list[tuple[float, str]]:
    """Return places (nm) and labels of at most about `most` ticks from 0 to a length.

    Steps are 1, 2 or 5 times a power of ten; the first label says the unit.
    """
    if not length_nm > 0:
        return []
    rough = length_nm / max(1, most)
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9)))
    size, unit = next((u for u in _UNITS if length_nm >= u[0]), _UNITS[-1])
    places = np.arange(0.0, length_nm * (1 + 1e-12), step)
    return [
        (float(nm), f"{nm / size:g}" + (f" {unit}" if i == 0 else ""))
        for i, nm in enumerate(places)
    ]
