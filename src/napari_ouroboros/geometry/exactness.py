"""What a round trip through the straightened volume can promise, said before the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

if TYPE_CHECKING:
    from napari_ouroboros.geometry.straightening import Straightening


@dataclass(frozen=True)
class Exactness:
    """Which of the two promises holds for a map on voxels of a given resolution.

    h is the voxel, p the pixel size, d the distance between slices, w the reach of a slice
    towards the centre of curvature, kappa the curvature.

    Attributes
    ----------
    volume_exact : bool
        volume -> straightened -> volume gives back every voxel in the tube:
        ``sqrt(2 p^2 + (d lambda)^2) < h_min`` with ``lambda = max(1 + kappa w)``, and no fold.
    drawn_exact : bool
        straightened -> volume -> straightened gives back every drawn sample:
        ``p > |h|`` and ``d (1 - kappa w) > |h|``, |h| being the voxel's diagonal.
    h_min, h_diagonal, pitch, spacing : float
        In nm.
    lambda_ : float
        The largest 1 + kappa w.
    exact_pitch_nm : float
        The pixel size = distance between slices below which the first promise holds.
    drawn_pitch_nm : float
        The one above which the second holds; inf where slices fold.
    """

    volume_exact: bool
    drawn_exact: bool
    h_min: float
    h_diagonal: float
    pitch: float
    spacing: float
    lambda_: float
    exact_pitch_nm: float
    drawn_pitch_nm: float

    @property
    def text(self) -> str:
        """What holds, in plain words, and what to change for the rest."""
        now = f"pixel size {self.pitch:g} nm, {self.spacing:g} nm between slices"
        if self.volume_exact:
            return (
                f"Exact from the volume and back ({now}): every voxel in the tube comes home. "
                "Labels drawn in the straightened view come home to the nearest voxel."
            )
        if self.drawn_exact:
            return (
                f"Exact from the straightened view and back ({now}): every drawn sample keeps "
                "its label. The volume is sampled coarser than its voxels."
            )
        first = f"below {self.exact_pitch_nm:.3g} nm for exact from the volume and back"
        second = (
            f"above {self.drawn_pitch_nm:.3g} nm for exact from the drawing and back"
            if np.isfinite(self.drawn_pitch_nm)
            else "no setting is exact from the drawing and back: slices fold at this size"
        )
        return (
            f"Neither round trip is exact at every voxel ({now}); boundaries may move by about "
            f"half a sample. Pixel size and distance {first}; {second}."
        )


def exactness(straightening: Straightening, resolution: NDArray[np.float64]) -> Exactness:
    """Return what the map promises on voxels of `resolution` (3,), zyx nm.

    The inequalities are those of the tube's worst point: half a sample's diagonal must stay
    within half a voxel (and the other way round).
    """
    if resolution.shape != (3,) or not np.all(np.isfinite(resolution) & (resolution > 0)):
        raise UserError("the resolution must be three lengths over 0 nm, zyx")
    report = straightening.fold_report()
    h_min, diagonal = float(resolution.min()), float(np.sqrt(np.sum(resolution**2)))
    stretch = 1.0 + report.max_kappa_w
    squeeze = 1.0 - report.max_kappa_w
    p = straightening.pitch_nm
    # What slices are apart where they are furthest: adaptive ones are closer in the bends.
    apart, near = _spacings(straightening, report.kappa_w)
    return Exactness(
        # Where slices fold, a voxel may be claimed by a slice that did not sample it.
        volume_exact=bool(np.sqrt(2 * p**2 + apart**2) < h_min and not report.folds),
        drawn_exact=bool(p > diagonal and near > diagonal and not report.folds),
        h_min=h_min,
        h_diagonal=diagonal,
        pitch=p,
        spacing=straightening.spacing_nm,
        lambda_=stretch,
        exact_pitch_nm=h_min / float(np.sqrt(2 + stretch**2)),
        drawn_pitch_nm=np.inf if squeeze <= 0 or report.folds else diagonal / squeeze,
    )


def _spacings(straightening: Straightening, kappa_w: NDArray[np.float64]) -> tuple[float, float]:
    """Largest d (1 + kappa w) and smallest d (1 - kappa w) along the path."""
    if straightening.adaptive_radius_nm is None:
        d = np.full(len(kappa_w), straightening.spacing_nm)
    else:
        s = straightening.frames.s
        gaps = (
            np.diff(np.append(s, s[0] + straightening.curve.length))
            if straightening.trace.closed
            else np.diff(s)
        )
        if not len(gaps):
            gaps = np.array([straightening.spacing_nm])
        d = np.maximum(
            np.append(gaps[0], gaps)[: len(kappa_w)], np.append(gaps, gaps[-1])[: len(kappa_w)]
        )
    return float(np.max(d * (1 + kappa_w))), float(np.min(d * (1 - kappa_w)))
