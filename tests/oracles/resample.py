"""Reference sampling of a volume at given positions, with scipy in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.ndimage import map_coordinates


def resample(
    volume: NDArray[np.generic],
    resolution: ArrayLike,
    voxel_offset: ArrayLike,
    points_nm: ArrayLike,
    order: int,
    fill: float = 0.0,
    dtype: DTypeLike | None = None,
) -> NDArray[np.generic]:
    """Sample `volume` (z, y, x) at points (..., 3) zyx nm: order 0 nearest, 1 linear.

    Inside the outer corners the neighbours are clamped to the edge voxel; outside is `fill`.
    Integer results are rounded half up and clamped to the dtype.
    """
    if order not in (0, 1):
        raise ValueError("only nearest (0) and linear (1) have a reference here")
    out = np.dtype(volume.dtype if dtype is None else dtype)
    index = np.asarray(points_nm, float) / np.asarray(resolution, float)
    index = index - np.asarray(voxel_offset, float) - 0.5
    shape = np.asarray(volume.shape)
    inside = np.all((index >= -0.5) & (index < shape - 0.5), axis=-1)
    if order == 0:
        i = np.clip(np.floor(index + 0.5).astype(int), 0, shape - 1)
        values = volume[i[..., 0], i[..., 1], i[..., 2]]  # ids never pass through a float
        return np.where(inside, values, np.asarray(fill).astype(out)).astype(out)
    sampled = map_coordinates(
        volume.astype(np.float64), np.moveaxis(index, -1, 0), order=1, mode="nearest"
    )
    sampled = np.where(inside, sampled, fill)
    if out.kind in "iu":
        limits = np.iinfo(out)
        sampled = np.clip(np.floor(sampled + 0.5), limits.min, limits.max)
    return sampled.astype(out)


def catmull_rom(
    volume: NDArray[np.generic], index: ArrayLike, fill: float = 0.0
) -> NDArray[np.float64]:
    """Cubic samples of `volume` (z, y, x) at array indices (..., 3), neither rounded nor clamped.

    Written from the definition: at fraction t between q1 and q2 the cubic through both whose
    slopes there are (q2 - q0) / 2 and (q3 - q1) / 2, in Hermite form; along x, then y, then z.
    """

    def hermite(q: list[NDArray[np.float64]], t: NDArray[np.float64]) -> NDArray[np.float64]:
        start, stop = (q[2] - q[0]) / 2, (q[3] - q[1]) / 2
        return (
            (2 * t**3 - 3 * t**2 + 1) * q[1]
            + (t**3 - 2 * t**2 + t) * start
            + (-2 * t**3 + 3 * t**2) * q[2]
            + (t**3 - t**2) * stop
        )

    index = np.asarray(index, float)
    last = np.asarray(volume.shape) - 1
    floor = np.floor(index).astype(int)
    t = np.moveaxis(index - floor, -1, 0)

    def voxel(*step: int) -> NDArray[np.float64]:
        z, y, x = np.moveaxis(np.clip(floor + step - 1, 0, last), -1, 0)
        return volume[z, y, x].astype(np.float64)

    value = hermite(
        [
            hermite([hermite([voxel(i, j, k) for k in range(4)], t[2]) for j in range(4)], t[1])
            for i in range(4)
        ],
        t[0],
    )
    inside = np.all((index >= -0.5) & (index < last + 0.5), axis=-1)
    return np.where(inside, value, fill)


def linear_scene(
    shape: tuple[int, int, int],
    resolution: ArrayLike,
    voxel_offset: ArrayLike,
    gradient: ArrayLike,
    constant: float,
) -> NDArray[np.float64]:
    """A volume whose value is constant + gradient . (position of the voxel's centre in nm).

    Linear interpolation returns the same function of the position from voxels of any shape.
    """
    axes = [
        (np.arange(n) + o + 0.5) * r * g
        for n, o, r, g in zip(
            shape,
            np.asarray(voxel_offset, float),
            np.asarray(resolution, float),
            np.asarray(gradient, float),
            strict=True,
        )
    ]
    return constant + axes[0][:, None, None] + axes[1][:, None] + axes[2]
