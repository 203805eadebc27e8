"""A trace written for others: CSV, or a Neuroglancer state with the volume it lies in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.trace.points_csv import csv_text

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume


def export(
    path: str | Path, name: str, points_nm: ArrayLike, volume: Volume, polyline: bool = False
) -> Path:
    """Write points (n, 3) zyx nm to a file; its name says how: ``.csv`` or ``.json``.

    A state shows the volume too. The file is replaced if it is there: the dialog has asked.
    """
    file = Path(path).expanduser()
    resolution = volume.levels[0].resolution
    if file.suffix.lower() == ".csv":
        from napari_ouroboros.volumes.writing.staging import StagedFile, destination_errors

        text = csv_text(points_nm, resolution)
        with StagedFile(file.absolute(), overwrite=True) as staged:
            with destination_errors(file, len(text)):
                staged.path.write_text(text, encoding="utf-8")
            staged.commit()
        return file
    if file.suffix.lower() == ".json":
        from napari_ouroboros.neuroglancer import (
            AnnotationLayer,
            ImageLayer,
            SegmentationLayer,
            write_state,
        )

        if polyline:
            trace = AnnotationLayer(name, polylines_nm={name: points_nm})
        else:
            trace = AnnotationLayer(name, points_nm)
        kind = SegmentationLayer if volume.holds_labels else ImageLayer
        image = volume.url.rstrip("/").rsplit("/", 1)[-1] or "volume"
        image = f"{image} volume" if image == name else image
        return write_state(
            file,
            [kind(image, volume.url), trace],
            resolution_nm=resolution,
            selected=name,
            overwrite=True,
        )
    raise UserError(f"{file.name}: the name must end in .csv or .json")
