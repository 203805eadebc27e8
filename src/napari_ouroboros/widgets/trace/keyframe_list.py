"""The user's twist keyframes: where slices were given an up side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.widgets import keys
from napari_ouroboros.widgets.controls import named, set_ready, wrapping_label
from napari_ouroboros.widgets.controls.lengths import length_text
from napari_ouroboros.widgets.trace.state import Keyframe

_NO_MAP = "There is no slice yet: open a volume and trace at least two points."


class KeyframeList(QWidget):
    """A list with what can be done about it.

    Parameters
    ----------
    go_to : callable
        Shows a slice by its index.
    turn : callable
        Turns the shown slice by degrees, and keeps it so.
    remove : callable
        Removes the keyframe at an arc length.
    """

    def __init__(
        self,
        go_to: Callable[[int], None],
        turn: Callable[[float], None],
        remove: Callable[[float], None],
    ) -> None:
        super().__init__()
        self._go_to, self._turn, self._remove = go_to, turn, remove
        self._keyframes: Sequence[Keyframe] = ()
        self._slices: Sequence[int] = ()
        self.hint = wrapping_label(
            f"In the straightened view press {keys.UP_SIDE_HERE} with the mouse towards the side "
            "that shall be up, or turn the shown slice here."
        )
        self.degrees = named(
            QDoubleSpinBox(), "degrees to turn", "How far the shown slice is turned clockwise."
        )
        self.degrees.setRange(-180, 180)
        self.degrees.setDecimals(1)
        self.degrees.setSingleStep(5)
        self.degrees.setSuffix("°")
        self.turn = named(
            QPushButton("Make this the up side here"),
            "make this the up side here",
            "Turn the shown slice so far, and keep its up side there. 0: keep it as it is.",
        )
        self.list = named(
            QListWidget(),
            "keyframes",
            "Slices whose up side you have set. Click: show the slice. Delete: remove it.",
        )
        self.list.setMaximumHeight(110)
        self.remove = named(
            QPushButton("Remove"), "remove keyframe", "Let this slice turn with its neighbours."
        )
        row = QHBoxLayout()
        row.addWidget(self.degrees)
        row.addWidget(self.turn, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.hint)
        column.addLayout(row)
        column.addWidget(self.list)
        column.addWidget(self.remove)
        self.turn.clicked.connect(self._on_turn)
        self.remove.clicked.connect(self._on_remove)
        self.list.itemActivated.connect(self._on_chosen)
        self.list.itemClicked.connect(self._on_chosen)
        self.list.currentRowChanged.connect(self._show_ready)
        shortcut = QShortcut(QKeySequence(Qt.Key.Key_Delete), self.list)
        shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        shortcut.activated.connect(self._on_remove)
        self.show_keyframes((), ())
        self.set_ready(False)

    def controls(self) -> list[QWidget]:
        """In the order of Tab."""
        return [self.degrees, self.turn, self.list, self.remove]

    def set_ready(self, ready: bool) -> None:
        """Whether there is a slice to turn."""
        set_ready(self.turn, ready, _NO_MAP)
        set_ready(self.degrees, ready, _NO_MAP)

    def show_keyframes(self, keyframes: Sequence[Keyframe], slices: Sequence[int]) -> None:
        """List keyframes, and the slices at which they are."""
        row = self.list.currentRow()
        self._keyframes, self._slices = keyframes, slices
        self.list.clear()
        for key, index in zip(keyframes, slices, strict=True):
            text = f"slice {index} at {length_text(key.s_nm, digits=5)}: {key.degrees:.1f}°"
            self.list.addItem(QListWidgetItem(text))
        self.list.setVisible(bool(keyframes))
        self.remove.setVisible(bool(keyframes))
        if 0 <= row < len(keyframes):
            self.list.setCurrentRow(row)
        self._show_ready()

    def _show_ready(self, _: int = -1) -> None:
        chosen = 0 <= self.list.currentRow() < len(self._keyframes)
        set_ready(self.remove, chosen, "Choose a slice in the list first.")

    def _on_turn(self) -> None:
        self._turn(self.degrees.value())

    def _on_chosen(self, item: QListWidgetItem) -> None:
        row = self.list.row(item)
        if 0 <= row < len(self._slices):
            self._go_to(self._slices[row])

    def _on_remove(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._keyframes):
            self._remove(self._keyframes[row].s_nm)
