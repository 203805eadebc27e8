"""A session: what a window holds, kept in one file, and brought back after a crash. No Qt."""

from __future__ import annotations

from napari_ouroboros.session.autosave import Autosave
from napari_ouroboros.session.document import (
    CameraEntry,
    DimsEntry,
    KeyframeEntry,
    LabelColour,
    LabelsEntry,
    MarkEntry,
    PlaceEntry,
    SessionDocument,
    SliceEntry,
    SourceEntry,
    SpaceEntry,
    TraceEntry,
    WindowEntry,
    from_dict,
    to_dict,
)
from napari_ouroboros.session.points import FeatureEntry, PointEntry, PointsEntry
from napari_ouroboros.session.recovery import (
    Abandoned,
    WorkingFolder,
    abandoned,
    adopt,
    discard,
    recovery_folder,
    sweep,
)
from napari_ouroboros.session.store import (
    SUFFIX,
    SavedElsewhere,
    open_session,
    read_session,
    save_session,
    version_of,
)

__all__ = [
    "SUFFIX",
    "Abandoned",
    "Autosave",
    "CameraEntry",
    "DimsEntry",
    "FeatureEntry",
    "KeyframeEntry",
    "LabelColour",
    "LabelsEntry",
    "MarkEntry",
    "PlaceEntry",
    "PointEntry",
    "PointsEntry",
    "SavedElsewhere",
    "SessionDocument",
    "SliceEntry",
    "SourceEntry",
    "SpaceEntry",
    "TraceEntry",
    "WindowEntry",
    "WorkingFolder",
    "abandoned",
    "adopt",
    "discard",
    "from_dict",
    "open_session",
    "read_session",
    "recovery_folder",
    "save_session",
    "sweep",
    "to_dict",
    "version_of",
]
