"""What counts as an edit, when a folder is made, and what is told of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_disk import small_disk

from napari_ouroboros.errors import DestinationError
from napari_ouroboros.operations.qa import Rules
from napari_ouroboros.session import abandoned, read_session, recovery, recovery_folder
from napari_ouroboros.widgets.session.jobs import RunningJobs


@pytest.fixture
def painted(window: Any) -> Any:
    window.paint("axon")
    window.scene.qa.toggle_mark("bad", 2)
    window.scene.straight.add_points([[1.0, 2, 3]], name="branches")
    window.settle()
    return window


def layer(window: Any) -> Any:
    return window.scene.volume_layers[0]


def trace(window: Any) -> Any:
    return window.scene.traces.active


def points(window: Any) -> Any:
    return window.scene.overlays.points.layers[0]


def entry(window: Any) -> Any:
    return window.scene.labels.entries[0]


EDITS: dict[str, Callable[[Any], Any]] = {
    "a point": lambda w: trace(w).move({0: trace(w).state.points_nm[0] + 1}),
    "a setting of the trace": lambda w: trace(w).set_closed(True),
    "undo": lambda w: trace(w).become(trace(w).state) or trace(w).undo(),
    "another trace": lambda w: w.scene.traces.new(None, "other"),
    "a trace renamed": lambda w: setattr(w.scene.traces.layer_of(trace(w)), "name", "x"),
    "a trace hidden": lambda w: setattr(w.scene.traces.layer_of(trace(w)), "visible", False),
    "a trace removed": lambda w: w.scene.traces.remove(trace(w)),
    "slices": lambda w: setattr(w.scene.settings, "spacing_nm", 33.0),
    "rules": lambda w: setattr(w.scene.qa, "rules", Rules(jump=2.0)),
    "contrast": lambda w: setattr(layer(w), "contrast_limits", (9, 99)),
    "a colormap": lambda w: setattr(layer(w), "colormap", "magma"),
    "opacity": lambda w: setattr(layer(w), "opacity", 0.5),
    "a volume": lambda w: w.open("cells"),
    "a volume removed": lambda w: w.viewer.layers.remove(layer(w)),
    "painting by whoever": lambda w: entry(w).array.__setitem__((0, 0, 0), 9),
    "painting by napari": lambda w: entry(w).layer.paint((1, 3, 3), 4),
    "filling": lambda w: entry(w).layer.fill((1, 3, 3), 5),
    "an id": lambda w: setattr(entry(w).layer, "selected_label", 2**63),
    "labels' opacity": lambda w: setattr(entry(w).layer, "opacity", 0.1),
    "labels renamed": lambda w: w.scene.labels.rename(entry(w), "x"),
    "labels removed": lambda w: w.scene.labels.remove(entry(w)),
    "points": lambda w: w.scene.straight.add_points(np.zeros((1, 3))),
    "points removed": lambda w: w.scene.straight.layers.remove(points(w)),
    "points renamed": lambda w: setattr(points(w), "name", "x"),
    "points hidden": lambda w: setattr(points(w), "visible", False),
    "one point more": lambda w: points(w).add([[2.0, 2, 2]]),
    "a point moved": lambda w: setattr(points(w), "data", points(w).data + 1),
    "a feature": lambda w: setattr(points(w), "features", {"kind": ["a"]}),
    "a point's colour": lambda w: setattr(points(w), "face_color", "red"),
    "a mark": lambda w: w.scene.qa.toggle_mark("good", 1),
    "a comment": lambda w: w.scene.qa.set_comment(2, "why"),
    "follow": lambda w: setattr(w.scene.place, "follow", False),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_heard(painted: Any, what: str) -> None:
    before = painted.work.changes
    EDITS[what](painted)
    painted.settle()
    assert painted.work.changes > before
    assert painted.work.unsaved


LOOKS: dict[str, Callable[[Any], Any]] = {
    "another slice": lambda w: w.scene.place.go_to_slice(3),
    "camera": lambda w: setattr(w.viewer.scene.camera, "zoom", 3.0),
    "slider": lambda w: w.viewer.dims.set_point(0, 500.0),
    "cursor": lambda w: w.scene.place.hover_volume((500, 500, 500), w.scene.live.state.map),
    "a layer of somebody else": lambda w: w.viewer.add_points(np.zeros((1, 3))),
    "labels selected": lambda w: setattr(
        w.scene.straight.layers.selection, "active", entry(w).layer
    ),
    "reading": lambda w: np.unique(entry(w).array),
}


@pytest.mark.parametrize("what", LOOKS)
def test_looking_is_no_edit(painted: Any, what: str) -> None:
    before = painted.work.changes
    LOOKS[what](painted)
    painted.settle()
    assert painted.work.changes == before


def test_marks_that_find_their_slice_are_no_edit(painted: Any) -> None:
    """As when a session was opened: the slices are known later than the marks."""
    book = painted.scene.qa.book
    (mark,) = book.saved()
    book.bring_back([replace(mark, slice=mark.slice + 1)], trace(painted), None)
    painted.settle()
    before = painted.work.changes
    book.show(trace(painted), painted.scene.qa.map)
    painted.settle()
    assert [each.slice for each in book.saved()] == [mark.slice]
    assert painted.work.changes == before
    painted.scene.qa.set_comment(mark.slice, "torn")
    assert painted.work.changes > before


def test_a_volume_alone_is_no_work(windows: Callable[[], Any]) -> None:
    window = windows()
    window.open()
    layer(window).contrast_limits = (3, 33)
    window.scene.settings.width = 50
    window.scene.traces.new(None, "no point yet")
    window.settle()
    assert not window.work.unsaved
    assert window.work.working_folder is None
    assert not recovery_folder().exists()
    trace(window).append(window.small.points_nm[0])
    assert window.work.unsaved
    window.loop.until(lambda: window.work.working_folder is not None, "the folder")


def test_unsaved_work_is_on_the_disk_as_unsaved_at_once(window: Any) -> None:
    """Long before the first document is due."""
    state = window.work.folder().path / "state.json"
    window.loop.until(lambda: '"unsaved": true' in state.read_text(), "the note")
    assert not (state.parent / "session.json").exists()


def test_nothing_is_written_in_the_windows_thread(
    painted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ouroboros.session import files, recovery

    wrote: list[str] = []
    real = files.write_whole

    def write(path: Any, data: bytes) -> None:
        wrote.append(threading.current_thread().name)
        real(path, data)

    monkeypatch.setattr(recovery, "write_whole", write)
    trace(painted).set_closed(True)
    threading.Thread(target=painted.work._autosave.flush, args=(10,)).start()
    painted.loop.until(lambda: len(wrote) >= 1 and not painted.work._autosave.pending, "the write")
    assert set(wrote) == {"autosave"}


def test_told_when_it_becomes_unsaved_and_saved(window: Any, tmp_path: Any) -> None:
    told: list[tuple[bool, str]] = []
    work = window.work

    def tell() -> None:
        told.append((work.unsaved, "" if work.file is None else work.file.name))

    work.changed.connect(tell)
    work.save(tmp_path / "a.ouroboros")
    window.settle()
    trace(window).set_closed(True)
    trace(window).set_closed(False)
    window.settle()
    assert told == [(False, "a.ouroboros"), (True, "a.ouroboros")]


def test_a_folder_that_cannot_be_made_is_said(
    windows: Callable[[], Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("NAPARI_OUROBOROS_RECOVERY", str(disk / "recovery"))
        with open(disk / "other", "wb") as other, pytest.raises(OSError, match="No space"):
            other.write(b"x" * 2**21)
        window = windows()
        said: list[str] = []
        window.work.failed.connect(said.append)
        window.open()
        window.scene.traces.new(window.small.points_nm, "nerve")
        window.loop.until(lambda: bool(said), "the message")
        assert "no space left on the disk" in said[0]
        assert "\n" not in said[0]
        assert window.work.unsaved
        # With room again it is kept.
        (disk / "other").unlink()
        threading.Thread(target=window.work._autosave.flush, args=(10,)).start()
        window.loop.until(lambda: not window.work._autosave.pending, "the write")
        window.close()
        (one,) = abandoned()
        assert len(one.document().traces) == 1


def test_the_end_of_a_scene_keeps_what_is_unsaved(window: Any) -> None:
    points = trace(window).state.points_nm
    trace(window).move({0: points[0] + 2})
    window.scene.close()
    (one,) = abandoned()
    (found,) = one.document().traces
    np.testing.assert_array_equal(found.points_nm[0], points[0] + 2)
    assert [t for t in threading.enumerate() if t.name == "autosave" and t.is_alive()] == []


def test_layers_that_go_with_the_viewer_are_kept(window: Any) -> None:
    """napari takes all layers away before it closes a window for a program."""
    window.viewer.layers.clear()
    window.scene.close()
    (one,) = abandoned()
    assert len(one.document().traces) == 1
    assert len(one.document().sources) == 1


def test_layers_that_the_user_removes_are_gone(window: Any) -> None:
    window.viewer.layers.clear()
    window.settle()
    window.scene.close()
    (one,) = abandoned()
    assert one.document().traces == ()


def test_saved_work_leaves_nothing(window: Any, tmp_path: Any) -> None:
    window.work.save(tmp_path / "a.ouroboros")
    window.settle()
    window.scene.close()
    assert list(recovery_folder().iterdir()) == []


class Runs:
    def __init__(self, called: str, running: bool) -> None:
        self.called = called
        self.running, self.cancelled, self.closed = running, 0, 0

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self, seconds: float = 0.0) -> None:
        self.closed += 1


def test_jobs_by_name() -> None:
    jobs, one, other = RunningJobs(), Runs("a backprojection", True), Runs("work on labels", False)
    remove = jobs.add(one)
    jobs.add(other)
    assert jobs.running == ["a backprojection"]
    assert jobs.question("close") == "A backprojection is running: stop it and close?"
    jobs.cancel()
    assert (one.cancelled, other.cancelled) == (1, 0)
    remove()
    remove()
    assert jobs.running == []
    assert jobs.question("close") == ""
    jobs.close()
    assert (one.closed, other.closed) == (0, 1)
    for called in ("work on labels", "a table of slices", "a measurement"):
        jobs.add(Runs(called, True))
    assert jobs.question("open") == (
        "Work on labels, a table of slices and a measurement are running: stop them and open?"
    )


def test_a_save_counts_where_there_is_no_room_to_note_it(
    painted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file on another disk has been replaced by then."""
    file, told = tmp_path / "a.ouroboros", []

    def full(path: Path, _data: bytes) -> None:
        if path.name == "state.json":
            told.append(path)
            raise DestinationError("no space left on the disk")
        real(path, _data)

    real = recovery.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(recovery, "write_whole", full)
        painted.work.save(file)
        painted.settle()
    assert told
    assert painted.failed == []
    assert painted.said == [f"Saved: {file}"]
    assert painted.work.file == file
    assert not painted.work.unsaved
    # The next one knows that it was this window that saved it.
    painted.scene.qa.toggle_mark("bad", 3)
    painted.settle()
    assert painted.work.unsaved
    painted.work.save()
    painted.settle()
    assert painted.failed == []
    assert len(read_session(file).marks) == 2
