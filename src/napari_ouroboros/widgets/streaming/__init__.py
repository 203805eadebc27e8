"""Streamed volumes in a viewer: added without a wait, shown as they come. See `watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.streaming.adding import add_layers, prepare_volume
from napari_ouroboros.widgets.streaming.found import pyramid_of, volume_of
from napari_ouroboros.widgets.streaming.watching import Watcher, unwatch, watch

if TYPE_CHECKING:
    from napari_ouroboros.widgets.streaming.sign import LoadingSign

__all__ = [
    "LoadingSign",
    "Watcher",
    "add_layers",
    "prepare_volume",
    "pyramid_of",
    "unwatch",
    "volume_of",
    "watch",
]


def __getattr__(name: str) -> Any:
    # Only who shows the sign needs Qt.
    if name == "LoadingSign":
        from napari_ouroboros.widgets.streaming.sign import LoadingSign

        return LoadingSign
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
