"""Labels of the straightened space, each with its recipe: the book of them, and their controls."""

from __future__ import annotations

from napari_ouroboros.widgets.labels.book import LabelsBook, StraightLabels

__all__ = ["LabelsBook", "StraightLabels"]
