"""Work that was not saved: one sentence, and what to do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls import named, wrapping_label
from napari_ouroboros.widgets.controls.manners import GOOD
from napari_ouroboros.widgets.session.asking import unsaved_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ouroboros.session import Abandoned


class RecoveryOffer(QFrame):
    """Hidden while there is nothing to offer; the newest first, one at a time."""

    #: Bring it back; throw it away: an `Abandoned`.
    restore = Signal(object)
    discard = Signal(object)
    #: Nothing is offered any more: all has been decided.
    ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("ouroborosRecovery")
        self.setStyleSheet(
            f"#ouroborosRecovery {{ {GOOD} }} "
            "#ouroborosRecovery QLabel { background: transparent; }"
        )
        self._offered: list[Abandoned] = []
        self._later: set[object] = set()
        self.label = wrapping_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.restore_button = named(
            QPushButton("Restore"), "restore unsaved work", "Bring it back into this window."
        )
        self.discard_button = named(
            QPushButton("Discard"), "discard unsaved work", "Throw it away for good."
        )
        self.later_button = named(
            QPushButton("Later"), "later", "Keep it; it is offered again at the next start."
        )
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.restore_button, self.discard_button, self.later_button):
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 6, 6)
        column.setSpacing(4)
        column.addWidget(self.label)
        column.addLayout(row)
        self.restore_button.clicked.connect(self._restore)
        self.discard_button.clicked.connect(self._discard)
        self.later_button.clicked.connect(self._put_off)
        self.hide()

    @property
    def offered(self) -> Abandoned | None:
        """What is offered at the moment."""
        return self._offered[0] if self._offered else None

    def offer(self, found: Sequence[Abandoned]) -> None:
        """Offer what was found, and no more what is not there any more."""
        self._offered = [one for one in found if one.path not in self._later]
        self._show()

    def _show(self) -> None:
        one = self.offered
        self.setVisible(one is not None)
        if one is not None:
            more = len(self._offered) - 1
            rest = f" There is more: {more} older." if more else ""
            self.label.setText(f"{unsaved_line(one)}{rest}")
            self.setAccessibleName(self.label.text())

    def _restore(self) -> None:
        self._take(self.restore)

    def _discard(self) -> None:
        self._take(self.discard)

    def _put_off(self) -> None:
        if self._offered:
            self._later.add(self._offered.pop(0).path)
            self._show()
            self._tell_end()

    def _take(self, signal: Signal) -> None:
        if self._offered:
            one = self._offered.pop(0)
            self._show()
            signal.emit(one)
            self._tell_end()

    def _tell_end(self) -> None:
        if not self._offered:
            self.ended.emit()
