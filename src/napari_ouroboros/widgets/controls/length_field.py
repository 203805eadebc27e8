"""A field for a length, with the other unit beside it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_ouroboros.errors import UserError
from napari_ouroboros.widgets.controls.lengths import (
    AUTOMATIC,
    Length,
    length_text,
    other_text,
    parse_length,
    stepped,
)
from napari_ouroboros.widgets.controls.manners import BAD, named, wrapping_label

_STEPS: dict[int, int] = {
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_PageUp: 10,
    Qt.Key.Key_PageDown: -10,
}


class LengthField(QWidget):
    """Takes "1.2 um", "800 nm", "100 px"; a bare number is in nm. Up and down step it.

    Parameters
    ----------
    name : str
        What it is the length of, as in the form: "Pixel size".
    tooltip : str
    automatic : str
        What is chosen when it is left empty, as in "automatic (finest resolution)"; "": it must
        be given.
    zero : bool
        Whether 0 is allowed.
    automatic_is_pixel : bool
        Whether what is chosen when it is left empty is the size of a pixel, and shown as that.
    """

    #: The length in nm, or None (automatic): emitted when the user has entered another one.
    changed = Signal(object)

    def __init__(
        self,
        name: str = "length",
        tooltip: str = "",
        automatic: str = "finest resolution",
        zero: bool = False,
        parent: QWidget | None = None,
        automatic_is_pixel: bool = True,
    ) -> None:
        super().__init__(parent)
        self._automatic, self._zero = automatic, zero
        self._automatic_is_pixel = automatic_is_pixel
        self._length = AUTOMATIC
        self._pixel_nm: float | None = None
        how = "A number with its unit: 800 nm, 1.2 um, 100 px. Up and down step it."
        if automatic:
            how += f"\nEmpty: automatic ({automatic})."
        self.edit = named(QLineEdit(), name, f"{tooltip}\n{how}" if tooltip else how)
        self.edit.setPlaceholderText("automatic" if automatic else "e.g. 800 nm")
        self.edit.setMinimumWidth(70)
        self.edit.editingFinished.connect(self._edited)
        self.edit.installEventFilter(self)
        self.beside = QLabel()
        self.beside.setAccessibleName(f"{name} in the other unit")
        self.problem = wrapping_label()
        self.problem.setStyleSheet(f"QLabel {{ {BAD} padding: 2px 4px; }}")
        self.problem.hide()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.edit, 1)
        row.addWidget(self.beside)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.problem)
        self.setFocusProxy(self.edit)
        self._show()

    @property
    def nm(self) -> float | None:
        """The length; None: automatic. Setting it emits nothing."""
        return self._length.nm

    @nm.setter
    def nm(self, value: float | None) -> None:
        if value != self._length.nm:
            unit = self._length.unit
            # A user who thinks in pixels goes on in pixels; other units follow the size.
            self._length = AUTOMATIC if value is None else Length(value, unit * (unit == "px"))
        self.problem.hide()
        self._show()

    @property
    def pixel_nm(self) -> float | None:
        """Size of a pixel in nm, if it is known."""
        return self._pixel_nm

    def set_pixel_nm(self, pixel_nm: float | None) -> None:
        """Say how large a pixel is. The length in nm stays as it is."""
        if pixel_nm != self._pixel_nm:
            self._pixel_nm = pixel_nm
            self._show(keep_text=self.edit.hasFocus() and self.edit.isModified())

    def _show(self, keep_text: bool = False) -> None:
        length = self._length
        if not keep_text:
            # Written so that reading it gives the same length again, to ten digits.
            text = "" if length.nm is None else self._text(length)
            self.edit.setText(text)
        known = length.nm is not None or self._automatic_is_pixel
        other = other_text(length, self._pixel_nm) if known else ""
        self.beside.setText(f"= {other}" if other else "")

    def _text(self, length: Length) -> str:
        assert length.nm is not None
        return length_text(length.nm, length.unit, self._pixel_nm)

    def _edited(self) -> None:
        text = self.edit.text()
        shown = "" if self._length.nm is None else self._text(self._length)
        if text.strip() == shown:
            # Nothing was typed: a length with more digits than are shown stays.
            self.problem.hide()
            return
        try:
            length = parse_length(
                text, self._pixel_nm, automatic=bool(self._automatic), zero=self._zero
            )
        except UserError as error:
            kept = shown or "automatic"
            self.problem.setText(f"{error}. It stays {kept}.")
            self.problem.show()
            if not self.edit.hasFocus():  # somebody who is still here may mend what they typed
                self._show()
            return
        self._set(length)

    def _set(self, length: Length) -> None:
        other = length.nm != self._length.nm
        self._length = length
        self.problem.hide()
        self._show()
        if other:
            self.changed.emit(length.nm)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Step with the keys, and take back what was typed with Escape."""
        if event is None or event.type() != QEvent.Type.KeyPress or watched is not self.edit:
            return super().eventFilter(watched, event)
        assert isinstance(event, QKeyEvent)
        key = event.key()
        if key in _STEPS:
            self._edited()
            if self.problem.isHidden():
                self._set(stepped(self._length, _STEPS[key], self._pixel_nm))
            return True
        if key == Qt.Key.Key_Escape:
            self.problem.hide()
            self._show()
            return True
        return super().eventFilter(watched, event)
