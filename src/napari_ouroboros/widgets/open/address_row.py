"""The field for an address, with the recent ones, and buttons that find a file or a folder."""

from __future__ import annotations

from qtpy.QtCore import QMimeData, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ouroboros.widgets.controls import named, tab_order
from napari_ouroboros.widgets.open.recent import RecentSources, title

_TOOLTIP = (
    "The URL or folder of a volume (precomputed, zarr, OME-Zarr, N5), a Neuroglancer link, a\n"
    "state file, a recipe or a session. Drop a file or folder here, too. Down shows recent ones."
)


def dropped(data: QMimeData | None) -> str:
    """Return the address in what is dragged: a file or folder, else text; "" if neither."""
    if data is None:
        return ""
    for url in data.urls():
        return url.toLocalFile() if url.isLocalFile() else url.toString()
    return str(data.text()).strip()


class RecentList(QComboBox):
    """A field with a list that knows whether something was chosen in that list."""

    #: A row of the open list was chosen.
    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._open = False
        self.activated.connect(self._activated)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Open the list by Down (the keys go to the list, not to its field)."""
        if event is not None and event.key() == Qt.Key.Key_Down and self.count():
            self.showPopup()
            return
        super().keyPressEvent(event)

    def showPopup(self) -> None:
        """Open the list."""
        self._open = True
        super().showPopup()

    def hidePopup(self) -> None:
        """Close the list; Qt says in the same turn what was chosen in it."""
        super().hidePopup()
        QTimer.singleShot(0, self._closed)

    def _closed(self) -> None:
        self._open = False

    def _activated(self, index: int) -> None:
        # Qt "activates" a row also when the field is left with a text that is in the list.
        if self._open:
            self.chosen.emit(index)


class AddressRow(QWidget):
    """Where an address is typed, chosen or dropped."""

    #: The text has changed.
    edited = Signal(str)
    #: Return was pressed, or a file, a folder or a recent address was chosen.
    entered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = named(RecentList(), "address", _TOOLTIP)
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.combo.setMinimumContentsLength(8)
        self.combo.setCompleter(None)  # it would complete what is pasted
        # The combo's own would stay with it; ours says what it is for.
        self.edit = named(QLineEdit(), "address", _TOOLTIP)
        self.combo.setLineEdit(self.edit)
        self.edit.setPlaceholderText("URL, folder, Neuroglancer link, state or recipe")
        self.edit.setMaxLength(10_000_000)  # Qt cuts at 32,767 letters; links hold whole states
        self.file_button = named(
            QPushButton("File…"), "choose a file", "Choose a state file, a recipe or a session."
        )
        self.folder_button = named(
            QPushButton("Folder…"), "choose a folder", "Choose the folder of a volume."
        )
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.file_button)
        row.addWidget(self.folder_button)
        row.addStretch(1)
        self.buttons = row
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.combo)
        column.addLayout(row)
        self.setFocusProxy(self.edit)
        self.edit.textEdited.connect(self._edited)
        self.edit.returnPressed.connect(self._returned)
        self.combo.chosen.connect(self._chosen)
        self.file_button.clicked.connect(self._choose_file)
        self.folder_button.clicked.connect(self._choose_folder)
        tab_order(self.edit, self.file_button, self.folder_button)

    @property
    def text(self) -> str:
        """The address as it is in the field."""
        return str(self.edit.text()).strip()

    @text.setter
    def text(self, value: str) -> None:
        if value != self.text:
            self.edit.setText(value)
            self.edit.setCursorPosition(0)
            self.edited.emit(value)

    def show_recent(self, recent: RecentSources) -> None:
        """List the recent addresses; the text in the field stays."""
        text = self.edit.text()
        self.combo.clear()
        for source in recent.sources():
            self.combo.addItem(title(source), source)
            self.combo.setItemData(
                self.combo.count() - 1, title(source, 2000), Qt.ItemDataRole.ToolTipRole
            )
        self.combo.setCurrentIndex(-1)
        self.edit.setText(text)

    def enter(self, address: str) -> None:
        """Put an address into the field as if it had been typed and Return pressed."""
        self.text = address
        self.entered.emit(address)

    def _edited(self, text: str) -> None:
        self.edited.emit(text.strip())

    def _returned(self) -> None:
        self.entered.emit(self.text)

    def _chosen(self, index: int) -> None:
        source = self.combo.itemData(index)
        if source:
            self.edit.setText(source)  # the whole of it, not its short title
            self.edit.setCursorPosition(0)
            self.edited.emit(source)
            self.entered.emit(source)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Open a state, a recipe or a session",
            "",
            "States, recipes and sessions (*.json info *.ouroboros);;All files (*)",
        )
        if path:
            self.enter(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open the folder of a volume")
        if path:
            self.enter(path)
