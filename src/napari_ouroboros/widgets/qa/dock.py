"""The QA dock: the path in a plot and a table, the shown slice, checks on demand, measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets.controls import tab_order, wrapping_label
from napari_ouroboros.widgets.qa.check_form import CheckForm
from napari_ouroboros.widgets.qa.measure_form import MeasureForm
from napari_ouroboros.widgets.qa.path_form import PathForm
from napari_ouroboros.widgets.qa.rules_form import RulesForm
from napari_ouroboros.widgets.qa.slice_form import SliceForm
from napari_ouroboros.widgets.scene_dock import SceneDock

if TYPE_CHECKING:
    from napari.components import ViewerModel


class QaDock(SceneDock):
    """The QA dock of a viewer.

    Parameters
    ----------
    napari_viewer : ViewerModel
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "QA", parent)
        self.lost = wrapping_label()
        self.path = PathForm(self.scene)
        self.slice = SliceForm(self.scene)
        self.checks = CheckForm(self.scene)
        self.measures = MeasureForm(self.scene)
        self.rules = RulesForm(self.scene)
        self.forms = (self.path, self.slice, self.checks, self.measures, self.rules)
        self.pages.add(
            "Plot",
            "One value per slice, along the path; why slices are suspicious.",
            self.path.quantity,
            self.path.plot,
        )
        self.pages.add("Check", "Checks that take a while: press a button.", self.checks)
        self.pages.add("Table", "All slices, and their marks.", self.path.row, self.path.table)
        self.pages.add("Measure", "Length, volume and diameter of labels.", self.measures)
        self.pages.add("Rules", "From where on a slice is suspicious.", self.rules)
        for widget in (self.slice, self.lost, self.pages):
            self.column.addWidget(widget)
        self.lost.hide()
        tab_order(self.slice.comment, self.pages.bar, self.path.quantity, self.path.plot)
        tab_order(self.path.only, self.path.read, self.path.write, self.path.table)
        self.checks.failed.connect(self.fail)
        self.measures.failed.connect(self.fail)
        self.measures.picked.connect(self.path.show_profile)
        self.measures.opened.connect(self._show_plot)
        for form in (self.checks, self.measures):
            for link in form.links:
                self.at_end(link.close)
        self.at_end(self.checks.costs.close)

    def attach(self) -> None:
        """Listen, and show how things are."""
        super().attach()
        qa = self.scene.qa
        qa.changed.connect(self.show_live)
        qa.table.ended.connect(self._table_ended)
        qa.reading.ended.connect(self._marks_ended)
        qa.marks_read.connect(self.say)

    def detach(self) -> None:
        """Stop listening; checks and measurements go on."""
        super().detach()
        qa = self.scene.qa
        qa.changed.disconnect(self.show_live)
        qa.table.ended.disconnect(self._table_ended)
        qa.reading.ended.disconnect(self._marks_ended)
        qa.marks_read.disconnect(self.say)

    def show_live(self) -> None:
        """Show how things are with the slices, and with marks that have none."""
        super().show_live()
        self.slice.setVisible(self.scene.live.state.map is not None)
        lost = self.scene.qa.book.lost
        which = "1 mark has" if lost == 1 else f"{lost} marks have"
        self.lost.setText(f"{which} no slice: the trace does not pass their places any more.")
        self.lost.setVisible(lost > 0)

    def _show_plot(self) -> None:
        self.pages.turn_to(self.path.plot)

    def _marks_ended(self, error: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, Cancelled):
            self.fail(error)

    def _table_ended(self, error: object) -> None:
        if error is None:
            self.say("The table of slices was written.")
        elif isinstance(error, Exception) and not isinstance(error, Cancelled):
            self.fail(error)
