"""What can be done with a volume and a map: every operation is a plan of idempotent units."""

from __future__ import annotations

from napari_ouroboros.operations.backproject_job import BackprojectReport, backproject
from napari_ouroboros.operations.round_trip import CheckReport, check
from napari_ouroboros.operations.straighten_job import (
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
