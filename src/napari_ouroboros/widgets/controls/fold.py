"""A title that folds away what is below it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls.manners import named, show_soon


class Fold(QWidget):
    """A section of a form. Unlike superqt's it follows what grows inside of it.

    Parameters
    ----------
    title : str
    open_ : bool
        Whether it is unfolded at first.
    """

    def __init__(self, title: str, open_: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = named(QToolButton(), title, f"Show or hide: {title}")
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        # A title, not a button that was pressed: the theme's colour of checked buttons is loud.
        self.button.setStyleSheet(
            "QToolButton { border: none; font-weight: bold; text-align: left; padding: 3px;"
            " background: rgba(128, 128, 128, 40); }"
            "QToolButton:hover, QToolButton:focus { background: rgba(128, 128, 128, 90); }"
        )
        self.inside = QWidget()
        self.column = QVBoxLayout(self.inside)
        self.column.setContentsMargins(6, 2, 0, 4)
        self.column.setSpacing(4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.button)
        column.addWidget(self.inside)
        self.button.toggled.connect(self._toggled)
        self.button.setChecked(open_)
        self._toggled(open_)
        self.button.clicked.connect(self._clicked)

    @property
    def is_open(self) -> bool:
        """Whether it is unfolded."""
        return bool(self.button.isChecked())

    def set_open(self, open_: bool) -> None:
        """Fold or unfold it."""
        self.button.setChecked(open_)

    def set_title(self, title: str) -> None:
        """Say something else in the title."""
        self.button.setText(title)

    def add(self, *widgets: QWidget) -> None:
        """Put controls below what is in it."""
        for widget in widgets:
            self.column.addWidget(widget)

    def _toggled(self, open_: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if open_ else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
        self.inside.setVisible(open_)

    def _clicked(self, open_: bool) -> None:
        if open_:  # what unfolds below the edge of a low dock would not be seen
            show_soon(self.button, self.inside)
