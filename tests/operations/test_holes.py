"""No hole in what comes home, at any distance between slices, and nothing that was not drawn.

The truth is brute force: distances of all voxels to a centre line made from closed forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from numpy.typing import NDArray
from oracles import LiteralMap
from oracles.precomputed import write_by_hand
from oracles.tubes import CentreLine, helix_line, s_curve_line, trefoil_line, tube_truth

from napari_ouroboros import Straightening, Trace, backproject, open_volume
from napari_ouroboros.geometry import Grid
from napari_ouroboros.geometry.touched import touched_chunks
from napari_ouroboros.operations.gather import Block, Gatherer, LabelGrid

RADIUS = 20  # of the tube, in voxels of the finest axis
BEND = 0.7  # largest curvature x radius
CHUNK = (64, 64, 64)


@dataclass(frozen=True)
class Tube:
    """A centre line in a grid of anisotropic voxels, and how far every voxel is from it."""

    line: CentreLine  # as traced
    drawn: CentreLine  # up to the last slice, which is the same one at every spacing
    grid: Grid
    distance: NDArray[np.float64]
    overhang: NDArray[np.float64]

    @property
    def finest(self) -> float:
        return float(min(self.grid.resolution))


def grid_between(low: NDArray, high: NDArray, resolution: tuple[float, float, float]) -> Grid:
    """The grid from corner to corner, both zyx in voxels."""
    shape = tuple((high - low).astype(int).tolist())
    return Grid(shape, resolution, tuple(low.astype(int).tolist()))


@cache
def tube(name: str) -> Tube:
    resolution = {"helix": (40.0, 16.0, 16.0), "s": (8.0, 8.0, 40.0), "trefoil": (40.0, 8.0, 8.0)}[
        name
    ]
    h = min(resolution)
    bend = BEND / (RADIUS * h)
    line = {
        "helix": lambda: helix_line(bend, 1.1),
        "s": lambda: s_curve_line(bend, 2.4),
        "trefoil": lambda: trefoil_line(bend),
    }[name]()
    drawn = line
    if not line.closed:
        # Slices at 1, 2, 3 and 5 voxels all have one at a multiple of 30; 1 % of a voxel remains.
        whole = np.floor(line.length / (30 * h)) * 30 * h
        line, drawn = line.shortened(whole + 0.01 * h), line.shortened(whole)
    reach = np.sqrt(2) * (RADIUS + 2) * h
    way = drawn.at(np.linspace(0, drawn.length, 2000))
    low = np.floor((way.min(0) - reach) / resolution) - 1
    high = np.ceil((way.max(0) + reach) / resolution) + 1
    grid = grid_between(low, high, resolution)
    truth = tube_truth(drawn, grid.shape, resolution, grid.voxel_offset, reach, h / 20)
    return Tube(line, drawn, grid, *truth)


def straightening(tube: Tube, spacing: float) -> Straightening:
    """Slices that reach one voxel beyond the tube: chords leave the curve by less (see below)."""
    size = 2 * RADIUS + 2
    points = tube.line.points(0.02 * RADIUS * tube.finest)
    trace = Trace(points, closed=tube.line.closed)
    return Straightening(trace, size, size, tube.finest, spacing * tube.finest)


def painted(map_: Straightening, shape: str) -> NDArray[np.uint8]:
    labels = np.ones(map_.shape, np.uint8)
    if shape == "disc":
        away = np.arange(map_.width) - 0.5 * (map_.width - 1)
        labels[:, np.hypot(away, away[:, None]) > disc_radius()] = 0
    return labels


def disc_radius() -> float:
    """Of the drawn disc, in voxels: no sample within the tube's radius rounds to one outside."""
    return RADIUS + 1.0


def gathered(map_: Straightening, grid: Grid, labels: NDArray, chunk=CHUNK) -> Block:
    """The labels of all touched chunks, put together."""
    gatherer = Gatherer(map_, grid, LabelGrid.of(labels, map_))
    out = Block(
        np.zeros(grid.shape, labels.dtype), np.full(grid.shape, np.inf), np.zeros(grid.shape, "u1")
    )
    for index, segments in touched_chunks(map_, grid, chunk):
        part = gatherer.block(index, chunk, segments)
        box = tuple(
            slice(i * c, i * c + n) for i, c, n in zip(index, chunk, part.labels.shape, strict=True)
        )
        out.labels[box], out.distance[box], out.claims[box] = (
            part.labels, part.distance, part.claims,
        )  # fmt: skip
    return out


def expect_no_hole(tube: Tube, map_: Straightening, labels: NDArray, drawn: str) -> None:
    """Everything in the tube is labelled, nothing beyond what was drawn."""
    h, d = tube.finest, map_.spacing_nm
    half = np.abs(tube.overhang) - 0.5 * d
    # The spline's tangents at the ends are those of the closed forms to about 1e-5.
    plane = 1e-3 * h
    inside = (tube.distance <= RADIUS * h) & (half < -plane)
    assert inside.sum() > 20_000
    holes = np.argwhere(inside & (labels == 0))
    assert len(holes) == 0, f"{len(holes)} of {inside.sum()} voxels, e.g. {holes[:3].tolist()}"
    # A chord leaves its arc by kappa d^2 / 8, a sample lies within half a pixel's diagonal.
    chord = BEND / (RADIUS * h) * d**2 / 8
    assert chord < 0.12 * h
    limit = {"disc": (disc_radius() + np.sqrt(0.5)) * h, "rectangle": map_.reach_nm}[drawn]
    invented = (labels != 0) & ((tube.distance > limit + chord + 0.05 * h) | (half > plane))
    assert not invented.any(), f"{invented.sum()} voxels"


@pytest.mark.parametrize("drawn", ["disc", "rectangle"])
@pytest.mark.parametrize("spacing", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["helix", "s", "trefoil"])
def test_no_hole(name: str, spacing: float, drawn: str) -> None:
    made = tube(name)
    map_ = straightening(made, spacing)
    if not made.line.closed:
        assert map_.frames.s[-1] == pytest.approx(made.drawn.length, abs=1e-3)
        assert map_.remainder_nm == pytest.approx(0.01 * made.finest, abs=1e-3)
    expect_no_hole(made, map_, gathered(map_, made.grid, painted(map_, drawn)).labels, drawn)


@pytest.mark.parametrize(("name", "spacing"), [("helix", 5), ("s", 3), ("trefoil", 2)])
def test_no_hole_on_disk(name: str, spacing: float, tmp_path: Path) -> None:
    made = tube(name)
    grid = made.grid
    source = write_by_hand(
        tmp_path / "source", [np.zeros((1, *grid.shape), np.uint8)], chunk=(64, 128, 128),
        offsets=[grid.voxel_offset], resolutions=[grid.resolution],
    )  # fmt: skip
    map_ = straightening(made, spacing)
    report = backproject(
        painted(map_, "disc"), map_, tmp_path / "home", like=open_volume(source), threads=2
    )
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{tmp_path / 'home'}/"},
        }
    ).result()
    assert store.domain.inclusive_min[:3] == tuple(int(o) for o in grid.voxel_offset[::-1])
    home = store.read().result()[..., 0].transpose(2, 1, 0)
    expect_no_hole(made, map_, home, "disc")
    assert report.voxels_labelled == np.count_nonzero(home)


def test_the_remainder_of_an_open_trace_stays_empty() -> None:
    """2.4 voxels behind the last slice, 5 apart: labels end half a slice behind the last one."""
    h = 10.0
    line = helix_line(BEND / (RADIUS * h), 1.0)
    last = np.floor(line.length / (5 * h)) * 5 * h - 5 * h
    line, drawn = line.shortened(last + 4.9 * h), line.shortened(last)
    way = line.at(np.linspace(0, line.length, 500))
    resolution = (4 * h, h, h)
    low, high = np.floor(way.min(0) / resolution), np.ceil(way.max(0) / resolution)
    grid = grid_between(low - (9, 32, 32), high + (9, 32, 32), resolution)
    truth = tube_truth(
        drawn, grid.shape, grid.resolution, grid.voxel_offset, np.sqrt(2) * 22 * h, h / 20
    )
    made = Tube(line, drawn, grid, *truth)
    map_ = straightening(made, 5)
    assert map_.remainder_nm == pytest.approx(4.9 * h, abs=1e-3)
    expect_no_hole(made, map_, gathered(map_, grid, painted(map_, "rectangle")).labels, "rectangle")


# -- against the map, sentence by sentence --------------------------------------------------

MAPS = {
    # spacing in nm; voxels; the turn between slices is up to: 10, 20, 40 degrees
    "helix": (helix_line(1 / 90, 1.2), 15.0, (20.0, 8.0, 8.0)),
    "s": (s_curve_line(1 / 90, 1.5), 31.0, (8.0, 8.0, 20.0)),
    "trefoil": (trefoil_line(1 / 90), 63.0, (8.0, 30.0, 8.0)),
}


@cache
def small(name: str) -> tuple[Straightening, Grid]:
    """A map that folds (reach 142 nm, bends of 90), in a grid that cuts the tube off in parts."""
    line, spacing, resolution = MAPS[name]
    map_ = Straightening(Trace(line.points(10.0), closed=line.closed), 22, 18, 10.0, spacing)
    way = line.at(np.linspace(0, line.length, 500))
    low = np.floor(way.min(0) / resolution) - 3
    high = np.ceil(way.max(0) / resolution) + 3
    return map_, grid_between(low, high, resolution)


def literal(map_: Straightening) -> LiteralMap:
    f = map_.frames
    return LiteralMap(
        f.c, f.N, f.B, f.T, map_.shape, map_.pitch_nm, map_.spacing_nm, map_.trace.closed
    )


def numbered(map_: Straightening) -> NDArray[np.uint32]:
    """Labels that tell every sample from every other."""
    return np.arange(1, np.prod(map_.shape) + 1, dtype=np.uint32).reshape(map_.shape)


@pytest.mark.parametrize("name", MAPS)
def test_every_voxel_gets_the_sample_of_the_literal_map(name: str) -> None:
    map_, grid = small(name)
    labels = numbered(map_)
    block = gathered(map_, grid, labels, (24, 24, 24))
    voxels = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    pick = np.random.default_rng(4).permutation(len(voxels))[:20_000]
    at = voxels[pick]
    truth = literal(map_).to_straightened(grid.to_nm(at))
    claimed = np.isfinite(truth.index[:, 0])
    index = np.floor(np.where(claimed[:, None], truth.index, 0) + 0.5).astype(int)
    expected = np.where(claimed, labels[tuple(index.T)], 0)
    # Rounding may decide otherwise where the answer is about to change.
    between = np.abs(truth.index + 0.5 - np.round(truth.index + 0.5)).min(1)
    sure = (truth.margin > 1e-6) & ~(between <= 1e-6)
    assert sure.mean() > 0.995
    assert claimed[sure].mean() > 0.1
    assert truth.contested[sure].any()
    got = block.labels[tuple(at.T)]
    np.testing.assert_array_equal(got[sure], expected[sure])
    claims = block.claims[tuple(at.T)]
    np.testing.assert_array_equal((claims > 1)[sure], truth.contested[sure])
    np.testing.assert_array_equal((claims > 0)[sure], claimed[sure])
    mine = sure & claimed
    np.testing.assert_allclose(
        np.sqrt(block.distance[tuple(at.T)][mine]), truth.distance[mine], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("chunk", [(8, 8, 8), (5, 16, 11)], ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_no_chunk_and_no_segment_is_missed(name: str, chunk: tuple[int, int, int]) -> None:
    """Every chunk of the grid asked about every segment gives what the touched ones give."""
    map_, grid = small(name)
    labels = numbered(map_)
    gatherer = Gatherer(map_, grid, LabelGrid.of(labels, map_))
    n = len(map_.planes) - 1
    everything = np.arange(n) if map_.trace.closed else np.arange(-1, n + 1)
    touched = dict(touched_chunks(map_, grid, chunk))
    needed = 0
    for index in product(*(range(-(-a // c)) for a, c in zip(grid.shape, chunk, strict=True))):
        whole = gatherer.block(index, chunk, everything)
        needed += bool(whole.claims.any())
        if index not in touched:
            assert not whole.claims.any(), f"chunk {index} is missed"
            continue
        part = gatherer.block(index, chunk, touched[index])
        np.testing.assert_array_equal(part.labels, whole.labels)
        np.testing.assert_array_equal(part.claims, whole.claims)
        np.testing.assert_array_equal(part.distance, whole.distance)
    assert needed > 15
    # Tight as well: the cost follows the tube.
    assert len(touched) < 2.5 * needed
