"""Killed while something long is written into labels: no half of it is there after a restart."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_ouroboros.session import WorkingFolder, abandoned, half_done, open_session
from napari_ouroboros.volumes.labels.label_array import LabelArray

# A window with labels, written to its folder; then a job that stops dead after some writes.
BEGIN = """
    import sys, threading
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, sys.argv[4])
    from gui_loop import GuiLoop
    from napari.components import ViewerModel
    from napari_ouroboros.volumes import open_volume
    from napari_ouroboros.widgets.labels import filling
    from napari_ouroboros.widgets.scene.scene import Scene
    from napari_ouroboros.widgets.streaming import add_layers, prepare_volume

    small, out = Path(sys.argv[1]), Path(sys.argv[2])
    loop, viewer = GuiLoop(), ViewerModel()
    scene = Scene(viewer, loop.deliver)
    add_layers(viewer, prepare_volume(open_volume(str(small / "em")), "em", None))
    scene.settings.width, scene.settings.height = 24, 16
    scene.traces.new(np.load(out / "points.npy"), "nerve")

    def idle():
        return scene.live.idle and scene.labels.idle and scene.work.filing.idle and not loop.calls

    loop.until(idle, "the map")
    book = scene.labels
    book.new("axon")
    loop.until(lambda: book.entries and idle(), "labels")
    (entry,) = book.entries
    n = entry.array.shape[0]
    entry.array[0, 2:9, 3:9] = entry.array[n - 1, 3:12, 5:11] = 2**63
    entry.array[n // 2] = 5
    if sys.argv[3] == "undo":
        book.replace(entry, np.full(entry.array.shape, 8, np.uint64))
        loop.until(idle, "the first labels")
    before = entry.array[:]
    np.save(out / "before.npy", before)

    def write():
        threading.Thread(target=scene.work._autosave.flush, args=(20,)).start()
        loop.until(lambda: not scene.work._autosave.pending, "the write")
        assert scene.work.problem == ""

    write()
    writes = []

    def stop(*_):
        writes.append(None)
        if len(writes) == 2:
            print("half done", flush=True)
            threading.Event().wait()

    entry.array.changed.connect(stop)
"""

CARRY = """
    trace = scene.traces.active
    trace.move({1: trace.state.points_nm[1] + 30.0})
    loop.until(idle, "the other map")
    writes.append(None)
    book.jobs.progressed.connect(stop)
    book.carry_over(entry)
"""
JOBS = {
    "interpolate": "book.interpolate(entry)",
    "take over": "book.replace(entry, np.full(entry.array.shape, 7, np.uint64))",
    "undo": "book.undo()",
}
END = """
    loop.until(lambda: False, "being killed")
"""


def killed(small: Any, folder: Path, what: str, code: str) -> None:
    """Run the window, and kill it in the middle of what it does."""
    np.save(folder / "points.npy", small.points_nm)
    script = textwrap.dedent(BEGIN) + textwrap.dedent(code) + textwrap.dedent(END)
    tests = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, (small.folder, folder, what, tests))],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "half done\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()


@pytest.mark.parametrize("what", JOBS)
def test_killed_in_the_middle(what: str, windows: Callable[[], Any], tmp_path: Path) -> None:
    window = windows()
    killed(window.small, tmp_path, what, JOBS[what])
    before = np.load(tmp_path / "before.npy")
    (one,) = abandoned()
    (entry,) = one.document().labels
    (note,) = one.path.glob("half-done-*.json")
    assert json.loads(note.read_text())["store"] == entry.store
    assert not np.array_equal(zarr.open(one.path / entry.store, mode="r")[:], before)
    window.work.filing.recover(one)
    window.settle()
    assert window.failed == []
    (found,) = window.scene.labels.entries
    np.testing.assert_array_equal(found.array[:], before)
    assert window.said == [
        "Unsaved work is back; save it to keep it. Something was being written into 'axon' when "
        "the program ended: 'axon' is as it was before."
    ]
    assert list(one.path.glob("half-done-*")) == []


def test_killed_while_carrying_over(windows: Callable[[], Any], tmp_path: Path) -> None:
    window = windows()
    killed(window.small, tmp_path, "carry over", CARRY)
    (one,) = abandoned()
    window.work.filing.recover(one)
    window.settle()
    assert window.failed == []
    (found,) = window.scene.labels.entries
    np.testing.assert_array_equal(found.array[:], np.load(tmp_path / "before.npy"))
    assert window.said == ["Unsaved work is back; save it to keep it."]


def test_what_is_painted_during_a_job_survives_its_being_killed(tmp_path: Path) -> None:
    array = LabelArray.create(tmp_path / "labels" / "1", (20, 8, 8), np.uint8)
    array[:] = 1
    before = array.snapshot_to(tmp_path / "labels" / "2")
    after = LabelArray.create(tmp_path / "labels" / "3", array.shape, np.uint8)
    after[:] = 2
    half_done.begin(tmp_path, array, before, after)
    array[0, 0, 0] = 9
    next(array.exchange(before, after))
    array[1, 1, 1] = array[19, 1, 1] = 8
    assert half_done.take_back(tmp_path) == (["labels/1"], [])
    wanted = np.ones(array.shape, np.uint8)
    wanted[0, 0, 0] = 9
    wanted[1, 1, 1] = wanted[19, 1, 1] = 8
    np.testing.assert_array_equal(LabelArray.open(array.path)[:], wanted)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) == ["1", "labels"]
    assert half_done.take_back(tmp_path) == ([], [])


def test_a_snapshot_that_is_gone_is_said(tmp_path: Path) -> None:
    array = LabelArray.create(tmp_path / "labels" / "1", (20, 8, 8), np.uint8)
    before = array.snapshot_to(tmp_path / "labels" / "2")
    half_done.begin(tmp_path, array, before)
    (before.path / "zarr.json").unlink()
    for broken in (False, True):
        if broken:
            (tmp_path / "half-done-1.json").write_text('{"store": "../1", "before": 3}')
        done, (line,) = half_done.take_back(tmp_path)
        assert done == []
        assert line.startswith("what was half written could not be taken back")
        assert "\n" not in line


def test_saved_while_something_is_written_the_file_has_no_half_of_it(
    window: Any, tmp_path: Path
) -> None:
    entry = window.paint()
    before, file = entry.array[:], tmp_path / "a.ouroboros"
    go_on, half = threading.Event(), threading.Event()

    def stop(_change: Any) -> None:
        half.set()
        assert go_on.wait(60)

    failed: list[Exception] = []
    window.scene.labels.failed.connect(failed.append)
    entry.array.changed.connect(stop)
    window.scene.labels.replace(entry, np.full(before.shape, 7, np.uint64))
    window.loop.until(half.is_set, "the first slices")
    window.work.save(file)
    window.loop.until(lambda: not window.work.filing.busy, "the save")
    go_on.set()
    assert window.said[-1] == f"Saved: {file} 'axon' as before what is being written into it."
    assert window.work.unsaved
    window.loop.until(lambda: window.scene.labels.idle, "the rest")
    assert failed == []
    window.settle()
    assert (entry.array[:] == 7).all()
    kept = WorkingFolder.create(tmp_path)
    (found,) = open_session(file, kept.path).labels
    np.testing.assert_array_equal(LabelArray.open(kept.store(found.store))[:], before)
    kept.discard()
    # The copy is gone, what it was before is kept for undo.
    assert len(list(entry.array.path.parent.iterdir())) == 2
    window.work.save()
    window.settle()
    assert not window.work.unsaved


def test_a_job_that_begins_during_a_save_is_not_in_the_file(tmp_path: Path) -> None:
    made = [LabelArray.create(tmp_path / "labels" / str(i), (20, 8, 8), np.uint8) for i in (1, 2)]
    for array in made:
        array[:] = 1
    names = iter(range(3, 99))

    def new_store() -> Path:
        return tmp_path / "labels" / str(next(names))

    stores = {array.path.name: array.path for array in made}
    with half_done.steady(tmp_path, stores, new_store) as (found, written):
        half_done.begin(tmp_path, made[1], made[1].snapshot_to(new_store()))
        made[1][:10] = 2
        for path in found.values():
            assert (LabelArray.open(path)[:] == 1).all()
        assert written == set()
    with half_done.steady(tmp_path, stores, new_store) as (found, written):
        assert (LabelArray.open(found["2"])[:] == 1).all()
        assert written == {"2"}
    assert not any(path.exists() for path in found.values())


def test_a_job_that_ends_while_its_labels_are_copied_for_a_save(tmp_path: Path) -> None:
    array = LabelArray.create(tmp_path / "labels" / "1", (20, 8, 8), np.uint8)
    array[:] = 1
    before = array.snapshot_to(tmp_path / "labels" / "2")
    names = iter(range(3, 99))
    job = half_done.noted(tmp_path, array, before)
    job.__enter__()

    def new_store() -> Path:
        number = next(names)
        if number == 3:  # the note has been seen by now
            array[:] = 2
            job.__exit__(None, None, None)
        return tmp_path / "labels" / str(number)

    with half_done.steady(tmp_path, {"1": array.path}, new_store) as (found, written):
        assert (LabelArray.open(found["1"])[:] == 2).all()
        assert written == set()


def test_what_cannot_be_taken_back_is_looked_at_once(tmp_path: Path) -> None:
    """The rest goes back; what is painted later must not, at the next start."""
    array = LabelArray.create(tmp_path / "labels" / "1", (40, 8, 8), np.uint8)
    array[:] = 1
    before = array.snapshot_to(tmp_path / "labels" / "2", share=False)
    half_done.begin(tmp_path, array, before)
    array[:] = 2
    (before.path / "c.0.0.0").write_bytes(b"broken")
    done, (line,) = half_done.take_back(tmp_path)
    assert done == []
    assert "c.0.0.0" in line
    found = LabelArray.open(array.path)
    assert (found[:8] == 2).all()
    assert (found[-8:] == 1).all()
    assert half_done.take_back(tmp_path) == ([], [])


def test_a_note_ends_with_its_job_even_where_not_all_goes_back(tmp_path: Path) -> None:
    array = LabelArray.create(tmp_path / "labels" / "1", (40, 8, 8), np.uint8)
    array[:] = 1
    before = array.snapshot_to(tmp_path / "labels" / "2", share=False)

    def write() -> None:
        with half_done.noted(tmp_path, array, before):
            array[:] = 2
            (before.path / "c.0.0.0").write_bytes(b"broken")
            raise RuntimeError("in the middle")

    with pytest.raises(half_done.NotTakenBack, match="could not be taken back everywhere"):
        write()
    assert (array[-8:] == 1).all()
    assert half_done.take_back(tmp_path) == ([], [])
    assert not before.path.exists()


def test_a_broken_chunk_stops_no_save_of_what_is_painted_later(window: Any, tmp_path: Path) -> None:
    entry = window.paint()
    n = entry.array.shape[0]
    entry.array[n - 1, 2:9, 3:9] = 5
    last = entry.array.path / f"c.{(n - 1) // entry.array.chunks[0]}.0.0"
    window.scene.labels.remove(entry)
    whole = last.read_bytes()
    last.write_bytes(b"broken")
    again = window.scene.labels.add(LabelArray.open(entry.array.path), entry.map, "again")
    window.settle()
    failed: list[Exception] = []
    window.scene.labels.failed.connect(failed.append)
    window.scene.labels.interpolate(again)
    window.loop.until(lambda: window.scene.labels.idle, "the end")
    (error,) = failed
    assert last.name in str(error)
    assert "taken back" not in str(error)
    last.write_bytes(whole)
    again.array[0, 0, 0] = 9
    window.settle()
    window.work.save(tmp_path / "a.ouroboros")
    window.settle()
    assert not window.work.unsaved
    kept = WorkingFolder.create(tmp_path)
    (found,) = open_session(tmp_path / "a.ouroboros", kept.path).labels
    assert LabelArray.open(kept.store(found.store))[0, 0, 0] == 9
    kept.discard()
