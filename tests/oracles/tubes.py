"""Centre lines of tubes from closed forms, with the brute-force truth of what lies in them.

Everything is zyx nm. Arc length comes from the chords of 400,000 points: off by less than 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from oracles.curves import Helix, trefoil

Floats = NDArray[np.float64]
_FINE = 400_000


@dataclass(frozen=True)
class CentreLine:
    """A curve by a parameter from 0 to `end`; `bend` is the largest curvature in 1/nm."""

    position: Callable[[Floats], Floats]
    end: float
    bend: float
    closed: bool = False

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        t = np.linspace(0, self.end, _FINE + 1)
        steps = np.linalg.norm(np.diff(self.position(t), axis=0), axis=1)
        return t, np.append(0, np.cumsum(steps))

    @property
    def length(self) -> float:
        return float(self._table[1][-1])

    def at(self, s: ArrayLike) -> Floats:
        """Positions (n, 3) at arc lengths (n,) nm."""
        t, length = self._table
        return self.position(np.interp(np.asarray(s, float), length, t))

    def tangent(self, s: float) -> Floats:
        """Unit tangent (3,), from a parabola through three positions."""
        t, length = self._table
        here, step = np.interp(s, length, t), 1e-4 * self.end
        before, middle, after = self.position(np.array([here - step, here, here + step]))
        assert np.linalg.norm(before + after - 2 * middle) < 1e-3 * np.linalg.norm(after - before)
        return (after - before) / np.linalg.norm(after - before)

    def points(self, step: float) -> Floats:
        """Points about `step` nm apart for a trace; a closed one does not repeat its first."""
        n = int(np.ceil(self.length / step))
        s = np.linspace(0, self.length, n + 1)
        return self.at(s[:-1] if self.closed else s)

    def shortened(self, length: float) -> CentreLine:
        """The same curve, ending at arc length `length`."""
        t, s = self._table
        return CentreLine(self.position, float(np.interp(length, s, t)), self.bend)


def helix_line(bend: float, turns: float, hand: int = 1) -> CentreLine:
    """A helix of curvature `bend`, as steep as it is round."""
    helix = Helix(0.5 / bend, 0.5 / bend, hand)
    return CentreLine(helix.position, 2 * np.pi * turns, bend)


def s_curve_line(bend: float, half_waves: float) -> CentreLine:
    """y = a sin(x / w) with a = 0.7 w, so that a / w^2, the bend of its crests, is `bend`.

    Starts at a crest; turned in space so that no plane of it lies along an axis.
    """
    w = 0.7 / bend
    turn = Rotation.from_euler("zyx", [25, 40, 15], degrees=True)

    def position(t: Floats) -> Floats:
        x = w * (t + np.pi / 2)
        flat = np.stack([x, 0.7 * w * np.sin(x / w), 0 * x], -1)
        return turn.apply(flat)[..., ::-1]

    return CentreLine(position, np.pi * half_waves, bend)


def trefoil_line(bend: float) -> CentreLine:
    """The trefoil of `oracles.trefoil`, scaled until its largest curvature is `bend`."""
    t = np.linspace(0, 2 * np.pi, 20_001)
    first = trefoil(t)[1]
    second = (trefoil(t + 1e-5)[1] - trefoil(t - 1e-5)[1]) / 2e-5
    curvature = np.linalg.norm(np.cross(first, second), axis=1) / np.linalg.norm(first, axis=1) ** 3
    scale = curvature.max() / bend
    return CentreLine(lambda t: scale * trefoil(t)[0], 2 * np.pi, bend, closed=True)


def tube_truth(
    line: CentreLine,
    shape: tuple[int, int, int],
    resolution: ArrayLike,
    voxel_offset: ArrayLike,
    reach: float,
    step: float,
) -> tuple[Floats, Floats]:
    """Distance to the line and overhang beyond its end planes of every voxel (z, y, x).

    Brute force: the nearest of points `step` nm apart. Where that is the first or the last one of
    an open line the voxel lies beyond its end (negative overhang: before the first), and its
    distance is that from the straight extension. Distances over `reach` are inf.
    """
    axes = [
        (np.arange(n) + o + 0.5) * r
        for n, o, r in zip(
            shape, np.asarray(voxel_offset, float), np.asarray(resolution, float), strict=True
        )
    ]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    n = int(np.ceil(line.length / step))
    s = np.linspace(0, line.length, n + 1)
    # Farther than the reach: what lies beyond an end plane counts from the extension.
    distance, nearest = cKDTree(line.at(s)).query(
        voxels, distance_upper_bound=1.1 * reach, workers=2
    )
    overhang = np.zeros(shape)
    if not line.closed:
        for end, place in ((0, 0.0), (n, line.length)):
            beyond = (nearest == end) & np.isfinite(distance)
            tangent = line.tangent(place)
            along = (voxels[beyond] - line.at(place)) @ tangent
            # The last point is also the nearest of some voxels before the end plane.
            outer = along < 0 if end == 0 else along > 0
            away = np.sqrt(np.maximum(distance[beyond] ** 2 - along**2, 0))
            distance[beyond] = np.where(outer, away, distance[beyond])
            overhang[beyond] = np.where(outer, along, 0)
    distance[distance > reach] = np.inf
    return distance, overhang
