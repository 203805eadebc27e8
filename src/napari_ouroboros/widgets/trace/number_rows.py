"""Length, tightest bend and folds of a trace; each leads to its slice."""

from __future__ import annotations

import math
from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls import named, wrapping_label
from napari_ouroboros.widgets.controls.lengths import length_text
from napari_ouroboros.widgets.trace.readouts import Readouts

GoTo = Callable[[int], None]


class _Row(QWidget):
    """A line of text, and a button that does something about it."""

    def __init__(self, button: str, name: str, tooltip: str) -> None:
        super().__init__()
        self.label = wrapping_label()
        self.button = named(QPushButton(button), name, tooltip)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)


class NumberRows(QWidget):
    """What is known of the trace; dimmed while it is that of a state before.

    Parameters
    ----------
    go_to : callable
        Shows a slice by its index.
    use_size : callable
        Takes the largest size that does not fold.
    """

    def __init__(self, go_to: GoTo, use_size: Callable[[], None]) -> None:
        super().__init__()
        self._go_to = go_to
        self.numbers: Readouts | None = None
        self.size = wrapping_label()
        self.bend = _Row("Go", "go to the tightest bend", "Show the slice in the tightest bend.")
        self.folds = _Row(
            "Go", "go to the worst fold", "Show the slice that folds most, or comes nearest to it."
        )
        self.fits = _Row(
            "Use", "use the largest width", "Make the slices as wide as they can be without folds."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.size, self.bend, self.folds, self.fits):
            column.addWidget(widget)
        self.bend.button.clicked.connect(self._to_bend)
        self.folds.button.clicked.connect(self._to_fold)
        self.fits.button.clicked.connect(use_size)
        self.show_numbers(None, 0, 0, 0)

    def controls(self) -> list[QWidget]:
        """In the order of Tab."""
        return [self.bend.button, self.folds.button, self.fits.button]

    def show_points(self, count: int) -> None:
        """Before anything else is known: how many points there are."""
        if self.numbers is None:
            self.size.setText("1 point" if count == 1 else f"{count} points")

    def set_current(self, current: bool) -> None:
        """Whether the numbers are those of the trace as it is now."""
        for label in (self.size, self.bend.label, self.folds.label, self.fits.label):
            label.setEnabled(current)

    def show_numbers(
        self, numbers: Readouts | None, width: int, height: int, pitch_nm: float
    ) -> None:
        """Show numbers for slices of this size, or none."""
        self.numbers = numbers
        for row in (self.bend, self.folds, self.fits):
            row.setVisible(numbers is not None)
        if numbers is None:
            return
        n = numbers
        merged = f" ({n.merged} of them repeat their neighbour)" if n.merged else ""
        self.size.setText(
            f"{n.points} points{merged}, {length_text(n.length_nm, digits=5)} long, "
            f"{n.slices} slices"
        )
        if math.isfinite(n.bend_nm):
            self.bend.label.setText(
                f"Tightest bend: radius {length_text(n.bend_nm, digits=4)}, slice {n.bend_slice}"
            )
        else:
            self.bend.label.setText("Straight: no bend")
        report = n.folds
        if not report.folds:
            self.folds.label.setText(f"No slice of {width} x {height} pixels folds")
        elif report.max_kappa_w >= 1:
            self.folds.label.setText(
                f"{report.folded_percent:.3g} % of the slices fold, the worst is slice "
                f"{n.fold_slice} (bend x reach {report.max_kappa_w:.2f}, 1 folds)"
            )
        else:
            self.folds.label.setText(
                f"Slices run into each other: the trace comes back to within "
                f"{length_text(report.self_distance_nm, digits=4)} of itself"
            )
        if math.isfinite(report.largest_width_nm):
            self.fits.label.setText(
                f"Largest width without folds: {report.largest_width} pixels "
                f"({length_text(report.largest_width_nm, digits=4)})"
            )
        else:
            self.fits.label.setText("Slices of any width do not fold")
        usable = report.folds and report.largest_width >= 1
        self.fits.button.setVisible(usable)

    def _to_bend(self) -> None:
        if self.numbers is not None:
            self._go_to(self.numbers.bend_slice)

    def _to_fold(self) -> None:
        if self.numbers is not None:
            self._go_to(self.numbers.fold_slice)
