"""How much of the volume a sample of the straightened space stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.geometry import Straightening
from napari_ouroboros.geometry.vectors import dot

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a map's samples: pixel by pixel wide, and as long as its slice stands for.

    A slice stands for the curve from half-way to the slice before to half-way to the next; the
    two ends of an open trace for half a distance between slices of the straight extension as
    well, the region that `backproject` paints. Off the curve a cell is longer or shorter by the
    determinant of the map's Jacobian, det J = 1 - kappa . (u N + v B) with the curvature vector
    kappa (Weyl, On the volume of tubes, American Journal of Mathematics 61, 1939). Behind the
    centre of curvature det J is negative: other slices own those places, the cells there count 0.

    Attributes
    ----------
    curved, straight : arrays (n,)
        Length in nm that a slice stands for along the curve, and along its extension.
    across, down : arrays (n,)
        Curvature along N (columns) and B (rows) in 1/nm.
    folds : bool array (n,)
        Whether some cell of the slice counts 0.
    """

    straightening: Straightening
    curved: Float
    straight: Float
    across: Float
    down: Float
    folds: NDArray[np.bool_]

    @classmethod
    def of(cls, straightening: Straightening) -> Cells:
        """The cells of a map with known lengths."""
        s, frames = straightening, straightening.frames
        n = len(frames)
        straight = np.zeros(n)
        if frames.closed:
            gaps = np.diff(np.append(frames.s, frames.s[0] + frames.length))
            curved = 0.5 * (gaps + np.roll(gaps, 1))
        else:
            gaps = np.diff(frames.s)
            curved = 0.5 * (np.append(gaps, 0.0) + np.append(0.0, gaps))
            straight[0] += 0.5 * s.extension[0]
            straight[-1] += 0.5 * s.extension[1]
        across = dot(frames.curvature, frames.N)
        down = dot(frames.curvature, frames.B)
        reach = 0.5 * s.pitch_nm * (np.abs(across) * (s.width - 1) + np.abs(down) * (s.height - 1))
        return cls(s, curved, straight, across, down, reach > 1)

    @property
    def lengths(self) -> Float:
        """Nm of the path that each slice stands for (n,)."""
        return self.curved + self.straight

    def volumes(self, slices: Int, samples: Int, rows: Float, columns: Float) -> Float:
        """Volume in nm^3 of sets of samples, one per slice number, where nothing folds.

        Parameters
        ----------
        slices, samples : int arrays (m,)
            Whose samples, and how many.
        rows, columns : arrays (m,)
            The sums of their rows and columns.
        """
        s = self.straightening
        u = (columns - samples * 0.5 * (s.width - 1)) * s.pitch_nm
        v = (rows - samples * 0.5 * (s.height - 1)) * s.pitch_nm
        turned = self.across[slices] * u + self.down[slices] * v
        length = samples * self.lengths[slices] - self.curved[slices] * turned
        return np.asarray(s.pitch_nm**2 * length)

    def of_slice(self, k: int) -> Float:
        """Volume in nm^3 of every cell of slice k: (rows, columns), 0 behind a fold."""
        s = self.straightening
        u = (np.arange(s.width) - 0.5 * (s.width - 1)) * s.pitch_nm
        v = (np.arange(s.height) - 0.5 * (s.height - 1)) * s.pitch_nm
        determinant = 1 - self.across[k] * u - self.down[k] * v[:, None]
        length = self.straight[k] + self.curved[k] * np.maximum(determinant, 0)
        return np.asarray(s.pitch_nm**2 * length)

    def folded_volumes(self, k: int, labels: NDArray[Any], wanted: NDArray[Any]) -> Float:
        """Volume in nm^3 of each of the `wanted` labels (m,), increasing, of slice k."""
        where = np.nonzero(labels)
        which = np.searchsorted(wanted, labels[where])
        return np.bincount(which, self.of_slice(k)[where], len(wanted)).astype(np.float64)

    def places(self, slices: Int, rows: Float, columns: Float) -> Float:
        """Positions (m, 3) zyx nm of points (m,) in the planes of slices."""
        s, frames = self.straightening, self.straightening.frames
        u = (columns - 0.5 * (s.width - 1)) * s.pitch_nm
        v = (rows - 0.5 * (s.height - 1)) * s.pitch_nm
        places = frames.c[slices] + u[:, None] * frames.N[slices] + v[:, None] * frames.B[slices]
        return np.asarray(places)
