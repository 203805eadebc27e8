"""Where labels have gone that an edit of the trace has taken out of sight, said where they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.widgets.spaces.offer import Offer

if TYPE_CHECKING:
    from napari_ouroboros.widgets.controls import Banner
    from napari_ouroboros.widgets.labels import StraightLabels
    from napari_ouroboros.widgets.scene.scene import Scene

_TOOLTIP = (
    "Make labels for the present trace of these: what was painted stays in its place in the "
    "volume. The Backproject dock has these labels, and the way back to their trace."
)


class LabelsOffer(Offer):
    """Made when the last shown labels leave the straightened view; gone when any are seen there.

    Parameters
    ----------
    scene : Scene
    banner : Banner
        Says what came of it.
    """

    def __init__(self, scene: Scene, banner: Banner) -> None:
        super().__init__("", "Carry over", _TOOLTIP, self._carry)
        self.label.setToolTip("They stay with that trace, and are still seen in the volume.")
        self._book, self._banner = scene.labels, banner
        self._shown: StraightLabels | None = None
        self._left: StraightLabels | None = None
        self._carrying = False
        for signal, slot in self._connections():
            signal.connect(slot)
        self._labels_changed()

    def close_links(self) -> None:
        """Stop listening."""
        for signal, slot in self._connections():
            signal.disconnect(slot)

    def _connections(self) -> list[tuple[Any, Callable[..., object]]]:
        book = self._book
        return [
            (book.changed, self._labels_changed),
            (book.said, self._say),
            (book.failed, self._fail),
        ]

    def _labels_changed(self) -> None:
        entries = self._book.entries
        active = self._book.active
        if active is not None and active.is_shown:
            self._shown, self._left = active, None
        elif self._shown is not None:
            left, self._shown = self._shown, None
            self._left = left
            self.label.setText(f"{left.name[:40]} – painted along an earlier trace")
            self.show()
        if self._left not in entries:
            self._left = None
            self.hide()

    def _carry(self) -> None:
        if self._left is None:
            return
        try:
            self._book.carry_over(self._left)
            self._carrying = True
        except OuroborosError as error:
            self._banner.show_exception(error)
            self.show()

    def _say(self, text: str) -> None:
        if self._carrying:
            self._carrying = False
            self._banner.show_notice(text)

    def _fail(self, error: Exception) -> None:
        if self._carrying:
            self._carrying = False
            self._banner.show_exception(error)
