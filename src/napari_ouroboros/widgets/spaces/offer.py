"""One sentence and the button that does something about it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from napari_ouroboros.widgets.controls import named, wrapping_label
from napari_ouroboros.widgets.controls.manners import GOOD


class Offer(QFrame):
    """Hidden until it is made; gone when taken or closed.

    Parameters
    ----------
    text : str
    button, tooltip : str
        What the button says, and what it does.
    take : callable
    """

    def __init__(
        self,
        text: str,
        button: str,
        tooltip: str,
        take: Callable[[], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("ouroborosOffer")
        self.setStyleSheet(
            f"#ouroborosOffer {{ {GOOD} }} #ouroborosOffer QLabel {{ background: transparent; }}"
        )
        self.label = wrapping_label(text)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.take_button = named(QPushButton(button), button, tooltip)
        self.close_button = named(QPushButton("Leave it"), "leave it", "Close this message.")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 3, 6, 3)
        row.setSpacing(4)
        row.addWidget(self.label, 1)
        row.addWidget(self.take_button)
        row.addWidget(self.close_button)
        self.take_button.clicked.connect(self.hide)
        self.take_button.clicked.connect(take)
        self.close_button.clicked.connect(self.hide)
        self.hide()
