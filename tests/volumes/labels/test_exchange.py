"""One state of labels put in the place of another, whoever paints meanwhile, and on a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_disk import small_disk

from napari_ouroboros.errors import DestinationError
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.labels.label_changes import Change

SHAPE = (10, 9, 8)


def make(path: Path, values: NDArray[Any], chunk: int = 4) -> LabelArray:
    made = LabelArray.create(path, values.shape, values.dtype, chunks=(chunk,) * 3)
    made[:] = values
    return made


def exchange(array: LabelArray, old: LabelArray | None, new: LabelArray) -> list[tuple[int, int]]:
    return list(array.exchange(old, new))


@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.0, 0.02, 0.5]))
def test_only_what_is_as_it_was_becomes_new(
    tmp_path_factory: pytest.TempPathFactory, seed: int, density: float
) -> None:
    folder = tmp_path_factory.mktemp("exchange")
    rng = np.random.default_rng(seed)

    def some() -> NDArray[np.uint64]:
        values = rng.integers(0, 3, SHAPE).astype(np.uint64)
        return np.where(rng.random(SHAPE) < density, values, 0).astype(np.uint64)

    old, new, strokes = some(), some(), some()
    array = make(folder / "a", old)
    before, after = array.snapshot_to(folder / "old"), make(folder / "new", new)
    painted = strokes != 0
    array[painted] = strokes[painted]
    now = array[:]
    told: list[Change] = []
    array.changed.connect(told.append)
    exchange(array, before, after)
    wanted = np.where(now == old, new, now)
    np.testing.assert_array_equal(array[:], wanted)
    # Told: all that is another now, and no box of which nothing is.
    seen = np.zeros(SHAPE, bool)
    for part in (part for change in told for part in change.parts):
        box = tuple(slice(*edges) for edges in part)
        assert (wanted != now)[box].any()
        seen[box] = True
    assert seen[wanted != now].all()
    # Both others are what they were, and it is all in the files.
    np.testing.assert_array_equal(before[:], old)
    np.testing.assert_array_equal(after[:], new)
    np.testing.assert_array_equal(LabelArray.open(array.path)[:], wanted)
    # And back: where it holds what was written, and that was a change.
    exchange(array, after, before)
    np.testing.assert_array_equal(array[:], np.where(wanted == new, old, wanted))
    array[0, 0, 0] += np.uint64(1)
    exchange(array, None, before)
    np.testing.assert_array_equal(LabelArray.open(array.path)[:], old)
    # What is written now goes into none of the others.
    array[:] = 7
    np.testing.assert_array_equal(LabelArray.open(before.path)[:], old)
    np.testing.assert_array_equal(LabelArray.open(after.path)[:], new)


def test_it_goes_layer_by_layer(tmp_path: Path) -> None:
    old = np.zeros(SHAPE, np.uint8)
    array, after = make(tmp_path / "a", old), make(tmp_path / "b", old + 1)
    before = array.snapshot_to(tmp_path / "old")
    steps = array.exchange(before, after)
    assert next(steps) == (1, 3)
    assert array[:4].all()
    assert not array[4:].any()
    assert list(steps) == [(2, 3), (3, 3)]
    assert array[:].all()


def test_others_are_refused(tmp_path: Path) -> None:
    array = make(tmp_path / "a", np.zeros(SHAPE, np.uint8))
    other = make(tmp_path / "b", np.zeros(SHAPE, np.uint16))
    with pytest.raises(ValueError, match="one shape"):
        exchange(array, None, other)


def test_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = np.zeros(SHAPE, np.uint8)
    array, after = make(tmp_path / "a", old), make(tmp_path / "b", old + 1)

    def none(*_: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", none)
    exchange(array, None, after)
    assert LabelArray.open(array.path)[:].all()


def test_a_full_disk_has_room_for_what_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with small_disk(tmp_path / "disk") as disk:
        array = make(disk / "a", rng.integers(0, 255, (64, 64, 24)).astype(np.uint8), 32)
        before = array.snapshot_to(disk / "old")
        after = make(disk / "b", rng.integers(0, 255, (64, 64, 24)).astype(np.uint8), 32)
        with open(disk / "other", "wb") as other, pytest.raises(OSError, match="No space"):
            other.write(b"x" * 2**21)
        with pytest.raises(DestinationError, match="no space left"):
            array[0, 0, 0] = array[0, 0, 0] + 1
        exchange(array, before, after)
        np.testing.assert_array_equal(array[:], after[:])
        exchange(array, after, before)
        np.testing.assert_array_equal(LabelArray.open(array.path)[:], before[:])


def test_one_chunk_that_cannot_be_written_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = make(tmp_path / "a", np.ones(SHAPE, np.uint8))
    after = make(tmp_path / "b", np.full(SHAPE, 2, np.uint8))
    before = array.snapshot_to(tmp_path / "old")
    array[0, 0, 0] = 9  # that chunk has to be written anew
    real = Path.write_bytes

    def full(path: Path, data: Any) -> int:
        if path.parent == array.path:
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DestinationError, match="no space left"):
        exchange(array, before, after)
    found = array[:]
    assert found[0, 0, 0] == 9
    assert (found == 1).sum() == 4**3 - 1
    assert (found == 2).sum() == found.size - 4**3
