"""How a space is looked at: taken for a session, and brought back. No Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ouroboros.session import CameraEntry, DimsEntry, SpaceEntry

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.scene.scene import Scene


def take_space(viewer: ViewerModel) -> SpaceEntry:
    """Take camera and sliders of a viewer."""
    camera, dims = viewer.scene.camera, viewer.dims
    centre = (0.0, 0.0, 0.0, *(float(x) for x in camera.center))[-3:]
    angles = tuple(float(x) for x in camera.angles)
    depth, vertical, horizontal = (str(axis) for axis in camera.orientation)
    return SpaceEntry(
        CameraEntry(
            (centre[0], centre[1], centre[2]),
            float(camera.zoom),
            (angles[0], angles[1], angles[2]),
            float(camera.perspective),
            (depth, vertical, horizontal),
        ),
        DimsEntry(
            3 if dims.ndisplay == 3 else 2,
            tuple(int(axis) for axis in dims.order),
            tuple(float(x) for x in dims.point),
        ),
    )


def show_space(viewer: ViewerModel, entry: SpaceEntry) -> None:
    """Give them to a viewer."""
    dims, camera = entry.dims, entry.camera
    if viewer.dims.ndisplay != dims.ndisplay:
        viewer.dims.ndisplay = dims.ndisplay
    if len(dims.order) == viewer.dims.ndim:
        viewer.dims.order = dims.order
    if len(dims.point) == viewer.dims.ndim and np.isfinite(dims.point).all():
        viewer.dims.set_point(range(len(dims.point)), dims.point)
    if camera is not None:
        if camera.orientation is not None:
            viewer.scene.camera.orientation = camera.orientation
        viewer.scene.camera.center = camera.centre
        viewer.scene.camera.zoom = camera.zoom
        viewer.scene.camera.angles = camera.angles
        viewer.scene.camera.perspective = camera.perspective


def show_straightened(scene: Scene, entry: SpaceEntry) -> None:
    """The straightened space has no axes before its first layer, which comes in its own time."""
    straight, deliver = scene.straight, scene.deliver

    def look() -> None:
        # The slice is the scene's, which may have gone on since.
        here = replace(entry.dims, point=tuple(float(x) for x in straight.dims.point))
        show_space(straight, replace(entry, dims=here))

    def inserted(_event: object = None) -> None:
        straight.layers.events.inserted.disconnect(inserted)
        deliver(look)  # napari itself looks at the whole of the first layer

    if len(straight.layers):
        look()
    else:
        straight.layers.events.inserted.connect(inserted)
