"""Keys on a trace's layer: undo, redo, insert under the cursor, walk on from the tip."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.trace.layer_binding import LayerBinding

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Points

    from napari_ouroboros.widgets.scene.scene import Scene

_KEYS = (keys.UNDO, keys.REDO, keys.INSERT_POINT, keys.WALK_ALONG)


def bind_keys(binding: LayerBinding, scene: Scene) -> None:
    """Bind the keys of `widgets.keys` that are for the trace's layer."""
    where = weakref.ref(scene)
    model = binding.model
    walk = Walk(binding)

    def insert(layer: Points) -> None:
        here = where()
        if here is not None:
            insert_under_cursor(binding, here.viewer)

    def go_on(layer: Points) -> None:
        here = where()
        if here is not None:
            here.traces.say(walk.step(here.viewer, here.traces.step_nm))

    def undo(layer: Points) -> None:
        model.undo()

    def redo(layer: Points) -> None:
        model.redo()

    bound: dict[str, Callable[[Points], None]] = {
        keys.UNDO: undo,
        keys.REDO: redo,
        keys.INSERT_POINT: insert,
        keys.WALK_ALONG: go_on,
    }
    for key in _KEYS:
        binding.layer.bind_key(key, bound[key], overwrite=True)


def unbind_keys(layer: Points) -> None:
    """Take them away again."""
    for key in _KEYS:
        layer.bind_key(key, None)


def insert_under_cursor(binding: LayerBinding, viewer: Any) -> int | None:
    """Insert the point of the curve nearest to the cursor (3D: to the line of sight)."""
    from napari_ouroboros.geometry.nearest import nearest_on_curve

    curve = binding.model.state.curve
    if curve is None:
        return None
    position = np.array(viewer.cursor.position, np.float64)[-3:]
    layer, space = binding.layer, binding.space
    point = space.to_nm(layer.world_to_data(position))
    way = None
    if viewer.dims.ndisplay == 3:
        dims = viewer.dims
        direction = viewer.scene.camera.calculate_nd_view_direction(dims.ndim, dims.displayed)
        ahead = layer.world_to_data(position + np.array(direction, np.float64)[-3:])
        way = space.to_nm(ahead) - point
    index = binding.model.insert_on_curve(nearest_on_curve(curve, point, way)[0])
    layer.selected_data = {index}
    return index


class Walk:
    """Steps on along the tangent from the tip of a trace; the camera goes along.

    The tip is the last point, or the first where that alone is selected. Nothing is placed: the
    next click is. It begins at the tip again as soon as the trace has changed.
    """

    def __init__(self, binding: LayerBinding) -> None:
        self._binding = binding
        self._from: tuple[object, bool] | None = None
        self._steps = 0

    def step(self, viewer: Any, step_nm: float | None) -> str:
        """Go one step on; `step_nm` None: half the distance of the last points. Say what is."""
        layer, model = self._binding.layer, self._binding.model
        state = model.state
        if not len(state):
            return "The trace has no points yet to walk on from."
        back = len(state) > 1 and set(layer.selected_data) == {0}
        start = (state, back)
        self._steps = self._steps + 1 if self._from == start else 1
        self._from = start
        curve = state.curve
        if curve is None:
            place, step, self._steps = state.points_nm[-1], 0.0, 0
        else:
            s = 0.0 if back else curve.length
            tip, tangent = curve.at(s)[0], curve.tangent(s)[0] * (-1 if back else 1)
            step = step_nm or half_way(state.points_nm, back)
            place = tip + self._steps * step * tangent
        look_at(viewer, layer.data_to_world(self._binding.space.to_data(place)))
        end = "first" if back else "last"
        return f"{self._steps * step:.0f} nm beyond the {end} point; click to go on from it."


def half_way(points_nm: Any, back: bool) -> float:
    """Half the distance between the two points at an end of a trace, in nm."""
    a, b = (points_nm[0], points_nm[1]) if back else (points_nm[-1], points_nm[-2])
    return 0.5 * float(np.linalg.norm(a - b)) or 1.0


def look_at(viewer: Any, world: Any) -> None:
    """Show the planes through a point of the world, in the middle of the canvas."""
    dims = viewer.dims
    first = dims.ndim - 3
    dims.set_point(range(first, dims.ndim), tuple(float(x) for x in world))
    camera = viewer.scene.camera
    shown = [float(world[axis - first]) for axis in dims.displayed if axis >= first]
    centre = list(camera.center)
    centre[len(centre) - len(shown) :] = shown
    camera.center = tuple(centre)
