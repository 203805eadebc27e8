"""How a space is looked at: taken for a session, and brought back. No Qt."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ouroboros.session import CameraEntry, DimsEntry, SpaceEntry

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.widgets.scene.scene import Scene


def take_space(viewer: ViewerModel) -> SpaceEntry:
    """Take camera and sliders of a viewer; what sees nothing yet has no camera worth keeping."""
    dims = viewer.dims
    return SpaceEntry(
        _take_camera(viewer) if len(viewer.layers) else None,
        DimsEntry(
            3 if dims.ndisplay == 3 else 2,
            tuple(int(axis) for axis in dims.order),
            tuple(float(x) for x in dims.point),
        ),
    )


def _take_camera(viewer: ViewerModel) -> CameraEntry:
    camera = viewer.scene.camera
    centre = (0.0, 0.0, 0.0, *(float(x) for x in camera.center))[-3:]
    angles = tuple(float(x) for x in camera.angles)
    depth, vertical, horizontal = (str(axis) for axis in camera.orientation)
    return CameraEntry(
        (centre[0], centre[1], centre[2]),
        float(camera.zoom),
        (angles[0], angles[1], angles[2]),
        float(camera.perspective),
        (depth, vertical, horizontal),
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


class StraightenedLook:
    """Brings back how the straightened space was looked at.

    It has no axes before its first layer, which comes in its own time.

    Parameters
    ----------
    scene : Scene
        Held weakly; only its straightened viewer need be there already.
    """

    def __init__(self, scene: Scene) -> None:
        self._straight, self._deliver = weakref.ref(scene.straight), scene.deliver
        self._wanted: SpaceEntry | None = None
        scene.straight.layers.events.inserted.connect(self._inserted)

    @property
    def wanted(self) -> SpaceEntry | None:
        """What waits for the first layer, and is kept until then."""
        return self._wanted

    def begin(self) -> None:
        """Another session comes; what the last one wanted does not count any more."""
        self._wanted = None

    def show(self, entry: SpaceEntry) -> None:
        """Look like this; as soon as there is a layer."""
        self._wanted = entry
        straight = self._straight()
        if straight is not None and len(straight.layers):
            self._look()

    def close(self) -> None:
        """Bring nothing back any more."""
        self._wanted = None
        straight = self._straight()
        if straight is not None:
            straight.layers.events.inserted.disconnect(self._inserted)

    def _inserted(self, _event: object = None) -> None:
        if self._wanted is not None:
            self._deliver(self._look)  # napari itself looks at the whole of the first layer

    def _look(self) -> None:
        straight, entry, self._wanted = self._straight(), self._wanted, None
        if straight is not None and entry is not None:
            # The slice is the scene's, which may have gone on since.
            here = replace(entry.dims, point=tuple(float(x) for x in straight.dims.point))
            show_space(straight, replace(entry, dims=here))
