# ruff: noqa: PT012, PT031  (how a with block ends is what is tested here)
from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from small_disk import anybodys_folder, as_nobody, read_only_disk, small_disk

from napari_ouroboros.errors import Cancelled, DestinationError, Notice, UserError
from napari_ouroboros.volumes.writing import staging
from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder, shown_destination


def is_ours(folder: Path) -> bool:
    return (folder / "info").is_file()


def staged(path: Path, overwrite: bool = False) -> StagedFolder:
    return StagedFolder(path, overwrite, is_ours)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def write_result(path: Path, text: bytes = b"old", overwrite: bool = False) -> dict[str, bytes]:
    with staged(path, overwrite) as folder:
        (folder.path / "chunks").mkdir()
        (folder.path / "chunks" / "0").write_bytes(text * 1000)
        folder.last("info", b"{}" + text)
        folder.commit()
    return content(path)


# what a finished and an unfinished job leave ---------------------------------------------------


def test_folder_appears_whole_with_its_last_files(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with staged(path) as folder:
        assert folder.path == tmp_path / ".out.incomplete"
        (folder.path / "0").write_bytes(b"chunk")
        folder.last("info", b"first")
        folder.last("info", b"last")
        folder.last("below/more", b"3")
        folder.done("0_0_0", chunks=2)
        assert not path.exists()
        assert not (folder.path / "info").exists()
        assert (folder.path / "incomplete").is_file()
        folder.commit()
        assert path.exists()
    assert content(tmp_path) == {"out/0": b"chunk", "out/info": b"last", "out/below/more": b"3"}


def test_marker_names_this_process(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as folder:
        marker = json.loads((folder.path / "incomplete").read_text())
    assert marker["pid"] == os.getpid()
    assert marker["host"] == socket.gethostname()


@pytest.mark.parametrize("error", [RuntimeError, Cancelled, KeyboardInterrupt, SystemExit])
def test_failed_or_cancelled_job_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        with staged(tmp_path / "out") as folder, StagedFile(tmp_path / "a.tif", False) as file:
            (folder.path / "0").write_bytes(b"chunk")
            folder.last("info", b"{}")
            file.path.write_bytes(b"page")
            raise error
    assert list(tmp_path.iterdir()) == []


def test_job_that_does_not_commit_leaves_nothing(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as folder:
        folder.last("info", b"{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["body", "last", "swap"])
def test_failed_overwrite_keeps_the_old_result_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "out"
    old = write_result(path)
    real = os.rename

    def fails_at_the_swap(source: Path, target: Path) -> None:
        if step == "swap" and Path(source).name == ".out.incomplete":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(staging.os, "rename", fails_at_the_swap)
    with pytest.raises((RuntimeError, DestinationError)):
        with staged(path, overwrite=True) as folder:
            (folder.path / "0").write_bytes(b"new")
            # A name that cannot be written: a folder is in its place.
            folder.last("." if step == "last" else "info", b"new")
            if step == "body":
                raise RuntimeError
            folder.commit()
    assert content(path) == old
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_overwrite_replaces_the_old_result_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_result(path)
    with staged(path, overwrite=True) as folder:
        folder.last("info", b"new")
        folder.commit()
    assert content(tmp_path) == {"out/info": b"new"}


def test_link_to_a_result_stays_a_link(tmp_path: Path) -> None:
    write_result(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with staged(tmp_path / "link", overwrite=True) as folder:
        folder.last("info", b"new")
        folder.commit()
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == {"info": b"new"}


def test_file_is_replaced_in_one_step_and_keeps_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    path.write_bytes(b"old")
    with StagedFile(path, overwrite=True) as file:
        assert file.path.name == "a.ome.tif"
        assert shown_destination(file.path) == path
        file.path.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        file.commit()
    assert content(tmp_path) == {"a.ome.tif": b"new"}


def test_failed_file_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        with StagedFile(path, overwrite=True) as file:
            file.path.write_bytes(b"new")
            raise RuntimeError
    assert content(tmp_path) == {"a.tif": b"old"}


def test_commit_of_a_file_that_was_not_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match=r"cannot write .*a\.tif: No such file"):
        with StagedFile(tmp_path / "a.tif", False) as file:
            file.commit()


# refusals ------------------------------------------------------------------------------------


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Errno" not in text
    return text


@pytest.mark.parametrize("make", [staged, lambda p: StagedFile(p, False)])
def test_missing_parent(tmp_path: Path, make: Callable[[Path], object]) -> None:
    with pytest.raises(UserError) as error:
        make(tmp_path / "no" / "out")
    assert one_line(error) == f"the folder {tmp_path / 'no'} does not exist; create it first"


def test_existing_destination_needs_overwrite(tmp_path: Path) -> None:
    old = write_result(tmp_path / "out")
    with pytest.raises(UserError, match=r"out exists; choose another name or pass --overwrite"):
        staged(tmp_path / "out")
    (tmp_path / "a.tif").write_bytes(b"old")
    with pytest.raises(UserError, match=r"a\.tif exists; choose another name or pass --overwrite"):
        StagedFile(tmp_path / "a.tif", False)
    assert content(tmp_path / "out") == old


def test_strangers_folder_is_never_overwritten(tmp_path: Path) -> None:
    home = tmp_path / "thesis"
    home.mkdir()
    (home / "chapter1").write_bytes(b"years")
    with pytest.raises(UserError, match="is not a result of this program and is not overwritten"):
        staged(home, overwrite=True)
    assert content(home) == {"chapter1": b"years"}


def test_empty_folder_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write_result(tmp_path / "out", overwrite=True)["info"] == b"{}old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_folder_for_a_file_and_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="file is a file, not a folder"):
        staged(tmp_path / "file", overwrite=True)
    with pytest.raises(UserError, match="folder is a folder; choose another name"):
        StagedFile(tmp_path / "folder", True)


def test_result_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path, file_path = tmp_path / "out", tmp_path / "a.tif"
    with pytest.raises(UserError, match="out exists"):
        with staged(path) as folder:
            folder.last("info", b"mine")
            path.mkdir()
            (path / "info").write_bytes(b"theirs")
            folder.commit()
    with pytest.raises(UserError, match="exists"):
        with StagedFile(file_path, False) as file:
            file.path.write_bytes(b"mine")
            file_path.write_bytes(b"theirs")
            file.commit()
    assert content(tmp_path) == {"out/info": b"theirs", "a.tif": b"theirs"}


IMPORTS = """
    import psutil
    from napari_ouroboros.errors import DestinationError
    from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder
    """


def test_unprivileged_user_is_told_so() -> None:
    code = """
        for make in (
            lambda p: StagedFolder(p, False, lambda folder: True), lambda p: StagedFile(p, False)
        ):
            try:
                make(sys.argv[1])
            except DestinationError as error:
                print(error)
        """
    with anybodys_folder() as folder:
        lines = as_nobody(IMPORTS, code, folder / "out").splitlines()
    assert lines == 2 * [
        f"no permission to write {folder}/out; choose another place or change its permissions"
    ]


def test_unprivileged_user_cannot_replace_anothers_result() -> None:
    code = """
        try:
            StagedFolder(sys.argv[1], True, lambda folder: True)
        except DestinationError as error:
            print(error)
        """
    with anybodys_folder() as folder:
        old = write_result(folder / "out")
        folder.chmod(0o777)
        assert as_nobody(IMPORTS, code, folder / "out").startswith("no permission to write")
        assert content(folder / "out") == old


def test_read_only_disk_is_told_before_the_work(tmp_path: Path) -> None:
    with read_only_disk(tmp_path / "disk") as disk:
        with pytest.raises(DestinationError) as error:
            staged(disk / "out")
    assert one_line(error).endswith("the disk is read-only; choose another place")


def test_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        old = write_result(disk / "out")
        with pytest.raises(DestinationError) as error:
            with staged(disk / "out", overwrite=True) as folder:
                folder.last("info", bytes(2_000_000))
                folder.commit()
        assert content(disk / "out") == old
        assert [p.name for p in disk.iterdir()] == ["out"]
    assert one_line(error) == (
        f"no space left on the disk of {disk}; make room or choose another place"
    )


# killed and competing jobs ---------------------------------------------------------------------

WORKS_UNTIL_KILLED = """
import signal, sys, time
from pathlib import Path
# It is ignored in what is started from a program that runs in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_ouroboros.volumes.writing.staging import StagedFile, StagedFolder
folder, file = Path(sys.argv[1]) / "out", Path(sys.argv[1]) / "a.tif"
with StagedFolder(folder, True, lambda f: (f / "info").is_file()) as a, StagedFile(file, True) as b:
    (a.path / "0").write_bytes(b"half")
    a.last("info", b"new")
    a.done("0")
    b.path.write_bytes(b"half")
    print("working", flush=True)
    time.sleep(600)
"""


def start_job(folder: Path) -> subprocess.Popen[str]:
    job = subprocess.Popen(
        [sys.executable, "-c", WORKS_UNTIL_KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    assert job.stdout.readline() == "working\n"
    return job


def end(job: subprocess.Popen[str], how: signal.Signals) -> None:
    job.send_signal(how)
    job.wait(30)
    assert job.stdout is not None
    job.stdout.close()


def test_killed_job_leaves_no_result_and_the_next_one_replaces_its_rest(tmp_path: Path) -> None:
    end(start_job(tmp_path), signal.SIGKILL)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.tif.incomplete", ".out.incomplete"]
    rest = content(tmp_path / ".out.incomplete")
    assert "info" not in rest
    assert [json.loads(line) for line in rest["journal.jsonl"].splitlines()] == [{"unit": "0"}]
    write_result(tmp_path / "out")
    with StagedFile(tmp_path / "a.tif", False) as file:
        assert not file.path.exists()
        file.path.write_bytes(b"whole")
        file.commit()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "out"]


def test_killed_overwrite_keeps_the_old_result(tmp_path: Path) -> None:
    old = write_result(tmp_path / "out")
    (tmp_path / "a.tif").write_bytes(b"old")
    end(start_job(tmp_path), signal.SIGKILL)
    assert content(tmp_path / "out") == old
    assert (tmp_path / "a.tif").read_bytes() == b"old"


def test_interrupted_job_tidies_up(tmp_path: Path) -> None:
    job = subprocess.Popen(
        [sys.executable, "-c", WORKS_UNTIL_KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == "working\n"
        job.send_signal(signal.SIGINT)
        _, errors = job.communicate(timeout=30)
    finally:
        end(job, signal.SIGKILL)
    assert "KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == []


def test_destination_of_a_live_job_is_refused(tmp_path: Path) -> None:
    job = start_job(tmp_path)
    try:
        for make in (staged, lambda p: StagedFile(p, False)):
            path = tmp_path / ("out" if make is staged else "a.tif")
            with pytest.raises(UserError) as error:
                make(path)
            assert one_line(error) == (
                f"{path} is being written by process {job.pid}; wait until it has finished, "
                "or choose another name"
            )
        assert (tmp_path / ".out.incomplete" / "0").read_bytes() == b"half"
    finally:
        end(job, signal.SIGKILL)


def test_second_job_of_this_process_is_refused(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as first:
        with pytest.raises(UserError, match="is being written by this program"):
            staged(tmp_path / "out")
        first.last("info", b"1")
        first.commit()
    with staged(tmp_path / "out", overwrite=True) as second:
        second.commit()


def test_two_jobs_checked_before_either_began(tmp_path: Path) -> None:
    first, second = staged(tmp_path / "out"), staged(tmp_path / "out")
    with first:
        with pytest.raises(UserError, match="is being written by this program"):
            second.__enter__()
        assert first.path.is_dir()


def mark(folder: Path, **facts: object) -> None:
    folder.mkdir()
    (folder / "incomplete").write_text(json.dumps(facts))


def test_process_number_given_out_again_is_not_the_owner(tmp_path: Path) -> None:
    # Process 1 runs, but did not begin in 1970.
    mark(tmp_path / ".out.incomplete", pid=1, host=socket.gethostname(), start=0.0)
    assert write_result(tmp_path / "out")["info"] == b"{}old"


def test_job_of_another_host_is_left_alone(tmp_path: Path) -> None:
    mark(tmp_path / ".out.incomplete", pid=1, host="elsewhere", start=0.0)
    with pytest.raises(UserError, match="by process 1 on elsewhere; if that job is gone, remove"):
        staged(tmp_path / "out")


def test_marker_cut_short_by_a_kill_is_a_rest(tmp_path: Path) -> None:
    (tmp_path / ".out.incomplete").mkdir()
    (tmp_path / ".out.incomplete" / "incomplete").write_bytes(b'{"pid": 12')
    assert write_result(tmp_path / "out")["info"] == b"{}old"


def test_something_else_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out.incomplete").write_bytes(b"a file of somebody")
    (tmp_path / ".b.incomplete").mkdir()
    (tmp_path / ".b.incomplete" / "notes").write_bytes(b"of somebody")
    for name in ("out", "b"):
        with pytest.raises(UserError, match="is in the way and is no leftover of this program"):
            staged(tmp_path / name)
    with pytest.raises(UserError, match="is in the way"):
        StagedFile(tmp_path / "b", False)
    assert content(tmp_path / ".b.incomplete") == {"notes": b"of somebody"}


def test_old_result_set_aside_by_a_killed_run_comes_back(tmp_path: Path) -> None:
    old = write_result(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.previous")  # killed between the two renames
    with pytest.raises(UserError, match="out exists"):
        staged(tmp_path / "out")
    assert content(tmp_path / "out") == old


def test_old_result_not_yet_removed_by_a_killed_run_goes(tmp_path: Path) -> None:
    write_result(tmp_path / "out")
    write_result(tmp_path / ".out.previous")
    with staged(tmp_path / "out", overwrite=True) as folder:
        folder.last("info", b"new")
        folder.commit()
    assert content(tmp_path) == {"out/info": b"new"}


# threads -------------------------------------------------------------------------------------


def test_journal_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as folder:
        threads = [
            threading.Thread(
                target=lambda i=i: [folder.done(f"{i}_{j}", pad="x" * 500) for j in range(50)]
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = (folder.path / "journal.jsonl").read_text().splitlines()
    units = {json.loads(line)["unit"] for line in lines}
    assert len(lines) == 400
    assert units == {f"{i}_{j}" for i in range(8) for j in range(50)}


def test_end_waits_for_writes_under_way_and_later_ones_are_refused(tmp_path: Path) -> None:
    writing, go_on = threading.Event(), threading.Event()
    folder = staged(tmp_path / "out")
    refused: list[str] = []

    def slow_write() -> None:
        with folder.writing():
            writing.set()
            go_on.wait(30)
            (folder.path / "late").write_bytes(b"x")
        try:
            folder.done("late")
        except Cancelled as error:
            refused.append(str(error))

    thread = threading.Thread(target=slow_write)
    with pytest.raises(RuntimeError):
        with folder:
            thread.start()
            assert writing.wait(30)
            threading.Timer(0.2, go_on.set).start()
            raise RuntimeError
    thread.join(30)
    assert list(tmp_path.iterdir()) == []
    assert len(refused) == 1
    assert re.search("out is not being written any more", refused[0])


def test_rest_that_cannot_be_removed_is_a_notice_not_another_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    with pytest.raises(RuntimeError, match="the cause"), pytest.warns(Notice, match="unfinished"):
        with staged(tmp_path / "out"):
            monkeypatch.setattr(staging.shutil, "rmtree", refuse)
            raise RuntimeError("the cause")
    monkeypatch.undo()
    assert write_result(tmp_path / "out")["info"] == b"{}old"


def test_commit_twice_or_outside_is_a_mistake(tmp_path: Path) -> None:
    folder = staged(tmp_path / "out")
    with pytest.raises(RuntimeError, match="inside the with block"):
        folder.commit()
