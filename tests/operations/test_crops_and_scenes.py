"""Straight traces are crops; one scene looks the same from any voxels; left stays left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from numpy.typing import NDArray
from oracles import Helix, cross_zyx
from oracles.precomputed import write_by_hand

from napari_ouroboros import Straightening, Trace, backproject, open_volume, straighten
from napari_ouroboros.geometry import Grid

# direction of the trace, N (columns), B (rows), zyx: by hand from N = +x (+y along x), B = T x N
AXES = {
    "+z": ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "-z": ((-1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "+x": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "-x": ((0, 0, -1), (0, 1, 0), (-1, 0, 0)),
    "+y": ((0, 1, 0), (0, 0, 1), (-1, 0, 0)),
    "-y": ((0, -1, 0), (0, 0, 1), (1, 0, 0)),
}
OFFSET = (100, -7, 2000)


def written(folder: Path, array: NDArray, resolution: tuple[float, ...]) -> Path:
    return write_by_hand(
        folder, [array[None]], chunk=(8, 11, 16), offsets=[OFFSET], resolutions=[resolution]
    )


@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize("size", [(7, 5), (8, 6), (7, 6)], ids=["odd", "even", "mixed"])
@pytest.mark.parametrize(("name", "z"), [(n, 8.0) for n in AXES] + [("+z", 40.0), ("-z", 40.0)])
def test_a_straight_trace_gives_the_crop(
    name: str, z: float, size: tuple[int, int], method: str, tmp_path: Path
) -> None:
    array = np.random.default_rng(2).integers(0, 256, (30, 32, 34), np.uint8)
    volume = open_volume(written(tmp_path / "v", array, (z, 8.0, 8.0)))
    width, height = size
    t, n, b = (np.array(a) for a in AXES[name])
    # Odd sizes through the centres of voxels, even ones through the corners between them.
    half = n * (0.5 if width % 2 == 0 else 0) + b * (0.5 if height % 2 == 0 else 0)
    ends = np.array([15, 16, 17]) + half + np.outer([-9, 9], t)
    trace = Trace(volume.levels[0].to_nm(ends))
    got = straighten(
        volume, Straightening(trace, width, height, 8.0, z), interpolation=method
    ).compute()
    first = ends[0] - half - n * ((width - 1) // 2) - b * ((height - 1) // 2)
    k, row, column = np.meshgrid(*map(np.arange, (19, height, width)), indexing="ij")
    voxel = first.astype(int) + k[..., None] * t + row[..., None] * b + column[..., None] * n
    np.testing.assert_array_equal(got, array[tuple(np.moveaxis(voxel, -1, 0))])
    if name == "+z" and size == (7, 5):  # and said without formulas
        np.testing.assert_array_equal(got, array[6:25, 14:19, 14:21])


# -- one scene, several grids -----------------------------------------------------------------

WAVE = 2 * np.pi / 3000.0
DIRECTIONS = np.array([[0.9, 0.3, -0.2], [-0.1, 0.8, 0.5], [0.4, -0.3, 0.9]])
PHASES = np.array([0.3, 1.1, 2.0])


def scene(places: NDArray) -> NDArray:
    """A smooth function of the place in nm: three plane waves of 3 um."""
    return np.sin(WAVE * (places @ DIRECTIONS.T) + PHASES).sum(-1)


def gradient(places: NDArray) -> NDArray:
    return WAVE * np.cos(WAVE * (places @ DIRECTIONS.T) + PHASES) @ DIRECTIONS


def linear_error(resolution: NDArray) -> float:
    """The most that linear interpolation is off: h^2 / 8 of the second derivative, axis by axis."""
    second = WAVE**2 * (DIRECTIONS**2).sum(0)
    return float((np.asarray(resolution) ** 2 / 8 * second).sum())


def painted(grid: Grid, what: Callable[[NDArray], NDArray] = scene) -> NDArray[np.float32]:
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    return what(grid.to_nm(index)).astype(np.float32)


def levels_of(folder: Path, *grids: Grid, what: list[Callable] | None = None) -> Path:
    return write_by_hand(
        folder, [painted(g, f)[None] for g, f in zip(grids, what or [scene] * 9, strict=False)],
        chunk=(32, 32, 32), offsets=[g.voxel_offset for g in grids],
        resolutions=[g.resolution for g in grids],
    )  # fmt: skip


@pytest.fixture(scope="module")
def bend() -> Straightening:
    """An arc of 500 nm radius that rises by 360 nm, in the box that all scenes cover."""
    t = np.linspace(0, 1.2, 60)
    points = Helix(500.0, 300.0).position(t) + [2100, 620, 1050]
    return Straightening(Trace(points), 30, 26, 7.0, 13.0)


# The same place: z from 2000 to 2640, y 560 to 1280, x 960 to 1680 nm.
ISOTROPIC = Grid((80, 90, 90), (8.0, 8.0, 8.0), (250, 70, 120))
COARSE_Z = Grid((16, 90, 90), (40.0, 8.0, 8.0), (50, 70, 120))


def places(map_: Straightening) -> NDArray:
    index = np.stack(np.meshgrid(*map(np.arange, map_.shape), indexing="ij"), -1)
    return map_.to_volume(index)


def test_the_same_scene_from_any_voxels(bend: Straightening, tmp_path: Path) -> None:
    at = places(bend)
    inside = np.ones(bend.shape, bool)
    found = []
    for i, grid in enumerate((ISOTROPIC, COARSE_Z)):
        got = straighten(open_volume(levels_of(tmp_path / f"{i}", grid)), bend).compute()
        # Half a voxel at the faces is clamped, not interpolated.
        index = grid.to_index(at)
        inside &= np.all((index >= 0) & (index <= np.array(grid.shape) - 1), -1)
        found.append(got)
    assert inside.mean() > 0.9
    for got, grid in zip(found, (ISOTROPIC, COARSE_Z), strict=True):
        error = np.abs(got - scene(at))[inside].max()
        assert error < linear_error(np.array(grid.resolution)) + 1e-6
    both = linear_error(np.array((8.0, 8, 8))) + linear_error(np.array((40.0, 8, 8)))
    assert np.abs(found[0] - found[1])[inside].max() < both + 1e-6
    assert both < 0.002


def moved(fine: NDArray, coarse: NDArray, at: NDArray, inside: NDArray) -> NDArray:
    """By how many nm (zyx) one picture lies beside the other, by least squares."""
    return np.linalg.lstsq(gradient(at)[inside], (fine - coarse)[inside], rcond=None)[0]


@pytest.mark.parametrize("shift", [0.0, 0.1], ids=["true", "a tenth of a voxel off"])
def test_mips_lie_on_each_other(bend: Straightening, shift: float, tmp_path: Path) -> None:
    """2 x 2 x 1, the second level on an offset of its own; the odd one begins a voxel earlier."""
    fine = Grid((80, 91, 90), (8.0, 8.0, 8.0), (250, 69, 120))
    coarse = Grid((80, 46, 45), (8.0, 16.0, 16.0), (250, 34, 60))

    def mean_of_four(voxel: NDArray) -> NDArray:
        voxel = voxel + [0, shift * 8, shift * 8]
        return sum(scene(voxel + [0, y, x]) for y in (-4, 4) for x in (-4, 4)) / 4

    volume = open_volume(levels_of(tmp_path / "v", fine, coarse, what=[scene, mean_of_four]))
    at = places(bend)
    index = coarse.to_index(at)
    inside = np.all((index >= 0) & (index <= np.array(coarse.shape) - 1), -1)
    pictures = [straighten(volume, bend, mip=mip).compute() for mip in (0, 1)]
    # Only the true one passes: the test feels a tenth of a voxel.
    off = moved(*pictures, at, inside) / 8.0
    assert inside.mean() > 0.9
    np.testing.assert_allclose(off, [0, -shift, -shift], atol=0.02)


# -- left and right ---------------------------------------------------------------------------


def read_home(folder: Path) -> NDArray:
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
        }
    ).result()
    return store.read().result()[..., 0].transpose(2, 1, 0)


@pytest.mark.parametrize("hand", [1, -1])
def test_a_thread_keeps_its_hand(hand: int, tmp_path: Path) -> None:
    """A right-handed screw about a helix is found where the closed-form frame has it, both ways."""
    helix = Helix(300.0, 150.0, hand)
    end = 2.2
    n = int(np.floor(helix.length(end) / 10.0))
    points = helix.position(np.linspace(0, helix.length(n * 10.0 + 1) / helix.speed**2, 400))
    map_ = Straightening(Trace(points), 21, 21, 10.0, 10.0)
    k = np.arange(map_.shape[0])
    t = k * 10.0 / helix.speed
    normal = helix.transported(t, np.array([0.0, 0.0, 1.0]))
    binormal = cross_zyx(helix.frenet(t)[0], normal)
    angle = k / 6.0  # turns N towards B, as a right-handed screw does
    u, v = 60 * np.cos(angle), 60 * np.sin(angle)
    thread = helix.position(t) + u[:, None] * normal + v[:, None] * binormal
    low = np.floor(points.min(0) / 10).astype(int) - 20
    shape = np.ceil(points.max(0) / 10).astype(int) + 20 - low
    grid = Grid(tuple(shape.tolist()), (10.0, 10.0, 10.0), tuple(low.tolist()))
    array = np.zeros(shape, np.uint8)
    for ball in np.ndindex(5, 5, 5):
        near = np.array(ball) - 2
        if near @ near <= 5:
            array[tuple((np.round(grid.to_index(thread)).astype(int) + near).T)] = 200
    source = write_by_hand(
        tmp_path / "v", [array[None]], chunk=(64, 64, 64), offsets=[grid.voxel_offset],
        resolutions=[grid.resolution],
    )  # fmt: skip
    volume = open_volume(source)
    straight = straighten(volume, map_, interpolation="nearest").compute()
    row, column = np.mgrid[:21, :21]
    for i in range(4, len(k) - 4):
        mass = straight[i] > 0
        assert mass.any()
        assert column[mass].mean() == pytest.approx(10 + u[i] / 10, abs=0.9)
        assert row[mass].mean() == pytest.approx(10 + v[i] / 10, abs=0.9)
    # And drawn there, it comes home to the same places.
    drawn = np.zeros(map_.shape, np.uint8)
    drawn[k, np.round(10 + v / 10).astype(int), np.round(10 + u / 10).astype(int)] = k % 200 + 1
    backproject(drawn, map_, tmp_path / "home", like=volume)
    home = read_home(tmp_path / "home")
    seen = 0
    for i in range(2, len(k) - 2):
        found = np.argwhere(home == i % 200 + 1)
        if len(found) and (k % 200 == i % 200).sum() == 1:
            assert np.linalg.norm(grid.to_nm(found) - thread[i], axis=1).max() < 10 * np.sqrt(3)
            seen += 1
    assert seen > 0.5 * len(k)


@pytest.mark.parametrize("direction", [(1, 0, 0), (-1, 0, 0), (0.3, -0.8, 0.5), (0, 0, 1)], ids=str)
def test_an_f_is_no_mirrored_f(direction: tuple[float, ...], tmp_path: Path) -> None:
    """Drawn with columns to the right and rows down, seen in the volume along growing slices."""
    letter = ["11112", "3....", "4555.", "6....", "7...."]
    drawn = np.zeros((7, 40, 40), np.uint8)
    for r, line in enumerate(letter):
        for c, mark in enumerate(line):
            if mark != ".":
                drawn[2:5, 5 + 6 * r : 11 + 6 * r, 5 + 6 * c : 11 + 6 * c] = int(mark)
    grid = Grid((70, 70, 70), (10.0, 10.0, 10.0), (3, 50, -20))
    along = np.array(direction) / np.linalg.norm(direction)
    middle = grid.to_nm((35, 35, 35))
    map_ = Straightening(Trace(middle + np.outer([-30.1, 30.1], along)), 40, 40, 10.0, 10.0)
    source = write_by_hand(
        tmp_path / "v", [np.zeros((1, *grid.shape), np.uint8)], chunk=(64, 64, 64),
        offsets=[grid.voxel_offset], resolutions=[grid.resolution],
    )  # fmt: skip
    backproject(drawn, map_, tmp_path / "home", like=open_volume(source))
    home = read_home(tmp_path / "home")
    # A screen of somebody who looks along the trace: right x down = forward, in xyz.
    right = np.array([0.0, 1, 0]) if abs(along[2]) > 0.9 else np.array([0.0, 0, 1])
    right = right - right @ along * along
    right /= np.linalg.norm(right)
    down = cross_zyx(along, right)
    assert cross_zyx(right, down) @ along == pytest.approx(1)
    on_paper, on_screen = [], []
    for mark in range(1, 8):
        on_paper.append(np.argwhere(drawn == mark).mean(0)[[2, 1]])
        at = (grid.to_nm(np.argwhere(home == mark)) - middle).mean(0)
        on_screen.append([at @ right, at @ down])
    paper = np.column_stack([on_paper, np.ones(7)])
    turn = np.linalg.lstsq(paper, np.array(on_screen), rcond=None)[0][:2]
    # A rotation by whatever angle, 10 nm a pixel; -1 would be a mirror.
    assert np.linalg.det(turn / 10) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(turn @ turn.T / 100, np.eye(2), atol=0.03)
