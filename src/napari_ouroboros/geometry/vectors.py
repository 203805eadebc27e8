"""Vector algebra on (..., 3) arrays ordered zyx, with the handedness of xyz.

The cross product of two zyx arrays taken component by component is the negative of the one in
xyz: a helix would change its hand. So it is written here once and used everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def cross(a: Float, b: Float) -> Float:
    """Cross product, right-handed in xyz, of zyx vectors; the result is zyx."""
    return np.asarray(np.cross(b, a))


def dot(a: Float, b: Float) -> Float:
    """Scalar products over the last axis."""
    return np.asarray(np.einsum("...i,...i->...", a, b))


def norm(a: Float) -> Float:
    """Lengths over the last axis."""
    return np.sqrt(dot(a, a))


def unit(a: Float) -> Float:
    """Return vectors scaled to length 1; zero vectors stay zero."""
    length = norm(a)[..., None]
    return np.asarray(np.divide(a, length, out=np.zeros_like(a), where=length > 0))
