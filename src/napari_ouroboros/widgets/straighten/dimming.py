"""Pictures that have not been of this moment for a while are dimmed, until they are again."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.widgets.straighten.live_preview import LivePreview
    from napari_ouroboros.widgets.straighten.straight_layer import StraightLayer

#: Seconds; sooner it would flicker under a drag.
PATIENCE = 0.3


class Dimming:
    """Dims the layers of a preview while they are stale.

    Parameters
    ----------
    preview : LivePreview
        Held weakly.
    """

    def __init__(self, preview: LivePreview) -> None:
        self._preview = weakref.ref(preview)
        self._deliver = preview.scene.deliver
        self._dimmed: weakref.WeakSet[StraightLayer] = weakref.WeakSet()
        self._timer: threading.Timer | None = None
        self._closed = False

    def look(self) -> None:
        """Light up what is of this moment at once; what is not, dim after a while."""
        preview = self._preview()
        if preview is None or self._closed or not preview.shown:
            return
        if preview.is_stale:
            self.be_patient()
        else:
            self._dim(preview, False)

    def be_patient(self) -> None:
        """Look again after a while, unless all that is shown is dim already."""
        preview = self._preview()
        if preview is None or self._closed or self._timer is not None:
            return
        if all(shown in self._dimmed for shown in preview.shown):
            return
        reference, deliver = weakref.ref(self), self._deliver

        def later() -> None:
            deliver(lambda: _patience_ends(reference))

        self._timer = threading.Timer(PATIENCE, later)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Stop."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def patience_ended(self) -> None:
        """A while is over."""
        self._timer = None
        preview = self._preview()
        if preview is not None and not self._closed:
            self._dim(preview, preview.is_stale)

    def _dim(self, preview: LivePreview, dim: bool) -> None:
        other = [shown for shown in preview.shown if (shown in self._dimmed) != dim]
        for shown in other:
            (self._dimmed.add if dim else self._dimmed.discard)(shown)
            shown.dim(dim)
        if other:
            preview.picture_changed.emit()


def _patience_ends(reference: weakref.ref[Dimming]) -> None:
    dimming = reference()
    if dimming is not None:
        dimming.patience_ended()
