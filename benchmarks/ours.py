"""What is measured of napari-ouroboros, called as its users call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.scene import VOXEL_NM, WIDTH, Tube
from napari_ouroboros import Straightening, Trace, open_volume, straighten_to
from napari_ouroboros.operations import StraightenReport


def straightening(tube: Tube, width: int = WIDTH, spacing: float = 1) -> Straightening:
    """The map of a tube, computed anew; `spacing` in voxels."""
    spacing_nm = spacing * VOXEL_NM
    return Straightening(Trace(tube.points_nm), width, width, VOXEL_NM, spacing_nm)


def slice_volume(
    url: str | Path, tube: Tube, out: Path, reader: str | None = None, **options: Any
) -> StraightenReport:
    """Everything from opening the volume to a TIFF file on the disk."""
    volume = open_volume(url, reader=reader)
    try:
        return straighten_to(out, volume, straightening(tube), overwrite=True, **options)
    finally:
        volume.close()
