"""The volume and the tubes of the benchmarks: made, not stored, and the same everywhere.

A volume is uint8 with 64^3 chunks that gzip shrinks by 1.13, as it does electron microscopy.
It has as many different chunks as there are textures; which one lies where follows from its
place, neighbours differ, and so a volume of any size costs nothing to keep.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = tuple[int, int, int]

CHUNK = 64
VOXEL_NM = 8.0
MIPS = 3
TEXTURES = 61
WIDTH = 100


@dataclass(frozen=True)
class Scene:
    """A cube of `size` voxels of 8 nm a side, and coarser levels of it."""

    size: int

    @property
    def name(self) -> str:
        return f"em-{self.size}"

    @property
    def info(self) -> dict[str, Any]:
        """The `info` file of Neuroglancer's precomputed format."""
        return {
            "@type": "neuroglancer_multiscale_volume",
            "type": "image",
            "data_type": "uint8",
            "num_channels": 1,
            "scales": [
                {
                    "key": f"{8 << mip}_{8 << mip}_{8 << mip}",
                    "size": [self.size >> mip] * 3,
                    "resolution": [8 << mip] * 3,
                    "voxel_offset": [0, 0, 0],
                    "chunk_sizes": [[CHUNK] * 3],
                    "encoding": "raw",
                }
                for mip in range(MIPS)
            ],
        }

    def write(self, folder: Path, chunks: Iterable[Index]) -> Path:
        """Write chunks (z, y, x) of mip 0 as cloud-volume writes them on a local disk."""
        place = folder / self.name
        (place / "8_8_8").mkdir(parents=True, exist_ok=True)
        (place / "info").write_text(json.dumps(self.info))
        for index in chunks:
            (place / "8_8_8" / f"{chunk_name(index)}.gz").write_bytes(packed(index))
        return place


def chunk_name(index: Index) -> str:
    """Chunk (z, y, x) -> its file's name, which is in xyz."""
    return "_".join(f"{i * CHUNK}-{(i + 1) * CHUNK}" for i in reversed(index))


def chunk_index(name: str) -> Index:
    """A chunk file's name -> (z, y, x)."""
    x, y, z = (int(part.split("-")[0]) // CHUNK for part in name.split("_"))
    return z, y, x


def texture_number(index: Index) -> int:
    """Another one for each of the 26 neighbours."""
    z, y, x = index
    return (25 * z + 5 * y + x) % TEXTURES


def packed(index: Index) -> bytes:
    """The gzipped bytes of a chunk."""
    return _textures()[texture_number(index)][1]


def voxels(index: Index) -> NDArray[np.uint8]:
    """Voxels (z, y, x) of a chunk."""
    return _textures()[texture_number(index)][0]


@lru_cache(maxsize=1)
def _textures() -> list[tuple[NDArray[np.uint8], bytes]]:
    """Membranes, organelles (slow waves) and the microscope's noise."""
    along = np.arange(CHUNK)
    textures = []
    for number in range(TEXTURES):
        rng = np.random.default_rng(number)
        z, y, x = (np.sin(along / rng.uniform(6, 12) + rng.uniform(0, 6)) for _ in range(3))
        wave = 128 + 40 * z[:, None, None] * y[:, None] * x
        noise = rng.standard_normal((CHUNK,) * 3, np.float32) * 28
        block = np.clip(wave + noise, 0, 255).astype(np.uint8)
        textures.append((block, gzip.compress(block.tobytes(), 6, mtime=0)))
    return textures


@dataclass(frozen=True)
class Tube:
    """A helix of `slices` slices of 100 x 100, one voxel apart, in the middle of a scene.

    radius and rise per turn are in voxels; `tilt` turns its axis from z (0) to the diagonal (1),
    and `shift` moves it so many voxels along every axis.
    """

    scene: Scene
    slices: int
    radius: float = 140.0
    rise: float = 385.0
    tilt: float = 0.0
    shift: float = 0.0

    @cached_property
    def points_nm(self) -> Floats:
        """Points (n, 3) zyx along the centre line, dense enough that the spline is the helix."""
        rise = self.rise / (2 * np.pi)
        # Half a voxel more than the last slice needs: the spline's length is not exactly this.
        t = np.linspace(0, (self.slices - 0.5) / np.hypot(self.radius, rise), self.slices // 8 + 8)
        points = np.stack([rise * t, self.radius * np.sin(t), self.radius * np.cos(t)], -1)
        points = points @ _turn(self.tilt).T
        middle = 0.5 * (points.min(0) + points.max(0))
        return (points - middle + self.scene.size / 2 + self.shift) * VOXEL_NM


def _turn(tilt: float) -> Floats:
    """Rotation (zyx) that takes the z axis `tilt` of the way to the cube's diagonal."""
    from scipy.spatial.transform import Rotation

    axis = np.cross([1.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    angle = tilt * np.arccos(1 / np.sqrt(3))
    return np.asarray(Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix())
