"""What a canvas shows of the world, and panning by no more than is needed. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel

Float = NDArray[np.float64]

#: A point this near to the edge of the canvas, as part of its size, counts as off-screen.
_EDGE = 0.04


def on_canvas(viewer: ViewerModel, world: ArrayLike) -> tuple[Float, Float]:
    """Where a point lies on the canvas, from its middle, and half the canvas' size.

    Parameters
    ----------
    world : array (ndim,)
        In the viewer's world coordinates.

    Returns
    -------
    offset, half : arrays (2,)
        (down, right) in canvas pixels.
    """
    camera, dims = viewer.scene.camera, viewer.dims
    point = np.asarray(world, np.float64)[list(dims.displayed)]
    delta = point - np.asarray(camera.center, np.float64)[-len(point) :]
    depth, vertical, horizontal = (str(axis) for axis in camera.orientation)
    down = 1.0 if vertical == "down" else -1.0
    rightwards = 1.0 if horizontal == "right" else -1.0
    if dims.ndisplay == 3 and len(point) == 3:
        view, up = np.asarray(camera.view_direction), np.asarray(camera.up_direction)
        # View, up and right are a right- or left-handed triple: each axis that is turned swaps it.
        hand = (1.0 if depth == "towards" else -1.0) * down * rightwards
        delta = np.array([-(delta @ up), hand * (delta @ np.cross(view, up))])
    else:
        delta = delta[-2:] * (down, rightwards)
    return delta * camera.zoom, 0.5 * np.asarray(viewer.canvas.size, np.float64)


def is_on_screen(viewer: ViewerModel, world: ArrayLike) -> bool:
    """Whether a point of the shown plane lies on the canvas."""
    offset, half = on_canvas(viewer, world)
    return bool((np.abs(offset) <= (1 - 2 * _EDGE) * half).all())


def pan_into_view(viewer: ViewerModel, world: ArrayLike) -> bool:
    """Bring a point to the middle of the canvas if it is off-screen; the zoom stays.

    Returns
    -------
    bool
        Whether the camera was moved.
    """
    if is_on_screen(viewer, world):
        return False
    camera = viewer.scene.camera
    point = np.asarray(world, np.float64)[list(viewer.dims.displayed)]
    centre = np.array(camera.center, np.float64)
    centre[len(centre) - len(point) :] = point
    camera.center = tuple(centre.tolist())
    return True
