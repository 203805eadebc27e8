"""What tissue looks like in an electron microscope: textures for the phantom.

Smooth Gaussian random fields, made periodic by the Fourier transform, are cut into membranes
(their zero levels), organelles (their peaks) and grain. Blocks with different periods are laid
on each other, so that a small block fills a large volume without a visible repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, ...]) -> F32:
    """Gaussian random field of mean 0 and variance 1, periodic on all axes.

    Parameters
    ----------
    shape : tuple of int
        Of the array to make; also its periods.
    sigma : tuple of float
        Width, in voxels, of the Gaussian that white noise is convolved with, one per axis.

    Returns
    -------
    float32 array of `shape`
    """
    from scipy import fft

    spectrum = fft.rfftn(rng.standard_normal(shape, dtype=np.float32), workers=2)
    for axis, (n, width) in enumerate(zip(shape, sigma, strict=True)):
        last = axis == len(shape) - 1
        frequency = fft.rfftfreq(n) if last else fft.fftfreq(n)
        transfer = np.exp(-2 * (np.pi * frequency * width) ** 2).astype(np.float32)
        spectrum *= transfer.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    # A mean other than 0 would shift the zero levels, and with them the membranes.
    spectrum.flat[0] = 0
    field: F32 = fft.irfftn(spectrum, shape, workers=2)
    return field / max(float(field.std()), 1e-12)


@dataclass(frozen=True)
class Cells:
    """One periodic block of compartments: which of two kinds, its shade, its dark membranes.

    `slant` (y, x) in pixels per plane leans the block over, so that a section along z does not
    meet the same cells again after one period.
    """

    first: NDArray[np.bool_]
    shade: NDArray[np.int16]
    membrane: NDArray[np.int16]
    slant: tuple[float, float]

    def plane(
        self, z: int, size: tuple[int, int], shift: int = 0
    ) -> tuple[NDArray[np.bool_], NDArray[np.int16], NDArray[np.int16]]:
        """Return the three blocks at plane `z`, repeated to `size` (y, x)."""
        dy, dx = (round(z * s) + shift for s in self.slant)
        return (
            tile_plane(self.first, z, size, dy, dx),
            tile_plane(self.shade, z, size, dy, dx),
            tile_plane(self.membrane, z, size, dy, dx),
        )


def cells(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    cell_px: float,
    voxel_px: tuple[float, float, float],
    depth: float,
    slant: tuple[float, float],
) -> Cells:
    """Two kinds of cytoplasm that fill space, parted by a dark membrane of about 2 pixels.

    `cell_px` is the typical size of a cell and `voxel_px` (zyx) the size of a voxel, both in
    units of the finest voxel edge; `depth` is how much darker a membrane is.
    """
    field = smooth_noise(rng, shape, tuple(cell_px / 4 / v for v in voxel_px))
    slope = np.zeros_like(field)
    for axis, voxel in enumerate(voxel_px):
        # Central difference on the periodic block: a distance is value / slope.
        step = (np.roll(field, -1, axis) - np.roll(field, 1, axis)) / np.float32(2 * voxel)
        slope += step * step
    distance = np.abs(field) / np.sqrt(slope + np.float32(1e-8))
    membrane = depth / (1 + (distance / 1.1) ** 4)
    shade = 9 * np.tanh(4 * field)
    return Cells(field > 0, shade.astype(np.int16), membrane.astype(np.int16), slant)


def tile_plane(
    block: NDArray[Any], z: int, size: tuple[int, int], dy: int = 0, dx: int = 0
) -> NDArray[Any]:
    """Plane `z` of the endlessly repeated `block`, shifted by (dy, dx), cut to `size` (y, x)."""
    plane = block[z % block.shape[0]]
    dy, dx = dy % plane.shape[0], dx % plane.shape[1]
    repeats = [-(-(n + d) // p) for n, d, p in zip(size, (dy, dx), plane.shape, strict=True)]
    return np.tile(plane, repeats)[dy : dy + size[0], dx : dx + size[1]]


@dataclass(frozen=True)
class Neuropil:
    """Background tissue, plane by plane: large cells, each cut into small ones, organelles."""

    large: Cells
    small: Cells
    organelles: NDArray[np.int16]

    def plane(self, z: int, size: tuple[int, int]) -> NDArray[np.int16]:
        """Grey values (y, x) of plane `z`, before grain, about 60 to 165."""
        first, shade, membrane = self.large.plane(z, size)
        # Membranes meet in a T, never in an X: a large cell of either kind is divided by its own
        # family of membranes, which ends at its edge.
        _, shade_1, membrane_1 = self.small.plane(z, size)
        _, shade_2, membrane_2 = self.small.plane(z, size, shift=89)
        grey = shade + np.where(first, shade_1, shade_2)
        grey -= np.maximum(membrane, np.where(first, membrane_1, membrane_2))
        grey += tile_plane(self.organelles, z, size, z, -z)
        grey += 146
        return grey


def neuropil(
    rng: np.random.Generator, shape: tuple[int, int, int], voxel_px: tuple[float, float, float]
) -> Neuropil:
    """Make the blocks for a volume of `shape`."""
    # Never larger than a small volume needs; in a large one the periods repeat together only
    # beyond its size.
    periods = ((64, 352, 375), (54, 300, 324), (50, 180, 192))
    one, two, three = (
        tuple(min(p, n + 8) for p, n in zip(block, shape, strict=True)) for block in periods
    )
    large = cells(rng, (one[0], one[1], one[2]), 52, voxel_px, 78, (0.8, -0.5))
    small = cells(rng, (two[0], two[1], two[2]), 27, voxel_px, 68, (-0.6, 0.9))
    peaks = smooth_noise(rng, three, tuple(2.6 / v for v in voxel_px))
    organelles = -55 / (1 + np.exp(-9 * (peaks - 1.9))) + 4 * peaks
    return Neuropil(large, small, organelles.astype(np.int16))


@dataclass(frozen=True)
class Grain:
    """Noise of the detector: independent from section to section, slightly blurred within one."""

    block: NDArray[np.int16]
    shifts: NDArray[np.int64]
    gain: F32

    def add(self, plane: NDArray[np.uint8], z: int) -> None:
        """Add to plane `z` (y, x) in place, clipped to 0..255."""
        dy, dx = (int(shift) for shift in self.shifts[z])
        size = (plane.shape[0], plane.shape[1])
        noise = tile_plane(self.block[None], 0, size, dy, dx)
        # Not in place: the tile may be a view of the block.
        plane[...] = np.clip(noise + (plane * self.gain[z]).astype(np.int16), 0, 255)


def grain(rng: np.random.Generator, n_planes: int, size: tuple[int, int], sd: float) -> Grain:
    """`sd` in grey values; sections differ by 1 % in brightness, as they do on a microscope."""
    shape = (min(size[0] + 3, 512), min(size[1] + 3, 540))
    fine = smooth_noise(rng, shape, (0.55, 0.55))
    coarse = smooth_noise(rng, shape, (1.6, 1.6))
    block = np.rint(sd * (0.9 * fine + 0.43 * coarse)).astype(np.int16)
    shifts = rng.integers(0, min(shape), (n_planes, 2))
    gain = (1 + 0.01 * rng.standard_normal(n_planes)).astype(np.float32)
    return Grain(block, shifts, gain)
