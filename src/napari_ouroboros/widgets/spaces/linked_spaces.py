"""All that ties the two spaces of one scene together. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import OuroborosError, one_line
from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.qa.model import NOTHING_SUSPICIOUS
from napari_ouroboros.widgets.spaces.curve_layer import CurveLayer
from napari_ouroboros.widgets.spaces.linked_cursor import LinkedCursor
from napari_ouroboros.widgets.spaces.linked_slices import STRAIGHTENED, LinkedSlices
from napari_ouroboros.widgets.spaces.linked_strokes import LinkedStrokes
from napari_ouroboros.widgets.spaces.riding_frame import RidingFrame
from napari_ouroboros.widgets.spaces.warm_map import WarmMap

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.marks import Verdict
    from napari_ouroboros.widgets.scene import Scene
    from napari_ouroboros.widgets.trace.model import TraceModel

Float = NDArray[np.float64]


class LinkedSpaces:
    """Frame, curve, cursor, slices, strokes and keys; all end with `close`.

    Parameters
    ----------
    scene : Scene
    """

    #: What a key could not do, in one line. An exception in a key's handler may end the process.
    said = Signal(str)

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._viewer = scene.viewer
        # Marks that an edit of the trace leaves without a slice.
        scene.qa.said.connect(self.said.emit)
        self.warm = WarmMap(scene.live, scene.deliver)
        self.slices = LinkedSlices(scene)
        self.strokes = LinkedStrokes(scene)
        self.curve = CurveLayer(scene)
        self.frame = RidingFrame(scene)
        self.cursor = LinkedCursor(scene, self.warm)
        self._bound: list[tuple[Any, str]] = []
        self.bind(
            {
                keys.NEXT_SLICE: self._next,
                keys.PREVIOUS_SLICE: self._previous,
                keys.NEXT_SUSPICIOUS: self._next_suspicious,
                keys.PREVIOUS_SUSPICIOUS: self._previous_suspicious,
                keys.MARK_GOOD: self._mark_good,
                keys.MARK_BAD: self._mark_bad,
                # Where the cursor is counts, not which canvas was clicked last.
                keys.CENTRE_HERE: self._centre_here,
                keys.UP_SIDE_HERE: self._up_side_here,
            }
        )
        # In the volume they are keys of the trace's layer; Labels have an undo of their own.
        self.bind({keys.UNDO: self._undo, keys.REDO: self._redo}, both=False)

    @property
    def idle(self) -> bool:
        """Whether nothing is being computed."""
        return self.warm.idle

    def bind(self, actions: Mapping[str, Callable[[Any], None]], both: bool = True) -> None:
        """Bind keys on both viewers, or on the straightened one alone, until `close`."""
        for key, action in actions.items():
            for model in (self._viewer, self._scene.straight) if both else (self._scene.straight,):
                model.bind_key(key, action, overwrite=True)
                self._bound.append((model, key))

    def close(self) -> None:
        """Undo everything. Harmless when called twice."""
        for model, key in self._bound:
            model.bind_key(key, None)
        if self._bound:
            self._scene.qa.said.disconnect(self.said.emit, missing_ok=True)
            for part in (
                self.cursor,
                self.frame,
                self.curve,
                self.strokes,
                self.slices,
                self.warm,
            ):
                part.close()
        self._bound.clear()

    def _next(self, _viewer: Any = None) -> None:
        self.slices.step(1)

    def _previous(self, _viewer: Any = None) -> None:
        self.slices.step(-1)

    def _next_suspicious(self, _viewer: Any = None) -> None:
        self._to_suspicious(1)

    def _previous_suspicious(self, _viewer: Any = None) -> None:
        self._to_suspicious(-1)

    def _to_suspicious(self, step: int) -> None:
        if not self._scene.qa.go_to_suspicious(step):
            self.said.emit(self._scene.qa.why_not or NOTHING_SUSPICIOUS)

    def _mark_good(self, _viewer: Any = None) -> None:
        self._mark("good")

    def _mark_bad(self, _viewer: Any = None) -> None:
        self._mark("bad")

    def _mark(self, verdict: Verdict) -> None:
        if not self._scene.qa.toggle_mark(verdict):
            self.said.emit(self._scene.qa.why_not)

    def _undo(self, _viewer: Any = None) -> None:
        if self._scene.traces.active is not None:
            self._scene.traces.active.undo()

    def _redo(self, _viewer: Any = None) -> None:
        if self._scene.traces.active is not None:
            self._scene.traces.active.redo()

    def _centre_here(self, _viewer: Any = None) -> None:
        self._at_cursor(_centre_here)

    def _up_side_here(self, _viewer: Any = None) -> None:
        self._at_cursor(_up_side_here)

    def _at_cursor(self, act: Callable[[TraceModel, Straightening, Float, Float], None]) -> None:
        """Do something to the active trace at the cursor in the straightened view."""
        place, map_, trace = self._scene.place, self.warm.map, self._scene.traces.active
        if map_ is None or trace is None:
            self.said.emit(self._scene.live.state.problem or "The trace has no curve yet.")
        elif place.came_from != STRAIGHTENED or place.nm is None or place.index is None:
            self.said.emit("Point at a place in the straightened slice first, then press the key.")
        else:
            try:
                act(trace, map_, place.index, place.nm)
            except OuroborosError as error:
                self.said.emit(one_line(error))


def _centre_here(trace: TraceModel, map_: Straightening, index: Float, nm: Float) -> None:
    s = map_.frames.s
    trace.centre_here(float(np.interp(index[0], np.arange(len(s)), s)), nm)


def _up_side_here(trace: TraceModel, map_: Straightening, index: Float, nm: Float) -> None:
    k = min(max(round(float(index[0])), 0), len(map_.frames) - 1)
    trace.up_side_here(map_, k, nm - map_.frames.c[k])
