"""Long work on labels: loaded by recipe, carried over, interpolated, taken in; and cancelled."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from labels_bench import Bench
from numpy.typing import NDArray

from napari_ouroboros.errors import DestinationError, UserError
from napari_ouroboros.operations.carry_labels import CarryReport, carry_labels
from napari_ouroboros.operations.interpolate_labels import interpolate_labels
from napari_ouroboros.session import WorkingFolder
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.labels.job_kinds import carried_name, carry_text

BIG = 2**63


def blobs(bench: Bench) -> NDArray[np.uint64]:
    shape = bench.map.shape
    values = np.zeros(shape, np.uint64)
    n, rows, columns = shape
    values[2 : n - 2, 6 : rows - 4, 8 : columns - 5] = BIG
    values[5:9, 2:5, 3:6] = 300
    return values


def stores(bench: Bench) -> set[Path]:
    """Label stores in the working folder."""
    return {path.parent for path in bench.scene.work.folder().path.rglob("zarr.json")}


# -- loading ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_loaded_by_the_recipe_beside_it(kind: str, bench: Bench, tmp_path: Path) -> None:
    values = blobs(bench)
    path = tmp_path / f"nerve.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, values)
    else:
        LabelArray.create(path, values.shape, "uint64")[:] = values
    bench.map.save(tmp_path / "nerve.recipe.json")
    progress: list[tuple[int, int]] = []
    bench.book.jobs.progressed.connect(lambda done, total: progress.append((done, total)))
    bench.book.load(str(path))
    assert bench.book.running == "Loading labels"
    with pytest.raises(UserError, match="still going on"):
        bench.book.load(str(path))
    bench.settle()
    assert bench.failed == []
    (entry,) = bench.book.entries
    assert entry.name == "nerve"
    assert entry.is_shown
    assert entry.array.path != path
    np.testing.assert_array_equal(entry.array[:], values)
    assert progress[-1] == (values.shape[0], values.shape[0])
    assert bench.said == ["Loaded nerve."]
    assert bench.book.running == ""
    # With the recipe of another trace they are parked.
    bench.move()
    bench.book.load(str(path), str(tmp_path / "nerve.recipe.json"))
    bench.settle()
    assert [e.is_shown for e in bench.book.entries] == [False, False]
    assert "earlier trace" in bench.said[-1]


def test_what_does_not_fit_is_refused(bench: Bench, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", blobs(bench)[:-1])
    tifffile.imwrite(tmp_path / "f.tif", np.zeros(bench.map.shape, np.float32))
    for path, recipe, message in (
        (tmp_path / "a.tif", None, "no a.recipe.json beside"),
        (tmp_path / "a.tif", "r.recipe.json", "belong to another recipe"),
        (tmp_path / "f.tif", "r.recipe.json", "float"),
        (tmp_path / "gone.tif", "r.recipe.json", "no file"),
        (tmp_path / "a.tif", "gone.recipe.json", "no recipe"),
    ):
        bench.map.save(tmp_path / "r.recipe.json")
        bench.book.load(str(path), None if recipe is None else str(tmp_path / recipe))
        bench.settle()
        error = bench.failed.pop()
        assert isinstance(error, UserError)
        assert message in str(error)
        assert "\n" not in str(error)
    assert bench.book.entries == []
    assert stores(bench) == set()


# -- carrying over ------------------------------------------------------------------------


def test_carried_over_with_an_exact_report(bench: Bench, tmp_path: Path) -> None:
    entry = bench.new(name="nerve")
    entry.array[:] = values = blobs(bench)
    with pytest.raises(UserError, match="present trace"):
        bench.book.carry_over(entry)
    old = bench.map
    bench.move(by=25.0)
    wanted = LabelArray.create(tmp_path / "w", bench.map.shape, "uint64")
    report = carry_labels(entry.array, old, bench.map, wanted)
    assert report.lost > 0
    bench.book.carry_over(entry)
    bench.settle()
    assert bench.failed == []
    assert bench.book.entries[0] is entry
    made = bench.book.entries[1]
    assert made.name == "nerve carried over"
    assert made.is_shown
    assert made.map is bench.map
    assert made.trace is bench.trace.state
    np.testing.assert_array_equal(made.array[:], wanted[:])
    # The old ones stay what and where they are.
    assert not entry.is_shown
    assert entry.map is old
    np.testing.assert_array_equal(entry.array[:], values)
    (line,) = bench.said
    assert line == f"nerve carried over: {carry_text(report)}"
    assert f"{report.lost:,} lost" in line
    assert len(stores(bench)) == 2
    # Undo takes it back.
    assert bench.book.undo_text == "Undo adding nerve carried over"
    bench.book.undo()
    assert bench.book.entries == [entry]


def test_what_is_carried_over_again_gets_a_number() -> None:
    assert carried_name("nerve", ["nerve"]) == "nerve carried over"
    first = ["nerve", "nerve carried over"]
    assert carried_name("nerve carried over", first) == "nerve carried over 2"
    assert carried_name("nerve", [*first, "nerve carried over 2"]) == "nerve carried over 3"
    assert carried_name("nerve carried over 2", first) == "nerve carried over 2"


def test_what_the_report_says() -> None:
    assert carry_text(CarryReport(5, 0, 0, 6)) == "all 5 labelled samples were carried over."
    assert carry_text(CarryReport(0, 0, 0, 0)).startswith("nothing was painted")
    text = carry_text(CarryReport(90_000, 10_000, 3, 88_000, (7, 300)))
    assert text == (
        "90,000 of 100,000 labelled samples were carried over, 10,000 lost (3 of them where "
        "another label came to lie); nothing is left of label 7, 300."
    )


def test_a_carry_over_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    entry = bench.new()
    entry.array[:] = values = blobs(bench)
    bench.move()
    bench.book.carry_over(entry)
    bench.book.cancel()
    bench.settle()
    assert bench.book.entries == [entry]
    np.testing.assert_array_equal(entry.array[:], values)
    assert stores(bench) == {entry.array.path}
    assert bench.said == ["Cancelled; the labels are as they were."]
    assert bench.failed == []


# -- interpolating ------------------------------------------------------------------------


def painted_in_two(bench: Bench) -> Any:
    entry = bench.new()
    entry.array[3, 4:14, 5:15] = BIG
    entry.array[30, 8:20, 12:28] = BIG
    entry.array[10, 2:6, 20:26] = 300
    entry.array[14, 2:6, 20:26] = 300
    bench.loop.turn()
    return entry


def test_interpolated_and_undone_at_once(bench: Bench) -> None:
    entry = painted_in_two(bench)
    before = entry.array[:]
    wanted = before.copy()
    for k, rows, columns, values in interpolate_labels(before):
        wanted[k, rows, columns] = values
    told: list[Any] = []
    edits: list[None] = []
    bench.book.painted.connect(lambda _, change: told.append(change))
    bench.scene.work.edited.connect(lambda: edits.append(None))
    bench.straight.dims.set_current_step(0, 12)
    entry.layer.mode = "paint"
    bench.book.interpolate(entry)
    # Nobody paints in it meanwhile.
    assert bench.book.filling is entry
    for mode in ("paint", "erase", "fill", "polygon"):
        entry.layer.mode = mode
        assert entry.layer.mode == "pan_zoom"
    # A window that closes now asks.
    assert bench.scene.work.jobs.running == ["work on labels"]
    with pytest.raises(UserError, match="still going on"):
        bench.book.interpolate(entry)
    bench.settle()
    assert bench.failed == []
    assert bench.scene.work.jobs.running == []
    assert bench.book.filling is None
    assert entry.layer.mode == "paint"
    np.testing.assert_array_equal(entry.array[:], wanted)
    np.testing.assert_array_equal(entry.layer._slice.image.raw, wanted[12])
    assert told
    assert edits
    filled = np.count_nonzero(wanted) - np.count_nonzero(before)
    assert f"{filled:,} samples" in bench.said[-1]
    entry.layer.undo()
    np.testing.assert_array_equal(entry.array[:], before)
    entry.layer.redo()
    np.testing.assert_array_equal(entry.array[:], wanted)


def test_strokes_before_it_can_still_be_undone(bench: Bench) -> None:
    entry = bench.new()
    entry.layer.paint((3, 8, 8), BIG)
    entry.layer.paint((12, 9, 9), BIG)
    painted = entry.array[:]
    bench.book.interpolate(entry)
    bench.settle()
    assert (entry.array[7] == BIG).any()
    entry.layer.undo()
    np.testing.assert_array_equal(entry.array[:], painted)
    entry.layer.undo()
    assert not entry.array[12].any()
    entry.layer.undo()
    assert not entry.array[:].any()
    for _ in range(3):
        entry.layer.redo()
    assert (entry.array[7] == BIG).any()


def test_only_some_of_it(bench: Bench) -> None:
    entry = painted_in_two(bench)
    bench.book.interpolate(entry, ids=[BIG], between=(10, 14))
    bench.settle()
    filled = np.flatnonzero((entry.array[:] == BIG).any(axis=(1, 2))).tolist()
    assert filled == [3, 10, 11, 12, 13, 30]
    assert not entry.array[11:14][entry.array[11:14] == 300].any()


def test_nothing_to_fill(bench: Bench) -> None:
    entry = bench.new()
    entry.array[3, 4:9, 4:9] = 5
    undone = len(entry.layer._undo_history) if entry.layer is not None else -1
    bench.book.interpolate(entry)
    bench.settle()
    assert "Nothing to fill" in bench.said[-1]
    assert entry.layer is not None
    assert len(entry.layer._undo_history) == undone
    entry.layer.mode = "paint"
    assert entry.layer.mode == "paint"


def test_cancelled_in_the_middle_is_taken_back(bench: Bench) -> None:
    entry = painted_in_two(bench)
    before = entry.array[:]
    window, writes = threading.get_ident(), []

    def note(_change: Any) -> None:
        if bench.book.jobs.running and threading.get_ident() == window:
            return  # what is filled in
        writes.append("window" if threading.get_ident() == window else "worker")

    entry.array.changed.connect(note)
    bench.book.painted.connect(lambda *_: bench.book.cancel())
    bench.book.interpolate(entry)
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], before)
    entry.layer.mode = "paint"
    assert entry.layer.mode == "paint"
    assert bench.said == ["Cancelled; the labels are as they were."]
    entry.layer.redo()  # no half of it comes back, and no undo writes it a second time
    np.testing.assert_array_equal(entry.array[:], before)
    assert set(writes) == {"worker"}


def test_the_trace_is_edited_meanwhile(bench: Bench) -> None:
    """The labels leave the view; nothing half-filled stays in them."""
    entry = painted_in_two(bench)
    before = entry.array[:]
    told: list[None] = []

    def edit(*_: Any) -> None:
        if not told:
            told.append(None)
            bench.trace.move({1: bench.trace.state.points_nm[1] + 30.0})

    bench.book.painted.connect(edit)
    layer = entry.layer
    bench.book.interpolate(entry)
    bench.settle()
    assert told
    assert not entry.is_shown
    # Either it was through by then, or it was taken back.
    found = entry.array[:]
    if not np.array_equal(found, before):
        layer.undo()
        np.testing.assert_array_equal(entry.array[:], before)
    layer.mode = "paint"
    assert layer.mode == "paint"
    with pytest.raises(UserError, match="earlier trace"):
        bench.book.interpolate(entry)


def test_closed_in_the_middle_nothing_half_filled_is_kept(bench: Bench) -> None:
    entry = painted_in_two(bench)
    before = entry.array[:]
    filled: list[None] = []
    entry.array.changed.connect(lambda _: filled.append(None))
    bench.book.interpolate(entry)
    give_up = time.monotonic() + 30
    while not filled:  # one call at a time: the next may be the last
        assert time.monotonic() < give_up, "still waiting for the first slices"
        if bench.loop.calls:
            bench.loop.calls.pop(0)()
        else:
            threading.Event().wait(0.005)
    assert bench.book.running
    bench.scene.close()
    np.testing.assert_array_equal(LabelArray.open(entry.array.path)[:], before)


def test_a_disk_that_is_full_is_told_once_and_nothing_is_half_filled(bench: Bench) -> None:
    entry = painted_in_two(bench)
    before = entry.array[:]
    real, written = entry.layer.data_setitem, []

    def write(*arguments: Any, **options: Any) -> None:
        if len(written) == 2:
            raise DestinationError("no space left on the disk")
        written.append(None)
        real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry.layer, "data_setitem", write)
        bench.book.interpolate(entry)
        bench.settle()
    assert [str(error) for error in bench.failed] == ["no space left on the disk"]
    assert bench.said == []
    np.testing.assert_array_equal(entry.array[:], before)
    entry.layer.mode = "paint"
    assert entry.layer.mode == "paint"


def test_what_was_begun_in_another_session_is_not_in_this_one(bench: Bench) -> None:
    entry = painted_in_two(bench)
    bench.loop.until(lambda: bench.scene.overlays.idle and not bench.loop.calls, "all else")
    before, other = bench.scene.work.working_folder, WorkingFolder.create()
    bench.book.duplicate(entry)
    bench.book.new("late")
    give_up = time.monotonic() + 30

    def results() -> int:
        return sum("Worker._finish" in call.__qualname__ for call in bench.loop.calls)

    while results() < 2:  # the loop does not turn: neither is in the window yet
        assert time.monotonic() < give_up, "still waiting for both to be made"
        threading.Event().wait(0.005)
    bench.scene.work.exchange(other)
    bench.settle()
    assert [one.name for one in bench.book.entries] == [entry.name]
    assert before is not None
    before.discard()


def test_closed_while_it_runs(bench: Bench) -> None:
    entry = painted_in_two(bench)
    bench.book.interpolate(entry)
    bench.scene.close()
    bench.loop.turn()
    assert bench.said == []


# -- taken in -----------------------------------------------------------------------------


def test_who_paints_meanwhile_waits_for_one_layer_of_chunks(bench: Bench) -> None:
    """The array is the writer's during a write; the window's thread paints in between."""
    entry = bench.new()
    written: list[int] = []
    entry.array.changed.connect(lambda change: written.append(change.box[0][1] - change.box[0][0]))
    values = blobs(bench)
    bench.book.replace(entry, values)
    bench.settle()
    np.testing.assert_array_equal(entry.array[:], values)
    assert len(written) > 2
    assert max(written) <= entry.array.chunks[0]


def test_one_job_begins_where_another_ends(bench: Bench) -> None:
    """What shows that something goes on, and its Cancel, stay there for the second one."""
    values, titles = blobs(bench), []
    bench.book.jobs.changed.connect(titles.append)
    bench.book.take_in(values, "first", lambda entry: bench.book.replace(entry, values))
    bench.settle()
    assert titles == ["Taking over first", "Taking over first", ""]


def test_labels_that_somebody_computed_are_taken_in(bench: Bench) -> None:
    values = blobs(bench)
    taken: list[Any] = []
    bench.book.take_in(values.astype(np.uint16) % 7, "first", taken.append)
    bench.book.take_in(values, "second", taken.append)  # waits for the first
    bench.settle()
    assert [entry.name for entry in taken] == ["first", "second"]
    assert taken == bench.book.entries
    assert taken[0].array.dtype == np.uint16
    np.testing.assert_array_equal(taken[1].array[:], values)
    told: list[Any] = []
    bench.book.painted.connect(lambda _, change: told.append(change))
    values[4, 5, 6] = 11
    bench.book.replace(taken[1], values)
    bench.settle()
    assert told[0].box == ((4, 5), (5, 6), (6, 7))
    np.testing.assert_array_equal(taken[1].array[:], values)
    bench.book.take_in(np.zeros((3, 4, 5), np.uint8), "other", taken.append)
    bench.settle()
    assert "another recipe" in str(bench.failed.pop())
    assert len(bench.book.entries) == 2
