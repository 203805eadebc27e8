"""How the curve runs through the points, what is up in its slices, how far a key walks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_ouroboros.widgets.controls import LengthField, named, set_ready
from napari_ouroboros.widgets.trace.up_direction import CHOICES, parse_up, up_text

if TYPE_CHECKING:
    from napari_ouroboros.widgets.trace.book import TraceBook
    from napari_ouroboros.widgets.trace.model import TraceModel

_NO_TRACE = "Start or choose a trace first."


class CurveForm(QWidget):
    """Settings of the active trace, and the length of a step along it.

    Parameters
    ----------
    book : TraceBook
    attempt : callable
        Does what it is given, and shows what the user can mend.
    """

    def __init__(self, book: TraceBook, attempt: Callable[[Callable[[], object]], None]) -> None:
        super().__init__()
        self._book, self._attempt = book, attempt
        self._model: TraceModel | None = None
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
        self.step = LengthField(
            "Step along the trace",
            "How far key W goes on from the tip.",
            automatic="half the points' distance",
            automatic_is_pixel=False,
        )
        lines = QFormLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        lines.addRow("Tolerance", self.tolerance)
        lines.addRow("Up", self.up)
        lines.addRow("Step along", self.step)
        self.step.changed.connect(self._step_changed)
        self.tolerance.changed.connect(self._tolerance_changed)
        self.up.textActivated.connect(self._up_changed)
        line = self.up.lineEdit()
        assert line is not None
        line.editingFinished.connect(self._up_typed)

    def controls(self) -> list[QWidget]:
        """In the order of Tab."""
        return [self.tolerance.edit, self.up, self.step.edit]

    def show_trace(self, model: TraceModel | None, pixel_nm: float | None) -> None:
        """Show the settings of a trace in a volume whose finest voxels are this large."""
        self._model = model
        for field in (self.tolerance, self.step):
            field.set_pixel_nm(pixel_nm)
        if self.step.nm != self._book.step_nm:
            self.step.nm = self._book.step_nm
        for widget in (self.tolerance, self.up, self.step):
            set_ready(widget, model is not None, _NO_TRACE)
        self.show_state()

    def show_state(self) -> None:
        """Show what may have changed with the trace; what is being typed stays."""
        if self._model is None:
            return
        state = self._model.state
        if self.tolerance.nm != state.tolerance_nm:
            self.tolerance.nm = state.tolerance_nm
        line = self.up.lineEdit()
        if line is not None and not (line.hasFocus() and line.isModified()):
            self.up.setEditText(up_text(state.up))

    def _step_changed(self, nm: float | None) -> None:
        self._book.step_nm = nm

    def _tolerance_changed(self, nm: float | None) -> None:
        model = self._model
        if model is not None:
            self._attempt(lambda: model.set_tolerance(nm or 0.0))

    def _up_typed(self) -> None:
        self._up_changed(self.up.currentText())

    def _up_changed(self, text: str) -> None:
        model = self._model
        if model is None or text == up_text(model.state.up):
            return
        self._attempt(lambda: model.set_up(parse_up(text)))
        line = self.up.lineEdit()
        if line is not None:
            line.setModified(False)
