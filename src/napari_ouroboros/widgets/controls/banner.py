"""What happened, where it happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.widgets.controls.manners import BAD, GOOD, named, tab_order, wrapping_label
from napari_ouroboros.widgets.controls.messages import what_happened


class Banner(QFrame):
    """One line at the top of a dock, hidden while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("ouroborosBanner")
        self._retry: Callable[[], object] | None = None
        self.label = wrapping_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.retry_button = named(QPushButton("Retry"), "retry", "Do it once more.")
        self.details_button = named(
            QPushButton("Details"), "details", "Show everything that is known about it."
        )
        self.details_button.setCheckable(True)
        self.copy_button = named(
            QPushButton("Copy"), "copy details", "Copy the message and the details."
        )
        self.close_button = named(QToolButton(), "close message", "Close this message.")
        self.close_button.setText("✕")
        self.close_button.setAutoRaise(True)
        self.details = named(QPlainTextEdit(), "details", "Everything that is known about it.")
        self.details.setReadOnly(True)
        self.details.setTabChangesFocus(True)
        self.details.setMaximumHeight(160)
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        # In a low dock each line counts: what only has to be read takes those of its text.
        line = QHBoxLayout()
        line.setSpacing(4)
        line.addWidget(self.label, 1, Qt.AlignmentFlag.AlignVCenter)
        line.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.retry_button, self.details_button, self.copy_button):
            button.setMinimumWidth(30)
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 3, 4, 3)
        column.setSpacing(3)
        column.addLayout(line)
        column.addLayout(buttons)
        column.addWidget(self.details)
        tab_order(*self.controls())
        self.retry_button.clicked.connect(self._do_again)
        self.details_button.toggled.connect(self.details.setVisible)
        self.copy_button.clicked.connect(self._copy)
        self.close_button.clicked.connect(self.clear)
        self.hide()

    def controls(self) -> tuple[QWidget, ...]:
        """What a user operates, in the order of Tab."""
        return self.retry_button, self.details_button, self.copy_button, self.close_button

    @property
    def text(self) -> str:
        """What is said at the moment; "" while hidden."""
        return "" if self.isHidden() else self.label.text()

    def show_error(
        self, what: str, details: str = "", retry: Callable[[], object] | None = None
    ) -> None:
        """Say what went wrong and what to do; `retry` does it once more."""
        self._say(what, BAD, details, retry)

    def show_exception(
        self, error: BaseException, retry: Callable[[], object] | None = None
    ) -> None:
        """Say in one line what an exception means, with its traceback as details."""
        self.show_error(*what_happened(error), retry)

    def show_notice(self, text: str) -> None:
        """Say something that is no error."""
        self._say(text, GOOD, "", None)

    def clear(self) -> None:
        """Say nothing any more."""
        self._retry = None
        self.hide()

    def _say(self, text: str, style: str, details: str, retry: Callable[[], object] | None) -> None:
        self._retry = retry
        self.setStyleSheet(
            f"#ouroborosBanner {{ {style} }} #ouroborosBanner QLabel {{ background: transparent; }}"
        )
        self.label.setText(text)
        self.setAccessibleName(text)
        self.retry_button.setVisible(retry is not None)
        self.details_button.setVisible(bool(details))
        self.copy_button.setVisible(bool(details))
        self.details_button.setChecked(False)
        self.details.setPlainText(details)
        self.details.hide()
        self.show()

    def _do_again(self) -> None:
        retry = self._retry
        self.clear()
        if retry is not None:
            retry()

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self.label.text()}\n\n{self.details.toPlainText()}")
