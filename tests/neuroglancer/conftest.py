"""Fixtures of the tests of Neuroglancer states."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def em_state(em_neurite: Path | None, tmp_path: Path) -> Path:
    """The state of the EM neurite, or a twin: the same layout, 24 points, a relative source."""
    if em_neurite is not None:
        return em_neurite / "trace-24183237.json"
    dimensions = {"x": [3.2e-08, "m"], "y": [3.2e-08, "m"], "z": [4e-08, "m"]}
    t = np.linspace(0, 1, 24)[:, None]
    positions = np.round([1512.888, 2467.112, 793.5] - t * [375.388, 258.234, 141.622], 3)
    twin = {
        "dimensions": dimensions,
        "layers": [
            {
                "type": "segmentation",
                "name": "neurons",
                "source": "precomputed://file://./neurons",
                "segments": ["24183237"],
            },
            {
                "type": "annotation",
                "name": "trace",
                "source": {
                    "url": "local://annotations",
                    "transform": {"outputDimensions": dimensions},
                },
                "annotations": [
                    {"type": "point", "id": f"{i:03}", "point": p}
                    for i, p in enumerate(positions.tolist())
                ],
            },
        ],
    }
    folder = tmp_path / "em-neurite"
    (folder / "neurons").mkdir(parents=True)
    path = folder / "trace-24183237.json"
    path.write_text(json.dumps(twin))
    return path
