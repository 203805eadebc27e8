"""What a dock shows while it has nothing to show: one sentence and the button that does it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls.manners import named, wrapping_label


class EmptyState(QWidget):
    """One sentence that says what to do next, and a button.

    Parameters
    ----------
    text : str
        "Open a volume, or try the demo."
    button : str
        "Try the demo"; "": no button.
    action : callable, optional
        What the button does.
    tooltip : str
        Of the button.
    """

    def __init__(
        self,
        text: str,
        button: str = "",
        action: Callable[[], object] | None = None,
        tooltip: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.label = wrapping_label(text)
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = named(QPushButton(button), button, tooltip or text)
        self.button.setVisible(bool(button))
        self._action = action
        self.button.clicked.connect(self._act)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.label)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)

    def set_text(self, text: str) -> None:
        """Say something else."""
        self.label.setText(text)

    def _act(self) -> None:
        if self._action is not None:
            self._action()
