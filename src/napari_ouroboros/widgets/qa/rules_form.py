"""From where on a slice is suspicious: each rule can be switched off, and its limit changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.operations.qa import Rules
from napari_ouroboros.widgets.controls import named, set_ready, tab_order, wrapping_label

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import Scene

_OFF = "Tick the rule first."
_HOW = (
    "×: so many times the usual distance from what most slices have (their median). The number "
    "beside it: less than that is never suspicious."
)


class _Number(NamedTuple):
    """A number of a rule: the field of `Rules`, what it is multiplied with, unit, what it is."""

    field: str
    factor: float
    suffix: str
    about: str


class _Line(NamedTuple):
    """A rule that is on or off; `switch` is True or a number while it is on."""

    switch: str
    title: str
    about: str
    numbers: Sequence[_Number] = ()


def _spread(field: str) -> _Number:
    return _Number(field, 1, " ×", "So many times farther away than most slices are.")


def _least(field: str, of: str) -> _Number:
    return _Number(field, 100, " %", f"At least so much, in percent of {of}.")


_LINES = (
    _Line("jump", "Jump to the slice before", "It looks different from the slice before.",
          (_spread("jump"), _least("least_jump", "1 - correlation"))),
    _Line("intensity", "Intensity, contrast", "Brighter, darker or of another contrast.",
          (_spread("intensity"), _least("least_intensity", "the median"))),
    _Line("diameter", "Diameter of the labels", "It changes from one slice to the next.",
          (_spread("diameter"), _least("least_diameter", "the diameter"))),
    _Line("off_centre", "Labels off the centre", "Their centroid is far from the slice's centre.",
          (_Number("off_centre", 100, " %", "Of the way from centre to edge."),)),
    _Line("contested", "Voxels in several slices", "Other slices have the same voxels.",
          (_Number("contested", 100, " %", "More than so many of its voxels."),)),
    _Line("agreement", "Not coming back", "Samples that end elsewhere, to their voxel and back.",
          (_spread("agreement"), _least("least_agreement", "the samples"))),
    _Line("outside", "Outside the volume", "Samples lie beyond the volume."),
    _Line("fold", "Folds", "The slice meets its neighbours in a tight bend."),
    _Line("missing", "Missing chunks", "The source does not have what the slice needs."),
    _Line("flat", "Empty slice", "All samples have one value."),
    _Line("edge", "Labels at the edge", "They may be cut off; unless that is so in most slices."),
    _Line("gaps", "Label gaps", "No label, and slices before and behind it have one."),
)  # fmt: skip


class RulesForm(QWidget):
    """One line per rule, and a button for the rules as they were at first.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self.switches: dict[str, QCheckBox] = {}
        self.numbers: dict[str, QDoubleSpinBox] = {}
        self._factors = {number.field: number.factor for line in _LINES for number in line.numbers}
        # What each number is; what it was last, to the digit, while its rule is off.
        self._values: dict[str, Any] = asdict(Rules())
        self.reset = named(
            QPushButton("Reset"), "reset the rules", "Make all rules what they were at first."
        )
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setHorizontalSpacing(4)
        order: list[QWidget] = []
        row = 0
        plain = 0
        for line in _LINES:
            switch = named(QCheckBox(line.title), line.title, line.about)
            switch.toggled.connect(partial(self._switched, line))
            self.switches[line.switch] = switch
            order.append(switch)
            if not line.numbers:
                # Two of those that have no number share a line.
                grid.addWidget(
                    switch, row + plain // 2, 0 if plain % 2 == 0 else 1, 1, 1 + plain % 2
                )
                plain += 1
                continue
            grid.addWidget(switch, row, 0)
            for column, number in enumerate(line.numbers, 1):
                box = self._box(line, number)
                grid.addWidget(box, row, column, 1, 1 if len(line.numbers) > 1 else 2)
                order.append(box)
            row += 1
        grid.setColumnStretch(0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(grid)
        column.addWidget(self.reset)
        column.addWidget(wrapping_label(_HOW))
        self.reset.clicked.connect(self._reset)
        tab_order(*order, self.reset)

    def _box(self, line: _Line, number: _Number) -> QDoubleSpinBox:
        box = named(QDoubleSpinBox(), f"{line.title}, in{number.suffix}", number.about)
        box.setRange(0, 1000)
        box.setDecimals(1)
        box.setSuffix(number.suffix)
        box.setSingleStep(0.5 if number.factor == 1 else 1)
        box.setKeyboardTracking(False)  # not at each digit
        box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # up and down do it
        # napari asks for more room than the numbers need.
        box.setStyleSheet("QDoubleSpinBox { min-width: 44px; }")
        box.setMaximumWidth(80)
        box.valueChanged.connect(partial(self._typed, number))
        self.numbers[number.field] = box
        return box

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._scene.qa.rules_changed.connect(self.refresh)
        self.refresh()

    def detach(self) -> None:
        """Stop listening."""
        self._scene.qa.rules_changed.disconnect(self.refresh)

    def refresh(self) -> None:
        """Show the rules as they are."""
        rules, usual = self._scene.qa.rules, Rules()
        for field, switch in self.switches.items():
            value = getattr(rules, field)
            _quietly(switch, switch.setChecked, value is not None and value is not False)
        for field, box in self.numbers.items():
            value = getattr(rules, field)
            if value is not None:
                self._values[field] = value
            _quietly(box, box.setValue, self._values[field] * self._factors[field])
        self._show_ready()
        set_ready(self.reset, rules != usual, "The rules are what they were at first.")

    def _show_ready(self) -> None:
        for line in _LINES:
            for number in line.numbers:
                set_ready(self.numbers[number.field], self.switches[line.switch].isChecked(), _OFF)

    def _switched(self, line: _Line, on: bool) -> None:
        value: Any = on
        if line.numbers:
            value = self._values[line.switch] if on else None
        self._change(line.switch, value)

    def _typed(self, number: _Number, value: float) -> None:
        self._change(number.field, value / number.factor)

    def _change(self, field: str, value: Any) -> None:
        """One field: a box shows fewer digits than a session may have given the others."""
        self._scene.qa.rules = replace(self._scene.qa.rules, **{field: value})

    def _reset(self, *_: Any) -> None:
        self._scene.qa.rules = Rules()


def _quietly(control: QWidget, setter: Any, value: Any) -> None:
    with QSignalBlocker(control):
        setter(value)
