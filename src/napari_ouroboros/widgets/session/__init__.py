"""The session of a window: what is kept of it, where, and what is asked before it is lost."""

from __future__ import annotations

from napari_ouroboros.widgets.session.work import Work

__all__ = ["Work"]
