"""Measured labels as a table: one row per id, made up as it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_ouroboros.operations.measure_report import LabelMeasures
from napari_ouroboros.widgets.qa.quantities import Unit, value_text

#: Attribute of `LabelMeasures`, title, unit, what it is.
_COLUMNS: tuple[tuple[str, str, Unit, str], ...] = (
    ("label", "label", "", "Id of the label."),
    (
        "length_nm",
        "length",
        "nm",
        "Along the curve, from its first slice to its last, gaps left out.",
    ),
    (
        "volume_nm3",
        "volume",
        "nm3",
        "In the original volume; where the path bends, samples on the outer side count for more.",
    ),
    ("area_nm2", "mean area", "nm2", "Of the label in a slice, mean along the path."),
    ("diameter_nm", "mean diameter", "nm", "Of circles of the same areas."),
    ("diameter_min_nm", "smallest", "nm", "The smallest diameter."),
    ("diameter_max_nm", "largest", "nm", "The largest diameter."),
    ("perimeter_nm", "mean perimeter", "nm", "Of the outlines in the slices."),
    ("slices", "slices", "count", "How many slices hold it."),
)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class LabelTable(QAbstractTableModel):
    """Rows are labels."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._labels: list[LabelMeasures] = []
        self._sorted_by, self._descending = 0, False

    def show(self, labels: Sequence[LabelMeasures]) -> None:
        """Show these."""
        self.beginResetModel()
        self._labels = list(labels)
        self._sort()
        self.endResetModel()

    @property
    def shown(self) -> list[LabelMeasures]:
        """What is shown, by id."""
        return sorted(self._labels, key=lambda label: label.label)

    def label_of(self, row: int) -> int:
        """Return the id of a row."""
        return self._labels[row].label

    def row_of(self, label: int | None) -> int | None:
        """Return the row of an id; None: it is not there."""
        return next((i for i, x in enumerate(self._labels) if x.label == label), None)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """How many labels."""
        return 0 if parent.isValid() else len(self._labels)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """What is known of each."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Names of columns; rows have none."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return _COLUMNS[section][1]
            if role == Qt.ItemDataRole.ToolTipRole:
                return _COLUMNS[section][3]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        if not index.isValid():
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            attribute, _, unit, _ = _COLUMNS[index.column()]
            value = getattr(self._labels[index.row()], attribute)
            # Ids as they are: a float would change large ones.
            return str(value) if attribute == "label" else value_text(float(value), unit)
        return _RIGHT if role == Qt.ItemDataRole.TextAlignmentRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Order the rows."""
        self._sorted_by = max(column, 0)
        self._descending = order == Qt.SortOrder.DescendingOrder
        self.beginResetModel()
        self._sort()
        self.endResetModel()

    def _sort(self) -> None:
        attribute = _COLUMNS[self._sorted_by][0]
        self._labels.sort(key=lambda label: getattr(label, attribute), reverse=self._descending)
