"""A table of whole rows: a click chooses one, headers sort, nothing is made before it is seen."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableView, QWidget

from napari_ouroboros.widgets.controls import named

#: Between so many rows it is high, before it is scrolled.
_LEAST_ROWS, _MOST_ROWS = 2, 6
#: The longest number with its unit; pixels around a text, and for the arrow of a sorted column.
_NUMBER, _MARGINS, _ARROW = "0.00000 µm³", 14, 12


class TableView(QTableView):
    """The view.

    Parameters
    ----------
    model : QAbstractTableModel
    name, tooltip : str
    widest : sequence of str
        What the first columns have to hold; the others hold a number with its unit.
    """

    #: The user has chosen a row: an index in it.
    chosen = Signal(QModelIndex)

    def __init__(
        self,
        model: QAbstractTableModel,
        name: str,
        tooltip: str,
        widest: Sequence[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        named(self, name, tooltip)
        self._marking = False
        model.setParent(self)
        model.modelReset.connect(self.updateGeometry)
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        rows = self.verticalHeader()
        rows.hide()
        # Thousands of rows: none of them is asked how high it is.
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        columns = self.horizontalHeader()
        columns.setHighlightSections(False)
        self._widest = tuple(widest)
        self._wide: list[str] = []
        model.modelReset.connect(self._fit)
        self._fit()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        selection = self.selectionModel()
        selection.currentChanged.connect(self._current_changed)

    def _fit(self) -> None:
        """Columns wide enough for their titles and what they hold; not again where the user drags.

        Thousands of rows are not asked: that takes Qt longer than a person waits.
        """
        model, header = self.model(), self.horizontalHeader()
        across = Qt.Orientation.Horizontal
        titles = [str(model.headerData(i, across)) for i in range(model.columnCount())]
        if titles == self._wide:
            return
        self._wide = titles
        metrics = self.fontMetrics()
        for i, title in enumerate(titles):
            holds = self._widest[i] if i < len(self._widest) else _NUMBER
            text = max(metrics.horizontalAdvance(holds), metrics.horizontalAdvance(title) + _ARROW)
            header.resizeSection(i, text + _MARGINS)

    def sizeHint(self) -> QSize:
        """A few rows high; the rest is scrolled to."""
        row = self.verticalHeader().defaultSectionSize()
        header = self.horizontalHeader().sizeHint().height()
        rows = min(max(self.model().rowCount(), _LEAST_ROWS), _MOST_ROWS)
        return QSize(280, header + rows * row + 20)

    def mark_row(self, row: int | None) -> None:
        """Show which row it is; None: it is in none."""
        self._marking = True
        try:
            if row is None:
                self.clearSelection()
                self.selectionModel().clearCurrentIndex()
                return
            index = self.model().index(row, 0)
            if index != self.currentIndex().siblingAtColumn(0):
                self.selectionModel().setCurrentIndex(
                    index,
                    QItemSelectionModel.SelectionFlag.ClearAndSelect
                    | QItemSelectionModel.SelectionFlag.Rows,
                )
            bar = self.horizontalScrollBar()
            left = bar.value()
            self.scrollTo(index)
            bar.setValue(left)
        finally:
            self._marking = False

    def _current_changed(self, index: QModelIndex, _before: QModelIndex) -> None:
        if index.isValid() and not self._marking:
            self.chosen.emit(index)
