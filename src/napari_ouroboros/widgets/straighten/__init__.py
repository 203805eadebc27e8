"""The straightened space, live: its layers, the strip along the curve, and the run to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ouroboros.widgets.straighten.dock import StraightenDock
    from napari_ouroboros.widgets.straighten.live_preview import LivePreview
    from napari_ouroboros.widgets.straighten.previews import (
        is_straightened,
        live_preview_of,
        shown_by,
        straightened,
    )
    from napari_ouroboros.widgets.straighten.strip_view import StripView

__all__ = [
    "LivePreview",
    "StraightenDock",
    "StripView",
    "is_straightened",
    "live_preview_of",
    "shown_by",
    "straightened",
]

_WHERE = {
    "LivePreview": "live_preview",
    "is_straightened": "previews",
    "live_preview_of": "previews",
    "shown_by": "previews",
    "straightened": "previews",
    "StraightenDock": "dock",
    "StripView": "strip_view",
}


def __getattr__(name: str) -> Any:
    """Qt and napari are imported with the first name that needs them."""
    from importlib import import_module

    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
