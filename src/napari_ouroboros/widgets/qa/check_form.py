"""Checks that take their time: the image, and the round trip; and what labels are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ouroboros.errors import OuroborosError, one_line
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.controls import JobRow, tab_order, wrapping_label
from napari_ouroboros.widgets.qa.job_link import JobLink

if TYPE_CHECKING:
    from napari_ouroboros.operations.qa import ImageCost
    from napari_ouroboros.widgets.scene import Scene


class CheckForm(QWidget):
    """Two buttons with progress and Cancel.

    Parameters
    ----------
    scene : Scene
    """

    #: A check has failed: the exception.
    failed = Signal(object)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self.costs = Worker("ouroboros-cost-of-checks", scene.deliver)
        self._asked: Any = None
        self.labels = wrapping_label()
        self.image = JobRow(
            "Check the image",
            "Read every slice once: intensity, missing chunks, jumps between neighbouring slices. "
            "Results appear as they come.",
            "Checking the image",
        )
        self.round_trip = JobRow(
            "Check the way home and back",
            "Follow samples of every slice to their voxels and back, and find voxels that lie in "
            "more than one slice. Nothing is read.",
            "Checking the way home and back",
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.image, self.round_trip, self.labels):
            column.addWidget(widget)
        qa = scene.qa
        self.image.run.connect(qa.check_image)
        self.round_trip.run.connect(qa.check_round_trip)
        self.links = [
            JobLink(self.image, qa.image, "slices", "Checking the image",
                    "Done: all slices were read.", self.failed.emit),
            JobLink(self.round_trip, qa.round_trip, "parts", "Following samples",
                    "Done: all slices were followed.", self.failed.emit),
        ]  # fmt: skip
        tab_order(
            self.image.button, self.image.cancel_button,
            self.round_trip.button, self.round_trip.cancel_button,
        )  # fmt: skip

    def attach(self) -> None:
        """Listen, and show how things are."""
        self._scene.qa.changed.connect(self.refresh)
        self._scene.live.changed.connect(self._live_changed)
        self._asked = None
        self.refresh()

    def detach(self) -> None:
        """Stop listening; checks go on."""
        self._scene.qa.changed.disconnect(self.refresh)
        self._scene.live.changed.disconnect(self._live_changed)
        self.costs.cancel()

    def refresh(self) -> None:
        """Show how things are."""
        qa = self._scene.qa
        checks = qa.checks
        for row, found in (
            (self.image, checks and checks.image),
            (self.round_trip, checks and checks.round_trip),
        ):
            row.set_ready(qa.is_current, qa.why_not)
            if found is None and not row.running:
                row.finish()  # what it says was said of other slices
        self.labels.setText(qa.labels_sentence)
        self.labels.setVisible(bool(qa.labels_sentence) and qa.checks is not None)
        self._ask_cost()

    def _live_changed(self, *_: Any) -> None:
        self.refresh()

    def _ask_cost(self) -> None:
        """Find out what reading every slice would cost."""
        qa, volume = self._scene.qa, self._scene.live.volume
        map_, mip = qa.map, self._scene.live.state.mip
        if not qa.is_current or map_ is None or volume is None:
            self._asked = None
            self.image.set_cost("")
            return
        if self._asked is map_:
            return
        self._asked = map_

        def reckon(token: Token) -> ImageCost:
            from napari_ouroboros.operations.qa import image_cost

            return image_cost(volume, map_, mip, cancel=token)

        def failed(error: Exception) -> None:
            if not isinstance(error, OuroborosError):
                raise error  # a mistake of ours: napari shows it
            self.image.set_cost(one_line(error))

        self.costs.submit(reckon, lambda cost: self.image.set_cost(cost.text), failed)
