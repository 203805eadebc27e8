"""Traces: points in order, their layers in napari, the mouse, the dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.trace.book import TraceBook
from napari_ouroboros.widgets.trace.model import Keyframe, TraceModel, TraceState

if TYPE_CHECKING:
    from napari_ouroboros.widgets.trace.trace_dock import TraceDock

__all__ = ["Keyframe", "TraceBook", "TraceDock", "TraceModel", "TraceState"]


def __getattr__(name: str) -> Any:
    # Only who shows the dock needs Qt.
    if name == "TraceDock":
        from napari_ouroboros.widgets.trace.trace_dock import TraceDock

        return TraceDock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
