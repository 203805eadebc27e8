"""The context menu of the second layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QFileDialog, QMenu

from napari_ouroboros.errors import OuroborosError, one_line
from napari_ouroboros.widgets.job import Job
from napari_ouroboros.widgets.spaces import layer_actions
from napari_ouroboros.widgets.spaces.helper_layer import is_helper
from napari_ouroboros.widgets.spaces.second_window import open_in_window

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress
    from napari_ouroboros.widgets.controls import Banner
    from napari_ouroboros.widgets.labels import LabelsBook
    from napari_ouroboros.widgets.spaces.dock import StraightDock


class LayerMenu(QObject):
    """Shows our menu where napari would show one that acts on the other space's layers.

    Parameters
    ----------
    dock : StraightDock
    banner : Banner
        Says what went wrong.
    """

    def __init__(self, dock: StraightDock, banner: Banner) -> None:
        super().__init__(dock)
        self._dock = ref(dock)
        self._model = dock.scene.straight
        self._scene = dock.scene
        self._banner = banner
        self._list = dock.view.layers
        self.saving = Job("ouroboros-save-layers", dock.scene.deliver, "the saving of layers")
        self._not_asked_about = dock.scene.work.jobs.add(self.saving)
        self._list.viewport().installEventFilter(self)
        # napari's own would be an array in memory, of whatever size, that no session keeps.
        button = dock.view.layerButtons.newLabelsButton
        button.clicked.disconnect()
        button.clicked.connect(self._new_labels)
        button.setToolTip("New labels for the slices of the present trace")
        self._closed = False
        self._book.failed.connect(self._failed)

    @property
    def selected(self) -> list[Layer]:
        """The layers that are acted on, the lowest first; marks are nobody's business."""
        chosen = self._model.layers.selection
        return [x for x in self._model.layers if x in chosen and not is_helper(x)]

    def make(self) -> QMenu:
        """The menu for what is selected; what cannot be done says why."""
        menu = QMenu(self._list)
        menu.setToolTipsVisible(True)
        chosen = self.selected
        none = "" if chosen else "Select a layer first."
        one = none or ("" if len(chosen) == 1 else "Select one layer.")
        for title, why, act in (
            ("Rename", one, self._rename),
            ("Duplicate", layer_actions.why_not_duplicate(chosen), self._duplicate),
            ("Save…", layer_actions.why_not_save(chosen), self._save),
            ("Delete", none, self._delete),
            ("Merge labels", layer_actions.why_not_merge(chosen), self._merge),
            ("Convert image / labels", layer_actions.why_not_convert(chosen), self._convert),
        ):
            action = menu.addAction(title)
            action.setEnabled(not why)
            action.setToolTip(why or title)
            action.triggered.connect(act)
        menu.addSeparator()
        action = menu.addAction("Open in a napari window")
        action.setToolTip("All straightened layers in a second window, for any plugin to work on.")
        action.triggered.connect(self._open)
        return menu

    def close_links(self) -> None:
        """Stop what is being saved; until it has ended, a window that closes asks."""
        self._closed = True
        self._book.failed.disconnect(self._failed, missing_ok=True)
        saving, not_asked_about = self.saving, self._not_asked_about

        def ended(_error: object = None) -> None:
            not_asked_about()
            saving.close()

        if saving.running:
            saving.ended.connect(ended)
            saving.cancel()  # napari's own writers do not hear of it
        else:
            ended()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Take the release of the right button; its press selects the layer, as napari does."""
        kind = event.type()
        if kind == QEvent.Type.ContextMenu:
            return True
        if kind != QEvent.Type.MouseButtonRelease or event.button() != Qt.MouseButton.RightButton:
            return False
        menu = self.make()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPosition().toPoint())
        return True

    @property
    def _book(self) -> LabelsBook:
        return self._scene.labels

    def _new_labels(self) -> None:
        self._try(self._book.new)

    def _rename(self) -> None:
        self._list.edit(self._list.currentIndex())

    def _duplicate(self) -> None:
        self._try(lambda: layer_actions.duplicate(self._model, self.selected, self._book))

    def _merge(self) -> None:
        self._try(lambda: layer_actions.merge(self._model, self.selected, self._book))

    def _convert(self) -> None:
        self._try(lambda: layer_actions.convert(self._model, self.selected))

    def _delete(self) -> None:
        for layer in self.selected:
            self._model.layers.remove(layer)

    def _open(self) -> None:
        open_in_window(self._scene)

    def _save(self) -> None:
        layers = self.selected
        names = ", ".join(layer.name for layer in layers)
        entry = self._book.entry_of(layers[0])
        name = layers[0].name if entry is None else f"{entry.name}.tif"
        path, _ = QFileDialog.getSaveFileName(self._dock(), f"Save {names}", name)
        if path:
            self.save(path, layers)

    def save(self, path: str, layers: list[Layer]) -> None:
        """Write layers with napari's writers, off the GUI thread: all slices may have to come.

        Labels of the book are written slab by slab, with their recipe beside them.
        """
        from napari.plugins.io import save_layers

        entry = self._book.entry_of(layers[0]) if len(layers) == 1 else None

        def write(_progress: Progress, cancel: Cancel) -> list[str]:
            if entry is not None:
                from napari_ouroboros.widgets.labels.saving import save_labels

                return save_labels(path, entry.array, entry.map, cancel)
            return list(save_layers(path, layers))

        def done(written: list[str]) -> None:
            if self._closed:
                return
            if written:
                self._banner.show_notice(f"Saved: {', '.join(written)}")
            else:
                self._banner.show_error(f"no writer takes {path}; give it a suffix such as .tif")

        def failed(error: Exception) -> None:
            if not self._closed:
                self._banner.show_error(one_line(error))

        if self.saving.do(write, done, failed):
            self._banner.show_notice(f"Saving to {path} …")
        else:
            self._banner.show_error("other layers are being saved; save these when that is done")

    def _failed(self, error: Exception) -> None:
        self._banner.show_exception(error)

    def _try(self, call: Any) -> None:
        try:
            call()
        except OuroborosError as error:
            self._banner.show_error(one_line(error))
