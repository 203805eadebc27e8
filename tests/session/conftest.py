"""Documents and label stores to be kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.geometry import recipe
from napari_ouroboros.session import (
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
        marks=(MarkEntry(7, (1.0, 2.0, 3.5), "bad", "fold; “quoted”, \n and µ"),),
        place=PlaceEntry(7, False),
        volume=SpaceEntry(CameraEntry((1.0, 2.0, 3.0), 0.01), DimsEntry(3, (2, 0, 1), (0, 1, 2))),
        straightened=SpaceEntry(
            CameraEntry((0.0, 5.0, 6.0), 2.0, (1.0, 2.0, 3.0), 0.0, ("away", "down", "right"))
        ),
        window=WindowEntry("straightened"),
    )  # fmt: skip


def make_store(
    folder: Path, values: NDArray[Any], chunks: tuple[int, int, int] = (8, 8, 8)
) -> NDArray[Any]:
    """Write a zarr array, chunks of zeros left out; return what was written."""
    array = zarr.create_array(
        folder, shape=values.shape, chunks=chunks, dtype=values.dtype, fill_value=0,
        config={"write_empty_chunks": False},
    )  # fmt: skip
    array[:] = values
    return values


def random_ids(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Ids of the whole range of a dtype, the largest included, in a third of the array."""
    dice = np.random.default_rng(seed)
    top = int(np.iinfo(dtype).max)
    values = dice.integers(0, top, shape, dtype, endpoint=True)
    values[shape[0] // 3 :] = 0
    values[0, 0, :2] = top, top // 2 + 1
    return values


Stores = dict[str, Path]


@pytest.fixture
def stores(document: SessionDocument, tmp_path: Path) -> Stores:
    """The document's label stores on disk."""
    made = {}
    for i, entry in enumerate(document.labels):
        made[entry.store] = tmp_path / "stores" / str(i)
        make_store(made[entry.store], random_ids(entry.shape, entry.dtype, i))
    return made


@pytest.fixture
def store_maker() -> Callable[..., NDArray[Any]]:
    return make_store
