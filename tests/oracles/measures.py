"""Measurements on sampled curves and frames, all zyx."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]


def cross_zyx(a: ArrayLike, b: ArrayLike) -> Floats:
    """The cross product of xyz vectors, of and as vectors that are stored zyx."""
    return np.cross(np.asarray(a, float)[..., ::-1], np.asarray(b, float)[..., ::-1])[..., ::-1]


def handedness(N: ArrayLike, B: ArrayLike, T: ArrayLike) -> Floats:
    """det [N B T] of the xyz vectors: +1 for a right-handed orthonormal triple."""
    return np.einsum("...i,...i->...", cross_zyx(N, B), np.asarray(T, float))


def projected(vector: ArrayLike, tangent: ArrayLike) -> Floats:
    """`vector` projected on the plane normal to the unit tangent(s), unit length."""
    v, t = np.asarray(vector, float), np.asarray(tangent, float)
    flat = v - np.einsum("...i,...i->...", v, t)[..., None] * t
    return flat / np.linalg.norm(flat, axis=-1, keepdims=True)


def turn_between(N: ArrayLike, M: ArrayLike, T: ArrayLike) -> Floats:
    """Angle in degrees from N to M around T, positive from N towards B = T x N."""
    N, M = np.asarray(N, float), np.asarray(M, float)
    B = cross_zyx(T, N)
    return np.degrees(
        np.arctan2(np.einsum("...i,...i->...", M, B), np.einsum("...i,...i->...", M, N))
    )


def arc_lengths(at: Callable[[Floats], Floats], s: ArrayLike, n: int = 256) -> Floats:
    """True arc lengths between successive positions of a curve.

    From chords alone, so nothing is assumed about `s` but its order: the sum of n chords is
    short by O(n^-2), which one step of Richardson's extrapolation removes.
    """
    s = np.asarray(s, float)
    f = np.linspace(0, 1, n + 1)
    fine = s[:-1, None] + f * np.diff(s)[:, None]
    x = at(fine.ravel()).reshape(*fine.shape, 3)
    sums = [np.linalg.norm(np.diff(x[:, ::k], axis=1), axis=2).sum(1) for k in (1, 2)]
    return (4 * sums[0] - sums[1]) / 3


def dense_line(c: ArrayLike, closed: bool = False, times: int = 20) -> Floats:
    """The straight pieces between successive positions, each cut into `times`."""
    c = np.asarray(c, float)
    if closed:
        c = np.concatenate([c, c[:1]])
    f = np.arange(times)[:, None] / times
    pieces = c[:-1, None] * (1 - f) + c[1:, None] * f
    return np.concatenate([pieces.reshape(-1, 3), c[-1:]])


def distance_to_line(points: ArrayLike, line: ArrayLike) -> Floats:
    """Distance of each point to the nearest of the positions of a dense line."""
    return np.asarray(cKDTree(np.asarray(line, float)).query(np.asarray(points, float))[0])
