"""How the slices of a trace lie to the frames that are carried along it: closing and twist."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry.pchip import hermite, slopes
from napari_ouroboros.geometry.walk import Walk

Float = NDArray[np.float64]


class OldTurn:
    """Degrees by which slices are turned from the carried frame, and how that changes.

    Parameters
    ----------
    walk : Walk
        The trace's, forwards.
    twist : sequence of (s_nm, degrees)
    backwards : bool
        Arc lengths count from the end, and turns the other way: the trace was reversed.

    Attributes
    ----------
    loop : float
        What the turn gains over a closed curve.
    """

    def __init__(self, walk: Walk, twist: Sequence[tuple[float, float]], backwards: bool) -> None:
        self._backwards, self._closed, self._length = backwards, walk.closed, walk.length
        self._rate = -walk.closing_degrees() / walk.length if walk.closed else 0.0
        keys = np.array(sorted(twist), np.float64).reshape(-1, 2)
        gain = 0.0
        if len(keys) and walk.closed:
            if keys[0, 0] + walk.length - keys[-1, 0] > 1e-9 * walk.length:
                d = slopes(keys[:, 0], keys[:, 1], walk.length)
                shift = np.array([walk.length, 0.0])
                keys = np.vstack([keys - shift, keys, keys + shift])
                d = np.tile(d, 3)
            else:
                gain = keys[-1, 1] - keys[0, 1]
                d = slopes(*keys.T)
        else:
            d = slopes(*keys.T) if len(keys) else np.empty(0)
        self._s, self._degrees = keys.T if len(keys) else np.empty((2, 0))
        self._slopes = d
        self.loop = self._rate * walk.length + gain

    def keys(self, low: float, high: float) -> Float:
        """Places of keyframes between two arc lengths, which may lie beyond the seam."""
        if not len(self._s):
            return np.empty(0)
        own = self._length - self._s if self._backwards else self._s
        if self._closed:
            own = np.unique(np.round(np.mod(own, self._length), 9))
            own = np.concatenate([own - self._length, own, own + self._length,
                                  own + 2 * self._length])  # fmt: skip
        own = np.sort(own)
        return own[(own > low) & (own < high)]

    def value(self, s: float) -> float:
        """Degrees at an arc length."""
        own, loops, sign = self._own(s)
        total = self._rate * own + self._at(own)[0] + loops * self.loop
        return sign * total

    def slope(self, s: float, side: int) -> float:
        """Degrees per nm just before (side -1) or behind (1) an arc length."""
        # Keyframes in one place have two slopes only where nothing lies between them.
        own, _, _ = self._own(s + side * 1e-9 * self._length)
        # Backwards both the way and the turn change their sign.
        return self._rate + self._at(own)[1]

    def _own(self, s: float) -> tuple[float, float, int]:
        own = self._length - s if self._backwards else s
        loops = 0.0
        if self._closed:
            loops = float(np.floor(own / self._length))
            own -= loops * self._length
        return own, loops, -1 if self._backwards else 1

    def _at(self, s: float) -> tuple[float, float]:
        x, y, d = self._s, self._degrees, self._slopes
        if not len(x):
            return 0.0, 0.0
        if s <= x[0] or s >= x[-1]:
            return float(y[0] if s <= x[0] else y[-1]), 0.0
        k = int(np.searchsorted(x, s, side="right")) - 1
        value, slope = hermite(np.array(s), x[k], x[k + 1], y[k], y[k + 1], d[k], d[k + 1])
        return float(value), float(slope)
