"""Labels home with coarser scales, in shards and in OME-Zarr; read and counted by others' code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from numpy.typing import NDArray

import napari_ouroboros as no
from napari_ouroboros.errors import Cancelled, Notice, UserError
from napari_ouroboros.operations.backproject_job import BackprojectJob
from napari_ouroboros.operations.backproject_report import BackprojectReport

IDS = np.array([0, 1, 300, 70_000, 2**40, 2**64 - 1], np.uint64)

Level = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]  # shape, resolution, voxel offset

#: Halved levels on even offsets, as most pipelines make them.
HALVED: list[Level] = [
    ((150, 140, 130), (10, 8, 8), (4, 8, -12)),
    ((75, 70, 65), (20, 16, 16), (2, 4, -6)),
    ((38, 35, 33), (40, 32, 32), (1, 2, -3)),
]
#: Odd offsets, so that levels lie half a voxel aside; a factor of 101/51; only rows halved.
CROOKED: list[Level] = [
    ((101, 130, 90), (10, 8, 8), (3, 5, -7)),
    ((51, 66, 47), (Fraction(1010, 51), 16, 16), (1, 2, -4)),
    ((51, 33, 90), (20, 32, 8), (1, 1, -7)),
    ((9, 9, 9), (130, 130, 130), (0, 0, -1)),
]
#: As an OME-Zarr whose origin lies between voxels.
BETWEEN: list[Level] = [
    ((100, 130, 90), (10, 8, 8), (3.25, 5, -6.5)),
    ((50, 65, 45), (20, 16, 16), (1.625, 2.5, -3.25)),
]


WAY = [[0.1, 0.5, 0.4], [0.4, 0.45, 0.5], [0.7, 0.55, 0.55], [0.92, 0.5, 0.5]]


def recipe(
    path: Path, levels: Sequence[Level], way: Sequence[Sequence[float]] = WAY
) -> no.Straightening:
    """A wide tube through the finest level; the way in parts of its size."""
    shape, resolution, offset = (np.array(v, float) for v in levels[0])
    points = (offset + np.array(way) * shape) * resolution
    map_ = no.Straightening(no.Trace(points), 33, 45, pitch_nm=11, spacing_nm=13)
    source = {
        "url": "precomputed://https://example.org/nowhere",
        "mip": 0,
        "levels": [
            {
                "shape": list(shape),
                "resolution": list(map(float, resolution)),
                "voxel_offset": list(offset),
                "key": f"s{number}",
            }
            for number, (shape, resolution, offset) in enumerate(levels)
        ],
    }
    map_.save(path, source)
    return no.Straightening.load(path)


def labels_for(map_: no.Straightening) -> NDArray[np.uint64]:
    """Pieces of a few samples with ragged borders, and a part without any."""
    rng = np.random.default_rng(4)
    small = rng.choice(IDS, [-(-n // 6) for n in map_.shape])
    labels = small.repeat(6, 0).repeat(6, 1).repeat(6, 2)
    labels = labels[tuple(slice(n) for n in map_.shape)].copy()
    noise = rng.random(labels.shape) < 0.1
    labels[noise] = rng.choice(IDS, int(noise.sum()))
    labels[: map_.shape[0] // 3] = 0
    return labels


def bring_home(
    tmp_path: Path, name: str, levels: Sequence[Level], **options: Any
) -> BackprojectReport:
    map_ = recipe(tmp_path / "a.recipe.json", levels)
    return no.backproject(labels_for(map_), map_, tmp_path / name, **options)


def of_precomputed(path: Path, scale: int = 0) -> NDArray[Any]:
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "scale_index": scale,
    }
    return ts.open(spec).result().read().result()[..., 0].transpose(2, 1, 0)


def of_zarr(path: Path, scale: int = 0) -> NDArray[Any]:
    array = zarr.open_group(path, mode="r")[str(scale)]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def counted(fine: NDArray[Any], on: Level, level: Level) -> NDArray[Any]:
    """The most frequent id of the voxels whose centres lie in each coarse voxel, in fractions."""
    cell = []
    for axis in range(3):
        n, r, o = (Fraction(v[axis]) for v in on)
        big, start = (Fraction(v[axis]) for v in level[1:])
        cell.append([((o + i + Fraction(1, 2)) * r / big - start) // 1 for i in range(int(n))])
    z, y, x = np.ix_(*(np.array(c, np.int64) for c in cell))
    shape = tuple(level[0])
    inside = np.broadcast_to(
        (z >= 0) & (z < shape[0]) & (y >= 0) & (y < shape[1]) & (x >= 0) & (x < shape[2]),
        fine.shape,
    )
    flat = np.broadcast_to((z * shape[1] + y) * shape[2] + x, fine.shape)
    ids = np.unique(np.append(fine, 0))
    counts = [np.bincount(flat[inside & (fine == i)], minlength=int(np.prod(shape))) for i in ids]
    return ids[np.argmax(counts, axis=0)].reshape(shape)  # of equals the first, the smallest


# pyramids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["home", "home.zarr"])
def test_halved_levels_are_tensorstores_mode(tmp_path: Path, name: str) -> None:
    report = bring_home(tmp_path, name, HALVED, pyramid=True)
    assert report.coarser_mips == (1, 2)
    read = of_zarr if name.endswith("zarr") else of_precomputed
    fine = read(tmp_path / name)
    assert set(np.unique(fine)) == set(IDS)
    for scale, factor in ((1, 2), (2, 4)):
        expected = ts.downsample(ts.array(fine), [factor] * 3, "mode").read().result()
        np.testing.assert_array_equal(read(tmp_path / name, scale), expected)
        assert expected.any()


@pytest.mark.parametrize("levels", [HALVED, CROOKED, BETWEEN])
@pytest.mark.parametrize(
    ("name", "sharded"), [("home", False), ("home", True), ("home.zarr", False)]
)
def test_any_levels_by_literal_count(
    tmp_path: Path, name: str, sharded: bool, levels: Sequence[Level]
) -> None:
    if levels is BETWEEN and name == "home":
        with pytest.warns(Notice, match="shift the result"):
            bring_home(tmp_path, name, levels, pyramid=True, sharded=sharded)
        # What is written begins at whole voxels, and there its levels fit each other.
        levels = [(s, r, [np.floor(o + 0.5) for o in offset]) for s, r, offset in levels]
    else:
        bring_home(tmp_path, name, levels, pyramid=True, sharded=sharded)
    read = of_zarr if name.endswith("zarr") else of_precomputed
    fine = read(tmp_path / name)
    assert fine.any()
    for number, level in enumerate(levels[1:], 1):
        expected = counted(fine, levels[0], level)
        assert expected.any()
        np.testing.assert_array_equal(read(tmp_path / name, number), expected)


def test_scales_are_recorded_as_the_source_has_them(tmp_path: Path) -> None:
    bring_home(tmp_path, "home", CROOKED, pyramid=True)
    info = json.loads((tmp_path / "home" / "info").read_text())
    for number, (scale, (shape, resolution, offset)) in enumerate(
        zip(info["scales"], CROOKED, strict=True)
    ):
        assert scale["key"] == f"s{number}"
        assert scale["size"] == list(shape)[::-1]
        assert scale["voxel_offset"] == list(offset)[::-1]
        np.testing.assert_allclose(scale["resolution"], np.array(resolution, float)[::-1])
    bring_home(tmp_path, "home.zarr", BETWEEN, pyramid=True)
    (multiscale,) = json.loads((tmp_path / "home.zarr" / ".zattrs").read_text())["multiscales"]
    assert [d["path"] for d in multiscale["datasets"]] == ["0", "1"]
    for dataset, (_, resolution, offset) in zip(multiscale["datasets"], BETWEEN, strict=True):
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == list(resolution)
        centre = (np.array(offset) + 0.5) * resolution
        np.testing.assert_allclose(translation["translation"], centre)


def test_from_a_coarser_mip_on(tmp_path: Path) -> None:
    report = bring_home(tmp_path, "home", HALVED, pyramid=True, mip=1)
    assert (report.mip, report.coarser_mips) == (1, (2,))
    fine = of_precomputed(tmp_path / "home")
    assert fine.shape == HALVED[1][0]
    expected = ts.downsample(ts.array(fine), [2, 2, 2], "mode").read().result()
    np.testing.assert_array_equal(of_precomputed(tmp_path / "home", 1), expected)
    with pytest.warns(Notice, match="no scale coarser than mip 2, so a pyramid adds nothing"):
        report = bring_home(tmp_path, "top", HALVED, pyramid=True, mip=2)
    assert report.coarser_mips == ()


def test_a_level_that_is_finer_is_no_pyramid(tmp_path: Path) -> None:
    levels = [HALVED[0], ((150, 70, 260), (10, 16, 4), (4, 4, -24))]
    with pytest.raises(UserError, match="mip 1 of the source is finer than mip 0 along an axis"):
        bring_home(tmp_path, "home", levels, pyramid=True)
    assert not (tmp_path / "home").exists()


def test_only_chunks_with_labels_are_there(tmp_path: Path) -> None:
    map_ = recipe(tmp_path / "a.recipe.json", HALVED)
    labels = np.zeros(map_.shape, np.uint8)
    labels[-12:, 10:30, 10:25] = 9
    report = no.backproject(labels, map_, tmp_path / "home", pyramid=True)
    assert report.chunks_written < report.chunks_touched
    for number in range(3):
        found = of_precomputed(tmp_path / "home", number)
        files = list((tmp_path / "home" / f"s{number}").iterdir())
        blocks = {tuple(index // 64) for index in np.argwhere(found)}
        assert len(files) == len(blocks) > 0


def test_threads_and_units_change_nothing(tmp_path: Path) -> None:
    bring_home(tmp_path, "one", CROOKED, pyramid=True, threads=1)
    bring_home(tmp_path, "many", CROOKED, pyramid=True, threads=7, sharded=True)
    for number in range(len(CROOKED)):
        np.testing.assert_array_equal(
            of_precomputed(tmp_path / "one", number), of_precomputed(tmp_path / "many", number)
        )


@pytest.mark.parametrize("threads", [1, 3])
def test_cancelled_while_the_pyramid_is_made(tmp_path: Path, threads: int) -> None:
    map_ = recipe(tmp_path / "a.recipe.json", HALVED)
    job = BackprojectJob(labels_for(map_), map_, tmp_path / "home", pyramid=True, threads=threads)
    units = len(job.plan().units)
    assert job.plan().later

    class Stop:
        done = 0

        def is_set(self) -> bool:
            return self.done > units

    stop = Stop()
    totals = set()

    def progress(done: int, total: int) -> None:
        stop.done = done
        totals.add(total)

    with pytest.raises(Cancelled):
        job.run(progress, stop)
    assert totals == {units + len(job.plan().later)}
    assert [f.name for f in tmp_path.iterdir()] == ["a.recipe.json"]


# shards --------------------------------------------------------------------------------------


def test_shards_are_read_by_both_libraries(tmp_path: Path) -> None:
    from cloudvolume import CloudVolume

    bring_home(tmp_path, "plain", HALVED)
    report = bring_home(tmp_path, "home", HALVED, sharded=True)
    expected = of_precomputed(tmp_path / "plain")
    np.testing.assert_array_equal(of_precomputed(tmp_path / "home"), expected)
    volume = CloudVolume(f"file://{tmp_path / 'home'}", fill_missing=True, progress=False)
    np.testing.assert_array_equal(np.asarray(volume[:])[..., 0].transpose(2, 1, 0), expected)
    files = list((tmp_path / "home" / "s0").iterdir())
    assert files
    assert all(f.suffix == ".shard" for f in files)
    assert len(files) < report.chunks_written == len(list((tmp_path / "plain" / "s0").iterdir()))


def test_many_shards_of_a_long_volume(tmp_path: Path) -> None:
    """Shards of 64 chunks of uint64: the tube passes through several, each a unit of its own."""
    levels: list[Level] = [((700, 300, 300), (8, 8, 8), (0, 0, 0))]
    map_ = recipe(tmp_path / "a.recipe.json", levels)
    labels = labels_for(map_)
    job = BackprojectJob(labels, map_, tmp_path / "home", sharded=True, threads=2)
    plan = job.plan()
    assert 3 <= len(plan.units) < len(job.blocks)
    job.run(None, None)
    no.backproject(labels, map_, tmp_path / "plain")
    expected = of_precomputed(tmp_path / "plain")
    np.testing.assert_array_equal(of_precomputed(tmp_path / "home"), expected)
    assert len(list((tmp_path / "home" / "s0").iterdir())) <= len(plan.units)


def test_memory_limits_the_shards_in_the_making(tmp_path: Path) -> None:
    levels: list[Level] = [((700, 300, 300), (8, 8, 8), (0, 0, 0))]
    map_ = recipe(tmp_path / "a.recipe.json", levels)

    def job(megabytes: int) -> BackprojectJob:
        labels = np.ones(map_.shape, np.uint64)
        return BackprojectJob(
            labels, map_, tmp_path / "x", sharded=True, threads=8, memory=megabytes * 2**20
        )

    wide, narrow = job(4000), job(100)
    assert (wide.threads, narrow.threads) == (8, 1)
    assert narrow.plan().memory_bytes < wide.plan().memory_bytes
    # A shard has 64 chunks of 2 MB; the store has a copy of them while it packs them.
    assert narrow.plan().memory_bytes < 2 * 128 * 2**20 + 50e6


def test_zarr_has_no_shards(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="OME-Zarr results are not sharded"):
        bring_home(tmp_path, "home.zarr", HALVED, sharded=True)


# OME-Zarr and origins between voxels ----------------------------------------------------------


def test_zarr_and_precomputed_hold_the_same(tmp_path: Path) -> None:
    report = bring_home(tmp_path, "home.zarr", HALVED)
    bring_home(tmp_path, "home", HALVED)
    labels = of_zarr(tmp_path / "home.zarr")
    assert labels.dtype == np.uint64
    np.testing.assert_array_equal(labels, of_precomputed(tmp_path / "home"))
    assert report.voxels_labelled == np.count_nonzero(labels)
    attributes = json.loads((tmp_path / "home.zarr" / ".zattrs").read_text())
    assert attributes["image-label"] == {"version": "0.4"}
    facts = attributes["napari_ouroboros"]
    assert facts["frames_sha256"] == [no.Straightening.load(tmp_path / "a.recipe.json").recipe_hash]
    # Chunks without labels are no files.
    files = [f for f in (tmp_path / "home.zarr" / "0").rglob("*") if f.is_file()]
    assert len(files) == report.chunks_written + 1


def test_an_origin_between_voxels(tmp_path: Path) -> None:
    """OME-Zarr says it exactly; a precomputed volume is shifted, and the shift is told."""
    exact = bring_home(tmp_path, "home.zarr", BETWEEN)
    assert exact.shift_nm == (0, 0, 0)
    with pytest.warns(Notice, match=r"shift the result by 2.5, 0, -4 nm \(zyx\)"):
        report = bring_home(tmp_path, "home", BETWEEN)
    # 3.25 -> 3 and -6.5 -> -6 (half up): true = written + shift.
    assert report.shift_nm == (2.5, 0, -4)
    info = json.loads((tmp_path / "home" / "info").read_text())
    assert info["scales"][0]["voxel_offset"] == [-6, 5, 3]
    assert info["napari_ouroboros"]["shift_nm"] == [2.5, 0, -4]
    # The labels themselves are those of the source's voxels, wherever the file says they are.
    np.testing.assert_array_equal(
        of_precomputed(tmp_path / "home"), of_zarr(tmp_path / "home.zarr")
    )


def test_a_hundredth_of_a_voxel_is_no_shift(tmp_path: Path) -> None:
    levels: list[Level] = [((100, 130, 90), (10, 8, 8), (3.009, 5, -7.0099))]
    assert bring_home(tmp_path, "home", levels).shift_nm == (0, 0, 0)


@pytest.mark.parametrize("key", ["../elsewhere", "/tmp/elsewhere", "a/../../b", ""])
def test_keys_of_a_recipe_do_not_lead_out_of_the_result(tmp_path: Path, key: str) -> None:
    map_ = recipe(tmp_path / "a.recipe.json", HALVED)
    assert map_.source is not None
    map_.source["levels"][0]["key"] = key
    no.backproject(labels_for(map_), map_, tmp_path / "home")
    info = json.loads((tmp_path / "home" / "info").read_text())
    assert info["scales"][0]["key"] == "8_8_10"
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.recipe.json", "home"]


@pytest.mark.parametrize("conflicts", ["both.zarr", "both"])
def test_conflicts_in_either_format(tmp_path: Path, conflicts: str) -> None:
    folded = [[0.15, 0.5, 0.4], [0.5, 0.3, 0.5], [0.5, 0.7, 0.5], [0.85, 0.5, 0.5]]
    map_ = recipe(tmp_path / "a.recipe.json", HALVED, folded)
    report = no.backproject(
        labels_for(map_), map_, tmp_path / "home", conflicts=tmp_path / conflicts
    )
    read = of_zarr if conflicts.endswith("zarr") else of_precomputed
    mask = read(tmp_path / conflicts)
    assert mask.dtype == np.uint8
    assert np.count_nonzero(mask) == report.voxels_contested > 0
