"""The hash of the map in the metadata of the straightened layers: which map they show."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_ouroboros.widgets.background import Worker

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene import LiveState
    from napari_ouroboros.widgets.straighten.live_preview import LivePreview


class MapNames:
    """Notes the hash of a map's frames once nothing moves.

    Parameters
    ----------
    preview : LivePreview
        Held weakly.
    """

    def __init__(self, preview: LivePreview) -> None:
        self._preview = weakref.ref(preview)
        self._worker = Worker("ouroboros-hash", preview.scene.deliver)

    def name(self, state: LiveState) -> None:
        """Write the hash of a map into the metadata of the layers that show it."""
        map_ = state.map
        if map_ is None or state.dragging:
            return
        reference = self._preview

        def write(found: str) -> None:
            preview = reference()
            if preview is not None and preview.scene.live.state.map is map_:
                for shown in preview.shown:
                    shown.note(frames_sha256=found)

        self._worker.submit(lambda token: map_.recipe_hash, write, _raise)

    def close(self) -> None:
        """Stop."""
        self._worker.close()


def _raise(error: Exception) -> None:
    raise error  # a mistake of ours: napari shows it
