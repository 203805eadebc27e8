"""One cursor in two spaces: hovering in one canvas moves a mark in the other. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ouroboros.widgets.spaces import lines
from napari_ouroboros.widgets.spaces.camera import pan_into_view
from napari_ouroboros.widgets.spaces.display import shown
from napari_ouroboros.widgets.spaces.helper_layer import HelperLayer
from napari_ouroboros.widgets.spaces.linked_slices import STRAIGHTENED, VOLUME, show_point
from napari_ouroboros.widgets.spaces.soon import Soon
from napari_ouroboros.widgets.spaces.straight_space import straight_grid

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.geometry.grid import Grid
    from napari_ouroboros.widgets.scene import Scene
    from napari_ouroboros.widgets.spaces.warm_map import WarmMap

Float = NDArray[np.float64]

#: Arms of the mark, from and to, and their width, in pixels of the canvas.
_FROM, _TO, _WIDTH = 4.0, 12.0, 2.0
_COLOUR = (1.0, 0.3, 0.9)
#: A press that moves farther than this many pixels is a drag.
_CLICK = 4.0
#: A click in 3D this many pixels beside the curve still takes its slice.
_NEAR = 15.0


def _cross(grid: Grid, viewer: ViewerModel, index: Float) -> tuple[Float, Any, float]:
    """Vectors, colours and width of a mark at an index; fainter away from the seen plane."""
    view = shown(viewer, grid)
    seen = [axis for axis in range(3) if axis != view.axis]
    # As long in nm along each axis, whatever the voxels' shape.
    nm = 1.0 / viewer.scene.camera.zoom
    middle = index.copy()
    strength = 1.0
    if view.axis is not None:
        strength = 1.0 if abs(index[view.axis] - view.at) <= 0.5 else 0.4
        middle[view.axis] = view.at
    arms = []
    for axis in seen:
        for sign in (-1.0, 1.0):
            way = np.zeros(3)
            way[axis] = sign * nm / grid.resolution[axis]
            arms.append((middle + _FROM * way, middle + _TO * way))
    vectors = lines.segments([a for a, _ in arms], [b for _, b in arms])
    vectors = lines.clipped(vectors, np.zeros(3), np.asarray(grid.shape, float) - 1.0)
    colours = np.tile(np.array([*_COLOUR, strength], np.float32), (len(vectors), 1))
    return vectors, colours, _WIDTH * view.pixel


class LinkedCursor:
    """Hovering moves the other space's mark; a click goes there, and pans only if it must.

    In 3D there is no place under the cursor: only clicks count, on the curve.

    Parameters
    ----------
    scene : Scene
    warm : WarmMap
        The map that is asked: never one whose look-up would have to wait.
    """

    def __init__(self, scene: Scene, warm: WarmMap) -> None:
        self._scene, self._warm = scene, warm
        self._viewer, self._straight = scene.viewer, scene.straight
        options = {"opacity": 1.0, "blending": "translucent_no_depth"}
        self.volume_mark = HelperLayer(self._viewer, "cursor", **options)
        self.straight_mark = HelperLayer(self._straight, "cursor", **options)
        self._hovered: tuple[str, Float | None] | None = None
        self._soon = Soon(scene.deliver, self._take_hover)
        self._draw_soon = Soon(scene.deliver, self._draw)
        self._viewer.mouse_move_callbacks.append(self._moved_in_volume)
        self._viewer.mouse_drag_callbacks.append(self._pressed_in_volume)
        self._straight.mouse_move_callbacks.append(self._moved_in_straightened)
        self._straight.mouse_drag_callbacks.append(self._pressed_in_straightened)
        self._viewer.events.mouse_over_canvas.connect(self._left_volume)
        self._straight.events.mouse_over_canvas.connect(self._left_straightened)
        scene.place.cursor_changed.connect(self._draw_soon.request)
        scene.place.follow_changed.connect(self._draw_soon.request)

    def close(self) -> None:
        """Take the marks away and stop listening."""
        self._soon.close()
        self._draw_soon.close()
        self._viewer.mouse_move_callbacks.remove(self._moved_in_volume)
        self._viewer.mouse_drag_callbacks.remove(self._pressed_in_volume)
        self._straight.mouse_move_callbacks.remove(self._moved_in_straightened)
        self._straight.mouse_drag_callbacks.remove(self._pressed_in_straightened)
        self._viewer.events.mouse_over_canvas.disconnect(self._left_volume)
        self._straight.events.mouse_over_canvas.disconnect(self._left_straightened)
        self._scene.place.cursor_changed.disconnect(self._draw_soon.request)
        self._scene.place.follow_changed.disconnect(self._draw_soon.request)
        self.volume_mark.close()
        self.straight_mark.close()

    # -- going there ----------------------------------------------------------------------

    def go_to_nm(self, nm: ArrayLike) -> None:
        """Show a point of the volume in both spaces, whoever follows whom."""
        show_point(self._viewer, nm)
        self._scene.place.hover_volume(nm, self._warm.map)
        self._show_in_straightened()

    def _clicked_volume(self, event: Any) -> None:
        map_ = self._warm.map
        if map_ is None or not self._scene.place.follow:
            return
        position = np.asarray(event.position, float)[-3:]
        if self._viewer.dims.ndisplay == 3:
            way = np.asarray(event.view_direction, float)[-3:]
            k = _nearest_slice(map_, position, way, _NEAR / self._viewer.scene.camera.zoom)
            if k is None:
                return
            position = map_.frames.c[k]
        self._scene.place.hover_volume(position, map_)
        self._show_in_straightened()

    def _show_in_straightened(self) -> None:
        place, map_ = self._scene.place, self._warm.map
        if place.index is None or map_ is None:
            return
        k = min(max(round(float(place.index[0])), 0), len(map_.frames) - 1)
        place.go_to_slice(k, VOLUME)
        if self._straight.dims.ndim == 3 and self._straight.layers:
            world = straight_grid(self._scene, map_).to_nm(place.index)
            pan_into_view(self._straight, world)

    def _clicked_straightened(self, event: Any) -> None:
        map_, place = self._warm.map, self._scene.place
        if map_ is None or self._straight.dims.ndim != 3:
            return
        grid = straight_grid(self._scene, map_)
        index = grid.to_index(event.position)
        if self._straight.dims.ndisplay == 3:
            way = np.asarray(event.view_direction, float) / grid.resolution
            index = _axis_point(map_, index, way)
        if _outside(map_, index):
            return
        place.hover_straightened(index, map_)
        place.go_to_slice(min(max(round(float(index[0])), 0), len(map_.frames) - 1), STRAIGHTENED)
        if place.follow and place.nm is not None:
            show_point(self._viewer, place.nm)

    # -- hovering -------------------------------------------------------------------------

    def _moved_in_volume(self, viewer: Any, event: Any) -> None:
        if self._viewer.dims.ndisplay == 2:
            self._hover(VOLUME, np.asarray(event.position, float)[-3:])

    def _moved_in_straightened(self, viewer: Any, event: Any) -> None:
        if self._straight.dims.ndisplay == 2 and self._straight.dims.ndim == 3:
            self._hover(STRAIGHTENED, np.asarray(event.position, float))

    def _left_volume(self, event: Any) -> None:
        if not event.value:
            self._hover(VOLUME, None)

    def _left_straightened(self, event: Any) -> None:
        if not event.value:
            self._hover(STRAIGHTENED, None)

    def _hover(self, where: str, position: Float | None) -> None:
        self._hovered = where, position
        self._soon.request()

    def _take_hover(self) -> None:
        if self._hovered is None:
            return
        (where, position), self._hovered = self._hovered, None
        place, map_ = self._scene.place, self._warm.map
        if position is None:
            # Only the canvas in which the cursor was can lose it.
            if place.came_from == where:
                place.hover_volume(None, map_)
        elif where == VOLUME:
            place.hover_volume(position, map_)
        elif map_ is not None:
            index = straight_grid(self._scene, map_).to_index(position)
            place.hover_straightened(None if _outside(map_, index) else index, map_)

    def _draw(self) -> None:
        place, map_, volume = self._scene.place, self._warm.map, self._scene.reference
        in_straight = place.follow and place.came_from == VOLUME and place.index is not None
        in_volume = place.follow and place.came_from == STRAIGHTENED and place.nm is not None
        if in_straight and map_ is not None and self._straight.layers and place.index is not None:
            grid = straight_grid(self._scene, map_)
            self.straight_mark.draw(grid, *_cross(grid, self._straight, place.index))
            self.straight_mark.visible = True
        else:
            self.straight_mark.visible = False
        if in_volume and volume is not None and place.nm is not None:
            grid = volume.levels[0]
            index = grid.to_index(place.nm)
            self.volume_mark.draw(grid, *_cross(grid, self._viewer, index))
            self.volume_mark.visible = True
        else:
            self.volume_mark.visible = False

    # -- clicks ---------------------------------------------------------------------------

    def _pressed_in_volume(self, viewer: Any, event: Any) -> Iterator[None]:
        yield from _click(self._viewer, event, self._clicked_volume)

    def _pressed_in_straightened(self, viewer: Any, event: Any) -> Iterator[None]:
        yield from _click(self._straight, event, self._clicked_straightened)


def _click(viewer: ViewerModel, event: Any, clicked: Any) -> Iterator[None]:
    """Call `clicked` if the press becomes a plain click while no tool is in the hand."""
    active = viewer.layers.selection.active
    free = active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"
    if not free or event.button != 1 or event.modifiers:
        return
    start = np.asarray(event.pos, float)
    yield
    while event.type == "mouse_move":
        if np.abs(np.asarray(event.pos, float) - start).max() > _CLICK:
            return
        yield
    clicked(event)


def _outside(map_: Straightening, index: Float) -> bool:
    size = np.asarray(map_.shape, float)
    return bool(((index < -0.5) | (index >= size - 0.5)).any())


def _nearest_slice(map_: Straightening, point: Float, way: Float, within: float) -> int | None:
    """The slice whose centre is nearest to a ray, if that is within so many nm of it."""
    way = way / np.linalg.norm(way)
    gap = map_.frames.c - point
    gap -= (gap @ way)[:, None] * way
    distance = np.linalg.norm(gap, axis=1)
    k = int(np.argmin(distance))
    return k if distance[k] <= within else None


def _axis_point(map_: Straightening, index: Float, way: Float) -> Float:
    """The point of the straightened centre line nearest to a ray, in slices, rows, columns."""
    middle = np.array([0.0, 0.5 * (map_.height - 1), 0.5 * (map_.width - 1)])
    across = way[1:] @ way[1:]
    t = 0.0 if across == 0 else float((middle - index)[1:] @ way[1:] / across)
    middle[0] = index[0] + t * way[0]
    return middle
