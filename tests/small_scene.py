"""A small volume with a trace, written by hand, and a state that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracles import linear_scene
from oracles.precomputed import write_by_hand

RESOLUTION = (10.0, 8.0, 8.0)
OFFSET = (30, 100, -7)
SHAPE = (72, 80, 96)
CHUNK = (32, 32, 32)
#: Ids that a float32, an int32 or a float64 on the way would change.
IDS = (1, 300, 70_000, 2**40, 2**64 - 1)


@dataclass(frozen=True)
class Scene:
    """A folder with the volumes ``em`` (uint8, two mips) and ``cells`` (uint64), and a state.

    em, cells : arrays (z, y, x), of mip 0
    points_nm : (n, 3) zyx, the trace
    state : the JSON file; its layers are called em, cells and trace
    """

    folder: Path
    em: NDArray[np.uint8]
    cells: NDArray[np.uint64]
    points_nm: NDArray[np.float64]
    state: Path

    def changed(self, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
        """Write another state beside the first: its JSON after `change`."""
        content = json.loads(self.state.read_text())
        change(content)
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path

    def with_points(self, name: str, positions: Sequence[Any]) -> Path:
        """Write another state with these points, xyz in voxels as Neuroglancer counts them."""
        annotations = [
            {"type": "point", "id": str(i), "point": list(p)} for i, p in enumerate(positions)
        ]
        return self.changed(name, lambda s: s["layers"][2].update(annotations=annotations))


def voxels_xyz(points_nm: NDArray[np.float64]) -> list[list[float]]:
    """nm zyx -> Neuroglancer's positions in voxels, xyz."""
    return (np.asarray(points_nm) / RESOLUTION)[:, ::-1].tolist()


def make_scene(folder: Path) -> Scene:
    rng = np.random.default_rng(3)
    slope = linear_scene(SHAPE, RESOLUTION, (0, 0, 0), (0.11, 0.08, 0.05), 15)
    em = (slope + rng.integers(0, 40, SHAPE)).astype(np.uint8)
    em1 = em.reshape(36, 2, 40, 2, 48, 2).mean(axis=(1, 3, 5)).astype(np.uint8)
    write_by_hand(
        folder / "em", [em[None], em1[None]], chunk=CHUNK,
        offsets=[OFFSET, [o // 2 for o in OFFSET]],
        resolutions=[[int(r) for r in RESOLUTION], [int(2 * r) for r in RESOLUTION]],
    )  # fmt: skip
    blocks = rng.choice(np.array([0, *IDS], np.uint64), (12, 10, 12))
    cells = np.ascontiguousarray(blocks.repeat(6, 0).repeat(8, 1).repeat(8, 2))
    write_by_hand(
        folder / "cells", [cells[None]], chunk=CHUNK, offsets=[OFFSET],
        resolutions=[[int(r) for r in RESOLUTION]], kind="segmentation",
    )  # fmt: skip
    low = np.array(OFFSET) * RESOLUTION
    size = np.array(SHAPE) * RESOLUTION
    way = [[0.12, 0.3, 0.3], [0.35, 0.5, 0.35], [0.6, 0.45, 0.6], [0.88, 0.6, 0.65]]
    points_nm = low + np.array(way) * size
    nm = [float(r) * 1e-9 for r in RESOLUTION[::-1]]
    state = {
        "dimensions": {name: [scale, "m"] for name, scale in zip("xyz", nm, strict=True)},
        "layers": [
            {"type": "image", "name": "em", "source": "precomputed://file://./em"},
            {"type": "segmentation", "name": "cells", "source": "precomputed://file://./cells"},
            {
                "type": "annotation",
                "name": "trace",
                "source": "local://annotations",
                "annotations": [
                    {"type": "point", "id": str(i), "point": p}
                    for i, p in enumerate(voxels_xyz(points_nm))
                ],
            },
        ],
    }
    path = folder / "state.json"
    path.write_text(json.dumps(state))
    return Scene(folder, em, cells, points_nm, path)
