"""`Straightening.to_straightened` for points that lie together, far from most of the map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.segments import GROUP

Float = NDArray[np.float64]


class LocalLocate:
    """Finds straightened indices of points within a convex hull; the same as the map itself.

    Parameters
    ----------
    map_ : Straightening
    """

    def __init__(self, map_: Straightening) -> None:
        self.map = map_
        self._balls = map_.segments.balls
        planes, n = map_.planes, len(map_.planes) - 1
        first = np.arange(0, n, GROUP)
        self._first, self._last = planes[first], planes[np.minimum(first + GROUP, n)]
        if len(first) == 0:
            return
        self._radius = np.sqrt(self._balls[:, 3])
        self._margin = self._balls[:, 4].copy()
        if not map_.frames.closed:
            # Half a slice goes on straight beyond the ends.
            for group, step in ((0, map_.extension[0]), (-1, map_.extension[1])):
                self._radius[group] += 0.5 * step
                self._margin[group] += 0.5 * step

    def __call__(self, points: Float, hull: Float) -> Float:
        """Return indices (n, 3), NaN outside, of points (n, 3) in nm within the hull (m, 3)."""
        from napari_ouroboros.geometry import kernels

        map_ = self.map
        out = np.full(points.shape, np.nan)
        if len(self._balls) < 2:
            return map_.to_straightened(points)
        near = self._near(hull)
        if not len(near):
            return out
        n_segments = len(map_.planes) - 1
        start, stop = int(near[0]) * GROUP, min((int(near[-1]) + 1) * GROUP, n_segments)
        closed = map_.frames.closed
        extension = np.zeros(2)
        if not closed:
            extension[0] = map_.extension[0] if start == 0 else 0.0
            extension[1] = map_.extension[1] if stop == n_segments else 0.0
        kernels.locate(
            np.ascontiguousarray(points), map_.planes[start : stop + 1],
            self._balls[near[0] : near[-1] + 1], False, extension, map_.pitch_nm,
            map_.height, map_.width, out, np.empty(len(points), bool),
        )  # fmt: skip
        out[:, 0] += start
        if closed:
            out[out[:, 0] >= n_segments - 0.5, 0] -= n_segments
        return out

    def _near(self, hull: Float) -> NDArray[np.int64]:
        """Groups of segments of which a slice may pass through the hull, in order."""
        centre = 0.5 * (hull.min(axis=0) + hull.max(axis=0))
        reach = float(np.linalg.norm(hull - centre, axis=1).max())
        away = np.linalg.norm(self._balls[:, :3] - centre, axis=1)
        near = np.flatnonzero(away <= self._radius + reach + 1e-6)
        margin = self._margin[near] + 1e-6
        # Signed distances are largest and smallest at corners of the hull.
        sides = []
        for planes in (self._first[near], self._last[near]):
            d = hull @ planes[:, 3:6].T - np.sum(planes[:, :3] * planes[:, 3:6], axis=1)
            sides.append((d.min(axis=0), d.max(axis=0)))
        (low0, high0), (low1, high1) = sides
        passed = (low0 > margin) & (low1 > margin) | (high0 < -margin) & (high1 < -margin)
        return near[~passed]
