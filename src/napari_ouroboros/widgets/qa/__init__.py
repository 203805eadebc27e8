"""Quality along the path: checks of every slice, marks, measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.qa.model import QaModel

if TYPE_CHECKING:
    from napari_ouroboros.widgets.qa.dock import QaDock

__all__ = ["QaDock", "QaModel"]


def __getattr__(name: str) -> Any:
    # Only who shows the dock needs Qt.
    if name == "QaDock":
        from napari_ouroboros.widgets.qa.dock import QaDock

        return QaDock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
