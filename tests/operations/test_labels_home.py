"""What the window computes of painted labels is what `backproject` writes, chunk by chunk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from painted import Grids, gone_home, grids_around, helix, part_of, ring
from streamed import wait_until

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.labels_home import LabelsHome
from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.volumes.streaming import ChunkLoader, DecodedChunks
from napari_ouroboros.volumes.streaming.shelf import MISSING

pytestmark = pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")

Array = NDArray[Any]
IDS = np.array([0, 1, 300, 2**53 + 1, 2**63, 2**64 - 1], np.uint64)


def painted(folder: Path, shape: tuple[int, ...], dtype: str = "uint64", seed: int = 0) -> Any:
    """Blobs of ids, of which most is 0."""
    labels = LabelArray.create(folder, shape, dtype, chunks=(8, 16, 16))
    rng = np.random.default_rng(seed)
    for _ in range(12):
        paint(labels, rng)
    return labels


def paint(labels: Any, rng: np.random.Generator) -> None:
    """One block somewhere, now and then erased."""
    low = [int(rng.integers(0, n)) for n in labels.shape]
    high = [int(a + rng.integers(1, 2 + n // 3)) for a, n in zip(low, labels.shape, strict=True)]
    value = rng.choice(IDS) if labels.dtype == np.uint64 else rng.integers(0, 250)
    labels[tuple(map(slice, low, high))] = value


def whole_of(home: LabelsHome, mip: int) -> Array:
    """All chunks of a level, put together."""
    level = home.volume.levels[mip]
    out = np.zeros(level.shape, home.volume.dtype)
    for index in np.ndindex(*level.chunk_grid):
        chunk = home.volume.fetch_chunk(mip, index)
        if chunk is not None:
            part_of(out, level, index)[...] = chunk[0]
    return out


@pytest.fixture
def made() -> Iterator[Callable[..., LabelsHome]]:
    """``made(labels, map, source)`` -> `LabelsHome` with memory of its own."""
    homes: list[LabelsHome] = []

    def make(labels: Any, map_: Straightening, source: Any, limit: int = 2**28) -> LabelsHome:
        homes.append(LabelsHome(labels, map_, source, DecodedChunks(limit)))
        return homes[-1]

    yield make
    for home in homes:
        home.close()


SCENES: dict[str, Callable[[], tuple[Straightening, Grids]]] = {
    "helix": lambda: with_grids(helix(), (2.0, 2.0, 2.0), 3),
    "anisotropic": lambda: with_grids(helix(), (12.0, 4.0, 5.0), 2),
    "contested": lambda: with_grids(helix(71, rise=12.0), (5.0, 5.0, 5.0), 2),
    "closed": lambda: with_grids(ring(), (6.0, 5.0, 4.0), 2),
    "narrow": lambda: with_grids(helix(7, 3.0), (4.0, 4.0, 4.0), 2),
    "one slice": lambda: with_grids(
        Straightening(Trace([[90.0, 80, 70], [93, 84, 75]]), 60, 60, 4.0, 9.0), (4.0,) * 3, 2
    ),
    "beyond the volume": lambda: (helix(), Grids(Grid((45, 40, 50), (4.0,) * 3, (240, 240, 245)))),
}


def with_grids(map_: Straightening, resolution: Any, mips: int) -> tuple[Straightening, Grids]:
    return map_, grids_around(map_, resolution, mips)


@pytest.mark.parametrize("name", SCENES)
def test_every_chunk_at_every_mip_is_what_backproject_writes(
    name: str, made: Any, tmp_path: Path
) -> None:
    map_, source = SCENES[name]()
    labels = painted(tmp_path / "labels", map_.shape)
    home = made(labels, map_, source)
    rng = np.random.default_rng(1)
    for turn in range(3):
        for mip in range(len(source.levels)):
            truth, report = gone_home(
                np.asarray(labels), map_, source, mip, tmp_path / f"{turn}-{mip}"
            )
            np.testing.assert_array_equal(whole_of(home, mip), truth)
            assert truth.dtype == home.volume.dtype == np.uint64
            assert truth.any() or name == "one slice"
            if name in ("contested", "closed"):
                assert report.voxels_contested > 100
        for _ in range(3):
            paint(labels, rng)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_ids_keep_their_dtype(dtype: str, made: Any, tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    labels = painted(tmp_path / "labels", map_.shape, dtype)
    home = made(labels, map_, source)
    truth, _ = gone_home(np.asarray(labels), map_, source, 1, tmp_path / "out")
    found = whole_of(home, 1)
    assert found.dtype == truth.dtype == dtype
    np.testing.assert_array_equal(found, truth)


def test_what_is_painted_while_it_is_made_is_there(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels are looked at first and followed afterwards."""
    map_, source = SCENES["helix"]()
    labels = LabelArray.create(tmp_path / "labels", map_.shape, "uint16")
    look = LabelArray.painted_chunks
    looks = []

    def then_paint(self: Any) -> Any:
        found = look(self)
        if not looks:
            looks.append(1)
            self[5:9, 10:20, 10:20] = 77
        return found

    monkeypatch.setattr(LabelArray, "painted_chunks", then_paint)
    home = made(labels, map_, source)
    assert looks
    truth, _ = gone_home(np.asarray(labels), map_, source, 0, tmp_path / "out")
    assert truth.any()
    np.testing.assert_array_equal(whole_of(home, 0), truth)


def test_empty_chunks_are_known_at_once_and_no_label_is_read_for_them(
    made: Any, tmp_path: Path
) -> None:
    map_, source = SCENES["helix"]()
    labels = Counted(LabelArray.create(tmp_path / "labels", map_.shape, "uint64"))
    home = made(labels, map_, source)
    everything = [
        (m, i) for m, v in enumerate(home.volume.levels) for i in np.ndindex(v.chunk_grid)
    ]
    assert all(home.volume.is_empty(mip, index) for mip, index in everything)
    home.loader.want("me", everything)
    assert home.loader.idle
    assert home.loader.fetched == labels.reads == 0
    assert all(home.loader.peek(*chunk) is MISSING for chunk in everything)
    labels[3, 4, 5] = 9
    held = [(m, i) for m, i in everything if not home.volume.is_empty(m, i)]
    assert 0 < len(held) < len(everything) / 2
    wait_until(lambda: home.loader.idle)
    assert 0 < home.loader.fetched <= len(held)
    assert set(held) == {
        (m, i) for m, part in enumerate(home.touched(box_at(3, 4, 5))) for i in part
    }
    np.testing.assert_array_equal(
        whole_of(home, 0), gone_home(labels[:], map_, source, 0, tmp_path / "out")[0]
    )


def test_what_a_stroke_changes_is_touched(made: Any, tmp_path: Path) -> None:
    """Brute force: everything before and after; and a stroke does not mean everything."""
    for name in ("helix", "closed", "anisotropic"):
        map_, source = SCENES[name]()
        labels = LabelArray.create(tmp_path / name, map_.shape, "uint32")
        home = made(labels, map_, source)
        rng = np.random.default_rng(4)
        for _ in range(6):
            k, r, c = (int(rng.integers(0, n - 3)) for n in map_.shape)
            before = [whole_of(home, mip) for mip in range(len(source.levels))]
            changes: list[Any] = []
            labels.changed.connect(changes.append)
            labels[k : k + 3, r : r + 3, c : c + 3] = rng.integers(1, 2**32 - 1)
            labels.changed.disconnect(changes.append)
            touched = home.touched(changes[0].box)
            for mip, level in enumerate(home.volume.levels):
                after = whole_of(home, mip)
                different = {
                    index
                    for index in np.ndindex(*level.chunk_grid)
                    if (part_of(after, level, index) != part_of(before[mip], level, index)).any()
                }
                assert different <= touched[mip]
                assert len(touched[mip]) <= 8


def test_the_old_picture_stays_until_the_new_one_is_there(made: Any, tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    array = painted(tmp_path / "labels", map_.shape)
    labels = Counted(array)
    home = made(labels, map_, source)
    chunk = (0, largest_chunk(home, 0))
    home.loader.want("me", [chunk])
    wait_until(lambda: home.loader.idle)
    before = home.loader.peek(*chunk)
    assert before.any()
    labels.gate.clear()
    where = np.argwhere(np.asarray(array) > 0)
    labels[:] = np.where(np.asarray(array) > 0, np.uint64(5), np.uint64(0))
    assert len(where)
    try:
        for _ in range(3):
            np.testing.assert_array_equal(home.loader.peek(*chunk), before)
            assert home.loader.peek(*chunk, outdated=False) is None
        assert not home.loader.idle
    finally:
        labels.gate.set()
    wait_until(lambda: home.loader.idle)
    after = home.loader.peek(*chunk, outdated=False)
    assert set(np.unique(after)) == {0, 5}
    np.testing.assert_array_equal(after > 0, before > 0)


def test_a_stroke_while_a_chunk_is_computed_is_not_lost(made: Any, tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    labels = Counted(painted(tmp_path / "labels", map_.shape))
    home = made(labels, map_, source)
    chunk = (0, largest_chunk(home, 0))
    labels.gate.clear()
    home.loader.want("me", [chunk])
    wait_until(lambda: labels.waiting > 0)
    labels[:] = np.where(labels[:] > 0, np.uint64(6), np.uint64(0))
    labels.gate.set()
    wait_until(lambda: home.loader.idle)
    assert set(np.unique(home.loader.peek(*chunk, outdated=False))) == {0, 6}


@pytest.mark.parametrize("mip", [0, 1, 2])
def test_what_is_painted_is_computed_anew_at_every_mip(made: Any, tmp_path: Path, mip: int) -> None:
    map_, source = SCENES["helix"]()
    labels = painted(tmp_path / "labels", map_.shape)
    home = made(labels, map_, source)
    chunk = (mip, largest_chunk(home, mip))
    home.loader.want("me", [chunk])
    wait_until(lambda: home.loader.idle)
    labels[:] = np.where(labels[:] > 0, np.uint64(6), np.uint64(0))
    wait_until(lambda: home.loader.idle)
    assert set(np.unique(home.loader.peek(*chunk, outdated=False))) == {0, 6}


def test_what_is_erased_goes(made: Any, tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    labels = painted(tmp_path / "labels", map_.shape)
    home = made(labels, map_, source)
    everything = [(0, i) for i in np.ndindex(*home.volume.levels[0].chunk_grid)]
    home.loader.want("me", everything)
    wait_until(lambda: home.loader.idle)
    labels[:] = 0
    wait_until(lambda: home.loader.idle)
    assert all(home.loader.peek(*chunk, outdated=False) is MISSING for chunk in everything)


def test_memory_is_bounded_and_the_result_the_same(made: Any, tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    labels = painted(tmp_path / "labels", map_.shape)
    truth, _ = gone_home(np.asarray(labels), map_, source, 0, tmp_path / "out")
    limit = 5 * 2**20  # a chunk takes 2 MB, and so does its geometry
    kept = DecodedChunks(limit)
    home = LabelsHome(labels, map_, source, kept)
    try:
        level = home.volume.levels[0]
        for index in np.ndindex(*level.chunk_grid):
            home.loader.want("me", [(0, index)])
            wait_until(lambda: home.loader.idle)
            found = home.loader.peek(0, index)
            expected = part_of(truth, level, index)
            if found is MISSING:
                assert not expected.any()
            else:
                np.testing.assert_array_equal(found[0], expected)
            assert kept.held_bytes <= limit
        assert home.loader.fetched > 3
    finally:
        home.close()


def test_what_is_looked_at_is_not_driven_out_by_its_geometry(made: Any, tmp_path: Path) -> None:
    """Or pictures would be computed round and round where memory is short."""
    map_, source = SCENES["helix"]()
    labels = LabelArray.create(tmp_path / "labels", map_.shape, "uint64", chunks=(8, 16, 16))
    labels[:] = 7
    kept = DecodedChunks(int(6 * 2**21 / 0.9) + 2**18)  # just room for six pictures
    home = LabelsHome(labels, map_, source, kept)
    try:
        grid = np.ndindex(*home.volume.levels[0].chunk_grid)
        found = [(index, home.volume.fetch_chunk(0, index)) for index in grid]
        some = [i for i, c in found if c is not None and c.size == 64**3][:6]
        wish = [(0, index) for index in some]
        assert len(wish) == 6
        home.loader.want("me", wish)
        wait_until(lambda: home.loader.idle)
        assert home.loader.status.left_out == 0
        fetched = home.loader.fetched
        for _ in range(3):
            home.loader.want("me", wish)
            wait_until(lambda: home.loader.idle)
        assert home.loader.fetched == fetched == 6
        assert all(home.loader.peek(*chunk) is not None for chunk in wish)
        assert kept.held_bytes <= kept.limit_bytes
    finally:
        home.close()


def test_two_homes_have_memory_and_geometry_of_their_own(made: Any, tmp_path: Path) -> None:
    kept = DecodedChunks()
    scenes = [SCENES["helix"](), SCENES["closed"]()]
    homes = [
        LabelsHome(painted(tmp_path / f"{i}", map_.shape), map_, source, kept)
        for i, (map_, source) in enumerate(scenes)
    ]
    for (map_, source), home, i in zip(scenes, homes, range(2), strict=True):
        truth, _ = gone_home(
            np.asarray(LabelArray.open(tmp_path / f"{i}")), map_, source, 0, tmp_path / f"out{i}"
        )
        np.testing.assert_array_equal(whole_of(home, 0), truth)
    held = kept.held_bytes
    assert held > 0
    for home in homes:
        home.close()
    del home, homes
    kept.put((-1, 0, (0, 0, 0)), np.zeros((1, 1, 1, 1), np.uint8))
    assert kept.held_bytes == 1


def test_closed_it_follows_no_more(tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    labels = painted(tmp_path / "labels", map_.shape)
    home = LabelsHome(labels, map_, source, DecodedChunks())
    before = len(labels.changed)
    home.close()
    home.close()
    assert len(labels.changed) == before - 1
    labels[2:5, 3:9, 3:9] = 1
    assert home.loader.idle


def test_labels_of_another_recipe_are_refused(tmp_path: Path) -> None:
    map_, source = SCENES["helix"]()
    labels = LabelArray.create(tmp_path / "labels", (4, 5, 6), "uint8")
    with pytest.raises(UserError, match=r"shape \(4, 5, 6\), the recipe"):
        LabelsHome(labels, map_, source, DecodedChunks())
    with pytest.raises(UserError, match="there is no mip 7"):
        LabelsHome(
            LabelArray.create(tmp_path / "more", map_.shape, "uint8"), map_, source, DecodedChunks()
        ).volume.fetch_chunk(7, (0, 0, 0))


def box_at(k: int, r: int, c: int) -> Any:
    return (k, k + 1), (r, r + 1), (c, c + 1)


def largest_chunk(home: LabelsHome, mip: int) -> Any:
    """The chunk with the most labelled voxels."""
    level = home.volume.levels[mip]
    whole = whole_of(home, mip)
    return max(
        np.ndindex(*level.chunk_grid), key=lambda i: np.count_nonzero(part_of(whole, level, i))
    )


class Counted:
    """Labels that count their readings from other threads, and keep them waiting."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, array.chunks
        self.changed = array.changed
        self.gate = threading.Event()
        self.gate.set()
        self.reads = self.waiting = 0

    def painted_chunks(self) -> Any:
        return self._array.painted_chunks()

    def __getitem__(self, key: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            self.reads += 1
            found = self._array[key]  # as it was when it was asked for
            self.waiting += 1
            assert self.gate.wait(20)
            self.waiting -= 1
            return found
        return self._array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[key] = value


def test_a_loader_of_its_own_may_look_at_it_too(made: Any, tmp_path: Path) -> None:
    """A copy, as each loader makes one, computes the same."""
    map_, source = SCENES["helix"]()
    home = made(painted(tmp_path / "labels", map_.shape), map_, source)
    chunk = (1, largest_chunk(home, 1))
    other = ChunkLoader(home.volume, kept=DecodedChunks())
    other.want("me", [chunk])
    wait_until(lambda: other.idle)
    np.testing.assert_array_equal(other.peek(*chunk), home.volume.fetch_chunk(*chunk))
    assert other.close(2)
