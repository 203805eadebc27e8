"""Find the fascicles of a straightened nerve by a plain method that sees no truth.

A fascicle is what the bright tissue between the fascicles (the epineurium) leaves out inside
the nerve. Straightened, the nerve is a bright disc with dark-rimmed islands in every slice, which
a threshold, connected components and holes are enough to tell apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError

# In units of the finer of pixel size and slice spacing.
_BLUR = (2.0, 0.7, 0.7)
_SHAVE = 2


def segment_fascicles(
    image: NDArray[Any], pitch_nm: float = 1.0, spacing_nm: float = 1.0
) -> NDArray[np.uint32]:
    """Label the fascicles of a straightened nerve.

    Parameters
    ----------
    image : array (slices, rows, columns)
        Grey values; the epineurium is bright, the sheaths are dark.
    pitch_nm, spacing_nm : float
        Size of a pixel and distance between slices; only their ratio matters.

    Returns
    -------
    uint32 array of the same shape
        0 outside, 1 for the largest fascicle, 2 for the next, ...

    Raises
    ------
    UserError
        The image is not 3D, or holds no bright tissue enclosed by a sheath.
    """
    from scipy import ndimage

    if image.ndim != 3:
        raise UserError(f"the image must have shape (slices, rows, columns), not {image.shape}")
    finest = min(pitch_nm, spacing_nm)
    blur = [b * finest / r for b, r in zip(_BLUR, (spacing_nm, pitch_nm, pitch_nm), strict=True)]
    # The structure runs along the slices: most of the noise goes by averaging that way.
    smooth = ndimage.gaussian_filter(image.astype(np.float32), blur)
    rough = _enclosed(smooth > _otsu(smooth))
    # Half-way between the two materials is where an edge between them lies, blurred or not.
    bright = float(np.median(smooth[rough]))
    dark = float(np.percentile(smooth[_filled(rough)], 1))
    epineurium = _enclosed(smooth > (bright + dark) / 2)
    islands = _filled(epineurium) & ~epineurium
    islands = ndimage.binary_opening(islands, _disc(_SHAVE))
    return _numbered(islands)


def _otsu(values: NDArray[np.float32]) -> float:
    """Threshold that parts the values into the two classes of least variance (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    mass = np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between[:-1]))])


def _enclosed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest component of `mask` that reaches no side of the slices."""
    from scipy import ndimage

    labels, n = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    sizes[0] = 0
    for side in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        sizes[np.unique(side)] = 0
    best = int(np.argmax(sizes))
    if sizes[best] == 0:
        raise UserError(
            "found no bright tissue enclosed by a dark sheath; widen the slices so that the "
            "whole nerve lies inside them"
        )
    return np.asarray(labels == best)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of each slice: what the mask surrounds there."""
    from scipy import ndimage

    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y**2 + x**2 <= radius**2 + 0.5)[None]


def _numbered(islands: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return numbers for what runs through half of the slices or more, the largest first."""
    from scipy import ndimage

    labels, _ = ndimage.label(islands)
    found = ndimage.find_objects(labels)
    sizes = np.bincount(labels.ravel())
    long_enough = [
        i
        for i, box in enumerate(found, 1)
        if box is not None and 2 * (box[0].stop - box[0].start) >= len(islands)
    ]
    table = np.zeros(len(sizes), np.uint32)
    for number, i in enumerate(sorted(long_enough, key=lambda i: -sizes[i]), 1):
        table[i] = number
    return table[labels]
