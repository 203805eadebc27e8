"""Two spaces in one window: the volume, and its straightened view in a dock beside it.

Each has a ViewerModel and a canvas of its own; what links them is one `Place`. Files that need no
Qt (`linked_*`, `helper_layer`, `lines`, `camera`, `position`) hold all that can be reckoned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ouroboros.widgets.spaces.arranging import arrange, arrange_softly
    from napari_ouroboros.widgets.spaces.dock import StraightDock
    from napari_ouroboros.widgets.spaces.flipping import flip

__all__ = ["StraightDock", "arrange", "arrange_softly", "flip"]

_WHERE = {
    "StraightDock": "dock",
    "arrange": "arranging",
    "arrange_softly": "arranging",
    "flip": "flipping",
}


def __getattr__(name: str) -> Any:
    """Qt and napari are imported with the first name that needs them."""
    from importlib import import_module

    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
