"""The phantom's nerve in closed form: its centre line, its fascicles, and what they are made of.

The centre line is a graph over y made of sines, so that the nearest point of it is found by
Newton's method without any code of `geometry/`: the phantom is an independent truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.operations.demo.phantom_texture import smooth_noise

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

# Places (in the nerve's radius) of discs that keep the largest clearance from each other and
# from the nerve's sheath, found by relaxation; then their radii, wobbles and ids. The ids do
# not survive a detour through int8, int16, int32, float32 or float64.
LAYOUT = (
    (-0.4406, -0.1452, 0.3333, 3, 1),
    (0.2471, 0.4450, 0.2879, 2, 300),
    (0.5177, -0.1541, 0.2576, 3, 70_000),
    (0.0841, -0.5655, 0.2273, 2, 2**40 + 7),
    (-0.3489, 0.4906, 0.1970, 2, 2**53 + 1),
)
NERVE_SHEATH = 0.09  # thicknesses, in the nerve's radius
FASCICLE_SHEATH = 0.072
WOBBLE = 0.12
# A last step of Newton's method of this length, nm, is exact to 0.1 nm.
_SHORT_STEP = 40.0


@dataclass(frozen=True)
class Path:
    """A smooth curve over y: z(y) and x(y) are sums of sines. Everything in nm.

    `waves_z` and `waves_x` are (amplitude, angular frequency, phase) triples.
    """

    z0: float
    x0: float
    waves_z: tuple[tuple[float, float, float], ...]
    waves_x: tuple[tuple[float, float, float], ...]

    def derivatives(self, y: F64) -> tuple[F64, F64, F64, F64, F64, F64]:
        """Return z and x at `y` (any shape), their first and their second derivatives by y."""
        out = [np.full_like(y, start) for start in (self.z0, self.x0, 0.0, 0.0, 0.0, 0.0)]
        for axis, waves in enumerate((self.waves_z, self.waves_x)):
            for amplitude, omega, phase in waves:
                angle = omega * y + phase
                sin, cos = amplitude * np.sin(angle), amplitude * np.cos(angle)
                out[axis] += sin
                out[axis + 2] += omega * cos
                out[axis + 4] -= omega**2 * sin
        z, x, z1, x1, z2, x2 = out
        return z, x, z1, x1, z2, x2

    def points(self, y: F64) -> F64:
        """Points (n, 3) zyx nm of the curve at `y` (n,)."""
        z, x, *_ = self.derivatives(y)
        return np.stack([z, y, x], axis=-1)

    def curvature(self, y: F64) -> F64:
        """Curvature in 1/nm at `y`."""
        _, _, z1, x1, z2, x2 = self.derivatives(y)
        # |c' x c''| with c' = (z1, 1, x1), c'' = (z2, 0, x2)
        cross = np.sqrt(x2**2 + (z1 * x2 - x1 * z2) ** 2 + z2**2)
        return np.asarray(cross / (1 + z1**2 + x1**2) ** 1.5)

    def nearest(self, z: F64, y: F64, x: F64, start: F64 | None = None) -> Nearest:
        """Find the nearest point of the curve to each point (z, y, x), beginning at `start`."""
        t = y.copy() if start is None else start.copy()
        for _ in range(6):
            cz, cx, z1, x1, z2, x2 = self.derivatives(t)
            dz, dx = z - cz, x - cx
            # Where the slope is small the point is near a centre of curvature, far outside.
            slope = np.maximum(1 + z1**2 + x1**2 - dz * z2 - dx * x2, 0.2)
            step = (dz * z1 + (y - t) + dx * x1) / slope
            t += step
            if float(np.abs(step).max(initial=0)) < _SHORT_STEP:
                break
        # The curve after so short a step by Taylor: cheaper than its sines, and as good.
        half = 0.5 * step**2
        return Nearest(
            t,
            cz + z1 * step + z2 * half,
            cx + x1 * step + x2 * half,
            z1 + z2 * step,
            x1 + x2 * step,
        )


class Nearest(NamedTuple):
    """Parameter of a point of the curve, its z and x, and their derivatives by y."""

    y: F64
    z: F64
    x: F64
    z1: F64
    x1: F64


class Tube(NamedTuple):
    """Position along (s) and in the cross-section (u, v), nm."""

    s: F64
    u: F64
    v: F64


@dataclass(frozen=True)
class Fascicle:
    """A disc of `radius` around (a, b), all nm, in the cross-section that turns with the nerve.

    Its outline is radius * sqrt(1 + WOBBLE cos(lobes phi + phase)), whose area is exactly
    pi radius^2 whatever the phase; the phase drifts along the nerve.
    """

    id: int
    a: float
    b: float
    radius: float
    lobes: int
    drift: float

    def depth(self, s: F64 | F32, a: F64 | F32, b: F64 | F32) -> NDArray[np.floating]:
        """How far inside the outline, nm, along the ray from the disc's middle; < 0 outside."""
        da, db = a - self.a, b - self.b
        rho = np.hypot(da, db)
        angle = self.lobes * np.arctan2(db, da) + self.drift * s
        return self.radius * np.sqrt(1 + WOBBLE * np.cos(angle)) - rho


class Nerve:
    """A nerve of several fascicles around `path`.

    Parameters
    ----------
    radius : float
        Outer radius in nm.
    y_range : (float, float)
        Part of the path that is used, nm.
    turn : float
        Radians by which the fascicles turn about the axis from end to end.
    """

    def __init__(
        self, path: Path, radius: float, y_range: tuple[float, float], turn: float = 1.9
    ) -> None:
        self.path, self.radius = path, radius
        # The tube's end faces are oblique: the table reaches a diameter beyond the volume.
        self._y = np.linspace(y_range[0] - 2 * radius, y_range[1] + 2 * radius, 4097)
        _, _, z1, x1, _, _ = path.derivatives(self._y)
        speed = np.sqrt(1 + z1**2 + x1**2)
        steps = np.diff(self._y) * (speed[1:] + speed[:-1]) / 2
        self._s = np.concatenate([[0.0], np.cumsum(steps)])
        self.length = float(self._s[-1])
        self.twist = turn / self.length
        self.fascicles = tuple(
            Fascicle(id_, a * radius, b * radius, r * radius, lobes, 2.5 * lobes / self.length)
            for a, b, r, lobes, id_ in LAYOUT
        )

    def arc_length(self, y: F64) -> F64:
        """Arc length in nm from the start of the table to parameter `y`."""
        return np.interp(y, self._y, self._s)

    def locate(self, z: F64, y: F64, x: F64, nearest: Nearest | None = None) -> Tube:
        """Tube coordinates of points, nm, in the cross-section that turns with the fascicles.

        `nearest` is that of the points, where it is known.
        """
        t, cz, cx, z1, x1 = nearest or self.path.nearest(z, y, x)
        norm = np.sqrt(1 + z1**2 + x1**2)
        tz, ty, tx = z1 / norm, 1 / norm, x1 / norm
        # N is +z projected on the normal plane, B = T x N (in xyz).
        n = np.sqrt(1 - tz**2)
        nz, ny, nx = n, -tz * ty / n, -tz * tx / n
        bz, by, bx = tx * ny - ty * nx, tz * nx - tx * nz, ty * nz - tz * ny
        dz, dy, dx = z - cz, y - t, x - cx
        u, v = dz * nz + dy * ny + dx * nx, dz * bz + dy * by + dx * bx
        s = self.arc_length(t)
        cos, sin = np.cos(self.twist * s), np.sin(self.twist * s)
        return Tube(s, cos * u + sin * v, cos * v - sin * u)

    def index(self, tube: Tube) -> NDArray[np.uint8]:
        """1 + number of the fascicle that holds each point, 0 outside of all."""
        out = np.zeros(tube.s.shape, np.uint8)
        for number, fascicle in enumerate(self.fascicles, 1):
            # Most points are far from most fascicles; the trigonometry is for the few.
            reach = fascicle.radius * 1.1
            near = np.flatnonzero(
                (np.abs(tube.u - fascicle.a) < reach) & (np.abs(tube.v - fascicle.b) < reach)
            )
            depth = fascicle.depth(*(q.ravel()[near] for q in tube))
            out.flat[near[depth > 0]] = number
        return out


def nerve_texture(
    nerve: Nerve, rng: np.random.Generator, pixel: float, s_step: float
) -> NDArray[np.float32]:
    """Grey values of the nerve on a regular grid of its own coordinates.

    Returns
    -------
    float32 array (s, u, v): s from 0 in steps of `s_step` nm; u and v centred on the axis in
    steps of `pixel` nm.
    """
    n = 2 * int(np.ceil(nerve.radius / pixel)) + 5
    axis = ((np.arange(n) - (n - 1) / 2) * pixel).astype(np.float32)
    s = (np.arange(int(nerve.length / s_step) + 2) * s_step).astype(np.float32)[:, None, None]
    u, v = axis[None, :, None], axis[None, None, :]
    shape = (len(s), n, n)
    fibres = smooth_noise(rng, shape, (6.0, 1.0, 1.0))
    bundles = smooth_noise(rng, shape, (9.0, 3.2, 3.2))
    # Epineurium: bright, with collagen fibres that run along the nerve.
    grey = 186 + 9 * fibres + 5 * bundles
    inside = (nerve.radius - np.hypot(u, v)).astype(np.float32)
    grey = _sheath(grey, inside, NERVE_SHEATH * nerve.radius, pixel, fibres)
    for fascicle in nerve.fascicles:
        reach = fascicle.radius * 1.1 + 2 * pixel
        iu = np.flatnonzero(np.abs(axis - fascicle.a) < reach)
        iv = np.flatnonzero(np.abs(axis - fascicle.b) < reach)
        box = (slice(None), slice(iu[0], iu[-1] + 1), slice(iv[0], iv[-1] + 1))
        bu, bv = u[:, box[1]], v[:, :, box[2]]
        depth = fascicle.depth(s, bu, bv).astype(np.float32)
        core = 141 + 5 * fibres[box] + 4 * bundles[box]
        _axons(core, fascicle, rng, s, bu, bv, pixel)
        core = _sheath(core, depth, FASCICLE_SHEATH * nerve.radius, pixel, fibres[box])
        cover = np.clip(depth / pixel + 0.5, 0, 1)
        grey[box] += cover * (core - grey[box])
    return grey.astype(np.float32)


def _sheath(grey: F32, depth: F32, thickness: float, pixel: float, fibres: F32) -> F32:
    """Darken the layer 0 < depth < thickness of `grey`: perineurium, in thin lamellae."""
    cover = np.clip((thickness - depth) / pixel + 0.5, 0, 1)
    lamellae = 60 + 16 * np.cos(2 * np.pi * depth / (3.3 * pixel)) + 4 * fibres
    return grey + cover * (lamellae - grey)


def _axons(
    grey: F32, fascicle: Fascicle, rng: np.random.Generator, s: F32, u: F32, v: F32, pixel: float
) -> None:
    """Draw myelinated and thin unmyelinated axons into `grey` (s, u, v), in place."""
    # In the dents of the outline an axon must still clear the sheath.
    room = fascicle.radius * np.sqrt(1 - WOBBLE) - 5.7 * pixel
    mitochondria = smooth_noise(rng, grey.shape, (2.5, 1.1, 1.1)) > 2.1
    length = float(s.flat[-1])
    for a, b, radius in _pack(rng, room, pixel):
        phase, node = rng.uniform(0, 2 * np.pi), rng.uniform(0, length)
        da = u - (fascicle.a + a + 0.35 * pixel * np.cos(7 * s / length + phase))
        db = v - (fascicle.b + b + 0.35 * pixel * np.sin(5 * s / length + phase))
        near_u = np.flatnonzero((np.abs(da) < radius + 3 * pixel).any(axis=(0, 2)))
        near_v = np.flatnonzero((np.abs(db) < radius + 3 * pixel).any(axis=(0, 1)))
        if near_u.size == 0 or near_v.size == 0:
            continue
        box = (slice(None), slice(near_u[0], near_u[-1] + 1), slice(near_v[0], near_v[-1] + 1))
        da, db = da[:, box[1]], db[:, :, box[2]]
        oval = 1 + 0.16 * np.cos(2 * np.arctan2(db, da) + phase + 4 * s / length)
        depth = radius * np.sqrt(oval) - np.hypot(da, db)
        # g-ratio about 0.65; at a node of Ranvier the myelin is missing.
        myelinated = radius > 2.6 * pixel
        myelin = 0.37 * radius if myelinated else 0.6 * pixel
        gap = 1 - np.exp(-(((s - node) / (8 * pixel)) ** 2)) if myelinated else 1.0
        axoplasm = 180 - 62 * mitochondria[box]
        cover = np.clip((myelin * gap - depth) / pixel + 0.5, 0, 1)
        axon = axoplasm + cover * ((34 if myelinated else 88) - axoplasm)
        part = grey[box]
        part += np.clip(depth / pixel + 0.5, 0, 1) * (axon - part)


def _pack(rng: np.random.Generator, room: float, pixel: float) -> list[tuple[float, float, float]]:
    """Discs (a, b, radius) that do not touch, within `room` of the middle, the largest first."""
    if room < 2 * pixel:
        return []
    radii = rng.lognormal(np.log(3.3 * pixel), 0.45, 2500)
    wanted = np.sort(np.clip(radii, 1.8 * pixel, 0.34 * room))
    placed: list[tuple[float, float, float]] = []
    for radius in wanted[::-1]:
        rho, phi = (room - radius) * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        a, b = rho * math.cos(phi), rho * math.sin(phi)
        if all(math.hypot(a - p, b - q) > radius + r + 0.9 * pixel for p, q, r in placed):
            placed.append((a, b, float(radius)))
    return placed
