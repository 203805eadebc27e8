"""Controls that all docks share. `lengths`, `rate` and `messages` are free of Qt."""

from napari_ouroboros.widgets.controls.banner import Banner
from napari_ouroboros.widgets.controls.destination import Destination
from napari_ouroboros.widgets.controls.empty_state import EmptyState
from napari_ouroboros.widgets.controls.fold import Fold
from napari_ouroboros.widgets.controls.job_row import JobRow
from napari_ouroboros.widgets.controls.length_field import LengthField
from napari_ouroboros.widgets.controls.manners import (
    named,
    set_ready,
    show_soon,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.controls.pages import Pages
from napari_ouroboros.widgets.controls.scroll_dock import ScrollDock

__all__ = [
    "Banner",
    "Destination",
    "EmptyState",
    "Fold",
    "JobRow",
    "LengthField",
    "Pages",
    "ScrollDock",
    "named",
    "set_ready",
    "show_soon",
    "tab_order",
    "wrapping_label",
]
