"""What lies beside the phantom's nerve: a branching vessel with blood cells, and cell bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.operations.demo.phantom_nerve import F64, Path


def blend(part: NDArray[np.uint8], cover: NDArray[np.floating], grey: Any) -> None:
    """Lay `grey` over `part` in place where `cover` (0..1) says."""
    part[...] = np.clip(part + cover * (grey - part.astype(np.float32)) + 0.5, 0, 255)


@dataclass(frozen=True)
class Vessel:
    """A trunk and a branch that leaves it at `fork` (nm, along y); radii to the lumen, nm."""

    trunk: Path
    trunk_radius: float
    branch: Path
    branch_radius: float
    fork: float

    def distance(self, z: F64, y: F64, x: F64) -> F64:
        """Distance in nm from the edge of the lumen, < 0 inside.

        Right to first order in the slope of the paths, which is all that a picture needs.
        """
        trunk = _around(self.trunk, z, y, x) - self.trunk_radius
        if float(y.max()) < self.fork:
            return trunk
        branch = _around(self.branch, z, y, x) - self.branch_radius
        # The branch starts as a point on the trunk's axis, and swells to its own radius.
        branch += self.branch_radius * np.exp(-np.maximum(y - self.fork, 0) / self.branch_radius)
        # A smooth minimum rounds the crotch, as in real vessels.
        width = 1.0 * self.branch_radius
        mix = np.clip(0.5 + (branch - trunk) / (2 * width), 0, 1)
        joined: F64 = branch + mix * (trunk - branch) - width * mix * (1 - mix)
        return np.where(y < self.fork, trunk, joined)

    def paint(self, part: NDArray[np.uint8], z: F64, y: F64, x: F64, pixel: float) -> None:
        """Draw into `part`; z, y, x are the nm of its axes, shaped to broadcast."""
        d = np.broadcast_to(self.distance(z, y, x), part.shape) / pixel
        wall = 0.22 * self.trunk_radius / pixel
        ripple = 1.2 * np.sin(9e-3 * (y + x) / pixel * 5) + np.zeros(part.shape)
        # From outside in: a pale halo of loose tissue, smooth muscle, the endothelium.
        blend(part, np.clip(wall + 3 + ripple - d, 0, 1), 172.0)
        muscle = 96 + 16 * np.cos(d * (2 * np.pi / 3.2))
        blend(part, np.clip(wall + ripple * 0.4 - d + 0.5, 0, 1), muscle)
        blend(part, np.clip(1.6 - d + 0.5, 0, 1), 52.0)
        blend(part, np.clip(0.5 - d, 0, 1), 214.0)


def _around(path: Path, z: F64, y: F64, x: F64) -> F64:
    cz, cx, z1, x1, _, _ = path.derivatives(y)
    dz, dx = z - cz, x - cx
    along = (dz * z1 + dx * x1) / np.sqrt(1 + z1**2 + x1**2)
    return np.sqrt(np.maximum(dz**2 + dx**2 - along**2, 0))


@dataclass(frozen=True)
class Disc:
    """A red blood cell: a disc, thinner in the middle. Centre and axis zyx, lengths nm."""

    centre: F64
    axis: F64
    radius: float

    @property
    def reach(self) -> float:
        """No part of it is further from its centre, nm."""
        return self.radius * 1.05

    def paint(self, part: NDArray[np.uint8], z: F64, y: F64, x: F64, pixel: float) -> None:
        """Draw into `part`, as `Vessel.paint`."""
        dz, dy, dx = z - self.centre[0], y - self.centre[1], x - self.centre[2]
        height = dz * self.axis[0] + dy * self.axis[1] + dx * self.axis[2]
        rho2 = np.maximum(dz**2 + dy**2 + dx**2 - height**2, 0) / self.radius**2
        # Evans & Fung 1972 in spirit: thickest at 0.6 of the radius, a dimple in the middle.
        rim = 0.30 + 0.75 * rho2 * (1 - 0.5 * rho2)
        half = self.radius * np.sqrt(np.maximum(1 - rho2, 0)) * rim
        blend(part, np.clip((half - np.abs(height)) / pixel + 0.2, 0, 1) * (rho2 < 1), 58.0)


@dataclass(frozen=True)
class CellBody:
    """A cell with its nucleus. Centre and half axes zyx, nm; `noise` is a periodic texture."""

    centre: F64
    radii: F64
    noise: NDArray[np.floating]

    @property
    def reach(self) -> float:
        """No part of it is further from its centre, nm."""
        return float(self.radii.max()) * 1.25

    def paint(self, part: NDArray[np.uint8], z: F64, y: F64, x: F64, pixel: float) -> None:
        """Draw into `part`, as `Vessel.paint`."""
        dz, dy, dx = z - self.centre[0], y - self.centre[1], x - self.centre[2]
        texture = self.noise[tuple(slice(n) for n in part.shape)]
        bumps = 1 + 0.07 * np.sin(3 * np.arctan2(dy, dx) + 2 * dz / self.radii[0])
        sz, sy, sx = dz / self.radii[0], dy / self.radii[1], dx / self.radii[2]
        rho = np.sqrt(sz**2 + sy**2 + sx**2)
        size = float(self.radii.min())
        cell = (1 - rho / bumps) * size / pixel
        nucleus = (0.68 - rho / np.sqrt(bumps)) * size / pixel
        beside = np.sqrt((sz - 0.12) ** 2 + (sy + 0.2) ** 2 + (sx - 0.16) ** 2)
        nucleolus = (0.17 - beside) * size / pixel
        # Cytoplasm with ribosomes and a few mitochondria.
        blend(part, np.clip(cell + 0.5, 0, 1), 74.0)
        blend(part, np.clip(cell - 1.2, 0, 1), 138 + 7 * texture - 48 * (texture > 1.9))
        # Nucleus: double membrane, heterochromatin along it and in clumps, a dark nucleolus.
        blend(part, np.clip(nucleus + 0.5, 0, 1), 66.0)
        along_membrane = np.exp(-np.maximum(nucleus, 0) / 3.5)
        clumps = 164 - 46 * np.clip(texture - 0.5, 0, 1) - 42 * along_membrane
        blend(part, np.clip(nucleus - 1.0, 0, 1), clumps)
        blend(part, np.clip(nucleolus + 0.5, 0, 1), 62 + 6 * texture)
