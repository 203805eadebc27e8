"""Straighten long thin things out of very large volumes, label them, bring the labels back.

Everything here is imported on first use: ``import napari_ouroboros`` loads neither numpy
nor any library that reads volumes, and no Qt. Python arrays and coordinates are ordered
zyx, lengths are nm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.errors import (
        Cancelled,
        DestinationError,
        Notice,
        OuroborosError,
        SourceError,
        UserError,
    )
    from napari_ouroboros.geometry import Straightening, Trace
    from napari_ouroboros.neuroglancer import State, read_state, write_state
    from napari_ouroboros.operations import (
        BackprojectReport,
        MeasureReport,
        StraightenReport,
        backproject,
        measure,
        outside,
        straighten,
        straighten_to,
    )
    from napari_ouroboros.volumes import Level, Volume, open_volume

__version__ = "0.1.0"

__all__ = [
    "BackprojectReport",
    "Cancelled",
    "DestinationError",
    "Level",
    "MeasureReport",
    "Notice",
    "OuroborosError",
    "SourceError",
    "State",
    "StraightenReport",
    "Straightening",
    "Trace",
    "UserError",
    "Volume",
    "__version__",
    "backproject",
    "measure",
    "open_volume",
    "outside",
    "read_state",
    "straighten",
    "straighten_to",
    "write_state",
]

_ROOMS = {
    "errors": (
        "Cancelled",
        "DestinationError",
        "Notice",
        "OuroborosError",
        "SourceError",
        "UserError",
    ),
    "geometry": ("Straightening", "Trace"),
    "neuroglancer": ("State", "read_state", "write_state"),
    "operations": (
        "BackprojectReport",
        "MeasureReport",
        "StraightenReport",
        "backproject",
        "measure",
        "outside",
        "straighten",
        "straighten_to",
    ),
    "volumes": ("Level", "Volume", "open_volume"),
}
_HOME = {name: f"{__name__}.{room}" for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
