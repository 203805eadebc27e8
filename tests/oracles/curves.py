"""Curves whose every property has a closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Helix:
    """(r cos t, hand r sin t, c t) in xyz; `hand` = +1 is right-handed."""

    radius: float
    rise: float
    hand: int = 1

    @property
    def speed(self) -> float:
        return float(np.hypot(self.radius, self.rise))

    @property
    def curvature(self) -> float:
        return self.radius / self.speed**2

    @property
    def torsion(self) -> float:
        return self.hand * self.rise / self.speed**2

    def length(self, t: ArrayLike) -> Floats:
        return self.speed * np.asarray(t, float)

    def position(self, t: ArrayLike) -> Floats:
        t = np.asarray(t, float)
        r, c, h = self.radius, self.rise, self.hand
        return np.stack([c * t, h * r * np.sin(t), r * np.cos(t)], -1)

    def frenet(self, t: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Tangent, principal normal and binormal, each (n, 3) zyx; right-handed in xyz."""
        t = np.asarray(t, float)
        r, c, h = self.radius, self.rise, self.hand
        tangent = np.stack([-r * np.sin(t), h * r * np.cos(t), c + 0 * t], -1) / self.speed
        normal = np.stack([-np.cos(t), -h * np.sin(t), 0 * t], -1)
        binormal = np.cross(tangent, normal)  # xyz
        return tangent[..., ::-1], normal[..., ::-1], binormal[..., ::-1]

    def transported(self, t: ArrayLike, start: ArrayLike) -> Floats:
        """The rotation-minimising normal that is `start` (zyx) at t = 0.

        Against Frenet's frame it turns by -torsion x length.
        """
        t = np.asarray(t, float)
        _, normal, binormal = self.frenet(t)
        _, normal_0, binormal_0 = self.frenet(0.0)
        angle_0 = np.arctan2(np.dot(start, binormal_0), np.dot(start, normal_0))
        angle = (angle_0 - self.torsion * self.speed * t)[..., None]
        return np.cos(angle) * normal + np.sin(angle) * binormal


@dataclass(frozen=True)
class Circle:
    """(r cos t, r sin t, 0) in xyz around `centre` (zyx)."""

    radius: float
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def length(self) -> float:
        return 2 * np.pi * self.radius

    def position(self, t: ArrayLike) -> Floats:
        t = np.asarray(t, float)
        return np.asarray(self.centre) + self.radius * np.stack([0 * t, np.sin(t), np.cos(t)], -1)

    def points(self, n: int) -> Floats:
        return self.position(2 * np.pi * np.arange(n) / n)


def parabola(half_width: float, height: float) -> tuple[Floats, float]:
    """Three points on y = height (x / half_width)^2 and the curve's length between them.

    The parameters of the outer two are symmetric whatever the parametrisation, so a quadratic
    through the three is this parabola. Its curvature is 2 a / (1 + (2 a x)^2)^1.5 with
    a = height / half_width^2.
    """
    points = np.array([[0, height, -half_width], [0, 0, 0], [0, height, half_width]], float)
    slope = 2 * height / half_width
    half = half_width / (2 * slope) * (slope * np.hypot(1, slope) + np.arcsinh(slope))
    return points, 2 * half


def hairpin(limb: float, gap: float, n_limb: int, n_bend: int) -> Floats:
    """Two limbs along x at a distance `gap` in y, joined by a half circle; xy plane, zyx points."""
    x = np.linspace(0, limb, n_limb)
    angle = np.linspace(-np.pi / 2, np.pi / 2, n_bend)[1:-1]
    out = np.stack([0 * x, 0 * x - gap / 2, x], -1)
    bend = np.stack([0 * angle, gap / 2 * np.sin(angle), limb + gap / 2 * np.cos(angle)], -1)
    back = np.stack([0 * x, 0 * x + gap / 2, x[::-1]], -1)
    return np.concatenate([out, bend, back])


def cassini_oval(a: float, b: float, n: int) -> Floats:
    """A closed peanut (a < b < 1.4 a) in the xy plane; its waist is 2 sqrt(b^2 - a^2) wide."""
    t = 2 * np.pi * np.arange(n) / n
    r = np.sqrt(a**2 * np.cos(2 * t) + np.sqrt(b**4 - (a**2 * np.sin(2 * t)) ** 2))
    return np.stack([0 * t, r * np.sin(t), r * np.cos(t)], -1)


def coil_self_distance(helix: Helix) -> float:
    """Distance of neighbouring turns where the chord is perpendicular to the helix at both ends.

    |x(t) - x(0)|^2 = 2 r^2 (1 - cos t) + c^2 t^2 is stationary where r^2 sin t + c^2 t = 0;
    by the helix's symmetry the chord is then perpendicular at both ends.
    """
    r, c = helix.radius, helix.rise
    t = brentq(lambda t: r**2 * np.sin(t) + c**2 * t, 1.5 * np.pi, 2 * np.pi)
    return float(np.sqrt(2 * r**2 * (1 - np.cos(t)) + (c * t) ** 2))


def trefoil(t: ArrayLike) -> tuple[Floats, Floats]:
    """Position and derivative, (n, 3) zyx, of the trefoil whose frame closes at -127.485 deg."""
    t = np.asarray(t, float)
    x = np.stack(
        [
            -np.sin(3 * t),
            np.cos(t) - 2 * np.cos(2 * t),
            np.sin(t) + 2 * np.sin(2 * t),
        ],
        -1,
    )
    dx = np.stack(
        [
            -3 * np.cos(3 * t),
            -np.sin(t) + 4 * np.sin(2 * t),
            np.cos(t) + 4 * np.cos(2 * t),
        ],
        -1,
    )
    return x, dx


def writhe(n_s: int = 256, n_theta: int = 120) -> float:
    """Writhe of the trefoil: Gauss' double integral over (t, t + theta).

    Along t the integrand is periodic (trapezoids converge exponentially); along theta it is
    smooth on the open interval and has finite limits at its ends (Gauss-Legendre).
    """
    t = 2 * np.pi * np.arange(n_s) / n_s
    node, weight = np.polynomial.legendre.leggauss(n_theta)
    theta = np.pi * (node + 1)
    p, dp = (a[..., ::-1] for a in trefoil(t))  # the triple product is one of xyz
    total = 0.0
    for th, w in zip(theta, weight, strict=True):
        q, dq = (a[..., ::-1] for a in trefoil(t + th))
        gap = p - q
        triple = np.einsum("ij,ij->i", np.cross(dp, dq), gap)
        total += np.pi * w * float(np.sum(triple / np.linalg.norm(gap, axis=1) ** 3))
    return total * 2 * np.pi / n_s / (4 * np.pi)


def closing_angle() -> float:
    """360 x writhe of the trefoil in degrees, in (-180, 180]: where its frame arrives."""
    return float((360 * writhe() + 180) % 360 - 180)
