"""The map between slices and space, written as the contract's sentences and as slowly.

Every segment between two slices is asked about every point. Its equation (x - c(f)) . T(f) = 0 is
not solved by a formula: [0, 1] is cut at the parabola's vertex and each part with a change of
sign is bisected, so that no cancellation can be shared with the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracles.measures import cross_zyx

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Located:
    """What the literal map says about points.

    index : (n, 3) slice, row, column; NaN where no slice claims the point
    contested : (n,) two or more slices claim the point
    margin : (n,) how far (in index units, and in nm between rival candidates) the answer is from
        being another one; below about 1e-6 rounding decides
    distance : (n,) |x - c| of the winner, NaN where there is none
    """

    index: Floats
    contested: NDArray[np.bool_]
    margin: Floats
    distance: Floats


@dataclass(frozen=True)
class LiteralMap:
    """Frames (each (n, 3) zyx) and the rectangle: all that the contract's map is made of.

    `spacing` is what one slice index is worth in nm before the first and behind the last slice of
    an open trace, where the end tangents go on straight for half an index.
    """

    c: Floats
    N: Floats
    B: Floats
    T: Floats
    shape: tuple[int, int, int]
    pitch: float
    spacing: float
    closed: bool = False

    def frame_at(self, index: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
        """Position, N, B, T at slice indices k + f, each (..., 3)."""
        i = np.asarray(index, float)
        n = len(self.c)
        if self.closed:
            k = np.floor(i).astype(int)
            f = (i - k)[..., None]
            a, b = k % n, (k + 1) % n
            beyond = np.zeros(i.shape)
        else:
            inside = np.clip(i, 0, n - 1)
            beyond = i - inside
            a = np.minimum(np.floor(inside).astype(int), max(n - 2, 0))
            b = np.minimum(a + 1, n - 1)
            f = (inside - a)[..., None]
        c = (1 - f) * self.c[a] + f * self.c[b]
        T = (1 - f) * self.T[a] + f * self.T[b]
        T = T / np.linalg.norm(T, axis=-1, keepdims=True)
        N = (1 - f) * self.N[a] + f * self.N[b]
        N = N - np.sum(N * T, -1, keepdims=True) * T
        N = N / np.linalg.norm(N, axis=-1, keepdims=True)
        B = cross_zyx(T, N)
        return c + (beyond * self.spacing)[..., None] * T, N, B, T

    def to_volume(self, svu: ArrayLike) -> Floats:
        """Slice, row, column -> zyx nm."""
        svu = np.asarray(svu, float)
        c, N, B, _ = self.frame_at(svu[..., 0])
        v = (svu[..., 1] - (self.shape[1] - 1) / 2) * self.pitch
        u = (svu[..., 2] - (self.shape[2] - 1) / 2) * self.pitch
        return c + u[..., None] * N + v[..., None] * B

    def _roots(self, x: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
        """Solutions f in [0, 1) of segment k for all points: which point, and where."""
        j = (k + 1) % len(self.c)
        dc, dT = self.c[j] - self.c[k], self.T[j] - self.T[k]

        def g(f: Floats, points: Floats) -> Floats:
            gap = points - self.c[k] - f[:, None] * dc
            return np.einsum("ij,ij->i", gap, self.T[k] + f[:, None] * dT)

        # g = g0 + g1 f + g2 f^2; only the vertex is taken from the coefficients.
        g1 = (x - self.c[k]) @ dT - dc @ self.T[k]
        g2 = np.full(len(x), -dc @ dT)
        vertex = np.zeros(len(x))
        np.divide(-g1, 2 * g2, out=vertex, where=g2 != 0)
        vertex = np.clip(vertex, 0, 1)
        which, where = [], []
        for low, high in ((np.zeros(len(x)), vertex), (vertex, np.ones(len(x)))):
            sign_low, sign_high = np.sign(g(low, x)), np.sign(g(high, x))
            at_low = (sign_low == 0) & (low < high)
            inner = sign_low * sign_high < 0
            use = np.flatnonzero(inner)
            which.append(np.flatnonzero(at_low))
            where.append(low[at_low])
            if use.size == 0:
                continue
            a, b, left = low[use], high[use], sign_low[use]
            for _ in range(60):
                middle = (a + b) / 2
                same = np.sign(g(middle, x[use])) == left
                a, b = np.where(same, middle, a), np.where(same, b, middle)
            which.append(use)
            where.append((a + b) / 2)
        points, f = np.concatenate(which), np.concatenate(where)
        keep = f < 1
        return points[keep], f[keep]

    def _candidates(self, x: Floats) -> tuple[NDArray[np.int64], Floats]:
        n = len(self.c)
        which, index = [], []
        for k in range(n if self.closed else n - 1):
            points, f = self._roots(x, k)
            which.append(points)
            index.append(k + f)
        if not self.closed:
            for end, low, high in ((0, -0.5, 0.0), (n - 1, 0.0, 0.5)):
                along = (x - self.c[end]) @ self.T[end] / self.spacing
                points = np.flatnonzero((along >= low) & (along < high))
                which.append(points)
                index.append(end + along[points])
        i = np.concatenate(index)
        if self.closed:
            i = np.where(i >= n - 0.5, i - n, i)
        return np.concatenate(which), i

    def to_straightened(self, x: ArrayLike) -> Located:
        """Points (n, 3) zyx nm -> index, by asking every segment."""
        x = np.asarray(x, float).reshape(-1, 3)
        _, h, w = self.shape
        which, i = self._candidates(x)
        c, N, B, _ = self.frame_at(i)
        gap = x[which] - c
        row = np.sum(gap * B, -1) / self.pitch + (h - 1) / 2
        column = np.sum(gap * N, -1) / self.pitch + (w - 1) / 2
        distance = np.linalg.norm(gap, axis=-1)
        inside = (row >= -0.5) & (row < h - 0.5) & (column >= -0.5) & (column < w - 0.5)
        edges = np.stack([row + 0.5, h - 0.5 - row, column + 0.5, w - 0.5 - column])
        margin = np.full(len(x), np.inf)
        np.minimum.at(margin, which, np.abs(edges).min(0))
        if not self.closed:
            for end, limit in ((0, -0.5), (-1, 0.5)):
                along = (x - self.c[end]) @ self.T[end] / self.spacing
                margin = np.minimum(margin, np.abs(along - limit))
        order = np.lexsort((i[inside], distance[inside], which[inside]))
        who, i, row, column, distance = (
            a[inside][order] for a in (which, i, row, column, distance)
        )
        owner, first, count = np.unique(who, return_index=True, return_counts=True)
        index = np.full((len(x), 3), np.nan)
        index[owner] = np.stack([i, row, column], -1)[first]
        best = np.full(len(x), np.nan)
        best[owner] = distance[first]
        contested = np.zeros(len(x), bool)
        contested[owner] = count > 1
        rival = owner[count > 1]
        if rival.size:
            lead = distance[first[count > 1] + 1] - distance[first[count > 1]]
            margin[rival] = np.minimum(margin[rival], lead)
        return Located(index, contested, margin, best)
