"""Quality along the path: checks of every slice, marks, measures."""

from __future__ import annotations
