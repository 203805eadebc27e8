"""Clicks on a trace's layer in napari's mode for adding points.

A click goes on from the last point, or from the first where that alone is selected. A click on
the curve inserts a point there, one on a point selects it. In 3D there is no plane to place a
point in: a click takes a point or the curve, else a line says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.geometry.vectors import norm
from napari_ouroboros.widgets.trace.layer_binding import LayerBinding

if TYPE_CHECKING:
    from napari.layers import Points

Float = NDArray[np.float64]
Intent = Literal["append", "insert", "delete"]

IN_3D = "In 3D click a point or the curve; switch to 2D (Ctrl-Y) to place new points."
NO_POINT = "There is no point to delete under the mouse."
NO_CURVE = "The trace has no curve yet: append points first."

#: What is so near on the screen is meant, in pixels.
_NEAR = 8.0
#: A press that moves further is no click, in pixels (as napari has it).
_CLICK = 5.0


class LayerMouse:
    """Takes the place of napari's own clicks while `layer.mode` is "add".

    Parameters
    ----------
    binding : LayerBinding

    Attributes
    ----------
    intent : {"append", "insert", "delete"}
        What a click does. Append when another mode has been chosen meanwhile.
    """

    intent_changed = Signal()
    #: A line for the user.
    said = Signal(str)

    def __init__(self, binding: LayerBinding) -> None:
        self._binding = binding
        self._intent: Intent = "append"
        layer = binding.layer
        layer.mouse_drag_callbacks.append(self._pressed)
        layer.events.mode.connect(self._mode_changed)
        self._take_over()

    def close(self) -> None:
        """Give the layer back its own clicks."""
        layer = self._binding.layer
        layer.events.mode.disconnect(self._mode_changed)
        layer.mouse_drag_callbacks.remove(self._pressed)
        if layer.mode == "add":
            layer.mode = "pan_zoom"  # napari's own callback comes with the next choice of "add"

    @property
    def intent(self) -> Intent:
        """What a click does."""
        return self._intent

    @intent.setter
    def intent(self, intent: Intent) -> None:
        if intent != self._intent:
            self._intent = intent
            self.intent_changed.emit()

    def _mode_changed(self) -> None:
        self._take_over()
        if self._binding.layer.mode != "add":
            self.intent = "append"

    def _take_over(self) -> None:
        """Take napari's own callback for clicks away: in 3D it adds points on the near plane."""
        callbacks = self._binding.layer.mouse_drag_callbacks
        for callback in list(callbacks):
            module = getattr(callback, "__module__", "")
            if getattr(callback, "__name__", "") == "add" and module.startswith("napari.layers."):
                callbacks.remove(callback)

    # -------------------------------------------------------------------------------------

    def _pressed(self, layer: Points, event: Any) -> Iterator[None]:
        if layer.mode != "add" or getattr(event, "button", 1) not in (None, 1):
            return
        start = np.array(event.pos, float)
        yield
        while event.type == "mouse_move":
            if np.linalg.norm(start - event.pos) < _CLICK:
                event.handled = True  # or the canvas moves
            yield
        if np.linalg.norm(start - event.pos) < _CLICK:
            self.click(
                event.position, event.view_direction, event.dims_displayed, event.camera_zoom
            )

    def click(self, position: Any, direction: Any, displayed: Any, zoom: float) -> None:
        """Do what a click means: world position, view direction, displayed axes, pixels per nm."""
        layer, space = self._binding.layer, self._binding.space
        at = np.array(position, np.float64)[-3:]
        axes = [int(axis) - (len(position) - 3) for axis in displayed]
        near = _NEAR / zoom
        if len(axes) == 3 and direction is not None:
            row = layer.world_to_data(at)
            ahead = layer.world_to_data(at + np.array(direction, np.float64)[-3:] / zoom)
            point = space.to_nm(row)
            self._click_in_3d(point, space.to_nm(ahead) - point, near)
        else:
            point = space.to_nm(layer.world_to_data(at))
            self._click_in_plane(point, axes, near)

    def _click_in_3d(self, point: Float, way: Float, near: float) -> None:
        from napari_ouroboros.geometry.nearest import nearest_on_curve

        model = self._binding.model
        hit = self._on_ray(point, way, near)
        if self._hit(hit):
            return
        curve = model.state.curve
        if curve is not None and self._intent != "delete":
            s, distance, _ = nearest_on_curve(curve, point, way)
            if distance <= near:
                self._select(model.insert_on_curve(s))
                return
        self.said.emit(NO_POINT if self._intent == "delete" else IN_3D)

    def _click_in_plane(self, point: Float, axes: list[int], near: float) -> None:
        from napari_ouroboros.geometry.nearest import nearest_on_curve

        model, layer = self._binding.model, self._binding.layer
        state = model.state
        deep = [axis for axis in range(3) if axis not in axes]
        thick = self._thickness()
        # Deletes what is seen, also what reaches into the plane from others.
        reach = 0.5 * float(np.max(layer.size, initial=1.0)) if self._intent == "delete" else 0.5
        away = state.points_nm - point
        in_reach = (np.abs(away[:, deep]) <= reach * thick[deep]).all(axis=1)
        flat = norm(away[:, axes])
        found = np.flatnonzero(in_reach & (flat <= near))
        if self._hit(int(found[np.argmin(flat[found])]) if len(found) else None):
            return
        if self._intent == "delete":
            self.said.emit(NO_POINT)
            return
        curve = state.curve
        if curve is not None:
            s, _, position = nearest_on_curve(curve, point)
            if self._intent == "insert":
                after = state.span_of(s)
                model.insert(point, after)
                self._select(after + 1)
                return
            off = np.abs(position - point)
            inside = state.closed or 0 < s < curve.length
            if inside and norm(off[axes]) <= near and (off[deep] <= thick[deep]).all():
                self._select(model.insert_on_curve(s))
                return
        elif self._intent == "insert":
            self.said.emit(NO_CURVE)
            return
        at_start = len(state) > 1 and not state.closed and set(layer.selected_data) == {0}
        model.append(point, at_start)
        self._select(0 if at_start else len(model.state) - 1)

    def _hit(self, index: int | None) -> bool:
        """Take a point that was clicked; whether there is one."""
        if index is None:
            return False
        model = self._binding.model
        if self._intent == "delete":
            model.delete([index])
        else:
            self._select(index)
            self.said.emit(f"Point {index + 1} of {len(model.state)} selected.")
        return True

    def _select(self, index: int) -> None:
        self._binding.layer.selected_data = {index}

    def _on_ray(self, point: Float, way: Float, near: float) -> int | None:
        """The point nearest to the line of sight, if it is near."""
        away = self._binding.model.state.points_nm - point
        if not len(away):
            return None
        way = way / norm(way)
        distance = norm(away - np.outer(away @ way, way))
        nearest = int(np.argmin(distance))
        return nearest if distance[nearest] <= near else None

    def _thickness(self) -> Float:
        """Size of a voxel of the layer along the axes, in nm."""
        corners = self._binding.space.to_nm(np.vstack([np.zeros(3), np.eye(3)]))
        return np.asarray(np.abs(corners[1:] - corners[0]).max(axis=0))
