"""What is in a window is in another one after saving and opening, or after a crash."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap, label_colormap

from napari_ouroboros.errors import SourceError
from napari_ouroboros.operations.qa import Rules
from napari_ouroboros.session import (
    WorkingFolder,
    abandoned,
    owning,
    read_session,
    recovery_folder,
)
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.straighten import is_straightened, live_preview_of
from napari_ouroboros.widgets.streaming import prepare_volume, volume_of


def furnish(window: Any) -> None:
    """Have one of everything, nothing as it comes."""
    scene, viewer = window.scene, window.viewer
    em = viewer.layers[0]
    em.name, em.contrast_limits, em.gamma, em.colormap = "EM µ", (20, 180), 0.8, "magma"
    em.opacity, em.blending = 0.9, "additive"
    cells = window.open("cells")
    cells.visible, cells.opacity = False, 0.3
    cells.affine = np.array([[1, 0, 0, 50], [0, 1, 0, -20], [0, 0, 1, 3.5], [0, 0, 0, 1]], float)
    nerve = scene.traces.active
    nerve.set_closed(True)
    nerve.set_tolerance(2.5)
    nerve.set_up((0.0, -1.0, 0.25))
    nerve.set_keyframe(100.0, 30.0)
    nerve.move({1: nerve.state.points_nm[1] + (0, 8, 0)})
    other = scene.traces.new(window.small.points_nm[:2], "second")
    scene.traces.layer_of(other).visible = False
    scene.traces.new(None, "none yet")
    scene.traces.active = nerve
    settings = scene.settings
    settings.pitch_nm, settings.spacing_nm, settings.mip = 9.0, 14.0, 1
    settings.interpolation, settings.adaptive_radius_nm = "cubic", 300.0
    axon = window.paint("axon")
    axon.layer.opacity, axon.layer.selected_label = 0.45, 2**63
    axon.layer.colormap = DirectLabelColormap(
        color_dict={None: "transparent", 0: "transparent", 2**63: (1, 0.5, 0, 1), 300: "lime"}
    )
    # These stay with the trace as it was.
    nuclei = window.paint("nuclei", np.uint16)
    nuclei.layer.visible = False
    nuclei.layer.colormap = label_colormap(seed=0.25)
    parked = window.paint("earlier")
    parked.layer.opacity = 0.2
    parked.trace = nerve.state
    nerve.move({2: nerve.state.points_nm[2] + (0, 0, 16)})
    window.settle()
    assert not parked.is_shown
    here = window.paint("here")
    here.layer.selected_label = 7
    scene.qa.toggle_mark("bad", 3)
    scene.qa.set_comment(3, "a fold; “quoted”")
    scene.qa.toggle_mark("good", 5)
    scene.place.go_to_slice(4, "volume")
    scene.place.follow = False
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_point(1, 900.0)
    camera = viewer.scene.camera
    camera.center, camera.zoom, camera.angles = (0.0, 500.0, 300.0), 0.31, (10.0, 20.0, 30.0)
    camera.perspective = 25.0
    window.settle()


def set_points(window: Any, nerve: Any) -> None:
    """Some along the trace as it was, and some as it is after an edit."""
    scene = window.scene
    m = scene.live.state.map
    scale = (m.mean_spacing_nm, m.pitch_nm, m.pitch_nm)
    layer = scene.straight.add_points(
        [[1.5, 2, 3], [4, 5, 6], [2, 2, 2]], name="branches", scale=scale, units=("nm",) * 3,
        translate=(5.0, 0.0, -2.0), rotate=10.0, size=[3, 4, 5], symbol=["disc", "star", "ring"],
        face_color=["red", "lime", "blue"], border_color="white", opacity=0.6,
        features={"id": np.array([2**53 + 1, 2**64 - 1, 0], np.uint64), "kind": ["a", "b", "a"]},
    )  # fmt: skip
    layer.features = layer.features.astype({"kind": "category"})
    nerve.move({2: nerve.state.points_nm[2] + (0, 8, -8)})
    window.settle()
    layer.selected_data = {2}
    layer.remove_selected()
    layer.add([[3.0, 3, 3]])
    scene.straight.add_points(np.empty((0, 3)), name="none yet", visible=False)
    window.settle()


def points_of(window: Any) -> dict[str, Any]:
    return {layer.name: layer for layer in window.scene.overlays.points.layers}


def document_of(window: Any, folder: WorkingFolder | None = None) -> Any:
    work = window.work
    return work.document(work.capture(), folder or work.folder())


def labels_of(window: Any) -> dict[str, Any]:
    return {entry.name: entry for entry in window.scene.labels.entries}


def assert_same(there: Any, here: Any) -> None:
    """Whatever a session keeps is the same in both windows."""
    one, other = document_of(there), document_of(here)
    assert other == one
    # And not only in what a session says of itself.
    assert [volume_of(x).url for x in here.scene.volume_layers] == [
        volume_of(x).url for x in there.scene.volume_layers
    ]
    for a, b in zip(there.scene.traces.traces, here.scene.traces.traces, strict=True):
        np.testing.assert_array_equal(b.state.points_nm, a.state.points_nm)
        assert b.state.twist == a.state.twist
        np.testing.assert_allclose(
            here.scene.traces.layer_of(b).data, there.scene.traces.layer_of(a).data
        )
    assert here.scene.live.state.map.recipe_hash == there.scene.live.state.map.recipe_hash
    for name, entry in labels_of(there).items():
        found = labels_of(here)[name]
        assert found.array.path != entry.array.path
        assert found.array.dtype == entry.array.dtype
        np.testing.assert_array_equal(found.array[:], entry.array[:])
        assert found.array[:].any()
        assert found.map.recipe_hash == entry.map.recipe_hash
    assert here.scene.qa.saved_marks() == there.scene.qa.saved_marks()


def test_points_come_back_with_the_traces_that_they_were_set_along(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    set_points(window, window.scene.traces.active)
    maps = window.scene.overlays.points.maps_of(points_of(window)["branches"]).maps
    assert len({m.recipe_hash for m in maps}) == 2
    save(window, tmp_path / "a.ouroboros")
    other = windows()
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    assert other.failed == []
    assert document_of(other).points == document_of(window).points
    assert not other.work.unsaved
    # And not only in what a session says of itself.
    assert list(points_of(other)) == list(points_of(window))
    for name, layer in points_of(window).items():
        found = points_of(other)[name]
        np.testing.assert_array_equal(found.data, layer.data)
        for row in layer.data:
            np.testing.assert_allclose(found.data_to_world(row), layer.data_to_world(row))
        assert found.features.equals(layer.features)
        assert found.features.dtypes.equals(layer.features.dtypes)
        np.testing.assert_allclose(found.face_color, layer.face_color)
        again = other.scene.overlays.points.maps_of(found).maps
        known = window.scene.overlays.points.maps_of(layer).maps
        assert [m.recipe_hash for m in again] == [m.recipe_hash for m in known]
    # In the same window: in place of what is there, not beside it.
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    assert list(points_of(other)) == ["branches", "none yet"]
    assert document_of(other).points == document_of(window).points


def save(window: Any, path: Path) -> None:
    window.work.save(path)
    window.settle()
    assert window.failed == []


def test_saved_and_opened_is_the_same(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    furnish(window)
    window.scene.qa.rules = Rules(jump=3.5, fold=False, contested=None)
    assert window.work.unsaved
    save(window, tmp_path / "a")  # the usual ending is added
    assert not window.work.unsaved
    file = tmp_path / "a.ouroboros"
    assert window.work.file == file
    assert len(read_session(file).labels) == 4

    other = windows()
    other.work.open(file)
    other.settle()
    assert other.failed == []
    assert other.work.filing.problems == ()
    assert_same(window, other)
    assert other.scene.qa.rules == Rules(jump=3.5, fold=False, contested=None)
    assert other.work.file == file
    assert not other.work.unsaved
    # Nothing can be undone beyond what was saved.
    assert not other.scene.traces.active.can_undo
    assert other.scene.labels.undo_text == ""
    assert [e.is_shown for e in other.scene.labels.entries] == [False, False, False, True]
    # Labels of an earlier trace come back as they were, with the trace.
    other.scene.traces.active.become(labels_of(other)["earlier"].trace)
    other.settle()
    back = labels_of(other)["axon"].layer
    assert back.selected_label == 2**63
    assert back.opacity == 0.45
    np.testing.assert_allclose(back.get_color(2**63), (1, 0.5, 0, 1))
    other.scene.traces.active.undo()
    other.settle()

    # It goes on from there.
    other.scene.traces.active.move({0: other.scene.traces.active.state.points_nm[0] + 4})
    assert other.work.unsaved
    labels_of(other)["axon"].array[0, 0, 0] = 5
    other.settle()  # the labels of the trace as it was leave the view
    save(other, tmp_path / "b.ouroboros")
    window.work.open(tmp_path / "b.ouroboros")
    window.settle()
    assert_same(other, window)


def test_what_is_not_straightened_is_not_after_opening(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    live_preview_of(window.scene).choose(window.open("cells"), False)
    save(window, tmp_path / "a.ouroboros")
    other = windows()
    preview, seen = live_preview_of(other.scene), []
    preview.layers_changed.connect(lambda: seen.extend(x.name for x in other.scene.straight.layers))
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    em, cells = other.scene.volume_layers
    assert [is_straightened(other.scene, x) for x in (em, cells)] == [True, False]
    assert set(seen) == {"straightened em"}


def test_opening_replaces_what_was_there(window: Any, tmp_path: Path) -> None:
    furnish(window)
    save(window, tmp_path / "a.ouroboros")
    before = document_of(window)
    old = window.work.working_folder.path
    window.viewer.add_points(np.zeros((1, 3)), name="somebody else's")
    result = window.open("cells")
    result.name, result.metadata["napari-ouroboros"]["passing"] = "a result", True
    window.work.open(tmp_path / "a.ouroboros")
    window.settle()
    after = document_of(window)
    assert after == before
    assert "somebody else's" in window.viewer.layers
    assert "a result" not in window.viewer.layers
    assert not old.exists()
    assert len(list(recovery_folder().iterdir())) == 1


def test_a_crash_is_recovered(window: Any, windows: Callable[[], Any]) -> None:
    furnish(window)
    window.work._autosave.flush(0)
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    expected = document_of(window)
    folder = window.work.working_folder
    owning.release(folder.path)  # as if it had been killed

    other = windows()
    found: list[Any] = []
    other.work.filing.found.connect(found.append)
    other.work.filing.look_for_unsaved()
    other.settle()
    ((one,),) = found
    other.work.filing.recover(one)
    other.settle()
    assert other.failed == []
    assert document_of(other) == expected
    assert other.work.unsaved
    assert other.work.working_folder.path == folder.path
    assert abandoned() == []
    other.work.stop_writing()
    window.work.stop_writing()


def test_a_result_of_the_working_folder_is_not_kept(window: Any) -> None:
    """It goes with the folder, and is computed again."""
    window.paint()
    result = window.work.folder().path / "results" / "axon"
    shutil.copytree(window.small.folder / "cells", result)
    window.viewer.add_layer(shown := layer_of(result))
    assert shown in window.scene.volume_layers
    assert [source.name for source in document_of(window).sources] == ["em"]


def layer_of(path: Path) -> Any:
    (data,) = prepare_volume(open_volume(str(path)), path.name)
    return Layer.create(*data)


def test_a_source_that_cannot_be_had_is_named_and_the_rest_comes(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    cells = tmp_path / "moved"
    shutil.copytree(window.small.folder / "cells", cells)
    window.small = type(window.small)(
        tmp_path, window.small.em, window.small.cells, window.small.points_nm, window.small.state
    )
    window.open("moved")
    window.paint()
    save(window, tmp_path / "a.ouroboros")
    cells.rename(tmp_path / "gone")

    other = windows()
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    (line,) = other.work.filing.problems
    assert line.startswith("moved cannot be opened: ")
    assert "\n" not in line
    assert len(other.scene.volume_layers) == 1
    assert len(other.scene.traces.traces) == 1
    assert len(other.scene.labels.entries) == 1
    # The session still has it.
    assert [s.name for s in document_of(other).sources] == ["em", "moved"]
    save(other, tmp_path / "b.ouroboros")
    assert len(read_session(tmp_path / "b.ouroboros").sources) == 2

    other.work.filing.retry()
    other.settle()
    assert len(other.work.filing.problems) == 1
    (tmp_path / "gone").rename(cells)
    other.work.filing.retry()
    other.settle()
    assert other.work.filing.problems == ()
    assert len(other.scene.volume_layers) == 2
    assert not other.work.waiting
    assert_same(window, other)


def test_without_any_volume_traces_wait_and_are_not_lost(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    shutil.copytree(window.small.folder / "em", tmp_path / "em")
    window.viewer.layers.clear()
    window.small = type(window.small)(
        tmp_path, window.small.em, window.small.cells, window.small.points_nm, window.small.state
    )
    window.open("em")
    window.scene.traces.new(window.small.points_nm, "nerve").set_tolerance(3.0)
    window.paint()
    save(window, tmp_path / "a.ouroboros")
    expected = document_of(window)
    (tmp_path / "em").rename(tmp_path / "gone")

    other = windows()
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    assert other.scene.traces.traces == []
    assert len(other.scene.labels.entries) == 1
    assert document_of(other).traces == expected.traces
    save(other, tmp_path / "a.ouroboros")
    assert read_session(tmp_path / "a.ouroboros").traces == expected.traces

    (tmp_path / "gone").rename(tmp_path / "em")
    other.work.filing.retry()
    other.settle()
    assert document_of(other).traces == expected.traces
    assert other.scene.traces.active.name == "nerve"


def test_labels_that_cannot_be_had_are_named_and_kept(
    window: Any, windows: Callable[[], Any]
) -> None:
    window.paint("axon")
    window.paint("nuclei")
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    folder = window.work.working_folder
    (labels_of(window)["axon"].array.path / "zarr.json").unlink()
    owning.release(folder.path)
    other = windows()
    other.work.filing.recover(abandoned()[0])
    other.settle()
    (line,) = other.work.filing.problems
    assert line.startswith("the labels 'axon' cannot be shown: ")
    assert list(labels_of(other)) == ["nuclei"]
    assert {entry.name for entry in document_of(other).labels} == {"axon", "nuclei"}
    other.work.stop_writing()
    window.work.stop_writing()


def test_cancelled_opening_changes_nothing(window: Any, tmp_path: Path) -> None:
    furnish(window)
    save(window, tmp_path / "a.ouroboros")
    before = document_of(window)
    window.work.open(tmp_path / "a.ouroboros")
    window.work.filing.cancel()
    window.settle()
    assert window.said[-1] == "Opening was cancelled."
    assert document_of(window) == before
    assert len(list(recovery_folder().iterdir())) == 1


def test_what_is_done_while_another_session_is_read_is_kept(window: Any, tmp_path: Path) -> None:
    window.paint()
    save(window, tmp_path / "a.ouroboros")
    window.work.open(tmp_path / "a.ouroboros")
    window.scene.settings.width = 31
    window.settle()
    assert window.scene.settings.width == 24
    (one,) = abandoned()
    assert one.document().slices.width == 31
    assert one.file == tmp_path / "a.ouroboros"


def test_half_a_session_is_never_written(window: Any, windows: Callable[[], Any]) -> None:
    """A write that is due while a session is being brought back waits."""
    furnish(window)
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    expected = window.work.working_folder.read()
    owning.release(window.work.working_folder.path)
    window.work.stop_writing()

    other = windows()
    other.open()
    other.scene.traces.new(other.small.points_nm, "of this window")
    other.settle()
    written: list[Any] = []
    real = WorkingFolder.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkingFolder, "write", lambda self, d: (written.append(d), real(self, d))[1])
        other.work.filing.recover(abandoned()[0])
        flushes = []
        other.loop.until(lambda: other.work.restoring, "the first step")
        while other.work.restoring:
            other.work._autosave.changed()
            thread = threading.Thread(target=other.work._autosave.flush, args=(10,))
            thread.start()
            flushes.append(thread)
            other.loop.until(lambda t=thread: not t.is_alive(), "the write")  # type: ignore[misc]
        other.settle()
    assert flushes
    assert all(d == expected for d in written if len(d.labels))
    assert [d for d in written if not d.labels] == []
    assert other.work.working_folder.read() == expected
    other.work.stop_writing()


def test_what_napari_cannot_show_is_named_and_the_rest_comes(
    window: Any, windows: Callable[[], Any], tmp_path: Path
) -> None:
    window.paint("axon")
    window.paint("nuclei")
    window.scene.qa.toggle_mark("bad", 3)
    save(window, tmp_path / "a.ouroboros")
    expected = document_of(window)
    other = windows()
    real = other.scene.labels.add

    def add(array: Any, map_: Any, name: str, **more: Any) -> Any:
        if name == "axon":
            raise ValueError("no room for it")
        return real(array, map_, name, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(other.scene.labels, "add", add)
        other.work.open(tmp_path / "a.ouroboros")
        other.settle()
    assert other.work.filing.problems == ("no room for it",)
    assert list(labels_of(other)) == ["nuclei"]
    found = document_of(other)
    assert {e.name: e.store for e in found.labels} == {e.name: e.store for e in expected.labels}
    assert len(found.marks) == 1


def test_what_was_taken_is_written_where_it_was_taken(window: Any) -> None:
    """Another session may come while the autosave writes; its folder is not this one's."""
    window.paint()
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    before, other = window.work.working_folder, WorkingFolder.create()
    real = window.work.capture

    def capture() -> Any:
        found = real()
        window.work.exchange(other)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window.work, "capture", capture)
        window.scene.settings.width = 31
        threading.Thread(target=window.work._autosave.flush, args=(10,)).start()
        window.loop.until(lambda: not window.work._autosave.pending, "the write")
    assert not (other.path / "session.json").exists()
    assert before.read().slices.width == 31
    window.work.stop_writing()
    before.discard()


def test_closed_in_the_middle_of_a_recovery_it_is_whole(
    window: Any, windows: Callable[[], Any]
) -> None:
    furnish(window)
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    folder = window.work.working_folder
    expected = folder.read()
    window.work.stop_writing()
    owning.release(folder.path)
    other = windows()
    other.work.filing.recover(abandoned()[0])
    other.loop.until(lambda: other.work.restoring, "the first step")
    other.work.note_edit()
    other.scene.close()  # by a program
    (one,) = abandoned()
    assert one.document() == expected


def test_what_is_edited_during_a_recovery_is_written_after_it(
    window: Any, windows: Callable[[], Any]
) -> None:
    window.paint()
    window.loop.until(lambda: not window.work._autosave.pending, "the autosave")
    window.work.stop_writing()
    owning.release(window.work.working_folder.path)
    other = windows()
    other.work.filing.recover(abandoned()[0])
    other.loop.until(lambda: other.work.restoring, "the first step")
    other.work.note_edit()
    with pytest.MonkeyPatch.context() as patch:
        # The steps stand still until the write that was due has come by.
        todo: list[Callable[[], None]] = []
        patch.setattr(other.work.filing, "_deliver", todo.append)
        threading.Thread(target=other.work._autosave.flush, args=(10,)).start()
        other.loop.until(lambda: not other.work._autosave.pending, "the write")
    other.loop.calls += todo
    other.loop.until(lambda: not other.work.restoring, "the recovery")
    assert other.work._autosave.pending
    other.work.stop_writing()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04"])
def test_what_is_no_session_changes_nothing(
    window: Any, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "a.ouroboros").write_bytes(content)
    before = document_of(window)
    window.work.open(tmp_path / "a.ouroboros")
    window.settle()
    (error,) = window.failed
    assert str(tmp_path / "a.ouroboros") in str(error)
    assert document_of(window) == before
    assert not window.work.filing.busy


def test_saving_where_nothing_can_be_written_is_said(window: Any, tmp_path: Path) -> None:
    window.paint()
    (tmp_path / "thesis.ouroboros").write_text("text")
    window.work.save(tmp_path / "thesis.ouroboros")
    window.settle()
    assert "is no session and is not overwritten" in str(window.failed[0])
    assert window.work.unsaved
    assert window.work.file is None


def test_what_is_edited_while_it_is_saved_is_still_unsaved(window: Any, tmp_path: Path) -> None:
    window.paint()
    window.work.save(tmp_path / "a.ouroboros")
    window.scene.settings.width = 30
    window.settle()
    assert window.work.file == tmp_path / "a.ouroboros"
    assert window.work.unsaved
    assert read_session(tmp_path / "a.ouroboros").slices.width == 24


def test_a_large_scene_is_taken_in_no_time(window: Any) -> None:
    """2,000 points, 5 labels with 1,000 colours: the window's thread gives 10 ms at most."""
    points = np.cumsum(np.random.default_rng(0).normal(0, 1, (2000, 3)), 0) + 400
    window.scene.traces.new(points, "long")
    window.scene.traces.active = window.scene.traces.traces[0]
    colours = {i: (0.5, 0.5, i / 1001, 1.0) for i in range(1, 1001)}
    for number in range(5):
        entry = window.paint(f"labels {number}")
        entry.layer.colormap = DirectLabelColormap(
            color_dict={None: "transparent", 0: "transparent", **colours}
        )
    took = []
    for _ in range(20):
        start = time.thread_time()
        window.work.capture()
        took.append(time.thread_time() - start)
    print(f"capture: median {1e3 * np.median(took):.2f} ms")
    assert np.median(took) < 0.01


def test_a_label_array_elsewhere_is_left_where_it_is(window: Any, tmp_path: Path) -> None:
    map_ = window.scene.live.state.map
    array = LabelArray.create(tmp_path / "mine", map_.shape, np.uint8)
    window.scene.labels.add(array, map_, "mine")
    assert document_of(window).labels == ()


def test_a_busy_window_is_said(window: Any) -> None:
    """The autosave asks the window for its values, and says when it does not answer."""
    window.work.filing.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_ouroboros.widgets.session.work._WAIT_FOR_WINDOW_S", 0.01)
        with pytest.raises(SourceError, match="the window was too busy"):
            window.work._captured_for_thread(window.work.folder())
