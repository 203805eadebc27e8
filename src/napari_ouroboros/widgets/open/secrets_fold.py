"""Where credentials are looked for, as a section that can be unfolded."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_ouroboros.widgets.controls import Fold, wrapping_label
from napari_ouroboros.widgets.open.secrets import places


class SecretsFold(Fold):
    """Lists the files that names, passwords and keys are taken from; never what is in them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Where credentials are looked for", open_=False, parent=parent)
        self.label = wrapping_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.add(self.label)
        self.button.toggled.connect(self._look)

    def _look(self, open_: bool) -> None:
        if open_:  # anew each time: somebody may just have put a file there
            self.label.setText(
                "\n".join(
                    f"{place.what}: {place.path} ({'found' if place.there else 'not there'})"
                    for place in places()
                )
            )
