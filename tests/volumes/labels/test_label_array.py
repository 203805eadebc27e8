from __future__ import annotations

import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_disk import small_disk

from napari_ouroboros.errors import DestinationError, SourceError, UserError
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.labels.label_changes import Change
from napari_ouroboros.volumes.labels.label_stack import open_labels

SHAPE = (11, 13, 9)
CHUNK = (4, 5, 3)
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")


def empty(folder: Path, dtype: str = "uint64", **options: Any) -> LabelArray:
    return LabelArray.create(folder, SHAPE, dtype, **{"chunks": CHUNK, **options})


def painted(folder: Path, dtype: str = "uint64") -> tuple[LabelArray, NDArray[Any]]:
    """Labels with holes larger than a chunk, and the same in memory."""
    rng = np.random.default_rng(5)
    values = rng.integers(0, np.iinfo(dtype).max, SHAPE, dtype, endpoint=True)
    values[rng.random(SHAPE) < 0.5] = 0
    values[4:8], values[:, 5:10, :] = 0, 0
    values[0, 0, 0] = np.iinfo(dtype).max
    labels = empty(folder, dtype)
    labels[:] = values
    return labels, values


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder for the examples of hypothesis, which share the fixtures of one test."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


# -- indices, against numpy ---------------------------------------------------------------


def keys() -> st.SearchStrategy[Any]:
    def one(n: int) -> st.SearchStrategy[Any]:
        numbers = st.integers(-n, n - 1)
        return st.one_of(
            numbers,
            numbers.map(np.int64),
            st.slices(n),
            st.lists(numbers, min_size=2, max_size=2).map(np.array),
            st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        )

    plain = st.tuples(*(st.one_of(st.integers(-n, n - 1), st.slices(n)) for n in SHAPE))
    points = st.integers(0, 12).flatmap(
        lambda count: st.tuples(
            *(
                st.lists(st.integers(-n, n - 1), min_size=count, max_size=count).map(
                    lambda found: np.array(found, int)
                )
                for n in SHAPE
            )
        )
    )
    mixed = st.tuples(*(one(n) for n in SHAPE))
    shorter = st.tuples(mixed, st.integers(0, 3)).map(lambda pair: pair[0][: pair[1]])
    dotted = st.tuples(plain, st.integers(0, 2), st.booleans()).map(
        lambda found: (*found[0][: found[1]], Ellipsis, *((None,) if found[2] else ()))
    )
    mask = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).random(SHAPE) < 0.05)
    return st.one_of(plain, points, mixed, shorter, dotted, mask)


@given(key=keys())
def test_reading_is_as_numpy_reads(key: Any, scratch: Path) -> None:
    folder = scratch / "read"
    labels = LabelArray.open(folder) if folder.exists() else painted(folder)[0]
    values = np.asarray(zarr.open_array(folder, mode="r")[:])
    try:
        wanted = values[key]
    except IndexError:
        with pytest.raises(IndexError):
            labels[key]
        return
    found = labels[key]
    assert type(found) is type(wanted)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    if found.ndim:
        assert found.flags.writeable
        found[...] = 7  # its own memory
        np.testing.assert_array_equal(labels[:], values)


@given(key=keys(), seed=st.integers(0, 2**16), whole=st.booleans())
def test_writing_is_as_numpy_writes(key: Any, seed: int, whole: bool, scratch: Path) -> None:
    shutil.rmtree(scratch / "write", ignore_errors=True)
    labels, values = painted(scratch / "write")
    before = values.copy()
    try:
        shape = values[key].shape
    except IndexError:
        with pytest.raises(IndexError):
            labels[key] = 1
        return
    rng = np.random.default_rng(seed)
    new = rng.choice(np.array([0, 3, 2**64 - 1], np.uint64), shape if whole else ())
    heard: list[Change] = []
    labels.changed.connect(heard.append)
    labels[key] = new
    values[key] = new
    np.testing.assert_array_equal(labels[:], values)
    np.testing.assert_array_equal(LabelArray.open(labels.path)[:], values)
    # What it announced is what differs, to the voxel.
    differs = np.argwhere(values != before)
    if not len(differs):
        assert heard == []
        return
    (change,) = heard
    box = np.stack([differs.min(0), differs.max(0) + 1], axis=1)
    assert change.box == tuple(map(tuple, box.tolist()))
    covered = np.zeros(SHAPE, bool)
    for part in change.parts:
        covered[tuple(slice(a, b) for a, b in part)] = True
    assert covered[tuple(differs.T)].all()
    if change.indices is not None:
        told = {*map(tuple, np.stack(change.indices, 1).tolist())}
        assert told == {*map(tuple, differs.tolist())}


def test_an_index_outside_is_refused(tmp_path: Path) -> None:
    labels = empty(tmp_path / "l")
    for key in [(11,), (0, 0, -10), (0, 0, 0, 0), (..., ...), (np.array([11]),)]:
        with pytest.raises(IndexError):
            labels[key]
        with pytest.raises(IndexError):
            labels[key] = 1
    with pytest.raises(ValueError, match="broadcast"):
        labels[0] = np.ones((2, 2), np.uint8)
    assert labels.painted_chunks() == []


# -- ids ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", UNSIGNED)
def test_ids_are_kept(dtype: str, tmp_path: Path) -> None:
    _, values = painted(tmp_path / "l", dtype)
    again = LabelArray.open(tmp_path / "l")
    assert again.dtype == again.out_dtype == np.dtype(dtype)
    np.testing.assert_array_equal(again[:], values)
    np.testing.assert_array_equal(again.read(2, 9), values[2:9])
    assert again.max() == np.iinfo(dtype).max


@pytest.mark.parametrize("wrong", [256, -1, 2.0, [1, 2**64], np.array([-3]), np.float32(1), "a"])
def test_an_id_that_does_not_fit_is_refused(wrong: Any, tmp_path: Path) -> None:
    labels = empty(tmp_path / "l", "uint8")
    labels[0, 0] = 7
    before = labels[:]
    with pytest.raises(UserError, match="label") as error:
        labels[0, 0, :2] = wrong
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(labels[:], before)


def test_ids_of_other_dtypes_that_fit(tmp_path: Path) -> None:
    labels = empty(tmp_path / "l")
    labels[0, 0, :3] = [1, 2**63, 2**64 - 1]
    labels[1, 0, :2] = np.array([True, False])
    labels[2, 0, :2] = np.array([5, 300], np.int32)
    assert labels[0, 0, :3].tolist() == [1, 2**63, 2**64 - 1]
    assert labels[1, 0, :2].tolist() == [1, 0]
    assert labels[2, 0, :2].tolist() == [5, 300]


# -- the format ---------------------------------------------------------------------------


def test_other_programs_read_it(tmp_path: Path) -> None:
    labels, values = painted(tmp_path / "l", "uint64")
    by_zarr = zarr.open_array(tmp_path / "l", mode="r")
    assert by_zarr.metadata.zarr_format == 3
    np.testing.assert_array_equal(by_zarr[:], values)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "l")}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), values)
    with open_labels(str(tmp_path / "l")) as stack:
        np.testing.assert_array_equal(stack.read(0, SHAPE[0]), values)
    with open_labels(labels) as stack:
        np.testing.assert_array_equal(stack.read(3, 6), values[3:6])


def test_what_others_write_into_it_is_read(tmp_path: Path) -> None:
    empty(tmp_path / "l")
    zarr.open_array(tmp_path / "l", mode="r+")[2:7, 1:12, 4] = 2**63 + 1
    assert LabelArray.open(tmp_path / "l")[3, 1:12, 4].tolist() == [2**63 + 1] * 11


def test_only_painted_chunks_are_stored(tmp_path: Path) -> None:
    labels = empty(tmp_path / "l")
    assert labels.painted_chunks() == []
    assert not labels.any()
    labels[5, 6, 7] = 3
    labels[10, 12, 8] = 4
    assert labels.painted_chunks() == [((4, 8), (5, 10), (6, 9)), ((8, 11), (10, 13), (6, 9))]
    assert LabelArray.open(labels.path).painted_chunks() == labels.painted_chunks()
    files = {path.name for path in labels.path.iterdir()}
    assert files == {"zarr.json", "c.1.1.2", "c.2.2.2"}
    labels[4:8] = 0
    assert {path.name for path in labels.path.iterdir()} == {"zarr.json", "c.2.2.2"}
    labels.clear()
    assert {path.name for path in labels.path.iterdir()} == {"zarr.json"}
    assert not labels[:].any()


def test_attributes(tmp_path: Path) -> None:
    labels = empty(tmp_path / "l", attributes={"recipe": {"width": 3}})
    labels.attributes["recipe"]["width"] = 4
    assert LabelArray.open(tmp_path / "l").attributes == {"recipe": {"width": 3}}
    with pytest.raises(UserError, match="attributes of labels must be JSON"):
        empty(tmp_path / "m", attributes={"a": object()})
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (0, 3, 3)}, "shape of labels must be three whole numbers"),
        ({"shape": (3, 3)}, "shape of labels must be three whole numbers"),
        ({"shape": (3.5, 3, 3)}, "shape of labels must be three whole numbers"),
        ({"dtype": "int32"}, "labels are uint8, uint16, uint32 or uint64, not int32"),
        ({"dtype": "float32"}, "labels are uint8, uint16, uint32 or uint64, not float32"),
        ({"dtype": "nothing"}, "is no dtype"),
        ({"chunks": (1, -1, 1)}, "shape of a chunk must be"),
    ],
)
def test_no_such_array(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        LabelArray.create(tmp_path / "l", **{"shape": SHAPE, "dtype": "uint8", **options})
    assert not (tmp_path / "l").exists()


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no labels"):
        LabelArray.open(tmp_path / "nothing")
    empty(tmp_path / "l")
    with pytest.raises(UserError, match="is not empty"):
        empty(tmp_path / "l")
    zarr.create_array(tmp_path / "z", shape=SHAPE, chunks=CHUNK, dtype="uint8")
    with pytest.raises(UserError, match="no label array of this program"):
        LabelArray.open(tmp_path / "z")
    (tmp_path / "l" / "zarr.json").write_text('{"shape": [')
    with pytest.raises(UserError, match="is broken"):
        LabelArray.open(tmp_path / "l")


# -- what goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"no chunk", "cut"])
def test_a_broken_chunk_is_named(damage: bytes | str, tmp_path: Path) -> None:
    painted(tmp_path / "l")
    chunk = tmp_path / "l" / "c.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-9] if isinstance(damage, str) else damage)
    labels = LabelArray.open(tmp_path / "l")
    assert labels[10, 12, 8] is not None  # the others are there
    with pytest.raises(SourceError, match=r"c\.0\.0\.0 of the labels is broken"):
        labels[0]


def test_a_chunk_that_somebody_took_away_is_named(tmp_path: Path) -> None:
    painted(tmp_path / "l")
    labels = LabelArray.open(tmp_path / "l")
    (tmp_path / "l" / "c.0.0.0").unlink()
    with pytest.raises(SourceError, match=r"c\.0\.0\.0 of the labels is gone"):
        labels[0]


def test_a_full_disk_loses_nothing_that_was_painted(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 2**64, (32, 64, 64), np.uint64, endpoint=False)
    with small_disk(tmp_path / "disk", "1m") as disk:
        labels = LabelArray.create(disk / "l", noise.shape, "uint64", chunks=(8, 32, 32))
        heard: list[Change] = []
        labels.changed.connect(heard.append)
        labels[0, 0, 0] = 5
        with pytest.raises(DestinationError, match="no space left"):
            labels[:] = noise + 1
        # What came onto the disk was announced, and the rest is what it was.
        again = LabelArray.open(disk / "l")[:]
        np.testing.assert_array_equal(labels[:], again)
        told = np.zeros(noise.shape, bool)
        for k, r, c in heard[-1].parts:
            told[slice(*k), slice(*r), slice(*c)] = True
        assert told.any()
        np.testing.assert_array_equal(again[told], (noise + 1)[told])
        assert not again[~told].any()


def test_a_chunk_that_cannot_be_taken_away_stays(tmp_path: Path) -> None:
    labels, values = painted(tmp_path / "l")
    with small_disk(tmp_path / "disk", "1m") as disk:
        there = labels.snapshot_to(disk / "l")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(DestinationError, match="read-only"):
            there[:4, :5, :3] = 0
        with pytest.raises(DestinationError, match="read-only"):
            there[0, 0, 0] = 1
        np.testing.assert_array_equal(there[:], values)


# -- crashes, threads ---------------------------------------------------------------------


def test_killed_while_painting(tmp_path: Path) -> None:
    """After SIGKILL every chunk is whole, and the newest write but one is there."""
    code = """
        import sys
        from napari_ouroboros.volumes.labels.label_array import LabelArray
        labels = LabelArray.create(sys.argv[1], (4, 64, 64), "uint64", chunks=(2, 32, 32))
        for i in range(1, 1_000_000):
            labels[:] = i
            print(i, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "l")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if int(line) >= 50:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
    done = max([50, *(int(word) for word in rest[:-1] if word)])
    labels = LabelArray.open(tmp_path / "l")
    values = labels[:].reshape(2, 2, 2, 32, 2, 32).transpose(0, 2, 4, 1, 3, 5).reshape(8, -1)
    assert (values == values[:, :1]).all()
    # A write can be over before its number is told.
    assert set(values[:, 0].tolist()) <= {done, done + 1, done + 2}
    labels[:] = 3  # and goes on
    assert (LabelArray.open(tmp_path / "l")[:] == 3).all()
    left = [path.name for path in labels.path.iterdir() if path.name.startswith(".")]
    assert left == []


def test_readers_see_whole_chunks_while_somebody_paints(tmp_path: Path) -> None:
    labels = LabelArray.create(
        tmp_path / "l", (8, 32, 32), "uint32", chunks=(4, 16, 32), cache_bytes=1
    )
    stop, torn, seen = threading.Event(), [], set()

    def read() -> None:
        while not stop.is_set():
            chunk = labels[4:8, 16:, :]
            if (chunk != chunk.flat[0]).any():
                torn.append(np.unique(chunk).tolist())
            seen.add(int(chunk.flat[0]))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    i = 0
    while i < 200 or (len(seen) < 3 and i < 20_000):
        i += 1
        labels[:] = i % 7  # 0, too: the file comes and goes
    stop.set()
    for thread in readers:
        thread.join()
    assert torn == []
    assert len(seen) >= 3
    assert (labels[:] == i % 7).all()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    labels = empty(tmp_path / "l")

    def write(column: int) -> None:
        for k in range(SHAPE[0]):
            for r in range(SHAPE[1]):
                labels[k, r, column] = column + 1

    writers = [threading.Thread(target=write, args=(column,)) for column in range(3)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert (labels[:, :, :3] == [1, 2, 3]).all()


def test_the_cache_keeps_to_its_limit(tmp_path: Path) -> None:
    import tracemalloc

    labels = LabelArray.create(
        tmp_path / "l", (64, 64, 64), "uint64", chunks=(8, 32, 32), cache_bytes=300_000
    )
    tracemalloc.start()
    for k in range(0, 64, 8):
        labels[k : k + 8] = k + 1
    for k in range(0, 64, 8):
        assert (labels[k] == k + 1).all()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 500_000  # all chunks are 2.1 MB
    assert (labels[::8, 3, 3] == np.arange(1, 65, 8)).all()


# -- copies -------------------------------------------------------------------------------


def test_a_snapshot_is_a_copy_for_good(tmp_path: Path) -> None:
    labels, values = painted(tmp_path / "l")
    copied = labels.snapshot_to(tmp_path / "kept")
    labels[:] = 1
    np.testing.assert_array_equal(copied[:], values)
    copied[0] = 9
    assert (labels[:] == 1).all()
    with pytest.raises(UserError, match="exists"):
        labels.snapshot_to(tmp_path / "kept")


def test_a_snapshot_on_another_disk(tmp_path: Path) -> None:
    labels, values = painted(tmp_path / "l")
    with small_disk(tmp_path / "disk", "1m") as disk:
        np.testing.assert_array_equal(labels.snapshot_to(disk / "l")[:], values)
        noise = LabelArray.create(tmp_path / "n", (9, 128, 128), "uint64")
        noise[:] = np.random.default_rng(1).integers(0, 2**63, noise.shape, np.uint64)
        with pytest.raises(DestinationError, match="no space left"):
            noise.snapshot_to(disk / "n")
        assert {path.name for path in disk.iterdir()} == {"l"}


def test_a_snapshot_while_somebody_paints(tmp_path: Path) -> None:
    labels = LabelArray.create(tmp_path / "l", (8, 32, 32), "uint32", chunks=(4, 16, 32))
    labels[:] = 1
    stop = threading.Event()

    def paint() -> None:
        i = 0
        while not stop.is_set():
            i += 1
            labels[:] = i % 5

    painter = threading.Thread(target=paint)
    painter.start()
    try:
        for number in range(30):
            found = labels.snapshot_to(tmp_path / f"copy{number}")[:]
            chunks = found.reshape(2, 4, 2, 16, 32).transpose(0, 2, 1, 3, 4).reshape(4, -1)
            assert (chunks == chunks[:, :1]).all()
    finally:
        stop.set()
        painter.join()


def test_copies_as_napari_makes_them(tmp_path: Path) -> None:
    labels, values = painted(tmp_path / "l")
    twin = copy.deepcopy(labels)
    third = copy.deepcopy(labels)
    labels[:] = 0
    np.testing.assert_array_equal(twin[:], values)
    assert len({labels.path, twin.path, third.path}) == 3
    assert copy.copy(twin) is twin
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(twin))[:], values)


def test_flush_and_what_was_erased_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    labels = empty(tmp_path / "l")
    monkeypatch.setattr(os, "fsync", note)
    labels[0, 0, 0] = labels[5, 5, 5] = 3
    labels[5, 5, 5] = 0
    labels.flush()
    folder = os.path.realpath(labels.path)
    above = os.path.dirname(folder)
    assert synced == [f"{folder}/c.0.0.0", f"{folder}/zarr.json", folder, above]
    synced.clear()
    labels.flush()
    assert synced == []
    labels[0, 0, 0] = 0
    labels.flush()
    assert synced == [folder]
