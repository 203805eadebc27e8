"""All slices as a table that is made up as it is looked at: sorted, or only the suspicious ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_ouroboros.operations.marks import Marks
from napari_ouroboros.widgets.controls.lengths import length_text
from napari_ouroboros.widgets.qa.quantities import Curve, value_text

SLICE, ALONG, WHY, MARK, COMMENT = range(5)
_FIRST = (
    ("slice", "Number of the slice, from 0."),
    ("along", "How far along the path the slice lies."),
    ("suspicious", "Why the slice deserves a look."),
    ("mark", "Good or bad, as somebody has said."),
    ("comment", "What somebody has said of it."),
)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class SliceTable(QAbstractTableModel):
    """Rows are slices, columns are what is known of them."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._s_nm = np.zeros(0)
        self._curves: Sequence[Curve] = ()
        self._reasons: Sequence[Sequence[str]] = ()
        self._marks: Marks | None = None
        self._only_suspicious = False
        self._sorted_by, self._descending = SLICE, False
        #: The slice of each row, and the row of each slice (-1: none).
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)
        self._row_of: NDArray[np.int64] = np.zeros(0, np.int64)

    # -- what is in it --------------------------------------------------------------------

    def show(
        self,
        s_nm: NDArray[np.float64],
        curves: Sequence[Curve],
        reasons: Sequence[Sequence[str]],
        marks: Marks | None,
    ) -> None:
        """Show this; the same slices in the same order stay where they are."""
        columns = [curve.quantity.key for curve in self._curves]
        new_columns = [curve.quantity.key for curve in curves]
        before = self._order
        self._s_nm, self._reasons, self._marks = s_nm, reasons, marks
        if columns != new_columns or len(s_nm) != len(self._row_of):
            self.beginResetModel()
            self._curves = curves
            self._sort()
            self.endResetModel()
            return
        self._curves = curves
        order, row_of = self._sorted()
        if len(order) == len(before) and np.array_equal(order, before):
            self._tell()
            return
        self.beginResetModel()
        self._order, self._row_of = order, row_of
        self.endResetModel()

    def show_marks(self, marks: Marks | None) -> None:
        """Only the marks have changed."""
        self.show(self._s_nm, self._curves, self._reasons, marks)

    @property
    def only_suspicious(self) -> bool:
        """Whether all others are left out."""
        return self._only_suspicious

    @only_suspicious.setter
    def only_suspicious(self, value: bool) -> None:
        self._only_suspicious = value
        self.beginResetModel()
        self._sort()
        self.endResetModel()

    def slice_of(self, row: int) -> int:
        """Return the slice of a row."""
        return int(self._order[row])

    def row_of(self, k: int) -> int | None:
        """Return the row of a slice; None: it is left out."""
        row = int(self._row_of[k]) if 0 <= k < len(self._row_of) else -1
        return None if row < 0 else row

    # -- what Qt asks ---------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Slices that are listed."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """What is known, and what was said."""
        return 0 if parent.isValid() else len(_FIRST) + len(self._curves)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Names of columns; rows have none."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        first = section < len(_FIRST)
        quantity = None if first else self._curves[section - len(_FIRST)].quantity
        if role == Qt.ItemDataRole.DisplayRole:
            return _FIRST[section][0] if quantity is None else quantity.column
        if role == Qt.ItemDataRole.ToolTipRole:
            return _FIRST[section][1] if quantity is None else f"{quantity.title}: {quantity.about}"
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        if not index.isValid():
            return None
        k, column = self.slice_of(index.row()), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(k, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(self._reasons[k]) if column == WHY else self._text(k, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column not in (WHY, MARK, COMMENT):
            return _RIGHT
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Order the rows; slices without a value come last."""
        self._sorted_by = max(column, 0)
        self._descending = order == Qt.SortOrder.DescendingOrder
        self.beginResetModel()
        self._sort()
        self.endResetModel()

    # -- inside ---------------------------------------------------------------------------

    def _tell(self) -> None:
        rows, columns = self.rowCount(), self.columnCount()
        if rows and columns:
            self.dataChanged.emit(self.index(0, 0), self.index(rows - 1, columns - 1))

    def _text(self, k: int, column: int) -> str:
        if column == SLICE:
            return str(k)
        if column == ALONG:
            return length_text(float(self._s_nm[k]), digits=4)
        if column == WHY:
            why = self._reasons[k]
            return why[0] + (f" (and {len(why) - 1} more)" if len(why) > 1 else "") if why else ""
        if column in (MARK, COMMENT):
            mark = None if self._marks is None else self._marks.get(k)
            return "" if mark is None else mark.verdict if column == MARK else mark.comment
        curve = self._curves[column - len(_FIRST)]
        return value_text(curve.values[k], curve.quantity.unit)

    def _sort(self) -> None:
        self._order, self._row_of = self._sorted()

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        n = len(self._s_nm)
        slices = np.arange(n)
        if self._only_suspicious:
            slices = np.array([k for k, why in enumerate(self._reasons) if why], np.int64)
        keys = self._keys()[slices]
        # Slices with the same value stay in their order, whichever way it is sorted.
        if keys.dtype.kind in "US":
            ranks = np.unique(keys, return_inverse=True)[1].astype(np.float64)
            ranks[keys == ""] = np.nan
            keys = ranks
        order = np.argsort(-keys if self._descending else keys, kind="stable")  # NaN comes last
        slices = slices[order]
        row_of = np.full(n, -1, np.int64)
        row_of[slices] = np.arange(len(slices))
        return slices, row_of

    def _keys(self) -> NDArray[Any]:
        """What the rows are sorted by, of every slice."""
        n, column = len(self._s_nm), self._sorted_by
        if column >= len(_FIRST) + len(self._curves) or column in (SLICE, ALONG):
            return np.arange(n, dtype=np.float64)
        if column == WHY:
            counts = np.fromiter((len(why) for why in self._reasons), np.float64, n)
            return np.where(counts > 0, counts, np.nan)
        if column in (MARK, COMMENT):
            texts = np.full(n, "", object)
            for mark in self._marks or ():
                texts[mark.slice] = mark.verdict if column == MARK else mark.comment
            return texts.astype(str)
        return self._curves[column - len(_FIRST)].values
