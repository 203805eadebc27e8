"""What is at an address, to be ticked: layers, and their mips below them."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_ouroboros.volumes import Volume
from napari_ouroboros.widgets.controls import named
from napari_ouroboros.widgets.open.finding import Found, Item

_HEADERS = ("", "size x, y, z", "voxel x, y, z nm", "encoding", "chunk x, y, z")
_KINDS = {"image": "image", "segmentation": "segmentation", "trace": "trace"}


def mip_rows(volume: Volume) -> list[tuple[str, ...]]:
    """Return one row per mip, as the headers of the tree say."""
    rows: list[tuple[str, ...]] = []
    for mip, level in enumerate(volume.levels):
        size, voxel, chunk = (
            " × ".join(f"{n:g}" if isinstance(n, float) else str(n) for n in reversed(values))
            for values in (level.shape, level.resolution, level.chunk)
        )
        encoding = level.encoding + (", sharded" if level.sharded else "")
        rows.append((f"mip {mip}", size, voxel, encoding, chunk))
    return rows


class FoundTree(QTreeWidget):
    """Lists what was found; ticked is what shall be opened."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(
            self,
            "what is there",
            "What is at the address, with its mips. What is ticked is opened; space ticks.",
        )
        self.setHeaderLabels(list(_HEADERS))
        self.setColumnCount(len(_HEADERS))
        self.setMinimumHeight(130)
        self.setMaximumHeight(230)
        self.setUniformRowHeights(True)
        self.setTabKeyNavigation(False)  # Tab leaves it
        header = self.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(False)

    def show_found(self, found: Found | None) -> None:
        """List it, ticked as a state shows it."""
        self.clear()
        if found is None:
            return
        for item in found.items:
            row = self._row(item)
            self.addTopLevelItem(row)
            if item.volume is not None:
                for texts in mip_rows(item.volume):
                    row.addChild(QTreeWidgetItem(list(texts)))
        if len(found.items) == 1:
            only = self.topLevelItem(0)
            if only is not None:
                only.setExpanded(True)

    def ticked(self) -> list[int]:
        """Indices of the ticked items."""
        rows = [self.topLevelItem(index) for index in range(self.topLevelItemCount())]
        return [
            index
            for index, row in enumerate(rows)
            if row is not None and row.checkState(0) == Qt.CheckState.Checked
        ]

    def tick(self, indices: Sequence[int]) -> None:
        """Tick these, and no others."""
        for index in range(self.topLevelItemCount()):
            row = self.topLevelItem(index)
            if row is not None and not row.isDisabled():
                checked = Qt.CheckState.Checked if index in indices else Qt.CheckState.Unchecked
                row.setCheckState(0, checked)

    def _row(self, item: Item) -> QTreeWidgetItem:
        row = QTreeWidgetItem([item.name, f"{_KINDS[item.kind]}: {item.problem or item.about}"])
        row.setFirstColumnSpanned(False)
        checked = Qt.CheckState.Checked if item.ticked else Qt.CheckState.Unchecked
        row.setCheckState(0, checked)
        if item.problem:
            row.setDisabled(True)
            for column in range(len(_HEADERS)):
                row.setToolTip(column, item.problem)
        return row
