"""States to test with, and an independent reading of Neuroglancer's transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

NM = {"m": 1e9, "nm": 1.0, "um": 1e3, "µm": 1e3, "mm": 1e6, "Å": 0.1, "": None}


def dims(*scales: float, names: str = "xyz", unit: str = "nm") -> dict[str, list[Any]]:
    return {name: [scale, unit] for name, scale in zip(names, scales, strict=True)}


def local(dimensions: dict[str, Any], **transform: Any) -> dict[str, Any]:
    return {
        "url": "local://annotations",
        "transform": {"outputDimensions": dimensions, **transform},
    }


def points(*rows: Any) -> list[dict[str, Any]]:
    return [{"type": "point", "id": str(i), "point": list(row)} for i, row in enumerate(rows)]


def state(
    annotations: list[Any],
    *,
    image: Any = "precomputed://gs://b/p",
    source: Any = None,
    dimensions: dict[str, Any] | None = None,
    **layer: Any,
) -> dict[str, Any]:
    """One image layer ``em`` and one annotation layer ``trace``."""
    trace = {"type": "annotation", "name": "trace", "annotations": annotations, **layer}
    trace["source"] = "local://annotations" if source is None else source
    return {
        "dimensions": dims(8, 8, 40) if dimensions is None else dimensions,
        "layers": [{"type": "image", "name": "em", "source": image}, trace],
    }


def physical(transform: dict[str, Any]) -> np.ndarray:
    """4 x 4: physical input (nm) -> physical output (nm), by Neuroglancer's definition."""
    out = np.array([scale * NM[unit] for scale, unit in transform["outputDimensions"].values()])
    matrix = np.array(transform.get("matrix", np.eye(3, 4)))
    return np.vstack([np.column_stack([matrix[:, :3], matrix[:, 3] * out]), [0, 0, 0, 1]])
