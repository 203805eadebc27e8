"""Labels written over others while somebody paints, cancelled, and on a disk that is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labels_bench import Bench
from numpy.typing import NDArray
from small_disk import small_disk

from napari_ouroboros.errors import DestinationError
from napari_ouroboros.session import WorkingFolder, half_done
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.labels.label_changes import Change
from napari_ouroboros.widgets.labels.straight_labels import StraightLabels

NEW, STROKE = 7, 2**63


def begun(bench: Bench) -> tuple[StraightLabels, NDArray[np.uint64]]:
    """Labels with something in all chunks."""
    entry = bench.new()
    entry.array[:, 3:20, 4:25] = 5
    bench.loop.turn()
    return entry, entry.array[:]


def at_write(entry: StraightLabels, number: int, do: Callable[[], object]) -> None:
    """Do something as soon as so many writes have been told of."""
    told: list[Change] = []

    def tell(change: Change) -> None:
        told.append(change)
        if len(told) == number:
            do()

    entry.array.changed.connect(tell)


def paint(entry: StraightLabels) -> NDArray[np.bool_]:
    """Strokes over what has been written by now, and over what has not."""
    n = entry.array.shape[0]
    where = np.zeros(entry.array.shape, bool)
    where[1, 5:8, 5:9] = where[1, 21:23, 2:6] = where[n - 2, 5:8, 5:9] = True
    entry.array[where] = STROKE
    return where


@pytest.mark.parametrize("cancelled", [False, True])
def test_strokes_that_are_painted_meanwhile_stay(cancelled: bool, bench: Bench) -> None:
    entry, before = begun(bench)
    painted: list[NDArray[np.bool_]] = []

    def meanwhile() -> None:
        painted.append(paint(entry))
        if cancelled:
            bench.book.cancel()

    at_write(entry, 2, meanwhile)
    new = np.full(before.shape, NEW, np.uint64)
    bench.book.replace(entry, new)
    bench.settle()
    assert bench.failed == []
    wanted = before if cancelled else new
    np.testing.assert_array_equal(entry.array[:], np.where(painted[0], STROKE, wanted))
    folder = bench.scene.work.folder().path
    assert list(folder.glob("half-done-*")) == []
    if cancelled:
        assert bench.said == ["Cancelled; the labels are as they were."]
        assert [path.name for path in (folder / "labels").iterdir()] == [entry.array.path.name]
    else:
        # One store for the undo of it.
        assert len(list((folder / "labels").iterdir())) == 2
        bench.book.undo()
        bench.settle()
        np.testing.assert_array_equal(entry.array[:], before)


def test_what_does_not_fit_changes_nothing(bench: Bench) -> None:
    entry = bench.new(dtype=np.uint8)
    entry.array[3, 3:9, 3:9] = 200
    before, told = entry.array[:], []
    entry.array.changed.connect(told.append)
    new = np.zeros(before.shape, np.uint64)
    new[-1, 0, 0] = 300
    bench.book.replace(entry, new)
    bench.settle()
    (error,) = bench.failed
    assert "300 cannot be a label here" in str(error)
    assert told == []


def fill(disk: Path) -> None:
    with open(disk / "other", "wb") as other, pytest.raises(OSError, match="No space"):
        other.write(b"x" * 2**25)


@pytest.mark.parametrize("when", ["before", "copied", "painted"])
def test_a_full_disk(
    when: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything was written, when all was copied, and in a chunk that is painted in."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        bench.scene.work.exchange(WorkingFolder.create(disk))
        entry, before = begun(bench)
        wanted, painted = before, np.zeros(before.shape, bool)
        new = np.random.default_rng(3).integers(1, 2**62, before.shape).astype(np.uint64)
        if when == "before":
            fill(disk)
        else:
            begin = entry.array.snapshot_to

            def full(*arguments: Any, **options: Any) -> Any:
                found = begin(*arguments, **options)
                if when == "painted":
                    painted[...] = paint(entry)
                monkeypatch.setattr(type(entry.array), "flush", lambda _: fill(disk))
                monkeypatch.setattr("napari_ouroboros.session.half_done.write_whole", noted)
                return found

            def noted(path: Path, data: bytes) -> None:
                path.write_bytes(b"")  # it was noted in time: a small file

            monkeypatch.setattr(entry.array, "snapshot_to", full)
        bench.book.replace(entry, new)
        bench.settle()
        if when == "copied":
            # All that it takes is there already.
            assert bench.failed == []
            wanted = new
        else:
            (error,) = bench.failed
            assert isinstance(error, DestinationError)
            assert "no space left on the disk" in str(error)
            assert "\n" not in str(error)
        np.testing.assert_array_equal(entry.array[:], np.where(painted, STROKE, wanted))
        assert list(disk.rglob("half-done-*")) == []
        (disk / "other").unlink()
        bench.scene.close()


def test_filling_in_on_a_disk_that_gets_full(bench: Bench, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        bench.scene.work.exchange(WorkingFolder.create(disk))
        entry = bench.new()
        n = entry.array.shape[0]
        entry.array[0, 3:20, 4:25] = entry.array[n - 1, 5:22, 2:20] = STROKE
        bench.loop.turn()
        before = entry.array[:]
        at_write(entry, 2, lambda: fill(disk))
        bench.book.interpolate(entry)
        bench.settle()
        (error,) = bench.failed
        assert "no space left on the disk" in str(error)
        assert bench.said == []
        np.testing.assert_array_equal(entry.array[:], before)
        assert entry.layer is not None
        entry.layer.mode = "paint"
        assert entry.layer.mode == "paint"
        assert list(disk.rglob("half-done-*")) == []
        (disk / "other").unlink()
        bench.scene.close()


def test_labels_that_are_taken_over_stay_and_are_the_windows_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash would remove is a copy, and so is what the rollback goes by."""
    entry, _ = begun(bench)
    other = bench.new(name="other")
    other.array[:] = NEW
    noted: list[Path] = []
    real = half_done.begin

    def begin(folder: Path, array: Any, before: Any, after: Any = None) -> None:
        noted.extend((before.path, after.path))
        real(folder, array, before, after)

    monkeypatch.setattr(half_done, "begin", begin)
    bench.book.replace(entry, other.array)
    bench.settle()
    assert bench.failed == []
    assert (entry.array[:] == NEW).all()
    assert len(noted) == 2
    assert other.array.path not in noted
    assert other.array.path.exists()


def test_labels_from_elsewhere_are_taken_over(bench: Bench, tmp_path: Path) -> None:
    entry, before = begun(bench)
    theirs = LabelArray.create(tmp_path / "theirs", before.shape, before.dtype)
    theirs[:] = NEW
    bench.book.replace(entry, theirs)
    bench.settle()
    assert bench.failed == []
    assert (entry.array[:] == NEW).all()
    bench.book.undo()
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], before)
    assert theirs.path.exists()


def test_labels_removed_while_others_are_put_back_can_be_brought_back(bench: Bench) -> None:
    entry, before = begun(bench)
    other = bench.new(name="other")
    bench.book.replace(entry, np.full(before.shape, NEW, np.uint64))
    bench.settle()
    at_write(entry, 1, lambda: bench.loop.deliver(lambda: bench.book.remove(other)))
    bench.book.undo()
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], before)
    assert bench.book.entries == [entry]
    assert bench.book.undo_text == "Bring back other"
    bench.book.redo()  # nothing: something new has happened since
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], before)
    bench.book.undo()
    assert bench.book.entries == [entry, other]


def test_labels_removed_while_others_are_written_again(bench: Bench) -> None:
    entry, before = begun(bench)
    other = bench.new(name="other")
    bench.book.replace(entry, np.full(before.shape, NEW, np.uint64))
    bench.settle()
    bench.book.undo()
    bench.settle()
    at_write(entry, 1, lambda: bench.loop.deliver(lambda: bench.book.remove(other)))
    bench.book.redo()
    bench.settle()
    assert (entry.array[:] == NEW).all()
    assert bench.book.undo_text == "Bring back other"
    bench.book.undo()
    assert bench.book.undo_text == f"Undo in {entry.name}"
    bench.book.undo()
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], before)
