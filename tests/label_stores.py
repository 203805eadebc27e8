"""Label stores written by zarr itself, for tests of what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray


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
