"""Measured labels against closed forms, and against counting one by one."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from oracles.curves import Circle, Helix
from scipy.spatial.transform import Rotation
from skimage.measure import perimeter_crofton

from napari_ouroboros import (
    Cancelled,
    DestinationError,
    MeasureReport,
    Notice,
    Straightening,
    Trace,
    UserError,
    measure,
)
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.measure_job import slabs_of
from napari_ouroboros.operations.tally import tally
from napari_ouroboros.volumes.labels.label_stack import open_labels

LARGEST = 2**64 - 1


def straight(slices: int = 30, size: tuple[int, int] = (41, 51), **lengths: float) -> Straightening:
    """Along z; (rows, columns)."""
    lengths = {"pitch_nm": 8.0, "spacing_nm": 20.0, **lengths}
    end = (slices - 1) * lengths["spacing_nm"]
    trace = Trace(np.array([[0.0, 500, 500], [end, 500, 500]]))
    return Straightening(trace, size[1], size[0], **lengths)


def offsets(map_: Straightening) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(v, u) in nm of every pixel of a slice, each (rows, columns)."""
    _, rows, columns = map_.shape
    v = (np.arange(rows) - (rows - 1) / 2) * map_.pitch_nm
    u = (np.arange(columns) - (columns - 1) / 2) * map_.pitch_nm
    return np.meshgrid(v, u, indexing="ij")


def disc(map_: Straightening, radius: float, at: tuple[float, float] = (0, 0)) -> NDArray[np.bool_]:
    """Pixels of a slice within `radius` nm of (v, u) nm."""
    v, u = offsets(map_)
    return np.hypot(v - at[0], u - at[1]) < radius


def ring(radius: float, half_side: float, pitch: float) -> Straightening:
    """A map along a circle around z."""
    points = Circle(radius).points(60)
    size = 2 * int(half_side / pitch) + 1
    return Straightening(Trace(points, closed=True), size, size, pitch, 2 * pitch)


def in_all(map_: Straightening, mask: NDArray[np.bool_], label: int = 1) -> NDArray[np.uint16]:
    """The same section in every slice."""
    return np.broadcast_to(np.where(mask, label, 0).astype(np.uint16), map_.shape).copy()


class TestClosedForms:
    """Bodies whose sizes are known."""

    def test_cylinder(self) -> None:
        map_ = straight(30, (161, 181), pitch_nm=1.0)
        radius = 70.5
        labels = in_all(map_, disc(map_, radius))
        labels[:5] = labels[25:] = 0
        (body,) = measure(labels, map_).labels
        assert (body.slices, body.first_slice, body.last_slice) == (20, 5, 24)
        assert body.length_nm == pytest.approx(20 * 20, rel=1e-9)
        assert body.area_nm2 == pytest.approx(np.pi * radius**2, rel=0.01)
        assert body.diameter_nm == pytest.approx(2 * radius, rel=0.005)
        assert body.perimeter_nm == pytest.approx(2 * np.pi * radius, rel=0.02)
        assert body.volume_nm3 == pytest.approx(np.pi * radius**2 * 400, rel=0.01)
        assert body.centre_nm == pytest.approx((14.5 * 20, 500, 500))

    def test_a_part_that_is_one_label_in_every_slice_is_exact(self) -> None:
        map_ = straight(10)
        labels = np.ones(map_.shape, np.uint8)
        (body,) = measure(labels, map_).labels
        # The cells of both ends go on for half a distance, as those that come home do.
        assert body.length_nm == pytest.approx(200, rel=1e-12)
        assert body.volume_nm3 == pytest.approx(200 * 41 * 51 * 64, rel=1e-12)
        # Crofton's formula is exact along the axes only; of a rectangle it takes the corners off.
        assert body.perimeter_nm == pytest.approx(2 * (41 + 51) * 8, rel=0.06)

    @pytest.mark.parametrize("at", [(0.0, 0.0), (0.0, 160.0), (90.0, -140.0)])
    def test_torus_by_pappus(self, at: tuple[float, float]) -> None:
        map_ = ring(600.0, 260.0, 2.0)
        radius = 81.0  # forty pixels and a half: a circle through pixels' centres counts badly
        report = measure(in_all(map_, disc(map_, radius, at)), map_)
        # Pappus: the area times the way of its centroid, wherever in the slice it lies.
        centre = report.slices.centres_nm
        way = 2 * np.pi * np.hypot(centre[:, 1], centre[:, 2])
        assert np.ptp(way) < 1e-3 * way.mean()
        expected = np.pi * radius**2 * way.mean()
        (body,) = report.labels
        assert body.volume_nm3 == pytest.approx(expected, rel=0.01)
        assert body.length_nm == pytest.approx(2 * np.pi * 600, rel=1e-4)
        if at != (0.0, 0.0):
            # Without det J it is another volume.
            unweighted = report.slices.area_nm2.sum() * map_.spacing_nm
            assert abs(unweighted / expected - 1) > 0.15

    @pytest.mark.parametrize("hand", [1, -1])
    def test_helix_tube(self, hand: int) -> None:
        helix = Helix(400.0, 90.0, hand)
        points = helix.position(np.linspace(0, 4 * np.pi, 90))
        map_ = Straightening(Trace(points), 101, 101, 3.0, 10.0)
        radius = 121.5
        labels = in_all(map_, disc(map_, radius))
        (body,) = measure(labels, map_).labels
        n = map_.shape[0]
        assert body.length_nm == pytest.approx(n * 10.0, rel=1e-9)
        assert body.length_nm == pytest.approx(helix.length(4 * np.pi), abs=15)
        assert body.volume_nm3 == pytest.approx(np.pi * radius**2 * n * 10, rel=0.01)

    def test_adaptive_slices_stand_for_what_lies_between_them(self) -> None:
        points = Helix(300.0, 200.0).position(np.linspace(0, 3, 30))
        even = Straightening(Trace(points), 41, 41, 5.0, 10.0)
        adaptive = Straightening(Trace(points), 41, 41, 5.0, 10.0, adaptive_radius_nm=300)
        mask = disc(even, 80.0)
        volumes = []
        for map_ in (even, adaptive):
            (body,) = measure(in_all(map_, mask), map_).labels
            assert body.length_nm == pytest.approx(map_.frames.s[-1] + 10, rel=1e-9)
            volumes.append(body.volume_nm3 / body.length_nm)
        assert len(adaptive.frames) > 1.3 * len(even.frames)
        assert volumes[1] == pytest.approx(volumes[0], rel=1e-3)

    def test_means_are_weighted_by_what_a_slice_stands_for(self) -> None:
        """Places by volume, sizes along the path by length."""
        straight = np.stack([np.linspace(0, 600, 16), np.full(16, 300.0), np.zeros(16)], axis=1)
        angle = np.linspace(0, 2.0, 24)[1:]
        bend = np.stack([600 + 300 * np.sin(angle), 300 * np.cos(angle), 0 * angle], axis=1)
        trace = Trace(np.concatenate([straight, bend]))
        map_ = Straightening(trace, 41, 41, 5.0, 10.0, adaptive_radius_nm=300)
        n = map_.shape[0]
        labels = np.zeros(map_.shape, np.uint16)
        for k in range(n):  # beside the curve, on one side at one end, on the other at the other
            at = 40.0 * (2 * k / n - 1)
            labels[k][disc(map_, 30.0 + 30.0 * k / n, (at, -at))] = 1
        report = measure(labels, map_)
        (body,), slices = report.labels, report.slices
        places = map_.to_volume(np.stack([slices.slices, slices.rows, slices.columns], axis=1))
        by_volume = slices.volume_nm3 @ places / slices.volume_nm3.sum()
        by_samples = slices.samples @ places / slices.samples.sum()
        np.testing.assert_allclose(body.centre_nm, by_volume, rtol=1e-9)
        assert np.abs(by_volume - by_samples).max() > 1
        area = np.array([np.count_nonzero(plane) for plane in labels]) * 5.0**2
        assert body.area_nm2 == pytest.approx(area @ slices.length_nm / slices.length_nm.sum())
        assert abs(area.mean() - body.area_nm2) > 10

    def test_volume_is_that_of_the_voxels_that_come_home(self) -> None:
        # Oblique to the voxels: rows of pixels along their planes would be counted once or twice.
        turn = Rotation.from_euler("zyx", [25, 40, 15], degrees=True)
        points = turn.apply(Circle(150.0).points(60))
        map_ = Straightening(Trace(points, closed=True), 37, 37, 5.0, 10.0)
        labels = in_all(map_, disc(map_, 40.0, (20, 30)))
        low, voxel = np.array([-250.0, -250, -250]), 4.0
        shape = tuple(int(n) for n in np.ceil(-2 * low / voxel))
        centres = Grid(shape, (voxel,) * 3, tuple(low / voxel)).to_nm(
            np.moveaxis(np.indices(shape), 0, -1)
        )
        index = map_.to_straightened(centres.reshape(-1, 3))
        inside = np.isfinite(index[:, 0])
        k, row, column = np.floor(index[inside] + 0.5).astype(int).T
        voxels = np.count_nonzero(labels[k % map_.shape[0], row, column])
        (body,) = measure(labels, map_).labels
        assert body.volume_nm3 == pytest.approx(voxels * voxel**3, rel=0.003)

    def test_what_lies_behind_a_fold_counts_nothing(self) -> None:
        radius = 100.0
        map_ = ring(radius, 150.0, 4.0)
        report = measure(np.ones(map_.shape, np.uint8), map_)
        (body,) = report.labels
        # A full turn of the half of the square on the one side of the axis, u < R.
        half = 0.5 * map_.width * map_.pitch_nm
        reach = radius + half
        assert body.volume_nm3 == pytest.approx(np.pi * reach**2 * 2 * half, rel=0.01)
        assert report.slices_folding == map_.shape[0]
        assert "fold" in report.text


@settings(max_examples=60, deadline=None)
@given(
    labels=arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32, np.uint64]),
        st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 0, 1, 2, 255]),
    ),
    large=st.booleans(),
)
def test_counts_and_outlines_are_those_of_one_label_at_a_time(
    labels: NDArray[Any], large: bool
) -> None:
    if large:  # ids that are one and the same as float64
        limit = np.iinfo(labels.dtype).max
        labels = np.where(labels == 255, limit, np.where(labels == 2, limit - 1, labels))
        labels = labels.astype(labels.dtype)
    found = tally(labels)
    expected = [
        (k, int(label)) for k in range(len(labels)) for label in np.unique(labels[k]) if label
    ]
    assert [(int(k), int(i)) for k, i in zip(found.slices, found.labels, strict=True)] == expected
    assert found.labels.dtype == labels.dtype
    for i, (k, label) in enumerate(expected):
        mask = labels[k] == label
        row, column = np.nonzero(mask)
        assert found.samples[i] == len(row)
        assert found.rows[i] == row.sum()
        assert found.columns[i] == column.sum()
        assert found.perimeter[i] == pytest.approx(perimeter_crofton(mask, directions=4))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), radius=st.sampled_from([60.0, 150.0, 400.0]))
def test_volumes_are_sums_of_cells(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    map_ = ring(radius, 80.0, 8.0)  # the smallest folds
    labels = rng.choice(np.array([0, 1, LARGEST], np.uint64), map_.shape)
    report = measure(labels, map_)
    v, u = offsets(map_)
    frames = map_.frames
    for label in (1, LARGEST):
        profile = report.profile(label)
        assert set(profile.labels.tolist()) == {label}
        for k, volume in zip(profile.slices, profile.volume_nm3, strict=True):
            towards = frames.curvature[k]
            bend = u * (towards @ frames.N[k]) + v * (towards @ frames.B[k])
            cells = np.maximum(1 - bend, 0) * map_.pitch_nm**2 * map_.spacing_nm
            assert volume == pytest.approx(cells[labels[k] == label].sum())


def test_the_centroid_is_given_in_both_spaces() -> None:
    points = Helix(300.0, 200.0).position(np.linspace(0, 3, 30))
    map_ = Straightening(Trace(points), 31, 25, 6.0, 9.0)
    labels = np.zeros(map_.shape, np.uint8)
    labels[:, 4:9, 20:24] = 3
    slices = measure(labels, map_).slices
    np.testing.assert_allclose(slices.rows, 6)
    np.testing.assert_allclose(slices.columns, 21.5)
    index = np.stack([slices.slices, slices.rows, slices.columns], axis=-1)
    np.testing.assert_allclose(slices.centres_nm, map_.to_volume(index), atol=1e-9)
    np.testing.assert_allclose(slices.s_nm, map_.frames.s)


class TestReport:
    """What comes of a measurement."""

    @pytest.fixture
    def report(self) -> MeasureReport:
        map_ = straight(6)
        labels = np.zeros(map_.shape, np.uint64)
        labels[1:4, 10:20, 10:20] = LARGEST
        labels[2:, 25:30, 30:40] = 300
        return measure(labels, map_)

    def test_ids_and_profiles(self, report: MeasureReport) -> None:
        assert [label.label for label in report.labels] == [300, LARGEST]
        assert report.profile(LARGEST).slices.tolist() == [1, 2, 3]
        assert report.profile(300).slices.tolist() == [2, 3, 4, 5]
        for wrong in (7, -1, 2**64):
            with pytest.raises(UserError, match="there is no label"):
                report.profile(wrong)

    def test_csv(self, report: MeasureReport, tmp_path: Path) -> None:
        report.write_csv(tmp_path / "out.csv")
        with open(tmp_path / "out.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [(int(row["label"]), int(row["slice"])) for row in rows] == [
            *((300, k) for k in (2, 3, 4, 5)), *((LARGEST, k) for k in (1, 2, 3))
        ]  # fmt: skip
        last = rows[-1]
        assert [float(last[name]) for name in ("row", "column", "samples")] == [14.5, 14.5, 100]
        place = [float(last[f"{axis}_nm"]) for axis in "zyx"]
        # Columns grow along +N = x, rows along +B = y here.
        assert place == pytest.approx([60, 500 - 5.5 * 8, 500 - 10.5 * 8])
        assert float(last["area_nm2"]) == 100 * 64
        assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]

    def test_a_table_that_cannot_be_written_leaves_nothing(
        self, report: MeasureReport, tmp_path: Path
    ) -> None:
        with pytest.raises(DestinationError, match="cannot write"):
            report.write_csv(tmp_path / "none" / "out.csv")
        (tmp_path / "folder").mkdir()
        with pytest.raises(DestinationError, match="cannot write"):
            report.write_csv(tmp_path / "folder")
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]


class TestInput:
    """What may be given."""

    def test_only_some_ids(self) -> None:
        map_ = straight(5)
        labels = np.random.default_rng(1).integers(0, 5, map_.shape).astype(np.uint8)
        report = measure(labels, map_, ids=[2, 4])
        assert [label.label for label in report.labels] == [2, 4]
        assert report.labels[0] == measure(labels, map_).labels[1]
        with pytest.raises(UserError, match="300 cannot be a label"):
            measure(labels, map_, ids=[300])
        with pytest.warns(Notice, match="there is no label 9 in any slice"):
            assert measure(labels, map_, ids=[1, 9]).labels[0].label == 1

    def test_nothing_labelled(self) -> None:
        map_ = straight(5)
        with pytest.warns(Notice, match="there is no label in any slice"):
            report = measure(np.zeros(map_.shape, np.int32), map_)
        assert (report.labels, len(report.slices), report.slices_folding) == ((), 0, 0)
        assert report.text == "there is no label"

    def test_whatever_can_be_opened(self, tmp_path: Path) -> None:
        map_ = straight(40)
        labels = np.random.default_rng(2).integers(0, 3, map_.shape).astype(np.int64)
        np.save(tmp_path / "labels.npy", labels)
        expected = measure(labels, map_).labels
        assert measure(tmp_path / "labels.npy", map_).labels == expected
        with open_labels(tmp_path / "labels.npy") as stack:
            assert measure(stack, map_).labels == expected
            stack.read(0, 1)  # still open

    def test_other_shapes_and_recipes(self, tmp_path: Path) -> None:
        map_ = straight(5)
        with pytest.raises(UserError, match=r"have shape \(4, 41, 51\), the recipe \(5, 41, 51\)"):
            measure(np.ones((4, 41, 51), np.uint8), map_)
        with pytest.raises(UserError, match="whole numbers"):
            measure(np.ones(map_.shape), map_)
        negative = np.ones(map_.shape, np.int16)
        negative[3, 2, 1] = -4
        with pytest.raises(UserError, match="slice 3 of the labels has -4"):
            measure(negative, map_)
        stack = open_labels(np.ones(map_.shape, np.uint8))
        stack.metadata = {"frames_sha256": "0" * 64, "recipe": "other.recipe.json"}
        with pytest.raises(UserError, match=r"another recipe \(other.recipe.json\)"):
            measure(stack, map_)

    def test_any_number_of_threads_and_slabs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        map_ = straight(50)
        labels = np.random.default_rng(3).integers(0, 4, map_.shape).astype(np.uint16)
        expected = measure(labels, map_, threads=1)
        monkeypatch.setattr("napari_ouroboros.operations.measure_job._SLAB_SAMPLES", 3 * 41 * 51)
        told: list[tuple[int, int]] = []
        report = measure(
            labels, map_, progress=lambda done, total: told.append((done, total)), threads=3
        )
        assert report.labels == expected.labels
        for name, values in vars(expected.slices).items():
            np.testing.assert_array_equal(getattr(report.slices, name), values)
        assert told == [(i, 17) for i in range(18)]

    def test_cancel(self) -> None:
        stop = threading.Event()
        stop.set()
        map_ = straight(5)
        with pytest.raises(Cancelled):
            measure(np.ones(map_.shape, np.uint8), map_, cancel=stop)

    def test_what_is_not_stored_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("napari_ouroboros.operations.measure_job._SLAB_SAMPLES", 10 * 41 * 51)
        map_ = straight(100)
        sparse = Sparse(map_.shape)
        assert slabs_of(sparse, map_.shape) == [(40, 50), (50, 60)]
        assert slabs_of(np.ones(map_.shape, np.uint8), map_.shape) == [
            (k, k + 10) for k in range(0, 100, 10)
        ]
        (body,) = measure(sparse, map_).labels
        assert (body.first_slice, body.last_slice) == (44, 51)
        assert min(sparse.read_slices) >= 40
        assert max(sparse.read_slices) < 60


class Sparse:
    """Labels of which only slices 44 to 51 are stored."""

    dtype = np.dtype(np.uint32)
    ndim = 3

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.read_slices: set[int] = set()

    def painted_chunks(self) -> list[tuple[tuple[int, int], ...]]:
        return [((44, 52), (0, 20), (0, 20))]

    def __getitem__(self, key: slice) -> NDArray[np.uint32]:
        first, last, _ = key.indices(self.shape[0])
        self.read_slices.update(range(first, last))
        out = np.zeros((last - first, *self.shape[1:]), np.uint32)
        out[[44 <= k < 52 for k in range(first, last)], 3:7, 3:7] = 9
        return out
