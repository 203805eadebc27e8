"""Labels carried from one trace to another, against the definition, sample by sample."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.geometry import Straightening, Trace
from napari_ouroboros.operations.carry_labels import CarryReport, carry_labels
from napari_ouroboros.operations.local_locate import LocalLocate
from napari_ouroboros.volumes.labels.label_array import LabelArray

IDS = np.array([1, 300, 2**63, 2**64 - 1], np.uint64)
POINTS = np.array([[0, 0, 0], [40, 10, 160], [10, 60, 320], [0, 0, 480], [30, 10, 640]], float)


def a_map(points: Any = POINTS, **options: Any) -> Straightening:
    chosen = {"width": 11, "height": 9, "pitch_nm": 6.0, "spacing_nm": 8.0, **options}
    closed = chosen.pop("closed", False)
    return Straightening(Trace(points, closed=closed), **chosen)


def blobs(map_: Straightening, seed: int = 0, density: float = 0.3) -> NDArray[np.uint64]:
    rng = np.random.default_rng(seed)
    n, rows, columns = map_.shape
    coarse = rng.choice(IDS, [-(-n // 3), -(-rows // 3), -(-columns // 3)])
    coarse[rng.random(coarse.shape) > density] = 0
    return coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[:n, :rows, :columns]


def on_disk(folder: Path, values: NDArray[Any], chunks: Any = (5, 4, 4)) -> LabelArray:
    labels = LabelArray.create(folder, values.shape, values.dtype, chunks=chunks)
    labels[:] = values
    return labels


def carried(
    folder: Path, values: NDArray[Any], old: Straightening, new: Straightening, **options: Any
) -> tuple[NDArray[Any], CarryReport]:
    labels = on_disk(folder / "old", values)
    destination = LabelArray.create(folder / "new", new.shape, values.dtype, chunks=(4, 4, 4))
    report = carry_labels(labels, old, new, destination, **options)
    np.testing.assert_array_equal(labels[:], values)
    return destination[:], report


def by_definition(
    values: NDArray[Any], old: Straightening, new: Straightening
) -> tuple[NDArray[Any], tuple[int, int, int, int]]:
    """The labels and the counts, of every sample there is."""

    def places(source: Straightening, target: Straightening) -> NDArray[np.int64]:
        """Nearest sample of `target` for each of `source`, -1 for none."""
        samples = np.argwhere(np.ones(source.shape, bool))
        index = target.to_straightened(source.to_volume(samples.astype(float)))
        found = np.where(np.isnan(index), -1, np.floor(index + 0.5)).astype(np.int64)
        found = np.minimum(found, np.array(target.shape) - 1)
        more = target.height - source.height, target.width - source.width
        if source.pitch_nm == target.pitch_nm and not any(m % 2 for m in more):
            shifted = samples + [0, more[0] // 2, more[1] // 2]
            fits = np.all((shifted >= 0) & (shifted < target.shape), axis=1)
            for k in range(source.shape[0]):
                for j in range(target.shape[0]):
                    if np.array_equal(source.planes[k], target.planes[j]):
                        here = fits & (samples[:, 0] == k)
                        found[here] = shifted[here]
                        found[here, 0] = j
        return found

    def at(array: NDArray[Any], index: NDArray[np.int64]) -> NDArray[Any]:
        there = index[:, 0] >= 0
        return np.where(there, array[tuple(np.where(there[:, None], index, 0).T)], 0)

    out = at(values, places(new, old)).astype(values.dtype).reshape(new.shape)
    labelled = values.reshape(-1) != 0
    mine, there = values.reshape(-1)[labelled], at(out, places(old, new))[labelled]
    carried, lost = np.count_nonzero(there == mine), np.count_nonzero(there != mine)
    contested = np.count_nonzero((there != mine) & (there != 0))
    return out, (carried, lost, contested, np.count_nonzero(out))


def check(
    folder: Path, values: NDArray[Any], old: Straightening, new: Straightening
) -> CarryReport:
    found, report = carried(folder, values, old, new)
    wanted, counts = by_definition(values, old, new)
    np.testing.assert_array_equal(found, wanted)
    assert (report.carried, report.lost, report.contested, report.written) == counts
    assert report.carried + report.lost == np.count_nonzero(values)
    assert set(report.ids_lost) == set(values[values != 0].tolist()) - set(wanted.flat)
    return report


MOVED = POINTS + [[0, 0, 0], [0, 0, 0], [9, -7, 5], [0, 0, 0], [0, 0, 0]]
CHANGES: dict[str, Any] = {
    "a point moved": {"points": MOVED},
    "a point less": {"points": POINTS[:-1]},
    "the other way round": {"points": POINTS[::-1]},
    "finer": {"pitch_nm": 3.0, "spacing_nm": 4.0, "width": 20, "height": 16},
    "coarser": {"pitch_nm": 13.0, "spacing_nm": 17.0, "width": 5, "height": 4},
    "wider": {"width": 17, "height": 13},
    "narrower, odd": {"width": 8, "height": 6},
    "turned": {"twist": [(0.0, 0.0), (500.0, 90.0)]},
    "elsewhere": {"points": POINTS + 5000},
    "adaptive": {"adaptive_radius_nm": 30.0},
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_sample_as_defined(change: str, tmp_path: Path) -> None:
    old, new = a_map(), a_map(**CHANGES[change])
    report = check(tmp_path, blobs(old), old, new)
    if change == "elsewhere":
        assert report.carried == report.written == 0
        assert set(report.ids_lost) == set(IDS.tolist())
    elif change == "wider":
        assert report.lost == 0
    elif change == "coarser":
        assert report.contested > 0
    else:
        assert report.carried > 0


def test_a_ring_where_slices_run_into_each_other(tmp_path: Path) -> None:
    angle = np.arange(8) * np.pi / 4
    ring = 60 * np.stack([0.2 * np.sin(2 * angle), np.sin(angle), np.cos(angle)], axis=1)
    options: dict[str, Any] = {"closed": True, "width": 25, "height": 5}
    old = a_map(ring, **options)
    new = a_map(ring + [[5.0, 0, 0]] * (angle == angle[2])[:, None], **options)
    report = check(tmp_path, blobs(old, density=0.8), old, new)
    assert report.contested > 0


@pytest.mark.parametrize("closed", [False, True])
def test_the_same_map_changes_nothing(closed: bool, tmp_path: Path) -> None:
    """Even where slices run into each other, bit for bit."""
    points = 60 * np.array([[0, 0, 1], [0.1, 1, 0], [0, 0, -1], [0.1, -1, 0]])
    old, new = (a_map(points, closed=closed, width=31) for _ in range(2))
    values = blobs(old, density=1.0)
    found, report = carried(tmp_path, values, old, new)
    np.testing.assert_array_equal(found, values)
    assert report == CarryReport(np.count_nonzero(values), 0, 0, np.count_nonzero(values))


def test_a_change_far_away_changes_nothing_here(tmp_path: Path) -> None:
    """Another last point: the slices before its own spans keep every label."""
    line = np.array([[10.0 * np.sin(i / 3), 5.0 * np.cos(i / 2), 100.0 * i] for i in range(24)])
    other = line.copy()
    other[-1] += [30, 20, 0]
    old, new = a_map(line), a_map(other)
    values = blobs(old)
    found, report = carried(tmp_path, values, old, new)
    here = int(0.7 * old.shape[0])
    np.testing.assert_array_equal(found[:here], values[:here])
    assert np.count_nonzero(values[:here]) < report.carried
    assert report.lost > 0


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_two_traces(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.uniform(-20, 60, (4, 3)), axis=0)
    moved = points + rng.normal(0, 12, (4, 3)) * (rng.random((4, 1)) < 0.5)
    old = a_map(points, width=6, height=5)
    new = a_map(moved, width=int(rng.integers(4, 9)), height=int(rng.integers(4, 9)))
    check(tmp_path_factory.mktemp("any"), blobs(old, seed, 0.6), old, new)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    old, new = a_map(), a_map(MOVED)
    labels = on_disk(tmp_path / "l", blobs(old))
    narrow = LabelArray.create(tmp_path / "n", new.shape, "uint32")
    full = on_disk(tmp_path / "f", np.ones(new.shape, np.uint64))
    other = LabelArray.create(tmp_path / "o", (3, 3, 3), "uint64")
    for destination, message in ((narrow, "does not hold"), (full, "empty"), (other, "shape")):
        with pytest.raises(UserError, match=message):
            carry_labels(labels, old, new, destination)
    with pytest.raises(UserError, match="shape"):
        carry_labels(other, old, new, narrow)
    assert (full[:] == 1).all()


def test_cancelled_leaves_nothing(tmp_path: Path) -> None:
    old, new = a_map(), a_map(MOVED)
    labels = on_disk(tmp_path / "l", blobs(old))
    destination = LabelArray.create(tmp_path / "d", new.shape, "uint64", chunks=(5, 4, 4))
    stop = threading.Event()
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == total // 2:
            stop.set()

    with pytest.raises(Cancelled):
        carry_labels(labels, old, new, destination, progress, stop)
    assert not destination.any()
    assert told[-1][0] == told[-1][1] // 2
    told.clear()
    carry_labels(labels, old, new, destination, progress)
    assert [done for done, _ in told] == list(range(1, told[0][1] + 1))
    assert {total for _, total in told} == {told[-1][0]}


def test_only_what_painted_chunks_reach_is_computed(tmp_path: Path) -> None:
    """20,000 slices of 200 x 200 (6.4 GB), a few painted: a few blocks, and little memory."""
    far = np.array([[0, 0, 0], [300, 0, 50_000], [0, 200, 100_000], [0, 0, 160_000]], float)
    old = a_map(far, width=200, height=200)
    moved = far + [[0, 0, 0], [20, 10, 0], [0, 0, 0], [0, 0, 0]]
    new = a_map(moved, width=200, height=200)
    labels = LabelArray.create(tmp_path / "l", old.shape, "uint64")
    labels[9_000:9_004, 90:110, 90:110] = 2**63
    destination = LabelArray.create(tmp_path / "d", new.shape, "uint64")
    told: list[int] = []
    tracemalloc.start()
    report = carry_labels(labels, old, new, destination, lambda done, total: told.append(total))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.carried + report.lost == 1600
    assert report.carried > 1400
    assert told[0] < 60
    assert peak < 300e6


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), closed=st.booleans())
def test_looking_nearby_finds_what_the_map_finds(seed: int, closed: bool) -> None:
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.normal(0, 90, (6, 3)), axis=0)
    map_ = a_map(points, closed=closed, width=int(rng.integers(2, 40)), height=9)
    locate = LocalLocate(map_)
    for _ in range(6):
        index = rng.uniform(-2, np.array(map_.shape) + 2)
        middle = map_.to_volume(index) + rng.normal(0, 20, 3)
        corners = middle + rng.uniform(-60, 60, (8, 3))
        there = rng.dirichlet(np.ones(8), 300) @ corners
        np.testing.assert_allclose(
            locate(there, corners), map_.to_straightened(there), rtol=0, atol=1e-9
        )
