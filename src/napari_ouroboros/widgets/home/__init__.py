"""The way home: labels shown live in the original, and written there; points, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.home.overlays import HomeOverlays
from napari_ouroboros.widgets.home.runs import HomeRuns

if TYPE_CHECKING:
    from napari_ouroboros.widgets.home.dock import BackprojectDock

__all__ = ["BackprojectDock", "HomeOverlays", "HomeRuns"]


def __getattr__(name: str) -> Any:
    # Only who shows the dock needs Qt.
    if name == "BackprojectDock":
        from napari_ouroboros.widgets.home.dock import BackprojectDock

        return BackprojectDock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
