"""The part of the dock that writes a file: which layer, where, what it costs, and the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.operations.outputs import recipe_path
from napari_ouroboros.widgets.controls import (
    Destination,
    JobRow,
    named,
    set_ready,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.controls.ending import calls_at_end
from napari_ouroboros.widgets.straighten.result import ResultContent
from napari_ouroboros.widgets.straighten.run import Cost, Request, StraightenRuns

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.operations.straighten_job import StraightenReport
    from napari_ouroboros.widgets.straighten.live_preview import LivePreview


class RunForm(QWidget):
    """Everything for one run to a file.

    Parameters
    ----------
    preview : LivePreview
    """

    #: A run has failed: the exception.
    failed = Signal(object)
    #: Something worth a line: a run ended, was cancelled.
    said = Signal(str)

    def __init__(self, preview: LivePreview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preview = preview
        self._runs = StraightenRuns(preview.scene.deliver)
        self._request: Request | None = None
        self._layers: list[Layer] = []
        self.layer = named(
            QComboBox(), "layer to write", "Which straightened layer is written to the file."
        )
        self.destination = Destination(self, "Straighten", "straightened")
        self.format, self.path = self.destination.format, self.destination.path
        self.choose, self.path_problem = self.destination.choose, self.destination.problem
        named(self.path, "file", "Where the result goes; its recipe lies beside it.")
        self.job = JobRow(
            "Straighten to a file",
            "Write the straightened volume; it then takes the place of the preview.",
            "Straightening",
        )
        self.notices = wrapping_label()
        self.result = wrapping_label()
        self.toggle = named(
            QPushButton("Show the result"),
            "show the result or the preview",
            "Show what was written, or the preview.",
        )
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Layer", self.layer)
        self.destination.add_to(form, "Format", "File")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.path_problem)
        column.addWidget(self.job)
        column.addWidget(self.notices)
        column.addWidget(self.result)
        column.addWidget(self.toggle)
        for combo in (self.layer, self.format):
            combo.setMinimumContentsLength(8)
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.layer.currentIndexChanged.connect(self.refresh)
        self.destination.changed.connect(self.refresh)
        self.job.run.connect(self.run)
        self.job.cancelled.connect(self._runs.cancel)
        self.toggle.clicked.connect(self._toggle)
        # Runs go on while the dock is hidden, so these are not connected and disconnected with it.
        self._runs.progressed.connect(self._progressed)
        self._runs.finished.connect(self._finished)
        self._runs.failed.connect(self._failed)
        self._runs.cost_changed.connect(self._show_cost)
        self._runs.warned.connect(self._warned)
        calls_at_end(self).append(self._runs.close)
        preview.scene.closing.connect(self._runs.close)
        calls_at_end(self).append(preview.scene.work.jobs.add(self._runs))
        tab_order(
            self.layer, self.format, self.path, self.choose, self.job.button,
            self.job.cancel_button, self.toggle,
        )  # fmt: skip

    @property
    def runs(self) -> StraightenRuns:
        """What does the work."""
        return self._runs

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._preview.layers_changed.connect(self.show_layers)
        self._preview.picture_changed.connect(self._show_result)
        self._preview.scene.live.changed.connect(self._live_changed)
        self.show_layers()

    def detach(self) -> None:
        """Stop listening; a run goes on."""
        self._preview.layers_changed.disconnect(self.show_layers)
        self._preview.picture_changed.disconnect(self._show_result)
        self._preview.scene.live.changed.disconnect(self._live_changed)

    def show_layers(self) -> None:
        """Offer what is straightened."""
        blocked = self.layer.blockSignals(True)
        before = self.layer_to_write()
        self._layers = [shown.volume_layer for shown in self._preview.shown]
        self.layer.clear()
        for layer in self._layers:
            self.layer.addItem(str(layer.name))
        if before in self._layers:
            self.layer.setCurrentIndex(self._layers.index(before))
        self.layer.blockSignals(blocked)
        self.refresh()

    def layer_to_write(self) -> Layer | None:
        """Return the volume layer whose straightened volume is written."""
        i = self.layer.currentIndex()
        return self._layers[i] if 0 <= i < len(self._layers) else None

    def refresh(self, *_: Any) -> None:
        """Ask anew what a run would cost."""
        request = self._make_request()
        state = self._preview.scene.live.state
        if state.map is None:
            self.job.set_ready(False, state.problem)
        elif request is None:
            self.job.set_ready(False, "Tick a layer to straighten.")
        else:
            not_yet = self.destination.not_yet
            self.job.set_ready(not not_yet, not_yet)
        if request is None:
            self.job.set_cost("")
            self.notices.hide()
        elif not state.dragging:
            self._runs.estimate(request)
        self.destination.show()
        self._show_result()

    def run(self) -> None:
        """Run; asks before anything is replaced."""
        request = self._make_request()
        if request is None or self._runs.running or self.destination.why_not:
            return
        there = [p for p in (request.path, recipe_path(request.path)) if p.exists()]
        if there:
            if not self.destination.may_replace(there[0]):
                return
            request = Request(request.path, request.source, request.content, overwrite=True)
        self._request = request
        self.job.start(None, "parts", "Straightening")
        self._runs.start(request)

    def _make_request(self) -> Request | None:
        layer = self.layer_to_write()
        source = None if layer is None else self._preview.feed_of(layer)
        if source is None or source.live is None or self._preview.scene.live.state.map is None:
            return None
        return Request(self.destination.target, source, source.live)

    # -- what the user does ---------------------------------------------------------------

    def _toggle(self, *_: Any) -> None:
        layer = self.layer_to_write()
        source = None if layer is None else self._preview.feed_of(layer)
        if source is None or source.result is None or source.result_of is None:
            return
        if source.shows_result:
            self._preview.show_preview(source)
        else:
            self._preview.show_result(source, source.result, source.result_of)
        self._show_result()

    # -- what the run tells ---------------------------------------------------------------

    def _live_changed(self, *_: Any) -> None:
        self.refresh()

    def _show_cost(self, cost: Cost | None) -> None:
        self.job.set_cost("" if cost is None else cost.text(self._runs.bytes_per_second))

    def _warned(self, text: str) -> None:
        self.notices.setText(text)
        self.notices.setVisible(bool(text))

    def _progressed(self, done: int, total: int) -> None:
        self.job.advance(done, total)

    def _finished(self, report: StraightenReport) -> None:
        self.job.finish(f"Written in {report.seconds:.3g} s: {report.path}")
        request, self._request = self._request, None
        if request is not None:
            self._preview.show_result(request.source, ResultContent(report), request.content)
        self._show_result()
        self._show_cost(self._runs.cost)
        self.said.emit(f"Straightened: {report.path}")

    def _failed(self, error: Exception) -> None:
        self._request = None
        if isinstance(error, Cancelled):
            self.job.finish("Cancelled; nothing was kept.")
            self.said.emit("Straightening was cancelled; nothing was kept.")
            return
        self.job.finish()
        self.failed.emit(error)

    def _show_result(self) -> None:
        layer = self.layer_to_write()
        source = None if layer is None else self._preview.feed_of(layer)
        result = None if source is None else source.result
        self.result.setVisible(result is not None)
        self.toggle.setVisible(result is not None)
        if source is None or result is None:
            return
        name = result.report.path.name
        current = source.live is source.result_of
        if source.shows_result:
            self.result.setText(f"Shown: the result {name}.")
            self.toggle.setText("Show the preview")
        elif current:
            self.result.setText(f"Shown: the preview; {name} is its result.")
            self.toggle.setText("Show the result")
        else:
            self.result.setText(
                f"Shown: the preview. {result.report.path} is the result of an earlier trace or "
                "of other settings; File > Open shows it."
            )
            self.toggle.setText("Show the result")
        set_ready(self.toggle, current, "The trace or the settings have changed since.")
