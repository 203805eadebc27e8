"""Where things lie in the phantom: the nerve's course, the vessel, blood cells, cell bodies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.operations.demo.phantom_nerve import F64, Nerve, Path
from napari_ouroboros.operations.demo.phantom_texture import smooth_noise
from napari_ouroboros.operations.demo.phantom_tissue import CellBody, Disc, Vessel

N_POINTS = 16


def centre_line(low: F64, extent: F64, radius: float) -> Path:
    """Return an S that leaves the planes of all three axes, and folds nowhere."""
    omega = 2 * np.pi / extent[1]
    z0, x0 = low[0] + 0.48 * extent[0], low[2] + 0.40 * extent[2]
    start = float(low[1])
    for scale in np.linspace(1, 0, 41):
        # No more than the room beside the nerve (and, in x, the vessel) allows.
        az = scale * min(0.17 * extent[0], 0.48 * extent[0] - 1.4 * radius)
        ax = scale * min(0.20 * extent[2], 0.40 * extent[2] - 1.4 * radius)
        path = Path(
            float(z0),
            float(x0),
            ((az, 0.95 * omega, 0.6 - 0.95 * omega * start), (0.08 * az, 2 * omega, 1.0)),
            ((ax, 0.80 * omega, 3.9 - 0.80 * omega * start), (0.06 * ax, 1.9 * omega, 0.4)),
        )
        y = np.linspace(start - 2 * radius, start + extent[1] + 2 * radius, 1001)
        # Room for slices somewhat wider than the nerve: their corners reach 1.65 radii.
        if float(path.curvature(y).max()) * 1.65 * radius < 0.6:
            return path
    raise AssertionError("a straight line has no curvature")


def traced(rng: np.random.Generator, nerve: Nerve, low: F64, extent: F64) -> F64:
    """Return points as a hand would set them: nearly in the middle, not quite evenly spaced."""
    margin = 1.5 * nerve.radius
    y = np.linspace(low[1] + margin, low[1] + extent[1] - margin, N_POINTS)
    y[1:-1] += rng.uniform(-0.15, 0.15, N_POINTS - 2) * (y[1] - y[0])
    points = nerve.path.points(y)
    return points + rng.uniform(-0.0015, 0.0015, points.shape) * nerve.radius


def vessel_beside(nerve: Nerve, low: F64, extent: F64) -> Vessel:
    """Return a vessel that keeps the nerve company and forks in the second third of the volume."""
    path, radius = nerve.path, nerve.radius
    trunk = Path(
        path.z0 + 0.35 * radius,
        path.x0 + 2.05 * radius,
        path.waves_z,
        (*path.waves_x, (0.12 * radius, 9 / extent[1], 0.0)),
    )
    fork = float(low[1] + 0.36 * extent[1])
    # A sine that is 0 at the fork, on the trunk, and moves away from the nerve.
    leave = (1.9 * radius, 3.0 / extent[1], -3.0 / extent[1] * fork)
    branch = Path(
        trunk.z0,
        trunk.x0,
        (*trunk.waves_z, (-0.7 * radius, leave[1], leave[2])),
        (*trunk.waves_x, leave),
    )
    return Vessel(trunk, 0.50 * radius, branch, 0.33 * radius, fork)


def blood_cells(
    rng: np.random.Generator, vessel: Vessel, low: F64, extent: F64, pixel: float
) -> Iterator[Disc]:
    """Yield blood cells inside the lumen."""
    for path, lumen, start in (
        (vessel.trunk, vessel.trunk_radius, float(low[1])),
        (vessel.branch, vessel.branch_radius, vessel.fork + 2.5 * vessel.trunk_radius),
    ):
        size = 0.52 * lumen
        if size < 3 * pixel:
            continue
        y = start + size
        while y < low[1] + extent[1]:
            axis = rng.normal(size=3)
            axis /= np.linalg.norm(axis)
            across, angle = (lumen - size * 1.1) * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
            centre = path.points(np.array([y]))[0]
            centre += [across * np.sin(angle), 0, across * np.cos(angle)]
            yield Disc(centre, axis, size)
            y += size * rng.uniform(1.5, 3.2)


def cell_bodies(
    rng: np.random.Generator, grid: Grid, nerve: Nerve, voxel_px: tuple[float, float, float]
) -> Iterator[CellBody]:
    """Yield cells at random places that touch neither each other nor the nerve nor the vessel."""
    low, high = grid.bounds_nm
    size = 0.62 * nerve.radius
    n = 2 * int(np.ceil(2 * size / min(grid.resolution)))
    block = tuple(max(int(np.ceil(n / v)), 8) for v in voxel_px)
    noise = smooth_noise(rng, block, tuple(1.7 / v for v in voxel_px))
    placed: list[F64] = []
    for _ in range(400):
        centre = rng.uniform(low, high)
        radii = size * rng.uniform(0.8, 1.45, 3)
        z, y, x = (centre[i : i + 1] for i in range(3))
        cz, cx, *_ = nerve.path.derivatives(y)
        beside = float(np.hypot(z - cz, x - cx)[0])
        near_vessel = abs(float((x - cx)[0]) - 2.6 * nerve.radius) < 2.6 * nerve.radius and (
            abs(float((z - cz)[0])) < 2.1 * nerve.radius
        )
        if beside < 1.2 * nerve.radius + 1.9 * size or near_vessel:
            continue
        if all(np.linalg.norm(centre - p) > 3.1 * size for p in placed):
            placed.append(centre)
            yield CellBody(centre, radii, noise)
        if len(placed) == 26:
            return
