"""What the map alone says about each slice; at once, nothing is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.vectors import dot
from napari_ouroboros.operations.outside_volume import outside

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume


@dataclass(frozen=True, eq=False)
class GeometryChecks:
    """Per slice (n,).

    Attributes
    ----------
    s_nm : array
        Arc length.
    centres_nm : array (n, 3)
        Of the slice, zyx.
    fold : array
        Curvature times reach towards the centre of curvature.
    folds : bool array
        Where that is 1 or more: the slice meets its neighbours.
    samples : int
        In a slice.
    samples_outside : int array or None
        Beyond the volume; None where no volume was given.
    """

    s_nm: NDArray[np.float64]
    centres_nm: NDArray[np.float64]
    fold: NDArray[np.float64]
    folds: NDArray[np.bool_]
    samples: int
    samples_outside: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.s_nm)


def geometry_checks(
    straightening: Straightening, volume: Volume | None = None, mip: int = 0
) -> GeometryChecks:
    """Check the slices of a map.

    Hairpins and coils, which fold without a sharp bend, are not seen here: `fold_report` and
    `round_trip_checks` find them.

    Parameters
    ----------
    straightening : Straightening
        With pixel size and distance between slices known, or a volume to take them from.
    volume : Volume, optional
        To count the samples beyond it.
    mip : int
    """
    map_ = straightening if volume is None else straightening.resolved(volume.mip(mip).resolution)
    frames = map_.frames
    across = np.abs(dot(frames.curvature, frames.N)) * 0.5 * map_.width * map_.pitch_nm
    down = np.abs(dot(frames.curvature, frames.B)) * 0.5 * map_.height * map_.pitch_nm
    fold = across + down
    return GeometryChecks(
        s_nm=frames.s,
        centres_nm=frames.c,
        fold=fold,
        folds=fold >= 1,
        samples=map_.width * map_.height,
        samples_outside=None if volume is None else outside(volume, map_, mip),
    )
