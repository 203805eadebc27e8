"""Quality along the path: what is measured at each slice, and which slices deserve a look."""

from __future__ import annotations

from napari_ouroboros.operations.qa.geometry import GeometryChecks, geometry_checks
from napari_ouroboros.operations.qa.image import ImageChecks, ImageCost, image_checks, image_cost
from napari_ouroboros.operations.qa.labels import LabelChecks, label_checks
from napari_ouroboros.operations.qa.limits import limits
from napari_ouroboros.operations.qa.round_trip import RoundTripChecks, round_trip_checks
from napari_ouroboros.operations.qa.rules import Checks, Rules, following, suspicious
from napari_ouroboros.operations.qa.table import write_checks

__all__ = [
    "Checks",
    "GeometryChecks",
    "ImageChecks",
    "ImageCost",
    "LabelChecks",
    "RoundTripChecks",
    "Rules",
    "following",
    "geometry_checks",
    "image_checks",
    "image_cost",
    "label_checks",
    "limits",
    "round_trip_checks",
    "suspicious",
    "write_checks",
]
