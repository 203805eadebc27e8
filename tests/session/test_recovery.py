"""Working folders: whose they are, what is offered after a crash, and what is never lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from small_disk import anybodys_folder, as_nobody, read_only_disk, small_disk

from napari_ouroboros.errors import DestinationError, UserError
from napari_ouroboros.session import (
    SessionDocument,
    WorkingFolder,
    abandoned,
    adopt,
    discard,
    open_session,
    owning,
    recovery_folder,
    save_session,
    sweep,
)
from napari_ouroboros.session.files import write_whole
from napari_ouroboros.session.recovery import Abandoned
from napari_ouroboros.volumes.labels.label_array import LabelArray

EMPTY = SessionDocument()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "recovery"


@contextmanager
def another(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process, up to the line that it prints first; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
        for pipe in (process.stdout, process.stdin):
            assert pipe is not None
            pipe.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ended(code: str, *arguments: object) -> str:
    """What another process prints, which has ended by now."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.strip()


#: A window with unsaved work that ends without a word.
LEFT = """
    import os, sys
    from pathlib import Path
    from napari_ouroboros.session import SessionDocument, WorkingFolder
    folder = WorkingFolder.create(Path(sys.argv[1]))
    folder.changed()
    folder.note_unsaved()
    folder.write(SessionDocument())
    if len(sys.argv) > 2:
        folder.note_saved(Path(sys.argv[2]), 0)
        folder.changed()
        folder.note_unsaved()
    print(folder.path, flush=True)
"""
#: The same, and it runs on.
HELD = LEFT + "    sys.stdin.read()\n"
#: Ends as if it were killed.
CRASHED = LEFT + "    os._exit(9)\n"


def owner_file(folder: Path, **facts: Any) -> None:
    """Make somebody else the owner."""
    number = 1 + max(int(f.stem.split("-")[1]) for f in folder.glob("owner-*.json"))
    me = {"pid": os.getpid(), "host": socket.gethostname(), "start": 0.0}
    (folder / f"owner-{number}.json").write_text(json.dumps({**me, **facts}))


def test_the_folder_of_whoever_runs_the_tests_is_not_theirs(own_recovery: Path) -> None:
    assert recovery_folder() == own_recovery


def test_a_new_folder_is_ours_and_holds_nothing(root: Path) -> None:
    folder = WorkingFolder.create(root)
    assert not folder.unsaved
    assert folder.file is None
    assert abandoned(root) == []
    assert sweep(root) == 0
    with pytest.raises(UserError, match="is open in another window"):
        owning.take(folder.path)
    folder.discard()
    assert os.listdir(root) == []


def test_edits_and_saves_are_counted(root: Path, tmp_path: Path) -> None:
    folder = WorkingFolder.create(root)
    folder.changed()
    assert folder.unsaved
    folder.note_unsaved()
    taken = folder.changes
    folder.changed()  # while it is being saved
    folder.note_saved(tmp_path / "a.ouroboros", taken)
    assert folder.unsaved
    assert folder.file == tmp_path / "a.ouroboros"
    folder.note_saved(tmp_path / "a.ouroboros", folder.changes)
    assert not folder.unsaved
    folder.leave()
    assert abandoned(root) == []
    assert sweep(root) == 1


def test_what_was_not_saved_is_offered_once(root: Path, tmp_path: Path) -> None:
    folder = Path(ended(LEFT, root, tmp_path / "a.ouroboros"))
    (found,) = abandoned(root)
    assert found.path == folder
    assert found.file == tmp_path / "a.ouroboros"
    assert found.document() == EMPTY
    assert abs(found.changed - time.time()) < 60
    assert sweep(root) == 0
    mine = adopt(found)
    assert mine.unsaved
    assert mine.read() == EMPTY
    assert abandoned(root) == []
    with pytest.raises(UserError, match="is open in another window"):
        adopt(found)
    mine.leave()
    discard(found)
    assert not folder.exists()
    with pytest.raises(UserError, match="is not there any more"):
        adopt(found)


def test_the_newest_comes_first(root: Path) -> None:
    folders = [Path(ended(LEFT, root)) for _ in range(3)]
    for age, folder in zip((10, 30, 20), folders, strict=True):
        for file in ("session.json", "state.json"):
            os.utime(folder / file, (time.time() - age,) * 2)
    assert [one.path for one in abandoned(root)] == [folders[0], folders[2], folders[1]]


def test_a_running_program_keeps_its_folder(root: Path) -> None:
    with another(HELD, root) as process:
        path = Path(line_of(process))
        assert abandoned(root) == []
        assert sweep(root) == 0
        with pytest.raises(UserError, match="is open in another window"):
            adopt(Abandoned(path, 0.0, None))
        process.kill()
        process.wait(30)
        assert [one.path for one in abandoned(root)] == [path]


def test_of_several_programs_one_takes_it(root: Path) -> None:
    path = ended(LEFT, root)
    code = """
        import sys
        from pathlib import Path
        from napari_ouroboros.errors import UserError
        from napari_ouroboros.session import adopt
        from napari_ouroboros.session.recovery import Abandoned
        import psutil, napari_ouroboros.volumes.writing.disk
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            adopt(Abandoned(Path(sys.argv[1]), 0.0, None))
            print("mine", flush=True)
        except UserError as error:
            print(error, flush=True)
        sys.stdin.read()
    """
    with another(code, path) as a, another(code, path) as b, another(code, path) as c:
        processes = (a, b, c)
        assert [line_of(p) for p in processes] == ["ready"] * 3
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = sorted(line_of(p) for p in processes)
        assert said.count("mine") == 1
        assert all("is open in another window" in line for line in said if line != "mine")


def test_of_several_threads_one_takes_it(root: Path) -> None:
    one = Abandoned(Path(ended(LEFT, root)), 0.0, None)
    gate, taken, said = threading.Barrier(8), [], []

    def take() -> None:
        gate.wait(10)
        try:
            taken.append(adopt(one))
        except UserError as error:
            said.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == 1
    assert len(said) == 7
    assert all("is open in another window" in line for line in said)


def test_a_process_number_that_was_given_out_again_is_nobody(root: Path) -> None:
    """After a restart of the machine, another program has the owner's number."""
    path = Path(ended(LEFT, root))
    other = psutil.Process(os.getppid())
    owner_file(path, pid=other.pid, start=other.create_time() - 10_000)
    assert [one.path for one in abandoned(root)] == [path]
    owner_file(path, pid=other.pid, start=other.create_time())
    assert abandoned(root) == []
    # Our own number, of an earlier process.
    owner_file(path, start=psutil.Process().create_time())
    assert [one.path for one in abandoned(root)] == [path]


def test_another_computers_folder_is_not_touched_unless_asked_for(root: Path) -> None:
    path = Path(ended(LEFT, root))
    owner_file(path, host="elsewhere")
    assert abandoned(root) == []
    assert sweep(root) == 0
    (found,) = abandoned(root, other_hosts=True)
    assert found.host == "elsewhere"
    adopt(found).discard()
    assert not path.exists()


def test_an_owner_that_died_while_taking_it_is_nobody(root: Path) -> None:
    path = Path(ended(LEFT, root))
    (path / "owner-2.json").write_text("{")
    (found,) = abandoned(root)
    assert adopt(found).path == path


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_state_counts_as_unsaved(root: Path, state: bytes) -> None:
    path = Path(ended(LEFT, root))
    (path / "state.json").write_bytes(state)
    (found,) = abandoned(root)
    assert found.document() == EMPTY
    assert sweep(root) == 0


def test_a_damaged_document_is_named_and_stays(root: Path) -> None:
    path = Path(ended(LEFT, root))
    (path / "session.json").write_bytes(b"{")
    (found,) = abandoned(root)
    with pytest.raises(UserError, match=r"session\.json is damaged"):
        found.document()
    assert sweep(root) == 0
    assert path.exists()


def test_a_folder_without_work_is_swept_and_not_offered(root: Path) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from napari_ouroboros.session import WorkingFolder
        folder = WorkingFolder.create(Path(sys.argv[1]))
        folder.changed()
        folder.note_unsaved()
        folder.store(folder.new_store()).mkdir()
        (folder.store("labels/1") / "zarr.json").write_text("{}")
        print(folder.path, flush=True)
        os._exit(9)
    """
    path = Path(ended_badly(code, root))
    assert abandoned(root) == []
    # A single painted chunk is work, even before the first document is written.
    chunk = path / "labels" / "1" / "c" / "0" / "0" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"x")
    (found,) = abandoned(root)
    with pytest.raises(UserError, match="was never written"):
        found.document()
    chunk.unlink()
    assert sweep(root) == 1
    assert not path.exists()


def ended_badly(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    return done.stdout.strip()


def test_a_folder_in_the_making_is_left(root: Path) -> None:
    young = root / "young"
    young.mkdir(parents=True)
    old = root / "old"
    old.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    (root / "a file").write_text("x")
    assert abandoned(root) == []
    assert sweep(root) == 1
    assert sorted(os.listdir(root)) == ["a file", "young"]


def test_without_a_folder_there_is_nothing(root: Path) -> None:
    assert abandoned(root) == []
    assert sweep(root) == 0
    assert not root.exists()


def test_killed_while_it_was_removed_it_is_not_offered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = WorkingFolder.create(root)
    folder.changed()
    folder.note_unsaved()
    folder.write(EMPTY)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.discard()
    assert folder.path.exists()
    assert abandoned(root) == []
    assert sweep(root) == 1


def test_what_writes_on_while_it_is_removed_brings_nothing_back(root: Path) -> None:
    folder = WorkingFolder.create(root)
    folder.changed()
    folder.discard()
    folder.write(EMPTY)
    folder.note_unsaved()
    assert os.listdir(root) == []


def test_stores_have_names_of_their_own(root: Path) -> None:
    folder = WorkingFolder.create(root)
    names = []
    threads = [
        threading.Thread(target=lambda: names.extend(folder.new_store() for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 80
    folder.store(names[0]).mkdir()
    mine = WorkingFolder(folder.path, folder._state, True)
    assert mine.new_store() != names[0]
    with pytest.raises(UserError, match="leads out"):
        folder.store("../x")
    folder.discard()


def test_a_session_opened_and_recovered_is_the_same(
    root: Path, document: SessionDocument, tmp_path: Path
) -> None:
    """Saved, opened in another window, painted there, lost, recovered, saved again."""
    stores = {entry.store: tmp_path / entry.name for entry in document.labels}
    for entry in document.labels:
        LabelArray.create(stores[entry.store], entry.shape, entry.dtype)[2, 3:9] = 300 % 251
    save_session(tmp_path / "a.ouroboros", document, stores)
    folder = WorkingFolder.create(root)
    found = open_session(tmp_path / "a.ouroboros", folder.path)
    folder.note_saved(tmp_path / "a.ouroboros", folder.changes)
    assert not folder.unsaved
    array = LabelArray.open(folder.store(found.labels[0].store))
    array[5, 5, 5] = 2**63 + 7
    folder.changed()
    folder.note_unsaved()
    folder.write(replace(found, marks=()))
    expected = array[:]
    owning.release(folder.path)  # as if it had died

    (one,) = abandoned(root)
    assert one.file == tmp_path / "a.ouroboros"
    again = adopt(one)
    recovered = again.read()
    assert recovered == replace(document, marks=())
    places = {entry.store: again.store(entry.store) for entry in recovered.labels}
    save_session(tmp_path / "b.ouroboros", recovered, places)
    (tmp_path / "other").mkdir()
    (entry, _) = open_session(tmp_path / "b.ouroboros", tmp_path / "other").labels
    there = zarr.open_array(tmp_path / "other" / entry.store, mode="r")[:]
    np.testing.assert_array_equal(there, expected)


# -- disks ------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        folder = WorkingFolder.create(disk)
        folder.write(EMPTY)
        with open(disk / "other", "wb") as other, pytest.raises(OSError, match="No space"):
            other.write(b"x" * 2**21)
        with pytest.raises(DestinationError, match="no space left on the disk"):
            folder.write(EMPTY)
        assert folder.read() == EMPTY
        assert not list(folder.path.glob(".*"))
        with pytest.raises(DestinationError, match="no space left on the disk"):
            WorkingFolder.create(disk)
        # Only what there was, and it can be removed.
        assert sorted(os.listdir(disk)) == sorted([folder.path.name, "other"])
        folder.discard()
        assert os.listdir(disk) == ["other"]


def test_a_full_disk_is_told_by_the_autosave_which_tries_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        folder = WorkingFolder.create(disk)
        autosave = folder.autosave(lambda: EMPTY, delay=0.02, latest=0.1)
        said: list[str] = []
        failed, written = threading.Event(), threading.Event()
        autosave.failed.connect(lambda line: (said.append(line), failed.set()))
        autosave.written.connect(written.set)
        with open(disk / "other", "wb") as other, pytest.raises(OSError, match="No space"):
            other.write(b"x" * 2**21)
        folder.changed()
        autosave.changed()
        assert failed.wait(10)
        assert "no space left on the disk" in said[0]
        (disk / "other").unlink()
        assert written.wait(10)
        assert autosave.close()
        assert folder.read() == EMPTY
        assert json.loads((folder.path / "state.json").read_text())["unsaved"]
        folder.discard()


def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    with (
        read_only_disk(tmp_path / "disk") as disk,
        pytest.raises(DestinationError, match="the disk is read-only"),
    ):
        WorkingFolder.create(disk)


def test_a_folder_that_may_not_be_written_is_said() -> None:
    with anybodys_folder() as folder:
        path = Path(ended(LEFT, folder))
        path.chmod(0o755)
        said = as_nobody(
            """
            from pathlib import Path
            from napari_ouroboros.errors import DestinationError
            from napari_ouroboros.session import WorkingFolder, abandoned, adopt, sweep
            import napari_ouroboros.volumes.writing.disk, psutil, socket
            """,
            """
            root = Path(sys.argv[1])
            for act in (lambda: WorkingFolder.create(root), lambda: adopt(abandoned(root)[0])):
                try:
                    act()
                except DestinationError as error:
                    print(error)
            print(sweep(root))
            """,
            folder,
        )
        lines = said.splitlines()
        assert len(lines) == 3
        assert all(line.startswith("no permission to write") for line in lines[:2])
        assert lines[2] == "0"
        # Nothing changed: it is still offered to whoever may.
        assert [one.path for one in abandoned(folder)] == [path]


def test_file_systems_without_links(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    path = Path(ended(LEFT, root))
    monkeypatch.setattr(os, "link", none)
    (found,) = abandoned(root)
    adopt(found).leave()
    assert owning.owner_of(path) is not None
    assert sorted(f.name for f in path.glob("owner-*")) == ["owner-1.json", "owner-2.json"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A reader sees one or the other, whatever the moment."""
    path = tmp_path / "state.json"
    texts = {bytes([i]) * 50_000 for i in range(1, 5)}
    write_whole(path, b"\x01" * 50_000)
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for text in sorted(texts) * 20:
        write_whole(path, text)
    stop.set()
    reader.join()
    assert seen <= texts
    assert os.listdir(tmp_path) == ["state.json"]
