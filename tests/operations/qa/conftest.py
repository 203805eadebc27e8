"""A column of tissue along z whose slices are known voxel for voxel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand
from scipy.ndimage import gaussian_filter

from napari_ouroboros import Straightening, Trace, open_volume
from napari_ouroboros.volumes import Volume

STEP, SHAPE, CHUNK, SIDE = 8.0, (48, 40, 40), (8, 16, 16), 21
#: The voxels of a slice: rows are y, columns are x.
WINDOW = slice(10, 10 + SIDE)


def tissue(seed: int = 4) -> NDArray[np.uint8]:
    """Smooth noise (z, y, x): neighbouring planes look alike, all have the same contrast."""
    noise = gaussian_filter(
        np.random.default_rng(seed).normal(size=SHAPE), (3, 1.5, 1.5), mode="wrap"
    )
    crop = noise[:, WINDOW, WINDOW]
    noise -= crop.mean((1, 2), keepdims=True)
    noise /= crop.std((1, 2), keepdims=True)
    return np.clip(128 + 25 * noise, 1, 255).astype(np.uint8)


@pytest.fixture
def column() -> Straightening:
    """The map along z whose slice k is ``tissue[k, WINDOW, WINDOW]``."""
    ends = np.array([[0.5, 20.5, 20.5], [SHAPE[0] - 0.5, 20.5, 20.5]]) * STEP
    return Straightening(Trace(ends), SIDE, SIDE, STEP, STEP)


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Callable[..., Volume]]:
    """``written(voxels, leave_out=[(0, 1, 1)], kind="image")`` -> the opened volume."""
    with ExitStack() as stack:

        def write(
            voxels: NDArray[Any], leave_out: Sequence[Sequence[int]] = (), kind: str = "image"
        ) -> Volume:
            folder = write_by_hand(
                tmp_path / f"volume{len(list(tmp_path.iterdir()))}", [voxels[None]], chunk=CHUNK,
                resolutions=[(STEP,) * 3], leave_out=leave_out, kind=kind,
            )  # fmt: skip
            volume = open_volume(folder)
            stack.callback(volume.close)
            return volume

        yield write
