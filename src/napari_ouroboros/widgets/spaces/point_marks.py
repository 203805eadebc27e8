"""Where the points of a trace are that lie off the plane that is seen: faint crosses. No Qt.

napari shows only those in the plane itself, unless the user asks for thick slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.widgets.spaces import lines

if TYPE_CHECKING:
    from napari_ouroboros.geometry.grid import Grid
    from napari_ouroboros.widgets.spaces.display import Shown

Float = NDArray[np.float64]

#: Half of a cross' arm in pixels of the canvas.
_ARM = 4.0
#: More crosses would hide what is below; the nearest to the plane are drawn.
MOST = 256
#: Crosses are counted in so many: a layer that keeps its length is quicker to draw anew.
_BLOCK = 32


def point_marks(points_nm: Float, grid: Grid, view: Shown, zoom: float) -> tuple[Float, Float]:
    """Crosses at the points off the seen plane, projected onto it.

    Parameters
    ----------
    points_nm : array (n, 3)
        zyx.
    grid : Grid
        The volume's finest level.
    view : Shown
    zoom : float
        Pixels of the canvas to a nm.

    Returns
    -------
    vectors : array (2 m, 2, 3)
        In voxels of the grid. Padded with vectors of length 0; in 3D there are only those.
    away : array (2 m,)
        Distance of each from the plane, in nm.
    """
    n = min(MOST, _BLOCK * -(-len(points_nm) // _BLOCK))
    vectors, away = np.zeros((2 * n, 2, 3)), np.full(2 * n, np.inf)
    if view.axis is None or not n:
        return vectors, away
    index = grid.to_index(points_nm)
    distance = np.abs(index[:, view.axis] - view.at)
    off = np.flatnonzero(distance > 0.5)
    if len(off) > n:
        off = off[np.argpartition(distance[off], n - 1)[:n]]
    middle = index[off]
    middle[:, view.axis] = view.at
    seen = [axis for axis in range(3) if axis != view.axis]
    for k, sign in enumerate((1.0, -1.0)):
        arm = np.zeros(3)
        arm[seen] = (1.0, sign)
        arm *= _ARM / zoom / np.asarray(grid.resolution, float)
        rows = slice(k * n, k * n + len(off))
        vectors[rows] = lines.segments(middle - arm, middle + arm)
        away[rows] = distance[off] * grid.resolution[view.axis]
    high = np.asarray(grid.shape, float) - 1.0
    return lines.clipped(vectors, np.zeros(3), high), away
