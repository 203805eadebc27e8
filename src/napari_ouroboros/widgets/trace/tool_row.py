"""Buttons for what a click does, and for whole-trace edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QButtonGroup, QCheckBox, QGridLayout, QPushButton, QWidget

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.controls import named, set_ready

if TYPE_CHECKING:
    from napari_ouroboros.widgets.trace.book import Tool, TraceBook
    from napari_ouroboros.widgets.trace.model import TraceModel

_TOOLS: dict[Tool, tuple[str, str]] = {
    "append": (
        "Append",
        "Click to go on from the last point; from the first, where that alone is selected.\n"
        "A click on the curve inserts a point there. In 3D click a point or the curve.",
    ),
    "insert": (
        "Insert",
        "Click beside the curve to insert a point between two others.\n"
        f"Key {keys.INSERT_POINT}: on the curve, nearest to the cursor.",
    ),
    "move": ("Move", "Drag points; drag a box around several to select them. Delete removes them."),
    "delete": ("Delete", "Click a point to delete it."),
}
_NO_TRACE = "Start or choose a trace first."


class ToolRow(QWidget):
    """Tools and edits of the active trace; `show_state` keeps it up to date."""

    def __init__(self, book: TraceBook, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._book = book
        self.tools: dict[Tool, QPushButton] = {}
        group = QButtonGroup(self)
        # None may be pressed: napari has modes of its own.
        group.setExclusive(False)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, (tool, (title, tooltip)) in enumerate(_TOOLS.items()):
            button = named(QPushButton(title), f"{title} points", tooltip)
            button.setCheckable(True)
            button.setMinimumWidth(30)
            group.addButton(button)
            button.clicked.connect(_chosen(self, tool))
            grid.addWidget(button, 0, column)
            self.tools[tool] = button
        self.undo = self._button("Undo", f"Undo the last change ({_key(keys.UNDO)}).")
        self.redo = self._button("Redo", f"Do it again ({_key(keys.REDO)}).")
        self.reverse = self._button(
            "Reverse", "Go the other way: the last slice becomes the first. The up side stays."
        )
        self.closed = named(QCheckBox("Closed"), "closed", "The trace returns to its first point.")
        for column, widget in enumerate((self.undo, self.redo, self.reverse, self.closed)):
            grid.addWidget(widget, 1, column)
        self.undo.clicked.connect(self._on_undo)
        self.redo.clicked.connect(self._on_redo)
        self.reverse.clicked.connect(self._on_reverse)
        self.closed.clicked.connect(self._on_closed)

    def controls(self) -> list[QWidget]:
        """In the order of Tab."""
        return [*self.tools.values(), self.undo, self.redo, self.reverse, self.closed]

    def choose(self, tool: Tool) -> None:
        """Let a click do this; the same once more: let napari's camera have it."""
        self._book.tool = None if self._book.tool == tool else tool
        self.show_tool()

    def show_tool(self) -> None:
        """Press the button of the tool in hand."""
        for tool, button in self.tools.items():
            button.setChecked(tool == self._book.tool)

    def show_state(self, model: TraceModel | None) -> None:
        """Show what can be done with a trace."""
        some = model is not None
        for button in self.tools.values():
            set_ready(button, some, _NO_TRACE)
        can_undo = model is not None and model.can_undo
        can_redo = model is not None and model.can_redo
        set_ready(self.undo, can_undo, "There is nothing to undo." if some else _NO_TRACE)
        set_ready(self.redo, can_redo, "There is nothing to redo." if some else _NO_TRACE)
        many = model is not None and len(model.state) > 1
        set_ready(self.reverse, many, "There are no two points yet." if some else _NO_TRACE)
        enough = model is not None and (len(model.state) > 2 or model.state.closed)
        set_ready(self.closed, enough, "A closed trace needs three points." if some else _NO_TRACE)
        self.closed.setChecked(model is not None and model.state.closed)
        self.show_tool()

    def _button(self, title: str, tooltip: str) -> QPushButton:
        button = named(QPushButton(title), title, tooltip)
        button.setMinimumWidth(30)
        return button

    def _on_undo(self) -> None:
        if self._book.active is not None:
            self._book.active.undo()

    def _on_redo(self) -> None:
        if self._book.active is not None:
            self._book.active.redo()

    def _on_reverse(self) -> None:
        if self._book.active is not None:
            self._book.active.reverse()

    def _on_closed(self) -> None:
        if self._book.active is not None:
            self._book.active.set_closed(self.closed.isChecked())


def _chosen(row: ToolRow, tool: Tool) -> Callable[[], None]:
    return lambda: row.choose(tool)


def _key(name: str) -> str:
    return name.replace("Control", "Ctrl")
