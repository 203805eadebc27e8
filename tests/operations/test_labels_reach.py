"""Which chunks a box of samples can reach, against every voxel's own sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Helix
from oracles.curves import Circle
from painted import ring
from random_maps import around, maps

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.labels_reach import LabelReach
from napari_ouroboros.volumes.level import Box, Level

FEW = settings(deadline=None, max_examples=60, derandomize=True)


def level_of(grid: Grid, chunk: int) -> Level:
    return Level(grid.shape, grid.resolution, grid.voxel_offset, chunk=(chunk,) * 3)


def truly_reached(map_: Straightening, level: Level, box: Box) -> set[tuple[int, ...]]:
    """Chunks of the voxels whose sample, by the map's own inverse, lies in the box."""
    voxels = np.stack(np.meshgrid(*map(np.arange, level.shape), indexing="ij"), -1).reshape(-1, 3)
    found = map_.to_straightened(level.to_nm(voxels))
    voxels, found = voxels[np.isfinite(found[:, 0])], found[np.isfinite(found[:, 0])]
    samples = np.floor(found + 0.5)
    samples = np.minimum(samples, np.array(map_.shape) - 1)
    low, high = np.array(box).T
    inside = np.all((samples >= low) & (samples < high), axis=1)
    return {tuple(i) for i in (voxels[inside] // level.chunk).tolist()}


@st.composite
def boxes(draw: st.DrawFn, shape: tuple[int, int, int]) -> Box:
    edges = []
    for n in shape:
        a = draw(st.integers(0, n - 1))
        edges.append((a, draw(st.integers(a + 1, min(n, a + 1 + n // 3)))))
    return edges[0], edges[1], edges[2]


@FEW
@given(
    data=st.data(),
    map_=maps(),
    resolution=st.sampled_from([(30.0, 30.0, 30.0), (60.0, 21.0, 27.0)]),
    chunk=st.sampled_from([2, 5]),
)
def test_no_chunk_that_a_sample_reaches_is_left_out(
    data: st.DataObject, map_: Straightening, resolution: Any, chunk: int
) -> None:
    grid = around(map_, resolution)
    level = level_of(grid, chunk)
    reach = LabelReach(map_, [level])
    some = [data.draw(boxes(map_.shape)) for _ in range(3)]
    found = [reach.chunks([box])[0] for box in some]
    for box, chunks in zip(some, found, strict=True):
        assert truly_reached(map_, level, box) <= chunks
    assert reach.chunks(some)[0] == set().union(*found)
    whole = tuple((0, n) for n in map_.shape)
    assert truly_reached(map_, level, (whole[0], whole[1], whole[2])) <= reach.chunks([whole])[0]


@pytest.mark.parametrize("map_", [ring(), Straightening(
    Trace(Helix(350.0, 230.0).position(np.linspace(0, 3, 60))), 60, 60, 8.0, 8.0
)], ids=["ring", "helix"])  # fmt: skip
def test_little_more_than_what_is_reached(map_: Straightening) -> None:
    """On gentle curves a dab means few chunks more than it has to."""
    level = level_of(around(map_, (8.0, 8.0, 8.0)), 8)
    reach = LabelReach(map_, [level])
    rng = np.random.default_rng(0)
    found = truly = 0
    for _ in range(6):
        k, r, c = (int(rng.integers(0, n - 6)) for n in map_.shape)
        box = (k, k + 4), (r, r + 6), (c, c + 6)
        chunks = reach.chunks([box])[0]
        truth = truly_reached(map_, level, box)
        assert truth <= chunks
        found, truly = found + len(chunks), truly + len(truth)
    assert truly > 6
    assert found <= 5 * truly


def test_what_bulges_between_slices_far_apart_is_reached() -> None:
    """Nine slices of a circle: between them the outer rim leaves its chords by some voxels."""
    points = Circle(100.0).points(40)
    map_ = Straightening(Trace(points, closed=True), 40, 40, 3.0, 2 * np.pi * 100 / 9)
    level = level_of(around(map_, (4.0, 4.0, 4.0)), 1)
    reach = LabelReach(map_, [level])
    for k in (0, 3):
        for c in (0, 38):
            box = (k, k + 1), (0, 40), (c, c + 2)
            assert truly_reached(map_, level, box) <= reach.chunks([box])[0]


def test_levels_and_boxes_beyond_the_labels() -> None:
    map_ = ring()
    n, rows, columns = map_.shape
    fine = level_of(around(map_, (6.0, 6.0, 6.0)), 16)
    coarse = level_of(around(map_, (12.0, 12.0, 12.0)), 16)
    both = LabelReach(map_, [fine, coarse])
    box = ((2, 5), (3, 20), (4, 9))
    assert both.chunks([box]) == (
        LabelReach(map_, [fine]).chunks([box])[0], LabelReach(map_, [coarse]).chunks([box])[0]
    )  # fmt: skip
    assert both.chunks([]) == (set(), set())
    assert both.chunks([((n, n + 3), (0, 5), (0, 5))]) == (set(), set())
    # What lies beyond the labels counts for nothing.
    wide = ((-4, 5), (-9, rows + 7), (-1, columns + 1))
    assert both.chunks([wide]) == both.chunks([((0, 5), (0, rows), (0, columns))])


def test_beyond_the_volume_there_are_no_chunks() -> None:
    map_ = ring()
    away = Level((30, 30, 30), (6.0,) * 3, (9000, 9000, 9000), chunk=(8, 8, 8))
    assert LabelReach(map_, [away]).chunks([((0, 9), (0, 9), (0, 9))]) == (set(),)
