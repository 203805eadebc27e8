"""What can be done with a volume and a map: every operation is a plan of idempotent units."""

from __future__ import annotations

from napari_ouroboros.operations.backproject_job import backproject
from napari_ouroboros.operations.backproject_report import BackprojectReport
from napari_ouroboros.operations.measure_job import measure
from napari_ouroboros.operations.measure_report import MeasureReport
from napari_ouroboros.operations.outside_volume import outside
from napari_ouroboros.operations.preview import Preview
from napari_ouroboros.operations.round_trip import CheckReport, check
from napari_ouroboros.operations.straighten_job import StraightenReport, straighten_to
from napari_ouroboros.operations.straighten_lazy import straighten
from napari_ouroboros.operations.warm_up import warm_up

__all__ = [
    "BackprojectReport",
    "CheckReport",
    "MeasureReport",
    "Preview",
    "StraightenReport",
    "backproject",
    "check",
    "measure",
    "outside",
    "straighten",
    "straighten_to",
    "warm_up",
]
