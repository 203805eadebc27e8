"""The phantom against closed forms that its own code does not use."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.neuroglancer import read_state
from napari_ouroboros.operations.demo import phantom as module
from napari_ouroboros.operations.demo.phantom import Phantom, halve, make_phantom, write_phantom

SMALL = {
    "shape": (62, 161, 150),
    "resolution": (50.0, 20.0, 20.0),
    "voxel_offset": (7, 301, 1000),
    "radius_nm": 600.0,
}


@pytest.fixture(scope="module")
def small() -> Phantom:
    return make_phantom(**SMALL)


def centre_frames(phantom: Phantom, n: int = 4000) -> tuple[NDArray, ...]:
    """y, s, c, T, N, B (zyx) of the nerve by finite differences and numpy's cross product."""
    (_, y0, _), (_, y1, _) = phantom.grid.bounds_nm
    y = np.linspace(y0 - 2 * phantom.nerve.radius, y1 + 2 * phantom.nerve.radius, n)
    c = phantom.nerve.path.points(y)
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(c, axis=0), axis=1))])
    t = np.gradient(c, s, axis=0)
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    normal = np.array([1.0, 0, 0]) - t[:, :1] * t
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    b = np.cross(t[:, ::-1], normal[:, ::-1])[:, ::-1]
    return y, s, c, t, normal, b


def fascicle_axis(phantom: Phantom, number: int) -> tuple[NDArray, NDArray, NDArray]:
    """Arc length, and places (n, 3) of a fascicle's middle, and the nerve's tangent there."""
    _, s, c, t, n, b = centre_frames(phantom)
    fascicle = phantom.nerve.fascicles[number]
    turn = phantom.nerve.twist * s[:, None]
    u = fascicle.a * np.cos(turn) - fascicle.b * np.sin(turn)
    v = fascicle.a * np.sin(turn) + fascicle.b * np.cos(turn)
    return s, c + u * n + v * b, t


def test_same_seed_same_voxels(small: Phantom) -> None:
    def digest(phantom: Phantom) -> str:
        return hashlib.sha256(phantom.image.tobytes() + phantom.truth.tobytes()).hexdigest()

    assert digest(make_phantom(**SMALL)) == digest(small)
    other = make_phantom(**SMALL, seed=1)
    assert not np.array_equal(other.image, small.image)
    assert np.array_equal(other.fascicles, small.fascicles)


def test_ids_survive_no_detour(small: Phantom) -> None:
    assert small.truth.dtype == np.uint64
    assert set(np.unique(small.truth).tolist()) == {0, *small.ids.tolist()}
    assert len(set(small.ids.tolist())) >= 4
    for narrow in (np.int8, np.int16, np.int32, np.float32, np.float64):
        with np.errstate(invalid="ignore"):
            assert (small.ids.astype(narrow).astype(np.uint64) != small.ids).any(), narrow


def test_arc_length_and_nearest_point(small: Phantom) -> None:
    y, s, c, *_ = centre_frames(small, 40_000)
    rng = np.random.default_rng(0)
    index = np.argwhere(small.fascicles)[rng.choice(np.count_nonzero(small.fascicles), 500)]
    positions = small.grid.to_nm(index)
    distance, nearest = cKDTree(c).query(positions)
    tube = small.nerve.locate(*positions.T)
    np.testing.assert_allclose(tube.s, s[nearest], atol=0.5)
    np.testing.assert_allclose(np.hypot(tube.u, tube.v), distance, atol=0.05)
    np.testing.assert_allclose(small.nerve.path.nearest(*positions.T).y, y[nearest], atol=0.5)


@pytest.mark.parametrize("number", range(5))
def test_outline_encloses_pi_r_squared(small: Phantom, number: int) -> None:
    fascicle = small.nerve.fascicles[number]
    phi = np.linspace(0, 2 * np.pi, 20_001)
    for s in (0.0, 0.37 * small.nerve.length):
        far = 3 * fascicle.radius
        a, b = fascicle.a + far * np.cos(phi), fascicle.b + far * np.sin(phi)
        outline = far + fascicle.depth(np.full_like(phi, s), a, b)
        area = np.trapezoid(outline**2 / 2, phi)
        assert area == pytest.approx(np.pi * fascicle.radius**2, rel=1e-6)
        assert np.ptp(outline) > 0.05 * fascicle.radius  # it is no plain disc


@pytest.mark.parametrize("number", range(5))
def test_volume_is_pi_r_squared_times_length(small: Phantom, number: int) -> None:
    """Pappus: the area times the way of its centroid across the slices."""
    s, axis, tangent = fascicle_axis(small, number)
    _, _, c, *_ = centre_frames(small)
    positions = small.grid.to_nm(np.argwhere(small.fascicles == number + 1))
    at = s[cKDTree(c).query(positions)[1]]
    # A stretch whose slices lie in the volume as a whole.
    low, high = (small.grid.bounds_nm[i][1] for i in (0, 1))
    inside = (c[:, 1] > low + small.nerve.radius) & (c[:, 1] < high - small.nerve.radius)
    first, last = s[inside][0], s[inside][-1]
    counted = np.count_nonzero((at >= first) & (at < last)) * np.prod(small.resolution)
    way = np.einsum("ij,ij->i", np.gradient(axis, s, axis=0), tangent)
    length = np.trapezoid(way[inside], s[inside])
    radius = small.nerve.fascicles[number].radius
    assert counted == pytest.approx(np.pi * radius**2 * length, rel=0.02)


@pytest.mark.parametrize("number", range(5))
def test_fascicle_is_where_it_is_said_to_be(small: Phantom, number: int) -> None:
    _, axis, _ = fascicle_axis(small, number)
    axis = axis[small.grid.contains(axis)]
    assert len(axis) > 1000
    index = np.rint(small.grid.to_index(axis)).astype(int)
    assert (small.fascicles[tuple(index.T)] == number + 1).all()


def test_sheaths_are_dark_and_tissue_between_is_bright(small: Phantom) -> None:
    rng = np.random.default_rng(0)
    _, s, c, _, n, b = centre_frames(small)
    k = rng.integers(0, len(s), 20_000)
    rho, phi = rng.uniform(0, small.nerve.radius, 20_000), rng.uniform(0, 2 * np.pi, 20_000)
    u, v = rho * np.cos(phi), rho * np.sin(phi)
    positions = c[k] + u[:, None] * n[k] + v[:, None] * b[k]
    inside = small.grid.contains(positions)
    index = tuple(np.rint(small.grid.to_index(positions[inside])).astype(int).T)
    grey, number, rho = small.image[index], small.fascicles[index], rho[inside]
    sheath = grey[(rho > 0.94 * small.nerve.radius) & (rho < 0.97 * small.nerve.radius)]
    between = grey[(number == 0) & (rho < 0.85 * small.nerve.radius)]
    assert np.median(sheath) < 90
    assert np.median(between) > 160


def test_trace_runs_along_the_middle(small: Phantom) -> None:
    points = small.points_nm
    assert 12 <= len(points) <= 20
    assert small.grid.contains(points).all()
    assert (np.diff(points[:, 1]) > 0).all()
    _, _, c, *_ = centre_frames(small)
    assert cKDTree(c).query(points)[0].max() < 0.02 * small.nerve.radius


def test_bends_let_slices_of_the_nerve_not_fold() -> None:
    low, high = module.Grid(module.SHAPE, module.RESOLUTION, module.VOXEL_OFFSET).bounds_nm
    radius = 0.105 * min(high[0] - low[0], high[2] - low[2])
    path = module.centre_line(low, high - low, radius)
    y = np.linspace(low[1], high[1], 20_001)
    c = path.points(y)
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(c, axis=0), axis=1))])
    t = np.gradient(c, s, axis=0)
    curvature = np.linalg.norm(np.gradient(t, s, axis=0), axis=1)[5:-5]
    np.testing.assert_allclose(curvature, path.curvature(y)[5:-5], atol=1e-7)
    assert curvature.max() * 1.1 * radius * np.sqrt(2) < 0.8
    # It is a curve worth straightening: over a radius of the nerve to the sides, in x and z.
    assert (np.ptp(c[:, [0, 2]], axis=0) > radius).all()


@pytest.mark.parametrize(
    ("shape", "offset", "factors"),
    [
        ((4, 6, 8), (0, 0, 0), (2, 2, 2)),
        ((5, 7, 3), (0, 2, 4), (1, 2, 2)),
        ((5, 4, 7), (3, 1, 2), (2, 2, 2)),
        ((1, 1, 1), (1, 1, 1), (2, 2, 2)),
    ],
)
def test_halve_is_the_plain_average(
    shape: tuple[int, int, int], offset: tuple[int, int, int], factors: tuple[int, int, int]
) -> None:
    fine = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    coarse, coarse_offset = halve(fine, offset, factors)
    sums: dict[tuple[int, ...], list[int]] = {}
    for index in np.ndindex(shape):
        parent = tuple((o + i) // f for o, i, f in zip(offset, index, factors, strict=True))
        sums.setdefault(parent, []).append(int(fine[index]))
    assert coarse_offset == min(sums)
    assert coarse.size == len(sums)
    for parent, values in sums.items():
        at = tuple(p - o for p, o in zip(parent, coarse_offset, strict=True))
        assert coarse[at] == int(sum(values) / len(values) + 0.5)


def read(folder: Path, scale: int = 0) -> tuple[NDArray, tuple[int, ...]]:
    """Array and voxel_offset, zyx, with tensorstore."""
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "scale_index": scale,
    }
    store = ts.open(spec, open=True).result()[..., 0]
    return store.read().result().transpose(2, 1, 0), tuple(store.domain.origin[::-1])


def test_written_folder(small: Phantom, tmp_path: Path) -> None:
    fractions: list[float] = []
    paths = write_phantom(
        tmp_path / "a" / "demo", small, progress=lambda done, total: fractions.append(done / total)
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    # It can be moved as a whole.
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "a" / "demo", moved)
    assert str(tmp_path) not in (moved / paths.state.name).read_text()
    state = read_state(moved / paths.state.name)
    assert state.volume_source("em").url.endswith("elsewhere/image")
    points = state.points_nm(image_layer="em", resolution_nm=small.resolution)
    np.testing.assert_allclose(points, small.points_nm, rtol=1e-12)

    info = json.loads((moved / "image" / "info").read_text())
    assert [scale["encoding"] for scale in info["scales"]] == ["raw"] * 3
    level, offset = small.image, small.voxel_offset
    for scale, factors in enumerate([None, (1, 2, 2), (2, 2, 2)]):
        if factors is not None:
            level, offset = halve(level, offset, factors)
        array, origin = read(moved / "image", scale)
        assert origin == offset
        assert np.array_equal(array, level)
    assert info["scales"][2]["resolution"] == [80, 80, 100]

    truth, origin = read(moved / "truth")
    assert origin == small.voxel_offset
    assert truth.dtype == np.uint64
    assert np.array_equal(truth, small.truth)
    info = json.loads((moved / "truth" / "info").read_text())
    assert info["scales"][0]["encoding"] == "compressed_segmentation"


def test_an_older_folder_is_kept(small: Phantom, tmp_path: Path) -> None:
    write_phantom(tmp_path, small)
    before = (tmp_path / "image" / "info").stat().st_mtime_ns
    with pytest.raises(UserError, match="exists"):
        write_phantom(tmp_path, small)
    assert (tmp_path / "image" / "info").stat().st_mtime_ns == before
    write_phantom(tmp_path, small, overwrite=True)
    assert (tmp_path / "image" / "info").stat().st_mtime_ns > before


def test_cancel_leaves_nothing_that_looks_finished(small: Phantom, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        make_phantom(**SMALL, cancel=cancel)
    with pytest.raises(Cancelled):
        write_phantom(tmp_path, small, cancel=cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"radius_nm": 90.0}, {"radius_nm": 1100.0}, {"shape": (62, 7, 150)}]
)
def test_a_volume_without_room_is_refused(wrong: dict) -> None:
    with pytest.raises(UserError, match="does not fit"):
        make_phantom(**{**SMALL, **wrong})
