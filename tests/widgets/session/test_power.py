"""What a power failure leaves: the order in which files are handed to the disk and get their names.

No test can cut the power. What the system promises is that what was synced is there, and that
nothing else need be; so every call that syncs or renames is written down, in its order.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from napari_ouroboros.errors import DestinationError
from napari_ouroboros.session import recovery_folder
from napari_ouroboros.volumes.labels.label_array import LabelArray


class Record:
    """Calls that sync ("sync", path) and rename ("name", path), and in which thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        fsync, replace = os.fsync, os.replace

        def note_fsync(handle: int) -> None:
            fsync(handle)
            self.calls.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
            self.threads.add(threading.get_ident())

        def note_replace(source: Any, target: Any) -> None:
            replace(source, target)
            self.calls.append(("name", os.path.realpath(target)))

        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(os, "replace", note_replace)

    def at(self, what: str, path: Path, last: bool = False) -> int:
        found = [i for i, call in enumerate(self.calls) if call == (what, os.path.realpath(path))]
        assert found, (what, path, self.calls)
        return found[-1 if last else 0]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    return Record(monkeypatch)


def write_now(window: Any) -> None:
    threading.Thread(target=window.work._autosave.flush, args=(10,)).start()
    window.loop.until(lambda: not window.work._autosave.pending, "the write")
    assert window.work.problem == ""


def test_a_new_store_is_on_the_disk_with_its_name(tmp_path: Path, record: Record) -> None:
    LabelArray.create(tmp_path / "labels" / "1", (20, 70, 70), "uint8")
    named = record.at("name", tmp_path / "labels" / "1" / "zarr.json")
    assert record.calls[named - 1][1].endswith(".zarr.json.partial")
    assert named < record.at("sync", tmp_path / "labels" / "1")
    assert named < record.at("sync", tmp_path / "labels")


def test_a_document_is_written_after_what_was_painted(window: Any, record: Record) -> None:
    entry = window.paint()
    write_now(window)
    (folder,) = recovery_folder().iterdir()
    store = entry.array.path
    chunk = store / "c.0.0.0"
    named = record.at("name", folder / "session.json")
    assert record.at("name", chunk) < record.at("sync", chunk) < named
    assert record.at("sync", store, last=True) < named
    assert record.calls[named - 1][1].endswith(".incomplete")
    assert named < record.at("sync", folder, last=True)


def test_each_write_syncs_what_is_new_and_never_in_the_windows_thread(
    window: Any, record: Record
) -> None:
    entry = window.paint()
    write_now(window)
    record.calls.clear()
    record.threads.clear()
    entry.array[9, 1, 1] = 4  # in another chunk, in this thread
    write_now(window)
    chunks = [path for what, path in record.calls if what == "sync" and "/c." in path]
    assert chunks == [os.path.realpath(entry.array.path / "c.1.0.0")]
    assert threading.get_ident() not in record.threads
    # An edit of something else costs no labels' sync.
    record.calls.clear()
    window.scene.traces.active.set_closed(True)
    write_now(window)
    assert not [path for _, path in record.calls if str(entry.array.path) in path]


def test_a_saved_file_is_on_the_disk_before_it_counts_as_saved(
    window: Any, record: Record, tmp_path: Path
) -> None:
    entry = window.paint()
    file = tmp_path / "a.ouroboros"
    window.work.save(file)
    window.settle()
    (folder,) = recovery_folder().iterdir()
    named = record.at("name", file)
    saved = record.at("name", folder / "state.json", last=True)
    assert record.at("sync", tmp_path / ".a.ouroboros.incomplete" / "a.ouroboros") < named
    assert named < record.at("sync", tmp_path) < saved
    assert record.at("sync", entry.array.path / "c.0.0.0") < saved


def test_labels_of_an_opened_session_are_synced_with_the_first_edit(
    window: Any, windows: Any, record: Record, tmp_path: Path
) -> None:
    window.paint()
    window.work.save(tmp_path / "a.ouroboros")
    window.settle()
    other = windows()
    other.work.open(tmp_path / "a.ouroboros")
    other.settle()
    (entry,) = other.scene.labels.entries
    other.scene.traces.active.set_closed(True)
    write_now(other)
    record.at("sync", entry.array.path / "c.0.0.0")
    record.at("sync", entry.array.path / "zarr.json")


def test_what_could_not_be_synced_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = LabelArray.create(tmp_path / "1", (20, 70, 70), "uint8")
    labels[3, 3, 3] = 1
    with monkeypatch.context() as broken:

        def fail(_handle: int) -> None:
            raise OSError(5, "Input/output error")

        broken.setattr(os, "fsync", fail)
        with pytest.raises(DestinationError, match="Input/output error"):
            labels.flush()
    record = Record(monkeypatch)
    labels.flush()
    record.at("sync", labels.path / "c.0.0.0")
    record.at("sync", labels.path)
