"""Documents and label stores to be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from label_stores import make_store, random_ids

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.geometry import recipe
from napari_ouroboros.session import (
    CameraEntry,
    DimsEntry,
    FeatureEntry,
    KeyframeEntry,
    LabelColour,
    LabelsEntry,
    MarkEntry,
    PlaceEntry,
    PointEntry,
    PointsEntry,
    SessionDocument,
    SliceEntry,
    SourceEntry,
    SpaceEntry,
    TraceEntry,
    WindowEntry,
)

POINTS = ((0.0, 0.0, 0.0), (300.0, 40.0, -20.5), (700.0, 1 / 3, 1e-9))


@pytest.fixture(scope="session")
def a_map() -> Straightening:
    """24 slices of 20 x 16 pixels, or thereabouts."""
    return Straightening(Trace(POINTS), 16, 20, 10.0, 30.0)


@pytest.fixture
def document(a_map: Straightening) -> SessionDocument:
    """One of everything; two labels."""
    how = recipe.to_dict(a_map, None)

    def labels(name: str, dtype: Any, **more: Any) -> LabelsEntry:
        return LabelsEntry(name, how, f"labels/{name}", dtype, a_map.shape, **more)

    return SessionDocument(
        sources=(
            SourceEntry("/data/em", "image", "em", 0, mips=(0, 2), contrast_limits=(3.5, 200.0)),
            SourceEntry("precomputed://gs://bucket/seg", "labels", "seg", None, (40.0, 4.0, 4.0)),
        ),
        traces=(
            TraceEntry("nerve", POINTS, False, 12.5, (0.0, -1.0, 0.0), active=True),
            TraceEntry("ring", POINTS, True, keyframes=(KeyframeEntry(10.0, -30.0, False),)),
        ),
        slices=SliceEntry(16, 20, 10.0, 30.0, "auto", "cubic", 500.0),
        labels=(
            labels(
                "axon", "uint64", selected=2**63, trace=0,
                colours=(LabelColour(2**64 - 1, (1.0, 0.5, 0.0, 1.0)),),
            ),
            labels("nuclei", "uint16", visible=False, seed=0.5),
        ),
        points=(
            PointsEntry(
                "branches", (PointEntry((1.5, 2.0, -3.0), 0, 4.5, "star"), PointEntry((0, 0, 0))),
                (how,), (30.0, 10.0, 10.0), features=(
                    FeatureEntry.of("id", "uint64", [2**64 - 1, 2**53 + 1]),
                    FeatureEntry.of("size", "float64", [float("inf"), float("nan")]),
                    FeatureEntry.of("kind", "str", ["“a”", None]),
                ),
            ),
        ),
        marks=(MarkEntry(7, (1.0, 2.0, 3.5), "bad", "fold; “quoted”, \n and µ"),),
        place=PlaceEntry(7, False),
        volume=SpaceEntry(CameraEntry((1.0, 2.0, 3.0), 0.01), DimsEntry(3, (2, 0, 1), (0, 1, 2))),
        straightened=SpaceEntry(
            CameraEntry((0.0, 5.0, 6.0), 2.0, (1.0, 2.0, 3.0), 0.0, ("away", "down", "right"))
        ),
        window=WindowEntry("straightened"),
    )  # fmt: skip


Stores = dict[str, Path]


@pytest.fixture
def stores(document: SessionDocument, tmp_path: Path) -> Stores:
    """The document's label stores on disk."""
    made = {}
    for i, entry in enumerate(document.labels):
        made[entry.store] = tmp_path / "stores" / str(i)
        make_store(made[entry.store], random_ids(entry.shape, entry.dtype, i))
    return made
