"""The Trace dock: which trace, what the mouse does, what is known of it, its settings, files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.controls import (
    Banner,
    EmptyState,
    ScrollDock,
    named,
    set_ready,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.scene.live import NO_TRACE, NO_VOLUME
from napari_ouroboros.widgets.trace.curve_form import CurveForm
from napari_ouroboros.widgets.trace.keyframe_list import KeyframeList
from napari_ouroboros.widgets.trace.number_rows import NumberRows
from napari_ouroboros.widgets.trace.readouts import Readouts, fitting_size, measure
from napari_ouroboros.widgets.trace.tool_row import ToolRow
from napari_ouroboros.widgets.trace.trace_files import TraceFiles

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import LiveState
    from napari_ouroboros.widgets.trace.model import TraceModel

TITLE = "Trace"
_NOT_POINTS = "Select a Points layer of three dimensions in napari's layer list first."


class TraceDock(ScrollDock):
    """The dock of one viewer's traces.

    Parameters
    ----------
    napari_viewer : napari.Viewer or ViewerModel
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.ends_with(napari_viewer)
        self.scene = scene_of(napari_viewer)
        self._book = self.scene.traces
        self._worker = Worker("ouroboros-readouts", self.scene.deliver)
        self.at_end(self._worker.close)
        self._model: TraceModel | None = None

        self.banner = Banner()
        self.empty = EmptyState(NO_TRACE, "New trace", self._new)
        self.hint = wrapping_label()
        self.which = named(QComboBox(), "trace", "The trace that is edited and straightened.")
        self.which.setMinimumContentsLength(8)
        self.which.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.new = _button("New", "new trace", "Begin another trace in a layer of its own.")
        self.use = _button(
            "Use this Points layer",
            "use this Points layer",
            "Make a trace of the selected Points layer: its points in the order of its rows.",
        )
        self.delete = _button("Delete trace", "delete trace", "Remove this trace and its layer.")
        self.tools = ToolRow(self._book)
        self.numbers = NumberRows(self._go_to, self._use_largest)
        self.curve = CurveForm(self._book, self._try)
        self.keyframes = KeyframeList(self._go_to, self._turn, self._remove_keyframe)
        self.files = TraceFiles(self.scene, self.banner, self._try)
        self.at_end(self.files.close)
        self._lay_out()

        # Methods are held weakly; a function that holds this dock would keep it for ever.
        self.new.clicked.connect(self._new)
        self.use.clicked.connect(self._use_layer)
        self.delete.clicked.connect(self._delete)
        self.which.activated.connect(self._chosen)

    def _lay_out(self) -> None:
        top = QWidget()
        row = QHBoxLayout(top)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.which, 1)
        row.addWidget(self.new)
        row.addWidget(self.delete)
        for widget in (self.banner, self.empty, top, self.use, self.tools, self.hint, self.numbers):
            self.column.addWidget(widget)
        curve = self.section("Curve", self.curve)
        keyframes = self.section("Up side of single slices", self.keyframes, open_=False)
        files = self.section("Import and export", self.files.rows, open_=False)
        tab_order(
            self.empty.button,
            self.which,
            self.new,
            self.delete,
            self.use,
            *self.tools.controls(),
            *self.numbers.controls(),
            curve.button,
            *self.curve.controls(),
            keyframes.button,
            *self.keyframes.controls(),
            files.button,
            *self.files.rows.controls(),
        )

    # -- lifetime -------------------------------------------------------------------------

    def attach(self) -> None:
        """Listen to the scene."""
        book, scene = self._book, self.scene
        book.active_changed.connect(self._active_changed)
        book.traces_changed.connect(self._list_traces)
        book.tool_changed.connect(self.tools.show_tool)
        book.said.connect(self._say)
        scene.live.changed.connect(self._map_changed)
        scene.volumes_changed.connect(self._show_all)
        scene.viewer.layers.selection.events.active.connect(self._layer_selected)
        self._active_changed()

    def detach(self) -> None:
        """Stop listening."""
        book, scene = self._book, self.scene
        book.active_changed.disconnect(self._active_changed)
        book.traces_changed.disconnect(self._list_traces)
        book.tool_changed.disconnect(self.tools.show_tool)
        book.said.disconnect(self._say)
        scene.live.changed.disconnect(self._map_changed)
        scene.volumes_changed.disconnect(self._show_all)
        try:
            viewer = scene.viewer
        except RuntimeError:
            pass  # the window has gone, and all that was connected to it
        else:
            viewer.layers.selection.events.active.disconnect(self._layer_selected)
        self._follow(None)
        self._worker.cancel()

    def _follow(self, model: TraceModel | None) -> None:
        if self._model is not None:
            self._model.changed.disconnect(self._model_changed)
        self._model = model
        if model is not None:
            model.changed.connect(self._model_changed)

    # -- what is shown --------------------------------------------------------------------

    def _active_changed(self) -> None:
        self._follow(self._book.active)
        self.numbers.show_numbers(None, 0, 0, 0)
        self._say("")
        self._show_all()

    def _show_all(self) -> None:
        self._list_traces()
        volume, model = self.scene.reference, self._model
        finest = None if volume is None else float(min(volume.levels[0].resolution))
        self.curve.show_trace(model, finest)
        self.empty.setVisible(model is None)
        self.empty.set_text(NO_VOLUME if volume is None else NO_TRACE)
        set_ready(self.empty.button, volume is not None, NO_VOLUME)
        set_ready(self.new, volume is not None, NO_VOLUME)
        self._layer_selected()
        self._model_changed()
        self._measure(self.scene.live.state)

    def _say(self, text: str) -> None:
        self.hint.setText(text)
        self.hint.setVisible(bool(text))

    def _list_traces(self) -> None:
        self.which.clear()
        for model in self._book.traces:
            self.which.addItem(model.name)
        if self._book.active is not None:
            self.which.setCurrentIndex(self._book.traces.index(self._book.active))
        some = self._book.active is not None
        set_ready(self.which, some, NO_TRACE)
        set_ready(self.delete, some, NO_TRACE)

    def _layer_selected(self, event: object = None) -> None:
        layer = self.scene.viewer.layers.selection.active
        ours = layer is not None and self._book.model_of(layer) is not None
        fits = layer is not None and layer._type_string == "points" and layer.ndim == 3
        set_ready(
            self.use, fits and not ours, "This layer is a trace already." if ours else _NOT_POINTS
        )

    def _model_changed(self) -> None:
        model = self._model
        self.tools.show_state(model)
        self.files.rows.set_can_export(
            model is not None and len(model.state) > 0 and self.scene.reference is not None,
            "There are no points to write.",
        )
        self.numbers.set_current(False)
        if model is None:
            self.numbers.size.clear()
            return
        state = model.state
        self.numbers.show_points(len(state))
        self.curve.show_state()
        if state.curve is None:
            # There will be no map to measure.
            self.numbers.show_numbers(None, 0, 0, 0)
            self.numbers.show_points(len(state))
            self.keyframes.show_keyframes((), ())

    def _map_changed(self, new: LiveState, old: LiveState) -> None:
        self._measure(new)

    def _measure(self, live: LiveState) -> None:
        """Measure the map of the moment, off the GUI thread."""
        model, map_ = self._model, live.map
        self.keyframes.set_ready(map_ is not None and model is not None)
        if map_ is None or model is None:
            self._worker.cancel()
            self.keyframes.show_keyframes((), ())
            self.numbers.show_numbers(None, 0, 0, 0)
            self.numbers.show_points(0 if model is None else len(model.state))
            return
        if live.dragging or not self.scene.live.is_current:
            return  # what would be measured now is over in a moment, or was another trace's
        state = model.state

        def run(token: Token) -> Readouts:
            return measure(state, map_)

        def done(found: Readouts) -> None:
            if self._model is not model or model.state is not state:
                return
            self.numbers.show_numbers(found, map_.width, map_.height, map_.pitch_nm)
            self.numbers.set_current(True)
            self.keyframes.show_keyframes(found.keyframes, found.keyframe_slices)

        self._worker.submit(run, done, self._failed)

    def _failed(self, error: Exception) -> None:
        self.banner.show_exception(error)

    # -- what is done ---------------------------------------------------------------------

    def _try(self, call: Callable[[], object]) -> None:
        """Do something, and say in the banner what the user can mend."""
        try:
            call()
        except OuroborosError as error:
            self.banner.show_exception(error)
        else:
            self.banner.clear()

    def _go_to(self, index: int) -> None:
        self.scene.place.go_to_slice(index)

    def _new(self) -> None:
        self._try(self._book.new)

    def _use_layer(self) -> None:
        layer = self.scene.viewer.layers.selection.active
        if layer is not None:
            self._try(lambda: self._book.use(layer))

    def _delete(self) -> None:
        trace = self._book.active
        if trace is not None:
            self._try(lambda: self._book.remove(trace))

    def _chosen(self, row: int) -> None:
        traces = self._book.traces
        if 0 <= row < len(traces):
            self._book.active = traces[row]
            layer = self._book.layer_of(traces[row])
            if layer is not None:
                self.scene.viewer.layers.selection.active = layer

    def _turn(self, degrees: float) -> None:
        model, map_ = self._model, self.scene.live.state.map
        if model is None or map_ is None:
            return
        index = min(max(self.scene.place.slice_index, 0), len(map_.frames) - 1)
        s = float(map_.frames.s[index])
        # A slice seems to turn clockwise when its N turns the other way.
        self._try(lambda: model.turn(s, -degrees))
        self.keyframes.degrees.setValue(0)

    def _remove_keyframe(self, s_nm: float) -> None:
        model = self._model
        if model is not None:
            self._try(lambda: model.remove_keyframe(s_nm))

    def _use_largest(self) -> None:
        numbers, settings = self.numbers.numbers, self.scene.settings
        if numbers is not None and numbers.folds.largest_width >= 1:
            width, height = fitting_size(
                settings.width, settings.height, numbers.folds.largest_width
            )
            settings.width, settings.height = width, height


def _button(text: str, name: str, tooltip: str) -> QPushButton:
    button = named(QPushButton(text), name, tooltip)
    button.setMinimumWidth(30)
    return button
