"""Sessions in the real window: rows, title, the question before it closes, and after a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtWidgets import QFileDialog, QMainWindow, QMessageBox
from real_events import wait_until
from small_scene import Scene, make_scene

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.operations.backproject_job import BackprojectJob
from napari_ouroboros.session import (
    SessionDocument,
    abandoned,
    read_session,
    recovery_folder,
    save_session,
)
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.home import BackprojectDock
from napari_ouroboros.widgets.open import OpenDock, recent
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.spaces import StraightDock, arrange
from napari_ouroboros.widgets.spaces.closing import watch_of
from napari_ouroboros.widgets.straighten import StraightenDock
from napari_ouroboros.widgets.trace import TraceDock

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of recent sources of whoever runs the tests is not theirs to change."""
    monkeypatch.setattr(recent, "usual_file", lambda: tmp_path / "recent.json")


class At:
    """A window with the Open dock, and its scene."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.window = viewer.window._qt_window
        self.dock = OpenDock(viewer)
        viewer.window.add_dock_widget(self.dock, name="Open a volume")
        self.scene = scene_of(viewer)
        self.work = self.scene.work
        self.form = self.dock.session
        wait_until(lambda: self.work.filing.idle, "the look for unsaved work")

    def trace(self, small: Scene) -> None:
        volume = open_volume(str(small.folder / "em"))
        streaming.add_layers(self.viewer, streaming.prepare_volume(volume, "em"))
        self.scene.settings.width, self.scene.settings.height = 24, 16
        self.scene.traces.new(small.points_nm, "nerve")
        wait_until(lambda: self.scene.live.idle and self.scene.live.state.map, "a map")

    @property
    def watch(self) -> Any:
        return watch_of(self.window, self.viewer)

    def close_as_a_user(self) -> None:
        """File > Close Window, once the layers' own question is switched off."""
        self.window.close(quit_app=False, confirm_need=False)

    def asked(self) -> QMessageBox:
        question = wait_until(lambda: self.watch.question, "the question")
        assert self.window.isVisible()
        return question

    def answer(self, button: QMessageBox.StandardButton) -> None:
        self.asked().button(button).click()

    def wait_for_end(self) -> None:
        watch = self.watch
        wait_until(lambda: not isalive(self.window), "the window to close")
        assert not isalive(watch)
        del self.viewer.window._qt_window  # as napari does when a program closes it


@pytest.fixture
def traced(window: Make, small: Scene) -> Callable[[], At]:
    """``traced()`` -> a window with a trace that is not saved.

    Not the window itself: pytest would hold it when napari looks whether it has gone.
    """

    def make() -> At:
        found = At(window())
        found.trace(small)
        wait_until(lambda: found.work.unsaved, "the trace to be unsaved work")
        return found

    return make


@pytest.fixture
def into(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    """The file that is chosen in the dialogs; None: they are cancelled."""

    def choose(path: Path | None) -> None:
        for name in ("getSaveFileName", "getOpenFileName"):
            monkeypatch.setattr(
                QFileDialog, name, lambda *_, **__: ("" if path is None else str(path), "")
            )

    return choose


KINDS = QMessageBox.StandardButton


def own_threads() -> list[str]:
    names = ("ouroboros-session", "ouroboros-recovery", "autosave", "session", "ouroboros-str")
    return [t.name for t in threading.enumerate() if t.name.startswith(names)]


# -- rows and title ---------------------------------------------------------------------------


def test_save_and_open_in_the_dock(traced: Make, into: Make, tmp_path: Path, window: Make) -> None:
    at = traced()
    form = at.form
    assert form.title == at.dock.session_fold.button.text() == "Session: not saved yet"
    assert not form.isVisible()  # folded: what is opened comes first
    at.dock.session_fold.set_open(True)
    assert form.save_button.isEnabled()
    assert at.window.isWindowModified()
    into(None)
    form.save_button.click()
    assert not at.work.filing.busy
    into(tmp_path / "nerve")
    form.save_button.click()
    assert not form.save_button.isEnabled()
    wait_until(lambda: not at.work.filing.busy, "the save")
    file = tmp_path / "nerve.ouroboros"
    assert form.label.text() == f"Saved: {file}"
    assert form.title == "Session: nerve.ouroboros"
    assert at.window.windowTitle() == "nerve.ouroboros – napari[*]"
    assert not at.window.isWindowModified()
    assert not form.save_button.isEnabled()
    assert "Nothing has changed" in form.save_button.toolTip()

    at.scene.settings.width = 30
    wait_until(at.window.isWindowModified, "the mark in the title")
    assert at.dock.session_fold.button.text() == "Session: nerve.ouroboros – unsaved changes"
    assert form.label.text() == ""  # not "Saved", which is no longer true
    at.viewer.title = "mine"
    assert at.window.windowTitle() == "nerve.ouroboros – mine[*]"

    # Another window opens it.
    other = At(window())
    into(file)
    other.form.open_button.click()
    wait_until(lambda: not other.work.filing.busy, "the opening", 60)
    assert other.form.label.text() == f"Opened: {file}"
    np.testing.assert_array_equal(
        other.scene.traces.active.state.points_nm, at.scene.traces.active.state.points_nm
    )
    wait_until(lambda: other.scene.live.idle, "the map")
    assert not other.work.unsaved
    # And once more over unsaved work: it asks.
    other.scene.settings.width = 26
    other.form.open_button.click()
    (box,) = [w for w in other.window.findChildren(QMessageBox) if w.isVisible()]
    box.button(KINDS.Cancel).click()
    assert other.scene.settings.width == 26
    other.form.open_button.click()
    (box,) = [w for w in other.window.findChildren(QMessageBox) if w.isVisible()]
    box.button(KINDS.Discard).click()
    wait_until(lambda: other.work.filing.busy, "the opening to begin")
    wait_until(lambda: not other.work.filing.busy, "the opening", 60)
    assert other.scene.settings.width == 24


def test_what_cannot_be_opened_is_said_with_details(
    traced: Make, into: Make, tmp_path: Path
) -> None:
    at = traced()
    (tmp_path / "x.ouroboros").write_text("no zip")
    at.form.open_file(tmp_path / "x.ouroboros")
    at_question = [w for w in at.window.findChildren(QMessageBox) if w.isVisible()]
    at_question[0].button(KINDS.Discard).click()
    wait_until(lambda: at.form.banner.text, "the message")
    assert "is not a session of napari-ouroboros" in at.form.banner.text
    assert at.scene.traces.active is not None  # nothing has changed
    assert at.work.unsaved


def test_a_session_is_dropped_on_napari(
    traced: Make, into: Make, tmp_path: Path, window: Make, person: Any
) -> None:
    at = traced()
    into(tmp_path / "a.ouroboros")
    at.form.save_button.click()
    wait_until(lambda: at.work.file and not at.work.filing.busy, "the save")
    viewer = window()
    viewer.open(str(tmp_path / "a.ouroboros"), plugin="napari-ouroboros")
    scene = scene_of(viewer)
    wait_until(lambda: scene.work.file and not scene.work.filing.busy, "the session", 60)
    assert [trace.name for trace in scene.traces.traces] == ["nerve"]
    assert all("being opened" not in layer.name for layer in viewer.layers)


def test_file_menu(traced: Make, into: Make, tmp_path: Path) -> None:
    """The entries of napari's File menu; and a session by the address of the dock."""
    from napari._app_model import get_app_model

    at = traced()
    commands = get_app_model().commands
    into(tmp_path / "a.ouroboros")
    commands.execute_command("napari-ouroboros.save_session").result()
    wait_until(lambda: at.work.file and not at.work.filing.busy, "the save")
    into(tmp_path / "b.ouroboros")
    commands.execute_command("napari-ouroboros.save_session_as").result()
    wait_until(lambda: not at.work.filing.busy, "the save")
    assert at.work.file == tmp_path / "b.ouroboros"
    assert read_session(tmp_path / "a.ouroboros") == read_session(tmp_path / "b.ouroboros")
    into(tmp_path / "a.ouroboros")
    commands.execute_command("napari-ouroboros.open_session").result()
    wait_until(lambda: at.work.filing.busy, "the opening to begin")
    wait_until(lambda: not at.work.filing.busy, "the opening", 60)
    assert at.work.file == tmp_path / "a.ouroboros"
    at.dock.address.enter(str(tmp_path / "b.ouroboros"))
    wait_until(lambda: at.work.filing.busy, "the opening to begin")
    wait_until(lambda: not at.work.filing.busy, "the opening", 60)
    assert at.work.file == tmp_path / "b.ouroboros"
    assert recent.RecentSources().sources()[0] == str(tmp_path / "b.ouroboros")


def test_a_file_that_another_window_has_saved(
    traced: Make, into: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overwrite, Save as…, Cancel."""
    at, file = traced(), tmp_path / "a.ouroboros"
    into(file)
    at.form.save_button.click()
    wait_until(lambda: at.work.file and not at.work.filing.busy, "the save")

    def saved_elsewhere() -> bytes:
        save_session(file, SessionDocument(), {})
        at.scene.settings.width += 1
        return file.read_bytes()

    def asked() -> QMessageBox:
        wait_until(at.form.save_button.isEnabled, "the button")
        at.form.save_button.click()
        boxes = lambda: [b for b in at.window.findChildren(QMessageBox) if b.isVisible()]  # noqa: E731
        return wait_until(boxes, "the question")[0]

    def press(box: QMessageBox, text: str) -> None:
        next(b for b in box.buttons() if b.text().replace("&", "") == text).click()

    theirs = saved_elsewhere()
    box = asked()
    assert "Another window or program has saved a.ouroboros" in box.text()
    assert sorted(b.text().replace("&", "") for b in box.buttons()) == [
        "Cancel", "Overwrite", "Save as…",
    ]  # fmt: skip
    press(box, "Cancel")
    assert file.read_bytes() == theirs
    assert at.work.unsaved
    box = asked()
    box.close()  # Escape
    assert file.read_bytes() == theirs
    into(tmp_path / "b.ouroboros")
    press(asked(), "Save as…")
    wait_until(lambda: not at.work.filing.busy and not at.work.unsaved, "the save")
    assert at.work.file == tmp_path / "b.ouroboros"
    assert file.read_bytes() == theirs
    file = tmp_path / "b.ouroboros"
    saved_elsewhere()
    press(asked(), "Overwrite")
    wait_until(lambda: not at.work.filing.busy and not at.work.unsaved, "the save")
    assert read_session(file).slices.width == at.scene.settings.width
    # In the question before the window closes, too: cancelled, it stays open.
    theirs = saved_elsewhere()
    at.close_as_a_user()
    at.asked().button(KINDS.Save).click()
    boxes = wait_until(
        lambda: [b for b in at.window.findChildren(QMessageBox) if "Another" in b.text()], "it"
    )
    press(boxes[0], "Cancel")
    assert at.window.isVisible()
    assert file.read_bytes() == theirs


def test_cameras_of_both_spaces_come_back(
    window: Make, small: Scene, into: Make, tmp_path: Path
) -> None:
    at = At(window())
    arrange(at.viewer)
    at.trace(small)
    straight = at.scene.straight
    wait_until(lambda: len(straight.layers), "the straightened image")
    at.scene.place.go_to_slice(5)
    wait_until(lambda: at.scene.live.idle, "the map")
    cameras = [at.viewer.scene.camera, straight.scene.camera]
    cameras[0].center, cameras[0].zoom = (0.0, 1100.0, 150.0), 0.77
    cameras[1].center, cameras[1].zoom = (0.0, 60.0, 90.0), 1.9
    expected = [(c.center, c.zoom, c.angles) for c in cameras]
    point = at.viewer.dims.point
    into(tmp_path / "a.ouroboros")
    at.form.save_button.click()
    wait_until(lambda: at.work.file and not at.work.filing.busy, "the save")
    cameras[0].zoom, cameras[1].zoom = 0.1, 0.1
    at.scene.place.go_to_slice(0)
    at.form.open_file(tmp_path / "a.ouroboros")
    wait_until(lambda: at.work.filing.busy, "the opening to begin")
    wait_until(lambda: not at.work.filing.busy, "the opening", 60)
    wait_until(lambda: at.scene.live.idle and len(straight.layers), "the straightened image")
    wait_until(lambda: cameras[1].zoom == 1.9, "the camera of the straightened space")
    assert [(c.center, c.zoom, c.angles) for c in cameras] == expected
    assert at.scene.place.slice_index == 5
    np.testing.assert_allclose(at.viewer.dims.point, point)
    assert not at.work.unsaved


# -- the question before it closes ------------------------------------------------------------


def test_cancel_stays(traced: Make) -> None:
    at = traced()
    at.close_as_a_user()
    assert at.asked().text() == "Save the work in this window before it closes?"
    at.close_as_a_user()  # one question is enough
    at.answer(KINDS.Cancel)
    assert at.window.isVisible()
    assert at.scene.traces.active is not None
    at.scene.traces.active.move({0: at.scene.traces.active.state.points_nm[0] + 1})
    at.close_as_a_user()
    at.answer(KINDS.Cancel)
    assert at.window.isVisible()


def test_discard_goes_and_leaves_nothing(traced: Make) -> None:
    at = traced()
    wait_until(lambda: at.work.working_folder, "the working folder")
    at.close_as_a_user()
    at.answer(KINDS.Discard)
    at.wait_for_end()
    assert list(recovery_folder().iterdir()) == []
    wait_until(lambda: not own_threads(), "the threads to end")


def test_save_writes_and_goes(traced: Make, into: Make, tmp_path: Path) -> None:
    at = traced()
    at.close_as_a_user()
    into(None)
    at.answer(KINDS.Save)  # and then no name: it stays
    assert at.window.isVisible()
    into(tmp_path / "a")
    at.close_as_a_user()
    at.answer(KINDS.Save)
    at.wait_for_end()
    assert len(read_session(tmp_path / "a.ouroboros").traces) == 1
    assert list(recovery_folder().iterdir()) == []
    wait_until(lambda: not own_threads(), "the threads to end")


def test_a_save_that_fails_stays(traced: Make, into: Make, tmp_path: Path) -> None:
    at = traced()
    (tmp_path / "a.ouroboros").write_text("my thesis")
    into(tmp_path / "a.ouroboros")
    at.close_as_a_user()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QMessageBox, "question", lambda *_: KINDS.Yes)
        at.answer(KINDS.Save)
    wait_until(lambda: at.form.banner.text, "the message")
    assert "is no session and is not overwritten" in at.form.banner.text
    assert at.window.isVisible()
    assert at.work.unsaved


def test_a_save_that_fails_is_told_of_without_the_dock(
    traced: Make, into: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = traced()
    at.dock.parentWidget().hide()
    wait_until(lambda: not at.form.attached, "the dock to be hidden")
    said: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)
    (tmp_path / "a.ouroboros").write_text("my thesis")
    into(tmp_path / "a.ouroboros")
    at.close_as_a_user()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QMessageBox, "question", lambda *_: KINDS.Yes)
        at.answer(KINDS.Save)
    wait_until(lambda: said, "the message")
    assert "is no session and is not overwritten" in said[0]
    for _ in range(2):
        at.work.failed.emit("no space left on the disk")
    assert said[1:] == ["Unsaved work could not be kept: no space left on the disk"]
    assert at.window.isVisible()


def test_saved_is_what_stopped_jobs_leave(traced: Make, into: Make, tmp_path: Path) -> None:
    """An interpolation that is stopped takes back what it has filled."""

    at = traced()
    job = Slow()
    at.work.jobs.add(job)
    into(tmp_path / "a")
    at.close_as_a_user()
    at.answer(KINDS.Save)
    assert job.cancelled
    wait_until(lambda: not at.work.filing.busy, "what is saved too early")
    at.scene.settings.width = 31
    job.running = False
    at.wait_for_end()
    assert read_session(tmp_path / "a.ouroboros").slices.width == 31


def test_after_exit_and_cancel_only_this_window_closes(
    traced: Make, window: Make, small: Scene, into: Make
) -> None:
    """File > Exit, then "Cancel", then the cross of the window: others stay open."""
    at, other = traced(), At(window())
    other.trace(small)

    def exit_and_cancel(cancel: Callable[[], object]) -> None:
        at.window.close(quit_app=True, confirm_need=False)
        cancel()
        assert at.window.isVisible()

    exit_and_cancel(lambda: at.answer(KINDS.Cancel))
    into(None)  # or where to save it was asked, and cancelled
    exit_and_cancel(lambda: at.answer(KINDS.Save))
    wait_until(lambda: not at.watch.stopping.isActive() and at.watch.question is None, "the end")
    assert at.watch.question is None
    QMainWindow.close(at.window)  # as the cross does
    at.answer(KINDS.Discard)
    at.wait_for_end()
    assert isalive(other.window)
    assert other.window.isVisible()
    assert other.work.unsaved


def test_nothing_to_lose_nothing_asked(window: Make, small: Scene) -> None:
    """A volume that was only looked at is no work."""
    at = At(window())
    volume = open_volume(str(small.folder / "em"))
    streaming.add_layers(at.viewer, streaming.prepare_volume(volume, "em"))
    at.viewer.layers[0].contrast_limits = (3, 99)
    at.close_as_a_user()
    assert at.watch.question is None
    at.wait_for_end()
    assert not recovery_folder().exists()


def test_closed_by_a_program_it_is_offered_at_the_next_start(
    traced: Make, window: Make, tmp_path: Path
) -> None:
    at = traced()
    arrange(at.viewer)  # a second canvas, and all docks
    points = at.scene.traces.active.state.points_nm
    at.viewer.close()
    (one,) = abandoned()
    next_one = At(window())
    form = next_one.form
    assert form.offer.isVisible()
    assert form.offer.label.text().endswith("was not saved.")
    form.offer.later_button.click()
    assert not form.isVisible()  # folded again
    assert abandoned() == [one]
    form.offer.offer([])
    form.offer._later.clear()
    next_one.work.filing.look_for_unsaved()
    wait_until(form.offer.isVisible, "the offer")
    form.offer.restore_button.click()
    wait_until(lambda: next_one.work.filing.busy, "the recovery to begin")
    wait_until(lambda: not next_one.work.filing.busy, "the recovery", 60)
    np.testing.assert_array_equal(next_one.scene.traces.active.state.points_nm, points)
    assert next_one.work.unsaved
    assert next_one.work.working_folder.path == one.path
    assert form.offer.isHidden()


def test_unsaved_work_is_told_of_without_the_dock_that_offers_it(
    traced: Make, window: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced().viewer.close()
    said: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_info", said.append)
    viewer = window()
    viewer.window.add_dock_widget(TraceDock(viewer), name="Trace")
    wait_until(lambda: said, "the line")
    (line,) = said
    assert 'was not saved. The dock "Open a volume" has it' in line
    # And there it is, without another look.
    at = At(viewer)
    assert at.form.offer.isVisible()


def test_saved_and_closed_by_a_program_nothing_is_offered(
    traced: Make, into: Make, tmp_path: Path
) -> None:
    at = traced()
    into(tmp_path / "a.ouroboros")
    at.form.save_button.click()
    wait_until(lambda: at.work.file and not at.work.filing.busy, "the save")
    at.viewer.close()  # takes all layers away first, which is no edit
    assert list(recovery_folder().iterdir()) == []


def test_unsaved_work_is_discarded_when_told_to(traced: Make, window: Make) -> None:
    at = traced()
    at.viewer.close()
    assert len(abandoned()) == 1
    next_one = At(window())
    next_one.form.offer.discard_button.click()
    wait_until(lambda: next_one.work.filing.idle, "the folder to be removed")
    assert abandoned() == []
    assert list(recovery_folder().iterdir()) == []


class Slow:
    """A job that stops when the test lets it."""

    called = "a backprojection"

    def __init__(self) -> None:
        self.running, self.cancelled, self.closed = True, False, False

    def cancel(self) -> None:
        self.cancelled = True

    def close(self, seconds: float = 0.0) -> None:
        self.closed = True


def test_running_jobs_are_asked_about_and_end_before_the_window(window: Make) -> None:
    at, job = At(window()), Slow()
    at.watch  # noqa: B018 - there from now on
    remove = at.work.jobs.add(job)
    at.close_as_a_user()
    assert at.asked().text() == "A backprojection is running: stop it and close?"
    at.answer(KINDS.Cancel)
    assert not job.cancelled
    at.close_as_a_user()
    at.answer(KINDS.Ok)
    assert job.cancelled
    # The window lives until the job has come to its end.
    wait_until(lambda: at.watch.stopping.isActive(), "the wait")
    assert at.window.isVisible()
    at.close_as_a_user()
    assert at.watch.question is None
    job.running = False
    at.wait_for_end()
    assert job.closed
    remove()


def test_running_jobs_are_asked_about_before_another_session_is_opened(
    traced: Make, into: Make, tmp_path: Path
) -> None:
    at, job = traced(), Slow()
    into(tmp_path / "a.ouroboros")
    at.form.save_button.click()
    wait_until(lambda: at.work.file and not at.work.filing.busy, "the save")
    at.work.jobs.add(job)

    def asked() -> QMessageBox:
        at.form.open_file(tmp_path / "a.ouroboros")
        (box,) = [w for w in at.window.findChildren(QMessageBox) if w.isVisible()]
        return box

    text = "A backprojection is running: stop it and open a.ouroboros?"
    box = asked()
    assert box.text() == text
    assert box.button(KINDS.Ok).text() == "Stop and open"
    box.button(KINDS.Cancel).click()
    assert not job.cancelled
    asked().button(KINDS.Ok).click()
    assert job.cancelled
    # It is opened when the job has come to its end, and not before.
    at.form.open_file(tmp_path / "a.ouroboros")
    assert not [w for w in at.window.findChildren(QMessageBox) if w.isVisible()]
    assert not at.work.filing.busy
    job.running = False
    wait_until(lambda: at.work.filing.busy, "the opening to begin")
    wait_until(lambda: not at.work.filing.busy, "the opening", 60)
    # With unsaved work it is one question; saved is what the stopped job leaves.
    job.running, job.cancelled = True, False
    at.scene.settings.width = 26
    box = asked()
    assert box.text() == f"{text} Save the work in this window before you open a.ouroboros?"
    box.button(KINDS.Save).click()
    assert job.cancelled
    assert not at.work.filing.busy
    at.scene.settings.width = 31
    job.running = False
    wait_until(lambda: at.work.filing.busy, "the save")
    wait_until(lambda: not at.work.unsaved and not at.work.filing.busy, "the opening", 60)
    assert read_session(tmp_path / "a.ouroboros").slices.width == 31


def test_the_saving_of_labels_is_asked_about(traced: Make, tmp_path: Path) -> None:
    at = traced()
    arrange(at.viewer)
    wait_until(lambda: at.scene.live.idle and at.scene.live.state.map, "the map")
    at.scene.labels.new()
    entry = wait_until(lambda: at.scene.labels.active, "the labels")
    wait_until(lambda: entry.layer is not None, "their layer")
    (dock,) = at.window.findChildren(StraightDock)
    begun, real = threading.Event(), entry.array.read

    def read(*args: Any) -> Any:
        begun.set()
        stopped.wait(20)
        return real(*args)

    stopped = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry.array, "read", read)
        dock.menu.save(str(tmp_path / "nerve.tif"), [entry.layer])
        wait_until(begun.is_set, "the saving")
        dock.menu.save(str(tmp_path / "other.tif"), [entry.layer])
        assert "other layers are being saved" in dock.bar.banner.text
        at.close_as_a_user()
        assert at.asked().text().startswith("The saving of layers is running: stop it and close?")
        at.answer(KINDS.Discard)
        assert at.window.isVisible()
        stopped.set()
        at.wait_for_end()
    assert list(tmp_path.glob("*.tif")) == []


def test_a_dock_that_is_closed_while_layers_are_saved_is_asked_about(
    traced: Make, tmp_path: Path
) -> None:
    """napari's writers hear of no cancel: the file would be half there when the window goes."""
    at = traced()
    arrange(at.viewer)
    wait_until(lambda: at.scene.straight.layers, "the straightened image")
    (dock,) = at.window.findChildren(StraightDock)
    begun, go = threading.Event(), threading.Event()

    def save_layers(path: str, _layers: Any) -> list[str]:
        begun.set()
        assert go.wait(30)
        Path(path).write_text("all of it")
        return [path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari.plugins.io.save_layers", save_layers)
        dock.menu.save(str(tmp_path / "em.tif"), [at.scene.straight.layers[0]])
        wait_until(begun.is_set, "the saving")
    at.viewer.window.remove_dock_widget(dock)
    assert dock.closed
    del dock
    assert at.work.jobs.running == ["the saving of layers"]
    at.close_as_a_user()
    assert at.asked().text().startswith("The saving of layers is running: stop it and close?")
    at.answer(KINDS.Discard)
    assert at.window.isVisible()
    go.set()
    at.wait_for_end()
    assert (tmp_path / "em.tif").read_text() == "all of it"


def test_what_waits_for_a_job_that_is_stopped_is_stopped_too(traced: Make) -> None:
    """Else it would begin when nobody looks, and the window would wait for all of it."""
    at, asked_to_stop = traced(), []

    def copy(_data: Any, _map: Any, name: str, _store: Any, cancel: Any, _progress: Any) -> None:
        while not cancel.is_set():
            assert not ended.wait(0.005), "nobody has stopped it"
        asked_to_stop.append(name)
        raise Cancelled("as asked")

    labels, ended = at.scene.labels, threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_ouroboros.widgets.labels.copying.copy_labels", copy)
        for name in ("first", "second"):
            labels.take_in(np.ones(at.scene.live.state.map.shape, np.uint8), name, lambda _: None)
        try:
            at.close_as_a_user()
            at.answer(KINDS.Discard)
            at.wait_for_end()
        finally:
            ended.set()
    assert asked_to_stop == ["first", "second"]


def test_closed_while_a_straightening_runs(traced: Make, tmp_path: Path) -> None:
    """Asked; on yes nothing looks finished, and no thread is left."""
    at = traced()
    arrange(at.viewer)
    # Some ten thousand slices: it takes longer than an answer.
    at.scene.settings.width, at.scene.settings.height, at.scene.settings.spacing_nm = 200, 200, 0.05
    wait_until(lambda: at.scene.live.idle and at.scene.live.state.map, "a map")
    assert len(at.scene.live.state.map.frames) > 10_000
    (run,) = [w.run for w in at.window.findChildren(StraightenDock)]
    run.path.setText(str(tmp_path / "out.tif"))
    run.path.editingFinished.emit()
    wait_until(run.job.button.isEnabled, "the button that runs")
    run.job.button.click()
    wait_until(lambda: run.runs.running, "the run")
    at.close_as_a_user()
    text = at.asked().text()
    assert text.startswith("A straightening is running: stop it and close?")
    assert text.endswith("Save the work in this window before it closes?")
    at.answer(KINDS.Discard)
    at.wait_for_end()
    assert not list(tmp_path.glob("out*"))
    wait_until(lambda: not own_threads(), "the threads to end")
    assert list(recovery_folder().iterdir()) == []


def test_closed_while_a_backprojection_runs(traced: Make, tmp_path: Path) -> None:
    """Asked; on yes nothing that is half written looks finished, and no thread is left."""
    at = traced()
    arrange(at.viewer)
    at.scene.labels.new()
    entry = wait_until(lambda: at.scene.labels.active, "the labels")
    wait_until(lambda: entry.layer is not None, "their layer")
    entry.array[2:9, 4:12, 4:16] = 2**63 + 300
    (dock,) = at.window.findChildren(BackprojectDock)
    into = tmp_path / "results"
    into.mkdir()
    destination = dock.home.destination
    destination.format.setCurrentText("Neuroglancer precomputed (folder)")
    destination.path.setText(str(into / "home"))
    destination.path.editingFinished.emit()
    wait_until(dock.home.job.button.isEnabled, "the button that runs")
    half = threading.Event()
    usual = BackprojectJob._write_unit

    def write(self: BackprojectJob, blocks: Any, cancel: Any) -> None:
        usual(self, blocks, cancel)
        if not self._written:
            return  # nothing is labelled in these chunks
        half.set()
        while not cancel.is_set():
            assert not over.wait(0.005), "nobody has stopped it"
        raise Cancelled("as asked")

    over = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BackprojectJob, "_write_unit", write)
        dock.home.job.button.click()
        wait_until(half.is_set, "the first chunks")
        assert any(path.is_file() for path in into.rglob("*")), "nothing is half written"
        del dock, destination
        try:
            at.close_as_a_user()
            text = at.asked().text()
            assert text.startswith("A backprojection is running: stop it and close?")
            at.answer(KINDS.Cancel)
            assert at.work.jobs.running == ["a backprojection"]
            at.close_as_a_user()
            at.answer(KINDS.Discard)
            at.wait_for_end()
        finally:
            over.set()
    assert list(into.iterdir()) == []
    wait_until(lambda: not own_threads(), "the threads to end")
    assert list(recovery_folder().iterdir()) == []


# -- a crash ----------------------------------------------------------------------------------

PERSON_AT_WORK = """
import json, sys, time
from pathlib import Path
import napari, numpy as np
from qtpy.QtCore import QTimer
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets import streaming
from napari_ouroboros.widgets.open import OpenDock
from napari_ouroboros.widgets.scene import scene_of

em, points = sys.argv[1], json.loads(sys.argv[2])
viewer = napari.Viewer()
dock = OpenDock(viewer)
viewer.window.add_dock_widget(dock, name="Open a volume")
scene = scene_of(viewer)
streaming.add_layers(viewer, streaming.prepare_volume(open_volume(em), "em"))
scene.settings.width, scene.settings.height = 24, 16
trace = scene.traces.new(points, "nerve")
state = {"k": 0}

def begin():
    map_ = scene.live.state.map
    if map_ is None or not scene.live.idle:
        return
    if "entry" not in state:
        array = LabelArray.create(scene.work.new_store(), map_.shape, np.uint64)
        state["entry"] = scene.labels.add(array, map_, "axon")
        return
    entry, k = state["entry"], state["k"]
    if entry.layer is None:
        return
    n = entry.array.shape[0]
    entry.layer.paint((k % n, k // n % 16, 5), 2**63)
    state["k"] = k + 1
    scene.traces.layer_of(trace).name = f"edit {k + 1}"
    print(json.dumps({"k": k + 1, "at": time.time(), "painted": [k % n, k // n % 16]}), flush=True)

timer = QTimer(interval=100)
timer.timeout.connect(begin)
timer.start()
napari.run()
"""


def test_killed_while_painting_the_next_start_offers_it(
    window: Make, small: Scene, own_recovery: Path
) -> None:
    """SIGKILL in the middle: the labels are all there, and the rest is ten seconds old at most."""
    environment = {**os.environ, "NAPARI_OUROBOROS_RECOVERY": str(own_recovery)}
    process = subprocess.Popen(
        [
            sys.executable, "-c", PERSON_AT_WORK,
            str(small.folder / "em"), json.dumps(small.points_nm.tolist()),
        ],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    done: list[dict[str, Any]] = []
    try:
        while not done or done[-1]["at"] < done[0]["at"] + 13:
            done.append(json.loads(process.stdout.readline()))
    finally:
        process.send_signal(signal.SIGKILL)
        done += [json.loads(line) for line in process.stdout if line.endswith("}\n")]
        process.wait(30)
        process.stdout.close()
    killed = done[-1]["at"]

    at = At(window())
    assert at.form.offer.isVisible()
    print("offered:", at.form.offer.label.text())
    at.form.offer.restore_button.click()
    wait_until(lambda: at.work.filing.busy, "the recovery to begin")
    wait_until(lambda: not at.work.filing.busy, "the recovery", 60)
    assert at.work.filing.problems == ()
    (entry,) = at.scene.labels.entries
    assert isinstance(entry.array, LabelArray)
    for step in done:
        k, row = step["painted"]
        assert entry.array[k, row, 5] == 2**63
    # The trace's name counts the edits.
    edits = int(at.scene.traces.active.name.removeprefix("edit "))
    due = max(step["k"] for step in done if step["at"] <= killed - 10)
    lost = killed - next(s["at"] for s in done if s["k"] == edits)
    print(f"{len(done)} edits, {done[-1]['k'] - edits} lost: the last {lost:.1f} s")
    assert edits >= due > 0
    assert at.work.unsaved
