"""The Trace dock: which trace, what the mouse does, what is known of it, its settings, files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QPushButton, QWidget

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.controls import (
    Banner,
    EmptyState,
    LengthField,
    ScrollDock,
    named,
    set_ready,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.trace.exporting import export
from napari_ouroboros.widgets.trace.file_rows import FileRows
from napari_ouroboros.widgets.trace.importing import Candidate, candidates
from napari_ouroboros.widgets.trace.keyframe_list import KeyframeList
from napari_ouroboros.widgets.trace.number_rows import NumberRows
from napari_ouroboros.widgets.trace.readouts import Readouts, fitting_size, measure
from napari_ouroboros.widgets.trace.tool_row import ToolRow
from napari_ouroboros.widgets.trace.up_direction import CHOICES, parse_up, up_text

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ouroboros.widgets.scene import LiveState
    from napari_ouroboros.widgets.trace.model import TraceModel

TITLE = "Trace"
_NO_VOLUME = "Open a volume, or try the demo."
_NO_TRACE = "Start a trace, then click points along the structure."
_NOT_POINTS = "Select a Points layer of three dimensions in napari's layer list first."


class TraceDock(ScrollDock):
    """The dock of one viewer's traces.

    Parameters
    ----------
    napari_viewer : napari.Viewer or ViewerModel
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.scene = scene_of(napari_viewer)
        self._book = self.scene.traces
        self._worker = Worker("ouroboros-readouts", self.scene.deliver)
        self._files = Worker("ouroboros-trace-files", self.scene.deliver, keep_all=True)
        self.at_end(self._worker.close)
        self.at_end(self._files.close)
        self._model: TraceModel | None = None

        self.banner = Banner()
        self.empty = EmptyState(_NO_TRACE, "New trace", self._try(self._new))
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
        self.step = LengthField(
            "Step along the trace",
            "How far key W goes on from the tip.",
            automatic="half the points' distance",
        )
        self.tolerance = LengthField(
            "Tolerance",
            "How far the curve may leave the points; 0: it passes through each.",
            automatic="",
            zero=True,
        )
        self.up = named(
            QComboBox(),
            "up direction",
            "Direction of the volume that is up in every slice: none, an axis such as -y, or "
            "three numbers z, y, x.\nWithout one, slices turn as little as they can.",
        )
        self.up.setEditable(True)
        self.up.addItems(CHOICES)
        self.keyframes = KeyframeList(self._go_to, self._turn, self._remove_keyframe)
        self.files = FileRows(self._look_into, self._add_found, self._export)
        self._lay_out()

        self.new.clicked.connect(self._try(self._new))
        self.use.clicked.connect(self._try(self._use_layer))
        self.delete.clicked.connect(self._try(self._delete))
        self.which.activated.connect(self._chosen)
        self.step.changed.connect(self._step_changed)
        self.tolerance.changed.connect(self._tolerance_changed)
        self.up.textActivated.connect(self._up_changed)
        line = self.up.lineEdit()
        assert line is not None
        line.editingFinished.connect(self._up_typed)

    def _lay_out(self) -> None:
        top = QWidget()
        row = QHBoxLayout(top)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.which, 1)
        row.addWidget(self.new)
        row.addWidget(self.delete)
        form = QWidget()
        lines = QFormLayout(form)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        lines.addRow("Tolerance", self.tolerance)
        lines.addRow("Up", self.up)
        lines.addRow("Step along", self.step)
        for widget in (self.banner, self.empty, top, self.use, self.tools, self.hint, self.numbers):
            self.column.addWidget(widget)
        self.section("Curve", form)
        self.section("Up side of single slices", self.keyframes, open_=False)
        self.section("Import and export", self.files, open_=False)
        tab_order(
            self.empty.button,
            self.which,
            self.new,
            self.delete,
            self.use,
            *self.tools.controls(),
            *self.numbers.controls(),
            self.tolerance.edit,
            self.up,
            self.step.edit,
            *self.keyframes.controls(),
            *self.files.controls(),
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
        self.tolerance.set_pixel_nm(finest)
        self.step.nm = self._book.step_nm
        self.empty.setVisible(model is None)
        self.empty.set_text(_NO_VOLUME if volume is None else _NO_TRACE)
        set_ready(self.empty.button, volume is not None, _NO_VOLUME)
        set_ready(self.new, volume is not None, _NO_VOLUME)
        for widget in (self.tolerance, self.up, self.step):
            set_ready(widget, model is not None, _NO_TRACE)
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
        set_ready(self.which, some, _NO_TRACE)
        set_ready(self.delete, some, _NO_TRACE)

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
        self.files.set_can_export(
            model is not None and len(model.state) > 0 and self.scene.reference is not None,
            "There are no points to write.",
        )
        self.numbers.set_current(False)
        if model is None:
            self.numbers.size.clear()
            return
        state = model.state
        self.numbers.show_points(len(state))
        self.tolerance.nm = state.tolerance_nm
        line = self.up.lineEdit()
        if line is not None and not (line.hasFocus() and line.isModified()):
            self.up.setEditText(up_text(state.up))
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
            self.numbers.show_numbers(None, 0, 0, 0)
            self.numbers.show_points(0 if model is None else len(model.state))
            return
        if live.dragging:
            return  # what is measured now is over in a moment
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

    def _try(self, call: Callable[[], object]) -> Callable[[], None]:
        """`call` with what the user can mend said in the banner."""

        def run(*_: object) -> None:
            try:
                call()
            except OuroborosError as error:
                self.banner.show_exception(error)
            else:
                self.banner.clear()

        return run

    def _go_to(self, index: int) -> None:
        self.scene.place.go_to_slice(index)

    def _new(self) -> None:
        self._book.new()

    def _use_layer(self) -> None:
        layer = self.scene.viewer.layers.selection.active
        if layer is not None:
            self._book.use(layer)

    def _delete(self) -> None:
        if self._book.active is not None:
            self._book.remove(self._book.active)

    def _chosen(self, row: int) -> None:
        traces = self._book.traces
        if 0 <= row < len(traces):
            self._book.active = traces[row]
            layer = self._book.layer_of(traces[row])
            if layer is not None:
                self.scene.viewer.layers.selection.active = layer

    def _step_changed(self, nm: float | None) -> None:
        self._book.step_nm = nm

    def _tolerance_changed(self, nm: float | None) -> None:
        model = self._model
        if model is not None:
            self._try(lambda: model.set_tolerance(nm or 0.0))()

    def _up_typed(self) -> None:
        self._up_changed(self.up.currentText())

    def _up_changed(self, text: str) -> None:
        model = self._model
        if model is None or text == up_text(model.state.up):
            return
        self._try(lambda: model.set_up(parse_up(text)))()
        line = self.up.lineEdit()
        if line is not None:
            line.setModified(False)

    def _turn(self, degrees: float) -> None:
        model, map_ = self._model, self.scene.live.state.map
        if model is None or map_ is None:
            return
        index = min(max(self.scene.place.slice_index, 0), len(map_.frames) - 1)
        s = float(map_.frames.s[index])
        # A slice seems to turn clockwise when its N turns the other way.
        self._try(lambda: model.turn(s, -degrees))()
        self.keyframes.degrees.setValue(0)

    def _remove_keyframe(self, s_nm: float) -> None:
        model = self._model
        if model is not None:
            self._try(lambda: model.remove_keyframe(s_nm))()

    def _use_largest(self) -> None:
        numbers, settings = self.numbers.numbers, self.scene.settings
        if numbers is not None and numbers.folds.largest_width >= 1:
            width, height = fitting_size(
                settings.width, settings.height, numbers.folds.largest_width
            )
            settings.width, settings.height = width, height

    # -- files ----------------------------------------------------------------------------

    def _look_into(self, source: str) -> None:
        volume = self.scene.reference
        if volume is None:
            self.banner.show_error(_NO_VOLUME)
            return
        self.files.set_busy(True)

        def done(found: list[Candidate]) -> None:
            self.files.set_busy(False)
            self.files.show_found(found)
            if len(found) == 1:
                self._add_found(found[0])
            else:
                self.banner.show_notice(f"{len(found)} traces found: choose one and add it.")

        def failed(error: Exception) -> None:
            self.files.set_busy(False)
            self.banner.show_exception(error, lambda: self._look_into(source))

        self._files.submit(lambda token: candidates(source, volume), done, failed)

    def _add_found(self, candidate: Candidate) -> None:
        self._try(lambda: self._book.new(candidate.points_nm, candidate.name))()

    def _export(self, path: str) -> None:
        model, volume = self._model, self.scene.reference
        if model is None or volume is None or not path:
            return
        name, points = model.name, model.state.points_nm

        def done(file: Path) -> None:
            self.banner.show_notice(f"{len(points)} points written to {file}")

        def failed(error: Exception) -> None:
            self.banner.show_exception(error, lambda: self._export(path))

        self._files.submit(lambda token: export(path, name, points, volume), done, failed)


def _button(text: str, name: str, tooltip: str) -> QPushButton:
    button = named(QPushButton(text), name, tooltip)
    button.setMinimumWidth(30)
    return button
