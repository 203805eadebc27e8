"""Opening: from an address to layers and traces in a viewer, off the GUI thread.

`finding`, `preparing`, `recent`, `look`, `secrets` and `voxel_size` need no Qt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ouroboros.widgets.open.all_docks import AllDocks
    from napari_ouroboros.widgets.open.dock import OpenDock

__all__ = ["AllDocks", "OpenDock"]

_WHERE = {"AllDocks": "all_docks", "OpenDock": "dock"}


def __getattr__(name: str) -> Any:
    """Qt is imported with the first name that needs it."""
    from importlib import import_module

    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
