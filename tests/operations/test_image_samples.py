"""Every sample of a straightened image is the one that float64 and scipy give for its place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import dask
import numpy as np
import pytest
import tensorstore as ts
import tifffile
from numpy.typing import NDArray
from oracles import Helix, LiteralMap, catmull_rom, cross_zyx, resample
from oracles.precomputed import write_by_hand

from napari_ouroboros import Straightening, Trace, Volume, open_volume, straighten, straighten_to
from napari_ouroboros.errors import Notice, UserError
from napari_ouroboros.operations import boxes as boxes_module
from napari_ouroboros.operations.boxes import Box
from napari_ouroboros.operations.sampler import SliceSampler

# Pools of a few chunks are what some of these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*chunks may be fetched many times")

CHUNK = (10, 24, 17)  # zyx
RESOLUTION = (20.0, 8.0, 8.0)
OFFSET = (-3, 40, 1001)
SHAPE = (37, 70, 75)
MISSING = [(1, 1, 2), (2, 0, 3)]

# A left-handed turn and a half, about the middle of the volume; it leaves it at both ends.
HELIX = Helix(150.0, 76.0, hand=-1)
MIDDLE = (np.array(OFFSET) + np.array(SHAPE) / 2) * RESOLUTION
START, TURNS = -0.4, 1.55
PITCH, SPACING, ROWS, COLUMNS = 5.3, 11.7, 40, 52


@pytest.fixture(scope="module")
def map_() -> Straightening:
    # 500 points a turn: the spline is the helix to better than 1e-6 voxels.
    t = np.linspace(0, 2 * np.pi * TURNS, int(500 * TURNS))
    trace = Trace(HELIX.position(t) + corner())
    return Straightening(trace, COLUMNS, ROWS, PITCH, SPACING)


def corner() -> NDArray[np.float64]:
    """Where the helix has its origin: so low that its first part lies below the volume."""
    return MIDDLE - [76.0 * 2 * np.pi * TURNS / 2, 0, 0]


def closed_form_places(n: int) -> NDArray[np.float64]:
    """Where the samples of slices 0 to n lie, (n, rows, columns, 3) zyx nm, from closed forms."""
    t = np.arange(n) * SPACING / HELIX.speed
    tangent = HELIX.frenet(t)[0]
    # The default normal: +x, which is perpendicular to the helix at its start.
    normal = HELIX.transported(t, np.array([0.0, 0.0, 1.0]))
    binormal = cross_zyx(tangent, normal)
    u = (np.arange(COLUMNS) - (COLUMNS - 1) / 2) * PITCH
    v = (np.arange(ROWS) - (ROWS - 1) / 2) * PITCH
    return (
        (HELIX.position(t) + corner())[:, None, None]
        + u[:, None] * normal[:, None, None]
        + v[:, None, None] * binormal[:, None, None]
    )


def literal_places(map_: Straightening) -> NDArray[np.float64]:
    """The same from the frames of the map, by the literal code."""
    f = map_.frames
    literal = LiteralMap(f.c, f.N, f.B, f.T, map_.shape, map_.pitch_nm, map_.spacing_nm)
    index = np.stack(np.meshgrid(*map(np.arange, map_.shape), indexing="ij"), -1)
    return literal.to_volume(index)


def noise(dtype: str, channels: int = 1, seed: int = 1) -> NDArray:
    """(channel, z, y, x): neighbours have nothing in common, so that no error goes unseen."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1000, (channels, *SHAPE)).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, (channels, *SHAPE), kind, endpoint=True)


@dataclass(frozen=True)
class Written:
    """A volume on disk, and what its voxels count as when missing chunks are filled."""

    volume: Volume
    filled: NDArray  # (channel, z, y, x)


def written(folder: Path, array: NDArray, fill: float, kind: str = "image") -> Written:
    write_by_hand(
        folder, [array], chunk=CHUNK, offsets=[OFFSET], resolutions=[RESOLUTION], kind=kind,
        leave_out=MISSING,
    )  # fmt: skip
    filled = array.copy()
    for index in MISSING:
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, CHUNK, strict=True))
        filled[(slice(None), *box)] = fill
    return Written(open_volume(folder), filled)


def memory_for(chunks: int, array: NDArray) -> int:
    return chunks * int(np.prod(CHUNK)) * array.dtype.itemsize * len(array)


def read_precomputed(folder: Path) -> NDArray:
    """(slices, rows, columns[, channels]), as tensorstore reads it."""
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
        }
    ).result()
    array = store.read().result().transpose(2, 1, 0, 3)
    return array[..., 0] if array.shape[3] == 1 else array


def to_border(places: NDArray, shape=SHAPE) -> NDArray:
    """Distance of places to the volume's outer faces, in voxels."""
    index = places / RESOLUTION - np.array(OFFSET) - 0.5
    return np.minimum(np.abs(index + 0.5), np.abs(index - np.array(shape) + 0.5)).min(-1)


# -- uint8, linear: against closed forms, along every way out ---------------------------------


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("grey") / "v", noise("uint8"), 9)


@pytest.fixture(scope="module")
def lazy(grey: Written, map_: Straightening) -> NDArray[np.uint8]:
    with pytest.warns(Notice, match="lie outside the volume"):
        array = straighten(grey.volume, map_, fill=9)
    assert array.dtype == np.uint8
    return array.compute()


def test_uint8_within_half_a_level_of_float64(
    grey: Written, map_: Straightening, lazy: NDArray[np.uint8]
) -> None:
    places = closed_form_places(map_.shape[0])
    # What the closed forms leave to the spline and the transported frames.
    moved = np.abs(literal_places(map_) - places) / RESOLUTION
    assert moved.max() < 1e-5
    assert to_border(places).min() > 1e-5  # so that inside and outside are beyond doubt
    reference = resample(
        grey.filled[0], RESOLUTION, OFFSET, places, order=1, fill=9, dtype=np.float64
    )
    assert lazy.shape == reference.shape == map_.shape
    assert np.abs(lazy - reference).max() <= 0.51
    # The hard places are there: outside, between the last voxel's centre and the face, missing.
    index = places / RESOLUTION - np.array(OFFSET) - 0.5
    last = np.array(SHAPE) - 1
    inside = np.all((index >= -0.5) & (index < last + 0.5), -1)
    clamped = inside & np.any((index < 0) | (index > last), -1)
    cell = np.floor(np.clip(index, 0, last)).astype(int) // CHUNK
    missing = inside & np.any([np.all(cell == m, -1) for m in MISSING], axis=0)
    across = inside & np.any(np.clip(index, 0, last - 1e-9) % 1 + np.clip(
        np.floor(index), 0, last) % CHUNK > np.array(CHUNK) - 1, -1)  # fmt: skip
    for name, what in {
        "outside": ~inside, "clamped": clamped, "missing": missing, "across": across,
    }.items():  # fmt: skip
        assert what.mean() > 0.002, name


@pytest.mark.parametrize(("chunks", "threads"), [(8, 1), (9, 3), (1000, 2)])
@pytest.mark.parametrize("out", ["s.tif", "s"])
def test_the_same_samples_by_every_way(
    out: str, chunks: int, threads: int, grey: Written, map_: Straightening,
    lazy: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(boxes_module, "_BOX_SAMPLES", 7 * ROWS * COLUMNS)
    with pytest.warns(Notice, match="lie outside the volume"):
        report = straighten_to(
            tmp_path / out, grey.volume, map_, fill=9, threads=threads,
            memory=memory_for(chunks, grey.filled),
        )  # fmt: skip
    read = tifffile.imread if out == "s.tif" else read_precomputed
    got = read(tmp_path / out)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, lazy)
    assert report.chunks_missing == len(MISSING)


def test_any_part_of_it(grey: Written, map_: Straightening, lazy: NDArray[np.uint8]) -> None:
    with SliceSampler(grey.volume, map_, 0, "linear", 9, memory=memory_for(9, grey.filled)) as s:
        for a, b, c in [((3, 9), (0, 40), (0, 52)), ((20, 21), (7, 31), (50, 51)),
                        ((30, 60), (39, 40), (11, 52))]:  # fmt: skip
            got = s.read(Box(a, b, c))[..., 0]
            np.testing.assert_array_equal(got, lazy[slice(*a), slice(*b), slice(*c)])


# -- nearest: bit for bit ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "channels", "fill"),
    [
        ("uint8", 3, 7), ("uint16", 1, 65535), ("uint32", 2, 0), ("uint64", 1, 2**63),
        ("int8", 1, -128), ("int16", 1, -1), ("int32", 1, -(2**31)), ("float32", 2, np.nan),
    ],
)  # fmt: skip
def test_nearest_is_the_voxel_itself(
    dtype: str, channels: int, fill: float, map_: Straightening, tmp_path: Path
) -> None:
    kind = "segmentation" if dtype == "uint64" else "image"
    made = written(tmp_path / "v", noise(dtype, channels), fill, kind)
    places = literal_places(map_)
    index = places / RESOLUTION - np.array(OFFSET) - 0.5
    assert np.abs((index + 0.5) - np.round(index + 0.5)).min() > 1e-9
    expected = np.stack(
        [resample(c, RESOLUTION, OFFSET, places, order=0, fill=fill) for c in made.filled], -1
    )
    expected = expected[..., 0] if channels == 1 else expected
    given = None if dtype in ("uint32", "float32") else fill  # these two have it as the default
    with pytest.warns(Notice, match="lie outside the volume"):
        got = straighten(made.volume, map_, interpolation="nearest", fill=given)
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got.compute(), expected)
    with pytest.warns(Notice, match="lie outside the volume"):
        straighten_to(
            tmp_path / "s", made.volume, map_, interpolation="nearest", fill=given,
            memory=memory_for(9, made.filled), threads=2,
        )  # fmt: skip
    np.testing.assert_array_equal(read_precomputed(tmp_path / "s"), expected)


# -- linear, other types ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "channels", "fill"),
    [("uint16", 1, 300), ("uint32", 1, 0), ("int16", 1, -5), ("float32", 2, np.nan)],
)
def test_linear_of_other_types(
    dtype: str, channels: int, fill: float, map_: Straightening, tmp_path: Path
) -> None:
    made = written(tmp_path / "v", noise(dtype, channels), fill)
    places = literal_places(map_)
    reference = np.stack(
        [
            resample(c, RESOLUTION, OFFSET, places, order=1, fill=fill, dtype=np.float64)
            for c in made.filled
        ],
        -1,
    )
    with pytest.warns(Notice, match="lie outside the volume"):
        got = straighten(made.volume, map_, fill=None if dtype == "float32" else fill).compute()
    assert got.dtype == np.dtype(dtype)
    got = got if channels > 1 else got[..., None]
    if dtype == "float32":
        assert 0.1 < np.isnan(reference).mean() < 0.9
        np.testing.assert_allclose(got, reference, rtol=6e-8, atol=1e-7)
    else:
        # Places are known to 1e-13 voxels, where a uint32 may change by 4e9 a voxel.
        assert np.abs(got - reference).max() <= 0.501


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("int16", 3)])
def test_cubic_is_the_literal_catmull_rom(
    dtype: str, channels: int, map_: Straightening, tmp_path: Path
) -> None:
    made = written(tmp_path / "v", noise(dtype, channels), -7 if dtype == "int16" else 200)
    fill = made.filled[0, 10, 24, 34]  # in a missing chunk
    index = literal_places(map_) / RESOLUTION - np.array(OFFSET) - 0.5
    literal = np.stack([catmull_rom(c, index, fill) for c in made.filled], -1)
    limits = np.iinfo(dtype)
    with pytest.warns(Notice, match="lie outside the volume"):
        got = straighten(made.volume, map_, interpolation="cubic", fill=fill).compute()
    got = got if channels > 1 else got[..., None]
    assert np.abs(got - np.clip(literal, limits.min, limits.max)).max() <= 0.501
    assert ((literal < limits.min) | (literal > limits.max)).mean() > 0.001
    assert np.all(got == fill, -1).mean() > 0.02


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_labels_are_never_blended(method: str, map_: Straightening, tmp_path: Path) -> None:
    labels = written(tmp_path / "labels", noise("uint8"), 0, "segmentation")
    with pytest.raises(UserError, match=f"{method} interpolation would invent label ids"):
        straighten(labels.volume, map_, interpolation=method)
    for dtype in ("uint64", "int64"):
        wide = written(tmp_path / dtype, noise(dtype), 0)
        with pytest.raises(UserError, match="use nearest"):
            straighten(wide.volume, map_, interpolation=method)


def test_large_integers_keep_every_digit(map_: Straightening, tmp_path: Path) -> None:
    """Beyond 2^53 a float would round them."""
    array = 2**60 + noise("int64").astype(np.int64) % 1000
    made = written(tmp_path / "wide", array, 0)
    with pytest.warns(Notice, match="lie outside the volume"):
        got = straighten(made.volume, map_).compute()
    inside = got[got != 0]
    assert inside.size > 1000
    assert np.isin(inside, array).all()
    assert len(np.unique(inside)) > 100


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_halves_are_rounded_up(dtype: str, tmp_path: Path) -> None:
    """Half way between voxels, all in numbers that binary fractions hold: exact ties."""
    array = noise(dtype)[:, :, :20, :20]
    folder = write_by_hand(
        tmp_path / "v", [array], chunk=CHUNK, offsets=[(0, 0, 0)], resolutions=[(8.0, 8.0, 8.0)]
    )
    ends = (np.array([[0, 9.0, 9.5], [30, 9.0, 9.5]]) + 0.5) * 8
    map_ = Straightening(Trace(ends), 17, 19, 8.0, 8.0)
    # Slice 0 lies on the first point itself; the others where the spline has them, to 1e-14.
    got = straighten(open_volume(folder), map_)[0].compute()
    value = array[0, 0, :19].astype(int)
    expected = (value[:, 1:18] + value[:, 2:19] + 1) // 2
    np.testing.assert_array_equal(got, expected)
    odd = (value[:, 1:18] + value[:, 2:19]) % 2
    assert 0.3 < odd.mean() < 0.7


# -- however the work is cut ------------------------------------------------------------------


def halfway(resolution: float, method: str, size: int, folder: Path) -> tuple:
    """A straight trace between voxels: at every third sample the last bit decides."""
    rng = np.random.default_rng(3)
    array = rng.integers(100, 256, (1, 60, 64, 64), np.uint8)
    offset = (11, 1000, 333)
    write_by_hand(
        folder, [array], chunk=(8, 8, 8), offsets=[offset], resolutions=[(resolution,) * 3]
    )
    ends = (np.array([[4.5, 30.5, 30.5], [50.5, 30.5, 30.5]]) + offset + 0.5) * resolution
    # Thirds of a voxel: every third sample is a tie, and no step is a binary fraction.
    return open_volume(folder), Straightening(Trace(ends), size, size, resolution / 3, resolution)


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("resolution", [8.0, 3.3, 0.7])
def test_how_the_work_is_cut_does_not_show(
    method: str, resolution: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ties, so that a change in the last bit of a coordinate shows as another grey value."""
    volume, map_ = halfway(resolution, method, 41, tmp_path / "v")
    whole = straighten(volume, map_, interpolation=method).compute()
    # Every sample is in the volume: a chunk that was not fetched would show as 0.
    assert whole.min() >= (60 if method == "cubic" else 100)  # a cubic goes below its voxels
    monkeypatch.setattr(boxes_module, "_BOX_SAMPLES", 3 * 41 * 41)
    for chunks, threads in [(8, 1), (20, 2), (150, 3)]:
        straighten_to(
            tmp_path / "s.tif", volume, map_, interpolation=method, memory=chunks * 512,
            threads=threads, overwrite=True,
        )  # fmt: skip
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "s.tif"), whole)
    with SliceSampler(volume, map_, 0, method) as sampler:
        for row, column in product(range(0, 41, 5), range(0, 41, 4)):
            part = sampler.read(Box((10, 12), (row, min(row + 5, 41)), (column, column + 1)))
            np.testing.assert_array_equal(
                part[..., 0], whole[10:12, row : row + 5, column : column + 1]
            )


def test_two_places_with_one_shape(grey: Written) -> None:
    """Lazy arrays of one volume computed together are not taken for each other."""
    first = MIDDLE + [[0, -100, 0], [0, 100, 0]]
    maps = [Straightening(Trace(first + shift), 20, 20, 8.0, 8.0) for shift in (0.0, 40.0)]
    arrays = [straighten(grey.volume, m) for m in maps]
    together = dask.compute(*arrays)
    for array, result in zip(arrays, together, strict=True):
        np.testing.assert_array_equal(result, array.compute())
    assert (together[0] != together[1]).mean() > 0.5


# -- which chunks a box needs -----------------------------------------------------------------


def needed(index: NDArray, method: str) -> set[tuple[int, int, int]]:
    """Chunks that hold a voxel which samples at array indices (n, 3) read."""
    last = np.array(SHAPE) - 1
    index = index[np.all((index >= -0.5) & (index < last + 0.5), -1)]
    low = np.floor(index + 0.5 if method == "nearest" else index).astype(int)
    taps = {"nearest": [0], "linear": [0, 1], "cubic": [-1, 0, 1, 2]}[method]
    cells = [np.clip(low + tap, 0, last) // CHUNK for tap in product(taps, repeat=3)]
    return set(map(tuple, np.unique(np.concatenate(cells), axis=0).tolist()))


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
def test_exactly_the_chunks_that_are_read(method: str, grey: Written, map_: Straightening) -> None:
    places = literal_places(map_)
    index = places / RESOLUTION - np.array(OFFSET) - 0.5
    rng = np.random.default_rng(8)
    sampler = SliceSampler(grey.volume, map_, 0, method)
    sizes = []
    boxes = [Box((0, 2), (0, 3), (0, 3))]  # wholly outside
    for _ in range(60):
        first = rng.integers(0, np.array(map_.shape) - (20, 15, 15))
        size = rng.integers(1, (20, 15, 15))
        boxes.append(Box(*((int(a), int(a + n)) for a, n in zip(first, size, strict=True))))
    for box in boxes:
        part = index[tuple(slice(a, b) for a, b in box)].reshape(-1, 3)
        got = set(map(tuple, sampler.chunks(box).tolist()))
        assert got == needed(part, method)
        sizes.append(len(got))
    assert min(sizes) == 0
    assert max(sizes) > 6


@pytest.mark.parametrize("corner_index", list(product((0, 1), repeat=3)), ids=str)
def test_one_sample_at_a_corner_of_the_volume(corner_index: tuple, grey: Written) -> None:
    """The box whose only sample lies within half a voxel of a corner, and nothing else."""
    last = np.array(SHAPE) - 1
    at = np.where(corner_index, last + 0.3, -0.3)
    inwards = np.where(corner_index, -1.0, 1.0)
    ends = [at - 10 * inwards, at, at + 3 * inwards]
    points = (np.array(ends) + OFFSET + 0.5) * RESOLUTION
    step = float(np.linalg.norm(points[1] - points[0]))
    with pytest.warns(Notice, match="outside"):
        got = straighten(grey.volume, Straightening(Trace(points[:2]), 1, 1, 8.0, step)).compute()
    voxel = grey.filled[(0, *(last * corner_index))]
    assert got.ravel().tolist() == [0, voxel]
