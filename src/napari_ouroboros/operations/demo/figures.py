"""The demo's pictures: slices, sections along the nerve, labels over the original planes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.operations.demo.compare import Row
from napari_ouroboros.operations.demo.pictures import length_text, longitudinal, montage, overlay

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes import Volume

N_SLICES = 8


def draw(
    folder: Path,
    straightened: Path,
    labels: Path,
    straightening: Straightening,
    volume: Volume,
    found: Volume,
    rows: Sequence[Row],
) -> tuple[Path, ...]:
    """Write the pictures as PNG files and return their paths.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    straightened, labels : path
        TIFF files (slices, rows, columns).
    straightening : Straightening
    volume, found : Volume
        The original image and the labels that came home, on the same grid.
    rows : sequence of Row
        For the legend.
    """
    import tifffile

    from napari_ouroboros.volumes.writing.staging import destination_errors

    with destination_errors(folder):
        folder.mkdir(exist_ok=True)
        image, label = tifffile.imread(straightened), tifffile.imread(labels)
        paths = [
            _slices(folder / "slices.png", image, None, straightening),
            _slices(folder / "slices_labels.png", image, label, straightening),
            _along(folder / "along.png", image, label, straightening),
        ]
        for axis in range(2):
            paths.append(_over(folder, axis, straightening, volume, found, rows))
    return tuple(paths)


def _slices(
    path: Path, image: NDArray[np.uint8], labels: NDArray[Any] | None, map_: Straightening
) -> Path:
    n = len(image)
    chosen = np.unique(np.linspace(0.02 * n, 0.98 * n - 1, N_SLICES).astype(int))
    montage(
        path,
        image[chosen],
        map_.pitch_nm,
        labels=None if labels is None else labels[chosen],
        captions=[f"slice {k}, at {_at(float(map_.frames.s[k]))}" for k in chosen],
        title="Straightened: slices perpendicular to the nerve"
        + ("" if labels is None else ", and the fascicles found in them"),
    )
    return path


def _along(path: Path, image: NDArray[np.uint8], labels: NDArray[Any], map_: Straightening) -> Path:
    row, column = image.shape[1] // 2, image.shape[2] // 2
    longitudinal(
        path,
        [
            ("the middle row of every slice", image[:, row], labels[:, row]),
            ("the middle column of every slice", image[:, :, column], labels[:, :, column]),
            ("the same without labels", image[:, :, column], None),
        ],
        map_.pitch_nm,
        map_.spacing_nm,
        title="Straightened: along the nerve",
    )
    return path


def _over(
    folder: Path, axis: int, map_: Straightening, volume: Volume, found: Volume, rows: Sequence[Row]
) -> Path:
    """Draw the plane across `axis` (0 z, 1 y) through the middle of the trace."""
    level = volume.mip(0)
    middle = level.to_index(map_.curve.at(np.array([map_.curve.length / 2]))[0])
    at = int(np.clip(np.rint(middle[axis]), 0, level.shape[axis] - 1))
    box = [(0, n) for n in level.shape]
    box[axis] = (at, at + 1)
    plane = volume.read(0, (box[0], box[1], box[2])).take(0, axis)
    labels = found.read(0, (box[0], box[1], box[2])).take(0, axis)
    name = "zyx"[axis]
    sizes = [r for i, r in enumerate(level.resolution) if i != axis]
    path = folder / f"home_{name}.png"
    overlay(
        path,
        plane,
        labels,
        (sizes[0], sizes[1]),
        names=[(row.label, f"{row.truth_id}: Dice {row.dice:.3f}") for row in rows if row.label],
        title=f"Brought back: plane {name} = {at + int(level.voxel_offset[axis])} of the volume",
    )
    return path


def _at(nm: float) -> str:
    return length_text(round(nm, -2)) if nm else "0"
