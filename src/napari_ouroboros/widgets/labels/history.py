"""What can be undone in a book of labels: that they came, went, or were written over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.labels.straight_labels import StraightLabels

_MOST = 100


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that happened to labels.

    Attributes
    ----------
    entry : StraightLabels
    came : bool
        They came, or went.
    index : int
        Their place among the others.
    held : LabelArray or None
        They neither came nor went but were written over: what they were on the other side of
        this step.
    """

    entry: StraightLabels
    came: bool = False
    index: int = 0
    held: LabelArray | None = None


class History:
    """Steps that can be undone and done again."""

    def __init__(self) -> None:
        self.undo: list[Step] = []
        self.redo: list[Step] = []

    def note(self, step: Step) -> None:
        """Something new has happened: what was undone before cannot be done again."""
        self.undo.append(step)
        self.redo.clear()
        del self.undo[:-_MOST]

    @property
    def entries(self) -> set[StraightLabels]:
        """All labels that a step may bring back."""
        return {step.entry for step in (*self.undo, *self.redo)}

    @property
    def undo_text(self) -> str:
        """What undoing the last step does; "" where there is none."""
        if not self.undo:
            return ""
        step = self.undo[-1]
        if step.held is not None:
            return f"Undo in {step.entry.name}"
        return f"{'Undo adding' if step.came else 'Bring back'} {step.entry.name}"
