"""The part of the dock that says which layers are straightened, and which ids are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.widgets.controls import named, set_ready, tab_order, wrapping_label
from napari_ouroboros.widgets.straighten.id_text import ids_of, text_of
from napari_ouroboros.widgets.straighten.picking import PickByClick

if TYPE_CHECKING:
    from napari_ouroboros.widgets.straighten.live_preview import LivePreview
    from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed

_ROWS = 4


class LayerForm(QWidget):
    """A list of volume layers to be ticked; picked ids of the segmentation among them.

    Parameters
    ----------
    preview : LivePreview
    """

    def __init__(self, preview: LivePreview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preview = preview
        self._picking = PickByClick(preview)
        self._source: VolumeFeed | None = None
        self.list = named(
            QListWidget(),
            "layers to straighten",
            "Ticked layers are shown straightened, all through the same map.",
        )
        self.list.setMaximumHeight(_ROWS * 22)
        self.list.setTabKeyNavigation(False)
        self.problems = wrapping_label()
        self.ids = named(
            QLineEdit(),
            "picked ids",
            "Only these ids of the segmentation are shown and written: 7, 300. Empty: all.",
        )
        self.ids.setPlaceholderText("all ids")
        self.by_click = named(
            QCheckBox("pick by click"),
            "pick ids by click",
            "A click on a label, in either canvas, picks its id, or no longer.",
        )
        self.clear = named(QPushButton("All"), "keep all ids", "Keep all ids again.")
        self.id_problem = wrapping_label()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.ids, 1)
        row.addWidget(self.by_click)
        row.addWidget(self.clear)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list)
        column.addWidget(self.problems)
        column.addLayout(row)
        column.addWidget(self.id_problem)
        self.list.itemChanged.connect(self._ticked)
        self.ids.editingFinished.connect(self._ids_entered)
        self.by_click.toggled.connect(self._picking.set_on)
        self.clear.clicked.connect(self._clear_ids)
        tab_order(self.list, self.ids, self.by_click, self.clear)

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._preview.layers_changed.connect(self.show_layers)
        self._preview.scene.volumes_changed.connect(self.show_layers)
        self._picking.set_on(self.by_click.isChecked())
        self.show_layers()

    def detach(self) -> None:
        """Stop listening."""
        self._preview.layers_changed.disconnect(self.show_layers)
        self._preview.scene.volumes_changed.disconnect(self.show_layers)
        self._picking.set_on(False)
        self._watch(None)

    def show_layers(self) -> None:
        """Show the volume layers, the topmost first as in napari's list."""
        preview = self._preview
        blocked = self.list.blockSignals(True)
        self.list.clear()
        for layer in reversed(preview.candidates):
            item = QListWidgetItem(str(layer.name))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            chosen = preview.is_chosen(layer)
            item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(blocked)
        self.problems.setText("\n".join(preview.problems.values()))
        self.problems.setVisible(bool(preview.problems))
        self._watch(next((x.source for x in reversed(preview.shown) if x.source.labels), None))

    def _watch(self, source: VolumeFeed | None) -> None:
        if self._source is not None:
            self._source.picks.changed.disconnect(self._show_ids)
        self._source = source
        if source is not None:
            source.picks.changed.connect(self._show_ids)
        for control in (self.ids, self.by_click, self.clear):
            set_ready(control, source is not None, "No segmentation is straightened.")
        self._show_ids()

    def _show_ids(self) -> None:
        ids = () if self._source is None else self._source.picks.ids
        self.ids.setText(text_of(ids))
        self.id_problem.hide()

    def _ticked(self, item: QListWidgetItem) -> None:
        candidates = list(reversed(self._preview.candidates))
        row = self.list.row(item)
        if row < len(candidates):
            self._preview.choose(candidates[row], item.checkState() == Qt.CheckState.Checked)

    def _ids_entered(self) -> None:
        if self._source is None:
            return
        try:
            ids = ids_of(self.ids.text(), self._source.volume.dtype)
        except ValueError as error:
            self.id_problem.setText(str(error))
            self.id_problem.show()
            return
        self.id_problem.hide()
        self._source.picks.set(ids)

    def _clear_ids(self, *_: Any) -> None:
        if self._source is not None:
            self._source.picks.clear()
