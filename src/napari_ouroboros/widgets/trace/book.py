"""The traces of a viewer: one per Points layer that is ours, and which of them is active."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_ouroboros.errors import UserError
from napari_ouroboros.layers import space
from napari_ouroboros.widgets.held import held
from napari_ouroboros.widgets.trace.layer_binding import LayerBinding
from napari_ouroboros.widgets.trace.layer_keys import bind_keys, unbind_keys
from napari_ouroboros.widgets.trace.layer_look import LayerLook
from napari_ouroboros.widgets.trace.layer_mouse import LayerMouse
from napari_ouroboros.widgets.trace.layer_space import LayerSpace
from napari_ouroboros.widgets.trace.model import TraceModel

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from napari_ouroboros.widgets.scene.live import LiveState
    from napari_ouroboros.widgets.scene.scene import Scene

Tool = Literal["append", "insert", "move", "delete"]

NO_VOLUME = "Open a volume first: a trace lies in it."
_OURS = "napari-ouroboros"
#: Corners of slices far from an edit may wander by this share of a voxel.
_KEEP_VOXELS = 0.005


class _Bound:
    """All that ties one layer to its trace."""

    def __init__(self, layer: Points, model: TraceModel, book: TraceBook) -> None:
        self.layer, self.model = layer, model
        self.binding = LayerBinding(layer, model)
        self.look = LayerLook(layer)
        self.mouse = LayerMouse(self.binding)
        self._book = weakref.ref(book)
        bind_keys(self.binding, book.scene)
        self.mouse.said.connect(book.say)
        self.mouse.intent_changed.connect(book.tool_changed.emit)
        layer.events.mode.connect(self._mode_changed)
        layer.events.name.connect(self._renamed)

    def _mode_changed(self) -> None:
        book = self._book()
        if book is not None:
            book.tool_changed.emit()

    def _renamed(self) -> None:
        book = self._book()
        self.model.name = self.layer.name
        if book is not None:
            book.traces_changed.emit()

    def close(self) -> None:
        self.layer.events.mode.disconnect(self._mode_changed)
        self.layer.events.name.disconnect(self._renamed)
        self.mouse.said.disconnect()
        self.mouse.intent_changed.disconnect()
        unbind_keys(self.layer)
        self.mouse.close()
        self.binding.close()


class TraceBook:
    """The traces of a scene's viewer.

    Points layers of three dimensions that come from our reader (their metadata say so) are
    adopted; others by `use`. A trace goes when its layer is removed. No layer is looked up by
    its name.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    """

    #: Another trace is active, or none.
    active_changed = Signal()
    #: Traces have come, gone or been renamed.
    traces_changed = Signal()
    #: What a click does has changed.
    tool_changed = Signal()
    #: A line for the user, as to why a click did nothing.
    said = Signal(str)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._bound: list[_Bound] = []
        self._active: TraceModel | None = None
        self._viewer = weakref.ref(scene.viewer)
        #: Length of a step of the walk along the trace; None: half the distance of the points.
        self.step_nm: float | None = None
        layers = scene.viewer.layers
        layers.events.inserted.connect(self._inserted)
        layers.events.removed.connect(self._removed)
        layers.selection.events.active.connect(self._selected)
        scene.viewer.scene.camera.events.zoom.connect(self._zoomed)
        scene.live.changed.connect(self._map_changed)
        for layer in list(layers):
            self._adopt(layer)

    @property
    def scene(self) -> Scene:
        """The scene; RuntimeError once it has gone."""
        return held(self._scene, "the scene of these traces")

    @property
    def traces(self) -> list[TraceModel]:
        """All traces, the oldest first."""
        return [bound.model for bound in self._bound]

    @property
    def active(self) -> TraceModel | None:
        """The trace that is edited and straightened."""
        return self._active

    @active.setter
    def active(self, model: TraceModel | None) -> None:
        if model is self._active:
            return
        if model is not None and all(bound.model is not model for bound in self._bound):
            raise UserError(f"the trace {model.name!r} is not in this window")
        if self._active is not None:
            self._active.end_drag()
        self._active = model
        for bound in self._bound:
            bound.look.set_active(bound.model is model)
        self._measure()
        self.scene.live.set_trace(model)
        self.active_changed.emit()
        self.tool_changed.emit()

    def model_of(self, layer: Layer) -> TraceModel | None:
        """The trace of a layer."""
        return next((b.model for b in self._bound if b.layer is layer), None)

    def layer_of(self, model: TraceModel) -> Points | None:
        """The layer of a trace."""
        return next((b.layer for b in self._bound if b.model is model), None)

    def new(self, points_nm: ArrayLike | None = None, name: str | None = None) -> TraceModel:
        """Begin a trace in a new Points layer, which becomes the active one.

        Raises
        ------
        UserError
            No volume is open; points that are none.
        """
        from napari.layers import Points

        scene = self.scene
        if scene.reference is None:
            raise UserError(NO_VOLUME)
        points = np.empty((0, 3)) if points_nm is None else np.array(points_nm, np.float64)
        grid = scene.reference.levels[0]
        model = TraceModel(name or self._free_name(), points)
        layer = Points(
            grid.to_index(model.state.points_nm),
            ndim=3,
            name=model.name,
            **space(grid),
            features={"order": np.arange(len(model.state))},
            metadata={_OURS: {"trace": True}},
        )
        self._bind(layer, model)
        scene.viewer.layers.append(layer)
        # The viewer sizes what is shown by its camera, which may only now know the volume.
        scene.viewer.layers.selection.active = layer
        self.active = model
        if not len(points):
            self.tool = "append"
        return model

    def use(self, layer: Layer) -> TraceModel:
        """Make a trace of a Points layer that is in the viewer; its order is that of the rows.

        Raises
        ------
        UserError
            It is no Points layer of three dimensions, or not in this viewer.
        """
        from napari.layers import Points

        found = self.model_of(layer)
        if found is None:
            if not isinstance(layer, Points) or layer.ndim != 3:
                raise UserError(f"{layer.name!r} is no Points layer of three dimensions (z, y, x)")
            if layer not in self.scene.viewer.layers:
                raise UserError(f"{layer.name!r} is not in this window")
            found = self._take(layer)
        self.active = found
        return found

    def remove(self, model: TraceModel) -> None:
        """Remove a trace and its layer."""
        layer = self.layer_of(model)
        if layer is not None:
            self.scene.viewer.layers.remove(layer)

    @property
    def tool(self) -> Tool | None:
        """What the mouse does on the active trace's layer; None: something of napari's own."""
        bound = self._active_bound()
        if bound is None:
            return None
        if bound.layer.mode == "add":
            return bound.mouse.intent
        return "move" if bound.layer.mode == "select" else None

    @tool.setter
    def tool(self, tool: Tool | None) -> None:
        bound = self._active_bound()
        if bound is None:
            return
        # The mouse is that of the layer that napari has selected.
        self.scene.viewer.layers.selection.active = bound.layer
        if tool in ("append", "insert", "delete"):
            bound.layer.mode = "add"
            bound.mouse.intent = tool
        else:
            bound.layer.mode = "select" if tool == "move" else "pan_zoom"

    def say(self, text: str) -> None:
        """Say something to the user, in napari's status line and to who listens to `said`."""
        self.scene.viewer.status = text
        self.said.emit(text)

    def _active_bound(self) -> _Bound | None:
        return next((b for b in self._bound if b.model is self._active), None)

    def close(self) -> None:
        """Stop listening, and leave the layers to themselves. Harmless when repeated."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.events.inserted.disconnect(self._inserted)
            viewer.layers.events.removed.disconnect(self._removed)
            viewer.layers.selection.events.active.disconnect(self._selected)
            viewer.scene.camera.events.zoom.disconnect(self._zoomed)
        scene = self._scene()
        if scene is not None:
            scene.live.changed.disconnect(self._map_changed, missing_ok=True)
        bound, self._bound, self._active = self._bound, [], None
        for one in bound:
            one.close()

    # -------------------------------------------------------------------------------------

    def _inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Layer) -> None:
        """Take a layer that says that it is a trace of ours."""
        from napari.layers import Points

        about = layer.metadata.get(_OURS)
        if not isinstance(layer, Points) or layer.ndim != 3 or self.model_of(layer) is not None:
            return
        if isinstance(about, dict) and ("trace" in about or "state" in about):
            model = self._take(layer)
            if self._active is None:
                self.active = model

    def _take(self, layer: Points) -> TraceModel:
        model = TraceModel(layer.name, LayerSpace(layer).to_nm(layer.data))
        self._bind(layer, model)
        return model

    def _bind(self, layer: Points, model: TraceModel) -> None:
        bound = _Bound(layer, model, self)
        self._bound.append(bound)
        bound.look.set_active(model is self._active)
        bound.look.set_zoom(self.scene.viewer.scene.camera.zoom)
        self._measure()
        self.traces_changed.emit()

    def _removed(self, event: Any) -> None:
        for bound in self._bound:
            if bound.layer is event.value:
                self._bound.remove(bound)
                bound.close()
                if bound.model is self._active:
                    self.active = self._bound[-1].model if self._bound else None
                self.traces_changed.emit()
                return

    def _selected(self, event: Any) -> None:
        model = None if event.value is None else self.model_of(event.value)
        if model is not None:
            self.active = model

    def _zoomed(self) -> None:
        viewer = self._viewer()
        if viewer is not None:
            for bound in self._bound:
                bound.look.set_zoom(viewer.scene.camera.zoom)

    def _map_changed(self, new: LiveState, old: LiveState) -> None:
        if new.map is not None and not new.dragging:
            self._measure()

    def _measure(self) -> None:
        """Tell the active trace how large slices are, for its keyframes."""
        scene, model = self._scene(), self._active
        if scene is None or model is None or scene.live.state.map is None:
            return
        map_ = scene.live.state.map
        model.reach_nm, model.spacing_nm = map_.reach_nm, map_.spacing_nm
        if scene.reference is not None:
            model.keep_nm = _KEEP_VOXELS * min(scene.reference.levels[0].resolution)

    def _free_name(self) -> str:
        names = {bound.layer.name for bound in self._bound}
        number = 1
        while (name := "trace" if number == 1 else f"trace {number}") in names:
            number += 1
        return name
