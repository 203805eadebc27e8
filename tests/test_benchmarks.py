"""What the benchmarks compare with must itself be right: the port, the scene, the server."""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from benchmarks import peer, scene, server
from benchmarks.clock import Runs, Sample, Spread
from benchmarks.parts.slicing import exact_chunks
from benchmarks.report import Floor
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from napari_ouroboros import Straightening, Trace, open_volume
from napari_ouroboros.geometry import Grid

NM = scene.VOXEL_NM
SMALL = scene.Scene(128)
CHUNKS = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
LEVEL = Grid((128, 128, 128), (NM, NM, NM), (0, 0, 0))


def straight(low: float, high: float, at: tuple[float, float], spacing: int = 1) -> Straightening:
    """Slices of 21 x 21 along +z through (y, x), voxel centres being at halves."""
    ends = np.array([[low, *at], [high, *at]]) * NM
    return Straightening(Trace(ends), 21, 21, NM, spacing * NM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("scene"), CHUNKS)


@pytest.fixture(scope="module")
def block() -> NDArray[np.uint8]:
    """All voxels (z, y, x) of the small scene."""
    whole = np.empty((128, 128, 128), np.uint8)
    for z, y, x in CHUNKS:
        part = scene.voxels((z, y, x))
        whole[z * 64 : z * 64 + 64, y * 64 : y * 64 + 64, x * 64 : x * 64 + 64] = part
    return whole


def test_scene_is_the_same_every_time() -> None:
    first = [scene.packed((0, 0, n)) for n in range(3)]
    scene._textures.cache_clear()
    assert [scene.packed((0, 0, n)) for n in range(3)] == first
    for n in range(3):
        assert gzip.decompress(first[n]) == scene.voxels((0, 0, n)).tobytes()


def test_scene_packs_like_electron_microscopy() -> None:
    sizes = [len(scene.packed((0, 0, n))) for n in range(scene.TEXTURES)]
    assert 64**3 / np.mean(sizes) == pytest.approx(1.13, abs=0.02)


def test_neighbouring_chunks_differ() -> None:
    here = np.array([5, 12, 7])
    others = [tuple(here + step) for step in product((-1, 0, 1), repeat=3) if any(step)]
    assert scene.texture_number((5, 12, 7)) not in {scene.texture_number(o) for o in others}
    assert len({scene.packed((0, 0, n)) for n in range(scene.TEXTURES)}) == scene.TEXTURES


def test_tube_has_its_slices_and_lies_in_the_scene() -> None:
    tube = scene.Tube(scene.Scene(1024), 1500)
    assert Straightening(Trace(tube.points_nm), 100, 100, NM, NM).shape == (1500, 100, 100)
    assert tube.points_nm.min() > 80 * NM
    assert tube.points_nm.max() < (1024 - 80) * NM


def test_server_serves_the_scene_and_counts() -> None:
    with server.running_server() as running:
        running.reset(0)
        volume = open_volume(running.url(SMALL))
        for index in ((0, 0, 0), (1, 0, 1), (1, 0, 1)):
            chunk = volume.fetch_chunk(0, index)
            assert chunk is not None
            np.testing.assert_array_equal(chunk[0], scene.voxels(index))
        volume.close()
        counts = running.chunk_requests()
        running.reset(0)
        assert running.chunk_requests() == {}
    assert sorted(counts.values()) == [1, 2]
    assert counts["/em-128/8_8_8/64-128_0-64_64-128"] == 2


@pytest.mark.parametrize("order", [1, 3])
def test_port_of_slicing_crops_on_a_straight_tube(
    folder: Path, block: NDArray[np.uint8], order: peer.Order
) -> None:
    map_ = straight(10.5, 109.5, (60.5, 70.5))
    rectangles = peer.Rectangles.of(map_, LEVEL)
    slices = peer.slice_volume(f"file://{folder}", rectangles, order)
    # Columns grow along +x, and rows along B = T x N, which for T = +z and N = +x is +y.
    np.testing.assert_array_equal(slices, block[10:110, 50:71, 60:81])


def test_port_of_slicing_interpolates(folder: Path, block: NDArray[np.uint8]) -> None:
    points = np.array([[40, 30, 45], [60, 60, 70], [50, 90, 80]]) * NM
    map_ = Straightening(Trace(points), 30, 20, NM, NM)
    got = peer.slice_volume(f"file://{folder}", peer.Rectangles.of(map_, LEVEL), 1)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in map_.shape), indexing="ij"), -1)
    where = map_.to_volume(index.astype(float)) / NM - 0.5
    expected = RegularGridInterpolator([np.arange(128)] * 3, block.astype(float))(where)
    assert np.abs(got - expected).max() <= 0.5 + 1e-6  # the port rounds


@pytest.mark.parametrize("tuned", [False, True])
def test_port_of_backprojection_is_exact_on_voxel_centres(tuned: bool) -> None:
    map_ = straight(10.5, 209.5, (60.5, 70.5))
    labels = np.arange(200 * 21 * 21, dtype=np.uint32).reshape(200, 21, 21) + 1
    home = np.zeros((256, 128, 128), np.uint32)
    for box, splatted in peer.backproject(labels, peer.Rectangles.of(map_, LEVEL), tuned):
        (x0, y0, z0), (x1, y1, z1) = box
        home[z0:z1, y0:y1, x0:x1] = np.maximum(home[z0:z1, y0:y1, x0:x1], splatted.T)
    np.testing.assert_array_equal(home[10:210, 50:71, 60:81], labels)


@pytest.mark.parametrize("tuned", [False, True])
def test_port_of_backprojection_averages_and_leaves_holes(tuned: bool) -> None:
    """Between voxel centres labels are spread and mixed; slices 3 apart leave voxels out."""
    rectangles = peer.Rectangles.of(straight(11.75, 41.75, (61, 71), spacing=3), LEVEL)
    labels = np.full((11, 21, 21), 10, np.uint8)
    labels[:, :, 11:] = 20
    ((box, splatted),) = peer.backproject(labels, rectangles, tuned)
    x0, y0, z0 = box.low
    home = splatted.T[11 - z0 : 42 - z0, 50 - y0 : 72 - y0, 60 - x0 : 82 - x0]
    filled = home.any(axis=(1, 2))
    # Each slice lies a quarter of the way between two voxels and fills both.
    assert filled.tolist() == [k % 3 != 2 for k in range(31)]
    # 21 samples at whole numbers lie between 22 voxels; the middle one of them is half of each.
    assert np.unique(home[filled]).tolist() == [10, 15, 20]
    assert (home[filled][:, :, :11] == 10).all()
    assert (home[filled][:, :, 11] == 15).all()


def test_exact_chunks_are_those_of_a_straight_tube() -> None:
    inside = peer.Rectangles.of(straight(10.5, 109.5, (40.5, 40.5)), LEVEL)
    assert exact_chunks(inside) == {(0, 0, 0), (1, 0, 0)}
    across = peer.Rectangles.of(straight(10.5, 40.5, (60.5, 40.5)), LEVEL)
    assert exact_chunks(across) == {(0, 0, 0), (0, 1, 0)}


def test_boxes_are_of_128_slices() -> None:
    rectangles = peer.Rectangles.of(straight(10.5, 309.5, (60.5, 70.5)), LEVEL)
    boxes = [rectangles.box(slices) for slices in rectangles.groups()]
    assert [box.low.tolist() for box in boxes] == [[60, 50, z] for z in (10, 138, 266)]
    assert [box.shape for box in boxes] == [(22, 22, 129), (22, 22, 129), (22, 22, 45)]
    assert boxes[2].chunks() == {(z, y, x) for z in (4,) for y in (0, 1) for x in (0, 1)}


def test_ratios_are_of_runs_of_the_same_turn() -> None:
    mine = Runs([Sample(1, 1), Sample(2, 4), Sample(1, 2)])
    theirs = Runs([Sample(6, 10), Sample(8, 20), Sample(3, 4)])
    assert mine.times_faster(theirs) == Spread(4, 3, 6)
    assert mine.times_faster(theirs, cpu=True) == Spread(5, 2, 10)
    assert mine.rate(8) == Spread(4, 2, 8)


@pytest.mark.parametrize(
    ("at_most", "median", "met"),
    [(False, 6.0, True), (False, 5.9, False), (True, 6.0, True), (True, 6.1, False)],
)
def test_a_floor_is_met_or_missed_by_its_median(at_most: bool, median: float, met: bool) -> None:
    assert Floor("it", Spread(median, 1, 100), 6, at_most=at_most).met is met
