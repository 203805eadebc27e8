"""What can be done with a volume and a map: every operation is a plan of idempotent units."""

from __future__ import annotations

from napari_ouroboros.operations.backproject import BackprojectReport, backproject
from napari_ouroboros.operations.check import CheckReport, check
from napari_ouroboros.operations.straighten import (
    StraightenReport,
    outside,
    straighten,
    straighten_to,
)

__all__ = [
    "BackprojectReport",
    "CheckReport",
    "StraightenReport",
    "backproject",
    "check",
    "outside",
    "straighten",
    "straighten_to",
]
