"""A session file: the same after a round trip, whole or not there, and never outside its folder."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from label_stores import make_store
from small_disk import anybodys_folder, as_nobody, read_only_disk, small_disk

from napari_ouroboros.errors import Cancelled, DestinationError, UserError
from napari_ouroboros.session import (
    SavedElsewhere,
    SessionDocument,
    open_session,
    read_session,
    save_session,
    version_of,
)
from napari_ouroboros.session import document as documents
from napari_ouroboros.session.names import is_safe
from napari_ouroboros.volumes.labels.label_array import LabelArray

Stores = dict[str, Path]


@pytest.fixture
def saved(document: SessionDocument, stores: Stores, tmp_path: Path) -> Path:
    path = tmp_path / "a.ouroboros"
    save_session(path, document, stores)
    return path


@pytest.fixture
def working(tmp_path: Path) -> Path:
    folder = tmp_path / "working"
    folder.mkdir()
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def rewritten(saved: Path, change: Callable[[dict[str, bytes]], Any]) -> Path:
    """A session file with other members: `change` edits or returns name -> bytes, or pairs."""
    with zipfile.ZipFile(saved) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    pairs = change(members) or members
    path = saved.with_name("changed.ouroboros")
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in pairs.items() if isinstance(pairs, dict) else pairs:
            packed.writestr(zipfile.ZipInfo(name), data)
    return path


# -- there and back ---------------------------------------------------------------------------


def test_there_and_back_is_the_same(
    document: SessionDocument, stores: Stores, saved: Path, working: Path
) -> None:
    found = open_session(saved, working)
    assert found == document
    assert read_session(saved) == document
    for entry in found.labels:
        # File by file, and as an independent reader sees it.
        assert everything(working / entry.store) == everything(stores[entry.store])
        there, here = (zarr.open_array(f, mode="r")[:] for f in (
            stores[entry.store], working / entry.store,
        ))  # fmt: skip
        assert here.dtype == entry.dtype
        np.testing.assert_array_equal(here, there)
    assert zarr.open_array(working / "labels/axon", mode="r")[0, 0, 0] == 2**64 - 1
    assert os.listdir(working) == ["labels"]


def test_the_zip_is_one_that_any_program_reads(saved: Path) -> None:
    with zipfile.ZipFile(saved) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
        assert names[0] == "session.json"
        assert all(is_safe(name) for name in names)
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(packed.read("session.json"))["schema"] == documents.SCHEMA


def test_painted_labels_are_the_same(
    document: SessionDocument, tmp_path: Path, working: Path
) -> None:
    """Labels on disk as they are painted in a window, ids of 2**63 and above among them."""
    array = LabelArray.create(tmp_path / "painted", document.labels[0].shape, np.uint64)
    array[3, 2:9, 2:9] = 2**63
    array[20, 5, 5] = 2**64 - 1
    array[0, 0, 0] = 300
    only = replace(document, labels=document.labels[:1])
    save_session(tmp_path / "p.ouroboros", only, {"labels/axon": array.path})
    (entry,) = open_session(tmp_path / "p.ouroboros", working).labels
    found = LabelArray.open(working / entry.store)
    np.testing.assert_array_equal(found[:], array[:])
    assert found.dtype == np.uint64
    assert sorted(found.painted_chunks()) == sorted(array.painted_chunks())


@settings(max_examples=25)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    chunks=st.tuples(*[st.integers(1, 9)] * 3),
    dtype=st.sampled_from(["uint8", "uint16", "uint32", "uint64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_labels_are_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    chunks: tuple[int, int, int],
    dtype: Any,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    dice = np.random.default_rng(seed)
    values = dice.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    values[dice.random(shape) < 0.5] = 0
    make_store(folder / "store", values, chunks)
    entry = documents.LabelsEntry("any", {"schema": 1}, "labels/1", dtype, shape)
    given = SessionDocument(labels=(entry,))
    save_session(folder / "s.ouroboros", given, {"labels/1": folder / "store"})
    (folder / "working").mkdir()
    assert open_session(folder / "s.ouroboros", folder / "working") == given
    found = zarr.open_array(folder / "working/labels/1", mode="r")
    np.testing.assert_array_equal(found[:], values)


def test_stores_that_are_there_stay(saved: Path, working: Path) -> None:
    first = open_session(saved, working)
    before = everything(working)
    second = open_session(saved, working)
    places = [entry.store for entry in (*first.labels, *second.labels)]
    assert len(set(places)) == len(places)
    assert before.items() <= everything(working).items()
    for a, b in zip(first.labels, second.labels, strict=True):
        assert everything(working / a.store) == everything(working / b.store)


def test_chunks_on_their_way_are_left_out(
    document: SessionDocument, stores: Stores, saved: Path, tmp_path: Path
) -> None:
    store = stores["labels/axon"]
    for name in (".zarr.json.partial", "c/0/0/.9.partial", "c/0/0/x.incomplete", ".DS_Store"):
        (store / name).write_bytes(b"no chunk")
    save_session(tmp_path / "b.ouroboros", document, stores)
    with zipfile.ZipFile(saved) as a, zipfile.ZipFile(tmp_path / "b.ouroboros") as b:
        assert a.namelist() == b.namelist()


def test_painting_goes_on_while_it_is_saved(
    document: SessionDocument, tmp_path: Path, working: Path
) -> None:
    """Each chunk is the old or the new one: every slice is of one id."""
    array = LabelArray.create(tmp_path / "live", (24, 20, 16), np.uint64, chunks=(1, 20, 16))
    array[:] = 1
    stop = threading.Event()
    painted = 1

    def paint() -> None:
        nonlocal painted
        while not stop.is_set():
            painted += 1
            for k in range(24):
                # Erased now and then: its file goes away.
                array[k] = 0 if painted % 5 == 0 else painted

    thread = threading.Thread(target=paint)
    thread.start()
    try:
        for turn in range(10):
            only = replace(document, labels=document.labels[:1])
            path = tmp_path / f"{turn}.ouroboros"
            save_session(path, only, {"labels/axon": array.path})
            (entry,) = open_session(path, working).labels
            found = zarr.open_array(working / entry.store, mode="r")[:]
            assert (found == found[:, :1, :1]).all()
            assert found.max() <= painted
    finally:
        stop.set()
        thread.join()


def test_progress_rises_to_the_whole(
    document: SessionDocument, stores: Stores, tmp_path: Path, working: Path
) -> None:
    for told, run in (
        ([], lambda told: save_session(tmp_path / "a.ouroboros", document, stores, told)),
        ([], lambda told: open_session(tmp_path / "a.ouroboros", working, told)),
    ):
        run(lambda done, total, told=told: told.append((done, total)))
        done = [d for d, _ in told]
        totals = {total for _, total in told}
        assert len(done) > 10
        assert done == sorted(done)
        assert totals == {done[-1]}


# -- cancelled, refused, full -----------------------------------------------------------------


class After:
    """Is set when it has been asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_cancelled_saving_leaves_the_older_file(
    document: SessionDocument, stores: Stores, saved: Path
) -> None:
    before = everything(saved.parent)
    changed = replace(document, marks=())
    for times in (0, 1, 5, 12):
        with pytest.raises(Cancelled):
            save_session(saved, changed, stores, cancel=After(times))
        assert everything(saved.parent) == before
        with pytest.raises(Cancelled):
            save_session(saved.with_name("new.ouroboros"), changed, stores, cancel=After(times))
        assert everything(saved.parent) == before
    save_session(saved, changed, stores)
    assert read_session(saved) == changed


def test_cancelled_opening_leaves_the_folder(saved: Path, working: Path) -> None:
    (working / "mine").write_text("x")
    for times in (0, 1, 5, 12):
        with pytest.raises(Cancelled):
            open_session(saved, working, cancel=After(times))
        assert everything(working) == {"mine": b"x"}
        assert os.listdir(working) == ["mine"]


@pytest.mark.parametrize("content", [b"my thesis", b"PK\x03\x04 begins as a zip"])
def test_what_is_no_session_is_not_overwritten(
    document: SessionDocument, stores: Stores, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.ouroboros"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no session and is not overwritten"):
        save_session(path, document, stores)
    assert path.read_bytes() == content


def test_another_zip_is_not_overwritten(
    document: SessionDocument, stores: Stores, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        packed.writestr("a.jpg", b"x")
    with pytest.raises(UserError, match="is no session"):
        save_session(tmp_path / "photos.zip", document, stores)


def test_labels_without_a_store_are_named(document: SessionDocument, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the labels 'axon' have no zarr array"):
        save_session(tmp_path / "a.ouroboros", document, {})
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_and_the_older_file_stays(
    document: SessionDocument, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 2**63, (24, 100, 100), np.uint64)
    make_store(tmp_path / "large", values, (4, 100, 100))
    (entry, _) = document.labels
    large = replace(document, labels=(replace(entry, shape=values.shape),))
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "a.ouroboros"
        save_session(path, SessionDocument(), {})
        with pytest.raises(DestinationError, match="no space left on the disk"):
            save_session(path, large, {"labels/axon": tmp_path / "large"})
        assert os.listdir(disk) == ["a.ouroboros"]
        assert read_session(path) == SessionDocument()
        # Opening, too.
        save_session(tmp_path / "a.ouroboros", large, {"labels/axon": tmp_path / "large"})
        (disk / "working").mkdir()
        with pytest.raises(DestinationError, match="no space left on the disk"):
            open_session(tmp_path / "a.ouroboros", disk / "working")
        assert os.listdir(disk / "working") == []


def test_a_disk_that_fills_up_meanwhile(document: SessionDocument, tmp_path: Path) -> None:
    """There was room when it began."""
    values = np.random.default_rng(0).integers(0, 2**63, (24, 40, 40), np.uint64)
    make_store(tmp_path / "store", values, (1, 40, 40))
    (entry, _) = document.labels
    only = replace(document, labels=(replace(entry, shape=values.shape),))
    with small_disk(tmp_path / "disk") as disk:

        def fill(done: int, total: int) -> None:
            if not (disk / "other").exists():
                with open(disk / "other", "wb") as other, pytest.raises(OSError, match="No space"):
                    other.write(b"x" * 2**20)

        with pytest.raises(DestinationError, match="no space left on the disk"):
            save_session(
                disk / "a.ouroboros", only, {"labels/axon": tmp_path / "store"}, progress=fill
            )
        assert os.listdir(disk) == ["other"]


def test_a_read_only_disk_and_a_missing_permission_are_told_apart(tmp_path: Path) -> None:
    with (
        read_only_disk(tmp_path / "disk") as disk,
        pytest.raises(DestinationError, match="the disk is read-only"),
    ):
        save_session(disk / "a.ouroboros", SessionDocument(), {})
    with anybodys_folder() as folder:
        said = as_nobody(
            """
            from pathlib import Path
            from napari_ouroboros.errors import DestinationError
            from napari_ouroboros.session import SessionDocument, save_session
            import napari_ouroboros.volumes.writing.staging, psutil, socket
            save_session
            """,
            """
            try:
                save_session(Path(sys.argv[1]) / "a.ouroboros", SessionDocument(), {})
            except DestinationError as error:
                print(error)
            """,
            folder,
        )
        assert said.startswith("no permission to write")
        assert os.listdir(folder) == []


# -- files from elsewhere ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "labels/../../outside", "/etc/passwd", "C:/x", "C:\\x", "labels\\..\\x",
        "labels/axon/../../../x", "labels/axon/.hidden", "labels//x", "", ".", "labels/axon/nul",
        "labels/axon/com1.txt", "labels/axon/a.", "labels/axon/a ", "labels/axon/a\x00b",
        "labels/ä/b", "a/" * 20 + "b", "labels/axon/a:b",
    ],
)  # fmt: skip
def test_names_that_lead_out_are_refused(
    saved: Path, working: Path, tmp_path: Path, name: str
) -> None:
    assert not is_safe(name)
    if not name or "\x00" in name:
        return  # the zip library writes no such names
    path = rewritten(saved, lambda members: {**members, name: b"evil"})
    before = everything(tmp_path)
    with pytest.raises(UserError, match="leads out of its folder"):
        open_session(path, working)
    assert everything(tmp_path) == before


@given(st.text(st.sampled_from("aA0._-/\\: \x00é"), max_size=12))
def test_safe_names_stay_in_the_folder(name: str) -> None:
    if is_safe(name):
        path = os.path.normpath(os.path.join("/folder", name))
        assert path == f"/folder/{name}"
        assert "\\" not in name
        assert ":" not in name


def test_links_in_the_working_folder_lead_nowhere(saved: Path, working: Path) -> None:
    outside = working.with_name("outside")
    outside.mkdir()
    (working / "labels").symlink_to(outside)
    with pytest.raises(UserError, match="leads out"):
        open_session(saved, working)
    assert os.listdir(outside) == []


def twice(members: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [*members.items(), ("labels/axon/zarr.json", b"{}")]


def other_case(members: dict[str, bytes]) -> dict[str, bytes]:
    return {**members, "labels/axon/ZARR.json": b"{}"}


def in_a_file(members: dict[str, bytes]) -> dict[str, bytes]:
    return {**members, "labels/axon/zarr.json/x": b"{}"}


def without(name: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda members: {n: data for n, data in members.items() if n != name}


def array_as(**fields: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        array = json.loads(members["labels/axon/zarr.json"])
        return {**members, "labels/axon/zarr.json": json.dumps({**array, **fields}).encode()}

    return change


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning:zipfile")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (twice, "labels/axon/zarr.json is in it twice"),
        (other_case, "labels/axon/ZARR.json is in it twice"),
        (in_a_file, "lies in a file"),
        (without("session.json"), "is not a session of napari-ouroboros"),
        (without("labels/axon/zarr.json"), "the labels 'axon' are not in it"),
        (array_as(shape=[24, 20, 17]), "the labels 'axon' are not the array that it describes"),
        (array_as(data_type="uint32"), "the labels 'axon' are not the array that it describes"),
        (array_as(zarr_format=2), "the labels 'axon' are not the array that it describes"),
        (lambda m: {**m, "labels/axon/zarr.json": b"{"}, "zarr.json describes no array"),
        (lambda m: {**m, "labels/axon/zarr.json": b"[1]"}, "zarr.json describes no array"),
        (lambda m: {**m, "session.json": b"{"}, "its session.json is no JSON"),
        (lambda m: {"readme.txt": b"x"}, "is not a session of napari-ouroboros"),
    ],
    ids=map(str, range(12)),
)
def test_what_is_not_as_it_was_written_is_named(
    saved: Path, working: Path, change: Callable[..., Any], says: str
) -> None:
    with pytest.raises(UserError) as error:
        open_session(rewritten(saved, change), working)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert os.listdir(working) == []


def test_a_newer_version_is_named(saved: Path, working: Path) -> None:
    newer = rewritten(
        saved, lambda m: {**m, "session.json": b'{"schema": "napari-ouroboros-session/2"}'}
    )
    with pytest.raises(UserError, match="update napari-ouroboros"):
        open_session(newer, working)


def test_half_a_file_is_not_whole(saved: Path, working: Path) -> None:
    """However much of it was copied, nothing is laid into the folder."""
    whole = saved.read_bytes()
    half = saved.with_name("half.ouroboros")
    for length in [5, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
        half.write_bytes(whole[:length])
        with pytest.raises(UserError, match="is not whole: it was not written or copied to its"):
            open_session(half, working)
        assert os.listdir(working) == []


def test_one_wrong_bit_is_found(saved: Path, working: Path) -> None:
    with zipfile.ZipFile(saved) as packed:
        info = max(packed.infolist(), key=lambda info: info.file_size)
        at = info.header_offset + 30 + len(info.filename) + info.file_size // 2
    data = bytearray(saved.read_bytes())
    data[at] ^= 1
    saved.write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged: Bad CRC-32"):
        open_session(saved, working)
    assert os.listdir(working) == []


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_damaged_is_one_line_or_the_truth(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    values = np.arange(2 * 3 * 4, dtype=np.uint64).reshape(2, 3, 4)
    make_store(folder / "store", values, (2, 3, 4))
    entry = documents.LabelsEntry("a", {"schema": 1}, "labels/1", "uint64", (2, 3, 4))
    save_session(
        folder / "a.ouroboros", SessionDocument(labels=(entry,)), {"labels/1": folder / "store"}
    )
    data = bytearray((folder / "a.ouroboros").read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    (folder / "a.ouroboros").write_bytes(data)
    (folder / "working").mkdir()
    said, found = "", None
    try:
        found = open_session(folder / "a.ouroboros", folder / "working")
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    if found is None:
        assert os.listdir(folder / "working") == []
    else:
        for labels in found.labels:
            assert everything(folder / "working" / labels.store) == everything(folder / "store")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "there is no session"),
        (lambda p: p.mkdir(), "is a folder, not a session"),
        (lambda p: p.write_bytes(b""), "is not a session of napari-ouroboros"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n"), "is not a session of napari-ouroboros"),
    ],
    ids=["missing", "folder", "empty", "picture"],
)
def test_what_is_no_session_is_said(
    tmp_path: Path, working: Path, make: Callable[[Path], Any], says: str
) -> None:
    make(tmp_path / "x.ouroboros")
    with pytest.raises(UserError, match=says):
        open_session(tmp_path / "x.ouroboros", working)


def test_a_packed_bomb_is_refused_by_its_size(saved: Path, working: Path) -> None:
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as packed:
        info = zipfile.ZipInfo("labels/axon/c/9/9/9")
        info.compress_type = zipfile.ZIP_DEFLATED
        with packed.open(info, "w", force_zip64=True) as file:
            for _ in range(64):
                file.write(bytes(2**20))
    with small_disk(working / "disk", "8m") as disk:
        with pytest.raises(DestinationError, match="no space left on the disk"):
            open_session(saved, disk)
        assert os.listdir(disk) == []


@pytest.mark.parametrize("url", ["/data/x", "precomputed://gs://b/v"])
def test_a_document_alone_is_a_session(tmp_path: Path, working: Path, url: str) -> None:
    given = SessionDocument(sources=(documents.SourceEntry(url),))
    save_session(tmp_path / "only.ouroboros", given, {})
    assert open_session(tmp_path / "only.ouroboros", working) == given


# -- another version --------------------------------------------------------------------------


def test_another_version_is_replaced_only_if_one_says_so(
    tmp_path: Path, document: SessionDocument, stores: Stores
) -> None:
    path = tmp_path / "a.ouroboros"
    assert version_of(path) == ""
    first = save_session(path, document, stores, instead_of="whatever it was")
    assert first == version_of(path) != ""
    # The same contents are the same version; labels count.
    assert save_session(path, document, stores, instead_of=first) == first
    array = zarr.open(next(iter(stores.values())), mode="r+")
    array[0, 0, 0] = array[0, 0, 0] ^ array.dtype.type(1)
    second = save_session(path, document, stores, instead_of=first)
    assert second != first
    before = path.read_bytes()
    with pytest.raises(SavedElsewhere, match="another window or program"):
        save_session(path, document, stores, instead_of=first)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.glob(".*")] == []
    assert save_session(path, document, stores) == second
    path.write_bytes(b"")
    assert version_of(path) == ""


def test_saved_by_another_while_one_saves(
    tmp_path: Path, document: SessionDocument, stores: Stores
) -> None:
    path = tmp_path / "a.ouroboros"
    first = save_session(path, document, stores)
    other = SessionDocument()
    save_session(tmp_path / "b.ouroboros", other, {})

    def progress(_done: int, _total: int) -> None:
        if (tmp_path / "b.ouroboros").exists():
            (tmp_path / "b.ouroboros").rename(path)

    with pytest.raises(SavedElsewhere):
        save_session(path, document, stores, progress, instead_of=first)
    assert read_session(path) == other
