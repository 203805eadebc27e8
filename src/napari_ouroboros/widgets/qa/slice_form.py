"""The shown slice: why it deserves a look, and what somebody thinks of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.controls import named, set_ready, tab_order, wrapping_label
from napari_ouroboros.widgets.controls.lengths import length_text

if TYPE_CHECKING:
    from napari_ouroboros.operations.marks import Verdict
    from napari_ouroboros.widgets.qa.model import QaModel
    from napari_ouroboros.widgets.scene import Scene

_NO_MARK = "Mark the slice good or bad first."


class SliceForm(QWidget):
    """Previous and next suspicious slice, reasons, good, bad and a comment.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self.previous = named(
            QPushButton("◀"),
            "previous suspicious slice",
            f"Go to the previous suspicious slice ({keys.PREVIOUS_SUSPICIOUS}).",
        )
        self.next = named(
            QPushButton("suspicious ▶"),
            "next suspicious slice",
            f"Go to the next suspicious slice ({keys.NEXT_SUSPICIOUS}).",
        )
        self.good = named(
            QPushButton("Good"), "good", f"Mark this slice as good; again: no mark "
            f"({keys.MARK_GOOD}).",
        )  # fmt: skip
        self.bad = named(
            QPushButton("Bad"), "bad", f"Mark this slice as bad; again: no mark ({keys.MARK_BAD})."
        )
        self.comment = named(
            QLineEdit(), "comment", "What there is to say of this slice; kept with its mark."
        )
        self.comment.setPlaceholderText("comment")
        self.reasons = wrapping_label()
        self.reasons.setTextFormat(Qt.TextFormat.PlainText)
        self.reasons.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        #: Whose comment is in the field.
        self._k = -1
        for button in (self.good, self.bad):
            button.setCheckable(True)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for button in (self.previous, self.next, self.good, self.bad):
            # napari's theme asks for more room than the words need.
            width = button.fontMetrics().horizontalAdvance(button.text())
            button.setMinimumWidth(width + 14)
            button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
            row.addWidget(button, 0)
        row.addWidget(self.comment, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.reasons)
        self.previous.clicked.connect(partial(self._step, -1))
        self.next.clicked.connect(partial(self._step, 1))
        self.good.clicked.connect(partial(self._mark, "good"))
        self.bad.clicked.connect(partial(self._mark, "bad"))
        self.comment.editingFinished.connect(self._comment_written)
        tab_order(self.previous, self.next, self.good, self.bad, self.comment)

    @property
    def _qa(self) -> QaModel:
        return self._scene.qa

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._scene.place.slice_changed.connect(self._slice_changed)
        self._qa.changed.connect(self.refresh)
        self._qa.marks_changed.connect(self.refresh)
        self._scene.live.changed.connect(self._live_changed)
        self.refresh()

    def detach(self) -> None:
        """Stop listening; what was written is kept."""
        self._comment_written()
        self._scene.place.slice_changed.disconnect(self._slice_changed)
        self._qa.changed.disconnect(self.refresh)
        self._qa.marks_changed.disconnect(self.refresh)
        self._scene.live.changed.disconnect(self._live_changed)

    def refresh(self) -> None:
        """Show how things are."""
        qa = self._qa
        k, n = self._scene.place.slice_index, len(qa.reasons)
        known = qa.is_current and k < n
        mark = qa.marks.get(k) if known and qa.marks is not None else None
        count = len(qa.suspicious)
        self.next.setText(f"{count:,} suspicious ▶" if count else "suspicious ▶")
        for button in (self.previous, self.next):
            set_ready(button, known and count > 0, "No slice is suspicious so far.")
        for button, verdict in ((self.good, "good"), (self.bad, "bad")):
            set_ready(button, known, qa.why_not)
            button.setChecked(mark is not None and mark.verdict == verdict)
        set_ready(self.comment, mark is not None, _NO_MARK)
        text = "" if mark is None else mark.comment
        if self._k != k or not self.comment.hasFocus():
            self.comment.setText(text)
            self._k = k
        self.reasons.setText(self._text(k, n) if known else "")
        self.reasons.setVisible(known)

    def _text(self, k: int, n: int) -> str:
        qa = self._qa
        assert qa.map is not None
        along = length_text(float(qa.map.frames.s[k]), digits=4)
        why = qa.reasons[k]
        where = f"Slice {k} of {n:,}, at {along}"
        if len(why) < 2:
            return f"{where}: {why[0] if why else 'nothing suspicious'}."
        return "\n".join([f"{where}:", *(f"• {reason}" for reason in why)])

    def _slice_changed(self, _k: int, _by: str) -> None:
        self._comment_written()
        self.refresh()

    def _live_changed(self, *_: object) -> None:
        self.refresh()

    def _step(self, by: int, _checked: bool = False) -> None:
        self._qa.go_to_suspicious(by)

    def _mark(self, verdict: Verdict, _checked: bool = False) -> None:
        self._comment_written()
        self._qa.toggle_mark(verdict)
        self.refresh()

    def _comment_written(self) -> None:
        if self._k >= 0:
            self._qa.set_comment(self._k, self.comment.text().strip())
