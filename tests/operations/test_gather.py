"""Labels that were predicted are those of the exact map: on any trace, on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import Helix, LiteralMap
from random_maps import around, maps

from napari_ouroboros.geometry import Grid, Straightening, Trace
from napari_ouroboros.geometry.touched import TouchedChunk, touched_chunks
from napari_ouroboros.operations.gather import Block, Gatherer, LabelGrid
from napari_ouroboros.operations.merge import merge, touched_blocks

Floats = NDArray[np.float64]
FEW = settings(deadline=None, max_examples=25, derandomize=True)


@st.composite
def label_grids(draw: st.DrawFn, map_: Straightening) -> LabelGrid:
    """Labels that tell every sample from every other: whole, on another grid, or a crop."""
    shape, scale, offset = map_.shape, None, None
    kind = draw(st.sampled_from(["whole", "scaled", "crop"]))
    if kind == "scaled":
        scale = [draw(st.sampled_from([0.5, 1.0, 1.7])) for _ in range(3)]
        shape = tuple(max(1, int(np.floor(n * f + 0.5))) for n, f in zip(shape, scale, strict=True))
        scale = [m / n for m, n in zip(shape, map_.shape, strict=True)]
    elif kind == "crop":
        offset = tuple(n // 3 for n in shape)
        shape = tuple(n - n // 2 for n in shape)
    labels = np.arange(1, np.prod(shape) + 1, dtype=np.uint32).reshape(shape)
    return LabelGrid.of(labels, map_, scale=scale, offset=offset)


def some(touched: list[TouchedChunk], n: int) -> list[TouchedChunk]:
    return [touched[i] for i in np.unique(np.linspace(0, len(touched) - 1, n).astype(int))]


def centres(grid: Grid, index: tuple[int, int, int], chunk: int, shape: tuple[int, ...]) -> Floats:
    """Of all voxels of a chunk, as the kernel adds them up: to the last bit."""
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return grid.to_nm(np.array(index) * chunk) + voxels * np.asarray(grid.resolution)


def labels_at(labels: LabelGrid, index: Floats) -> NDArray[np.uint64]:
    """The contract's sentence: label index i' is recipe index (i' + 1/2) / f - 1/2 + offset."""
    at = np.floor((index - labels.offset + 0.5) * labels.scale)
    known = np.isfinite(index[..., 0]) & np.all((at >= 0) & (at < labels.shape), -1)
    at = np.where(known[..., None], at, 0).astype(int)
    return np.where(known, labels.stack.read(0, labels.shape[0])[tuple(np.moveaxis(at, -1, 0))], 0)


def expect_the_same(fast: Block, slow: Block) -> None:
    np.testing.assert_array_equal(fast.labels, slow.labels)
    np.testing.assert_array_equal(fast.claims, slow.claims)
    assert fast.distance.size == 0
    assert slow.distance.shape == slow.labels.shape


@FEW
@given(
    data=st.data(),
    map_=maps(),
    resolution=st.sampled_from([(8.0, 8.0, 8.0), (20.0, 7.0, 9.0), (6.0, 10.0, 33.0)]),
    chunk=st.sampled_from([12, 30]),
)
def test_every_voxel_gets_what_locate_says(
    data: st.DataObject,
    map_: Straightening,
    resolution: tuple[float, float, float],
    chunk: int,
) -> None:
    grid = around(map_, resolution)
    labels = data.draw(label_grids(map_))
    gatherer = Gatherer(map_, grid, labels)
    claimed = 0
    for index, segments in some(touched_chunks(map_, grid, (chunk,) * 3), 5):
        fast = gatherer.block(index, (chunk,) * 3, segments, distances=False)
        slow = gatherer.block(index, (chunk,) * 3, segments)
        expect_the_same(fast, slow)
        x = centres(grid, index, chunk, fast.labels.shape)
        found, contested = map_.locate(x)
        inside = np.isfinite(found[..., 0])
        np.testing.assert_array_equal(fast.claims > 0, inside)
        np.testing.assert_array_equal(fast.claims > 1, contested)
        np.testing.assert_array_equal(fast.labels, labels_at(labels, found))
        # Distance from the centre line is distance in the slice.
        v, u = ((found[inside] - (np.array(map_.shape) - 1) / 2) * map_.pitch_nm)[:, 1:].T
        np.testing.assert_allclose(np.sqrt(slow.distance[inside]), np.hypot(u, v), atol=1e-5)
        assert np.isinf(slow.distance[~inside]).all()
        claimed += int(inside.sum())
    assert claimed > 0 or min(map_.width, map_.height) * map_.pitch_nm < 2 * max(resolution)


@settings(FEW, max_examples=10)
@given(map_=maps(), resolution=st.sampled_from([(8.0, 8.0, 8.0), (6.0, 10.0, 33.0)]))
def test_every_voxel_gets_what_the_literal_map_says(
    map_: Straightening, resolution: tuple[float, float, float]
) -> None:
    """The oracle solves its equations by bisection and asks every segment."""
    f = map_.frames
    literal = LiteralMap(
        f.c, f.N, f.B, f.T, map_.shape, map_.pitch_nm, map_.spacing_nm, map_.trace.closed
    )
    grid = around(map_, resolution)
    labels = LabelGrid.of(
        np.arange(1, np.prod(map_.shape) + 1, dtype=np.uint64).reshape(map_.shape), map_
    )
    rng = np.random.default_rng(0)
    for index, segments in some(touched_chunks(map_, grid, (24,) * 3), 3):
        block = Gatherer(map_, grid, labels).block(index, (24,) * 3, segments, distances=False)
        x = centres(grid, index, 24, block.labels.shape).reshape(-1, 3)
        pick = rng.permutation(len(x))[:400]
        truth = literal.to_straightened(x[pick])
        # Rounding may decide otherwise where the answer is about to change.
        rim = np.abs(truth.index + 0.5 - np.round(truth.index + 0.5)).min(1)
        clear = (truth.margin > 1e-6) & ~(rim <= 1e-6)
        assert clear.mean() > 0.98
        np.testing.assert_array_equal(
            block.labels.reshape(-1)[pick][clear], labels_at(labels, truth.index)[clear]
        )
        contested = block.claims.reshape(-1)[pick] > 1
        np.testing.assert_array_equal(contested[clear], truth.contested[clear])


@settings(FEW, max_examples=12)
@given(map_=maps(), seed=st.integers(0, 1000))
def test_voxels_of_the_tube_lie_in_touched_chunks(map_: Straightening, seed: int) -> None:
    """Above all those at the corners of slices: the rim of every ball and box around them."""
    rng = np.random.default_rng(seed)
    inside = rng.uniform(-0.5, np.array(map_.shape) - 0.5, (1000, 3))
    corners = rng.integers(0, 2, (1000, 2)) * np.array(map_.shape[1:]) - 0.5
    inside[:, 1:] = corners + (0.5 - (corners > 0)) * rng.uniform(0, 0.2, corners.shape)
    chunk = (2, 2, 2)
    grid = around(map_, (12.0, 12.0, 12.0))
    touched = touched_chunks(map_, grid, chunk)
    voxels = np.round(grid.to_index(map_.to_volume(inside))).astype(int)
    at_home = np.isfinite(map_.locate(grid.to_nm(voxels))[0][:, 0])
    known = {(item.chunk, k) for item in touched for k in item.segments.tolist()}
    segment = np.floor(map_.to_straightened(grid.to_nm(voxels))[at_home, 0])
    if map_.trace.closed:
        segment %= len(map_.frames)
    for voxel, k in zip(voxels[at_home].tolist(), segment.tolist(), strict=True):
        assert (tuple(i // 2 for i in voxel), int(k)) in known


@settings(FEW, max_examples=25)
@given(map_=maps())
def test_models_of_groups_err_by_less_than_they_say(map_: Straightening) -> None:
    """Samples of every group's slices: index, u and v as predicted, within the group's limits."""
    groups = map_.groups
    n = len(map_.planes) - 1
    assert groups.spans[0, 0] == 0
    assert groups.spans[-1, 1] == n
    np.testing.assert_array_equal(groups.spans[1:, 0], groups.spans[:-1, 1])
    rng = np.random.default_rng(0)
    s = rng.uniform(0, n, 4000)
    u = (rng.uniform(size=s.size) - 0.5) * map_.width * map_.pitch_nm
    v = (rng.uniform(size=s.size) - 0.5) * map_.height * map_.pitch_nm
    row = v / map_.pitch_nm + 0.5 * (map_.height - 1)
    column = u / map_.pitch_nm + 0.5 * (map_.width - 1)
    x = map_.to_volume(np.stack([s, row, column], 1))
    g = groups.of_segment[np.floor(s).astype(int)]
    away = x - groups.balls[g, :3]
    assert (np.sum(away**2, 1) <= groups.balls[g, 3]).all()
    first, change, bend = (
        np.sum(groups.forms[g, i::3, :3] * away[:, None], 2) + groups.forms[g, i::3, 3]
        for i in range(3)
    )
    good = -change[:, 0] >= groups.limits[g, 0]
    first, change, bend = first[good], change[good], bend[good]
    limits, spans = groups.limits[g[good]], groups.spans[g[good]]
    t = -first[:, 0] / change[:, 0]
    t = t - t * (1 - t) * bend[:, 0] / change[:, 0]
    size = spans[:, 1] - spans[:, 0]
    assert (np.abs(spans[:, 0] + t * size - s[good]) <= limits[:, 1]).all()
    at = first + t[:, None] * change + (t * (1 - t))[:, None] * bend
    assert (np.abs(at[:, 1] - u[good]) <= limits[:, 2]).all()
    assert (np.abs(at[:, 2] - v[good]) <= limits[:, 3]).all()
    middle = first + 0.5 * change
    assert (np.abs(middle[:, 1] - u[good]) <= limits[:, 4]).all()
    assert (np.abs(middle[:, 2] - v[good]) <= limits[:, 5]).all()
    everywhere = groups.limits[:, 6] == 1
    assert good[everywhere[g]].all()


def test_a_gentle_curve_is_predicted_nearly_everywhere() -> None:
    """Or the tests above compare the exact answer with itself."""
    helix = Helix(350.0, 230.0)
    map_ = Straightening(Trace(helix.position(np.linspace(0, 2, 80))), 100, 100, 1.0, 1.0)
    sizes = np.diff(map_.groups.spans, axis=1)[:, 0]
    limits = map_.groups.limits[sizes >= 8]
    assert sizes[sizes >= 8].sum() > 0.95 * len(map_.groups.of_segment)
    assert (limits[:, 6] == 1).all()
    in_doubt = 2 * limits[:, 1:4].sum(1)
    assert in_doubt.max() < 0.05


@pytest.mark.parametrize("size", [20, 21])
@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 3, 4)])
def test_voxels_on_the_rims_of_samples(direction: tuple[int, int, int], size: int) -> None:
    """Centres exactly between two samples, and on planes: no prediction can be sure of those."""
    way = np.array(direction) / np.linalg.norm(direction)
    start = np.array([30.5, 30.5, 30.5]) - 24 * way
    for shift in (0.0, 0.5):
        map_ = Straightening(Trace([start + shift, start + 48 * way + shift]), size, size, 1.0, 1.0)
        grid = Grid((61, 61, 61), (1.0, 1.0, 1.0), (0, 0, 0))
        labels = np.arange(1, np.prod(map_.shape) + 1, dtype=np.uint16).reshape(map_.shape)
        expect_located(map_, grid, 31, LabelGrid.of(labels, map_))


def test_the_last_bit_between_two_samples_is_that_of_locate() -> None:
    """A bend on a lattice: rounding decides for some voxels, and must do so in one way."""
    points = [[9, 0, -8], [-7, 0, 5], [5, 0, -9], [-2, 0, 2]]
    for resolution in ((1.0, 1.0, 1.0), (8.0, 8.0, 8.0)):
        unit = resolution[0]
        map_ = Straightening(Trace(np.array(points) * unit), 2, 25, unit, 0.5 * unit)
        labels = np.arange(1, np.prod(map_.shape) + 1, dtype=np.uint32).reshape(map_.shape)
        expect_located(map_, around(map_, resolution), 30, LabelGrid.of(labels, map_))


def expect_located(
    map_: Straightening, grid: Grid, chunk: int, labels: LabelGrid
) -> NDArray[np.int64]:
    """All chunks of a map against `locate`; the claims of all of them, added up."""
    gatherer = Gatherer(map_, grid, labels)
    claims = np.zeros(256, np.int64)
    for index, segments in touched_chunks(map_, grid, (chunk,) * 3):
        fast = gatherer.block(index, (chunk,) * 3, segments, distances=False)
        found, contested = map_.locate(centres(grid, index, chunk, fast.labels.shape))
        np.testing.assert_array_equal(fast.claims > 0, np.isfinite(found[..., 0]))
        np.testing.assert_array_equal(fast.claims > 1, contested)
        np.testing.assert_array_equal(fast.labels, labels_at(labels, found))
        np.testing.assert_array_equal(fast.labels > 0, fast.claims > 0)
        claims += np.bincount(fast.claims.ravel(), minlength=256)
    return claims


def test_two_sure_claims_are_compared_exactly() -> None:
    """A track of two long straight limbs, 90 nm apart, in slices that reach 120 nm."""
    turn = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 7)
    end = np.stack([600 + 45 * np.cos(turn), 45 * np.sin(turn), 0 * turn], 1)
    way = np.concatenate([end, [[300, 45, 3]], end * [-1, -1, 1], [[-300, -45, -3]]])
    map_ = Straightening(Trace(way + 2000.0, closed=True), 24, 24, 10.0, 10.0)
    assert np.isfinite(map_.groups.limits[:, 0]).mean() > 0.5
    labels = np.arange(1, np.prod(map_.shape) + 1, dtype=np.uint32).reshape(map_.shape)
    claims = expect_located(map_, around(map_, (9.0, 9.5, 10.0)), 40, LabelGrid.of(labels, map_))
    assert claims[2] > 10_000


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_the_seam_of_a_closed_map(scale: float) -> None:
    """The last half of the last slice's segment is the first slice's, also where models hold."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = 320 * np.stack([0 * angle, np.sin(angle), np.cos(angle)], 1) + 3333.3
    map_ = Straightening(Trace(ring, closed=True), 20, 20, 10.0, 2 * np.pi * 320 / 192)
    assert len(map_.frames) == 192
    assert np.isfinite(map_.groups.limits[-1, 0])
    shape = tuple(int(np.floor(n * scale + 0.5)) for n in map_.shape)
    labels = np.arange(1, np.prod(shape) + 1, dtype=np.uint32).reshape(shape)
    grid = around(map_, (11.0, 7.0, 8.0))
    claims = expect_located(map_, grid, 40, LabelGrid.of(labels, map_, scale=(scale,) * 3))
    assert claims[1] > 10_000


def test_blocks_within_the_seam_know_the_first_slice() -> None:
    """Slices far apart, blocks so small that only the last segment reaches into some of them."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = 320 * np.stack([0 * angle, np.sin(angle), np.cos(angle)], 1) + 3333.3
    map_ = Straightening(Trace(ring, closed=True), 10, 10, 10.0, 2 * np.pi * 320 / 12)
    labels = np.arange(1, np.prod(map_.shape) + 1, dtype=np.uint16).reshape(map_.shape)
    grid = around(map_, (9.0, 9.0, 9.0))
    expect_located(map_, grid, 5, LabelGrid.of(labels, map_))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_half_slices_at_the_ends(scale: float) -> None:
    """Beyond the first and the last plane the index goes on: finer labels tell where."""
    map_ = Straightening(Trace([[100.0, 100, 100], [160, 130, 140]]), 9, 8, 5.0, 24.0)
    shape = tuple(round(n * scale) for n in map_.shape)
    labels = np.arange(1, np.prod(shape) + 1, dtype=np.uint16).reshape(shape)
    grid = around(map_, (3.0, 3.0, 3.0))
    # With room for the half slices.
    low = tuple(n - 6 for n in grid.voxel_offset)
    wider = Grid(tuple(n + 12 for n in grid.shape), grid.resolution, low)
    taken = LabelGrid.of(labels, map_, scale=(scale,) * 3)
    claims = expect_located(map_, wider, 20, taken)
    assert claims[1] > 1000


def test_of_two_traces_on_one_line_the_first_wins() -> None:
    """Equally near everywhere; where it has no label, the second one's counts."""
    map_ = Straightening(Trace([[20.0, 60, 60], [100, 60, 60]]), 11, 11, 4.0, 4.0)
    grid = Grid((30, 30, 30), (4.0, 4.0, 4.0))
    first = np.full(map_.shape, 7, np.uint8)
    first[:, :4] = 0
    gatherers = [
        Gatherer(map_, grid, LabelGrid.of(labels, map_))
        for labels in (first, np.full(map_.shape, 900, np.uint16))
    ]
    ((index, parts),) = touched_blocks(gatherers, (30, 30, 30))
    merged, alone = (g.block(index, (30,) * 3, parts[i]) for i, g in enumerate(gatherers))
    labelled = np.count_nonzero(merged.labels)
    assert merge(merged, alone) == labelled > 1000
    assert merged.labels.dtype == np.uint16
    assert np.count_nonzero(merged.labels == 7) == labelled
    np.testing.assert_array_equal(merged.labels > 0, alone.labels > 0)


def test_one_claim_after_another_in_the_same_room() -> None:
    """What a block leaves in a thread's scratch must not reach the next one."""
    helix = Helix(60.0, 25.0)  # turns 157 apart, slices that reach 156: contested between turns
    map_ = Straightening(Trace(helix.position(np.linspace(0, 9, 200))), 55, 55, 4.0, 4.0)
    grid = around(map_, (5.0, 5.0, 5.0))
    labels = LabelGrid.of(np.ones(map_.shape, np.uint8), map_)
    chunk = (24, 24, 24)
    gatherer = Gatherer(map_, grid, labels)
    contested = 0
    for distances in (True, False, False):
        for index, segments in some(touched_chunks(map_, grid, chunk), 12):
            used = gatherer.block(index, chunk, segments, distances=distances)
            fresh = Gatherer(map_, grid, labels).block(index, chunk, segments)
            np.testing.assert_array_equal(used.labels, fresh.labels)
            np.testing.assert_array_equal(used.claims, fresh.claims)
            contested += int((used.claims > 1).sum())
    assert contested > 1000
