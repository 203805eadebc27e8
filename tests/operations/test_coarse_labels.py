"""Labels made coarse: against the sentence that says what a block's id is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reads import sizes_read

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.operations.coarse_labels import CoarseLabels
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.labels.label_changes import Change

NEVER = threading.Event()


def literal(values: NDArray[Any], steps: tuple[int, int, int]) -> NDArray[Any]:
    """Voxel by voxel: each lies in the block whose middle is nearest, and the largest id wins."""
    shape = [-(-n // step) for n, step in zip(values.shape, steps, strict=True)]
    out = np.zeros(shape, values.dtype)
    for at in np.argwhere(values):
        block = tuple(
            min(int(np.floor(v / step + 0.5)), n - 1)
            for v, step, n in zip(at, steps, shape, strict=True)
        )
        out[block] = max(out[block], values[tuple(at)])
    return out


def no_more() -> None:
    pass


sizes = st.tuples(st.integers(1, 23), st.integers(1, 14), st.integers(1, 11))
steps = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))


@given(sizes, steps, st.integers(0, 2**32), st.sampled_from(["uint8", "uint64"]))
def test_filled_and_followed(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    steps: tuple[int, int, int],
    seed: int,
    dtype: str,
) -> None:
    dice = np.random.default_rng(seed)
    array = LabelArray.create(tmp_path_factory.mktemp("a") / "l", shape, dtype, chunks=(4, 5, 3))
    values = dice.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    values[dice.random(shape) < 0.8] = 0
    array[:] = values
    coarse = CoarseLabels(array, steps)
    coarse.fill(NEVER, no_more)
    np.testing.assert_array_equal(coarse.data, literal(values, steps))
    changes: list[Change] = []
    array.changed.connect(changes.append)
    for label in (0, 7):  # an eraser, and a brush
        low = [int(dice.integers(0, n)) for n in shape]
        box = tuple(slice(a, int(dice.integers(a, n)) + 1) for a, n in zip(low, shape, strict=True))
        array[box] = label
    coarse.update([part for change in changes for part in change.parts], NEVER)
    np.testing.assert_array_equal(coarse.data, literal(array[:], steps))


def test_a_line_one_voxel_thin_is_seen_and_ids_stay_whole(tmp_path: Path) -> None:
    array = LabelArray.create(tmp_path / "l", (600, 20, 20), np.uint64)
    array[37, 3, :] = 2**63 + 1
    array[:, 11, 7] = 300
    coarse = CoarseLabels(array, (48, 1, 1))
    told: list[int] = []
    coarse.fill(NEVER, lambda: told.append(int(np.count_nonzero(coarse.data))))
    assert set(np.unique(coarse.data).tolist()) == {0, 300, 2**63 + 1}
    assert (coarse.data[1, 3] == 2**63 + 1).all()
    assert (coarse.data[:, 11, 7] == 300).all()
    assert 2 <= len(told) <= 8
    assert told == sorted(told)


def test_only_what_is_painted_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = LabelArray.create(tmp_path / "l", (10_000, 200, 200), np.uint64)
    array[5_000, 70:90, 70:90] = 5
    read = sizes_read(monkeypatch, LabelArray)
    coarse = CoarseLabels(array, (48, 1, 1))
    coarse.fill(NEVER, no_more)
    assert coarse.data.size < 9e6
    assert sum(read) == 8 * 64 * 64  # one chunk
    coarse.update([((5_000, 5_001), (70, 90), (70, 90))], NEVER)
    assert sum(read[1:]) <= 96 * 20 * 20
    assert np.count_nonzero(coarse.data) == 400


def test_cancelled(tmp_path: Path) -> None:
    array = LabelArray.create(tmp_path / "l", (9, 9, 9), np.uint8)
    array[:] = 1
    now = threading.Event()
    now.set()
    coarse = CoarseLabels(array, (2, 2, 2))
    with pytest.raises(Cancelled):
        coarse.fill(now, no_more)
    with pytest.raises(Cancelled):
        coarse.update([((0, 9), (0, 9), (0, 9))], now)
    assert not coarse.data.any()
