"""Ids come home as they left, in the dtype of the contract; `check` says when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from numpy.typing import NDArray
from oracles import Helix
from oracles.precomputed import write_by_hand

from napari_ouroboros import (
    Straightening,
    Trace,
    Volume,
    backproject,
    open_volume,
    straighten_to,
)
from napari_ouroboros.geometry import gather_kernel, sample_kernel
from napari_ouroboros.operations import check

IDS = np.array([1, 300, 70_000, 2**40, 2**64 - 1], np.uint64)
RESOLUTION = (12.0, 10.0, 10.0)
OFFSET = (20, -4, 300)
SHAPE = (70, 60, 66)


def cells(dtype: str = "uint64") -> NDArray:
    """Blocks of 5 voxels with the five ids and 0 (or other numbers, in narrow dtypes)."""
    rng = np.random.default_rng(6)
    values = np.append(IDS, np.uint64(0))
    if dtype != "uint64":
        values = np.array([0, 1, 2, 100, 127])
    small = rng.choice(values, [-(-n // 5) for n in SHAPE]).astype(dtype)
    return small.repeat(5, 0).repeat(5, 1).repeat(5, 2)[: SHAPE[0], : SHAPE[1], : SHAPE[2]]


def helical(pitch: float) -> Straightening:
    """A map within the volume: bends of 600 nm, reach of about 100."""
    helix = Helix(300.0, 300.0)
    origin = np.array(OFFSET) * RESOLUTION + [180, 60, 130]
    points = helix.position(np.linspace(0.2, 1.3, 80)) + origin
    size = int(140 / pitch)
    return Straightening(Trace(points), size, size, pitch, pitch)


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("cells") / "v"
    write_by_hand(
        folder, [cells()[None]], chunk=(32, 32, 32), offsets=[OFFSET], resolutions=[RESOLUTION],
        kind="segmentation",
    )  # fmt: skip
    return open_volume(folder)


def by_tensorstore(folder: Path) -> NDArray:
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
        }
    ).result()
    assert store.domain.inclusive_min[:3] == OFFSET[::-1]
    return store.read().result()[..., 0].transpose(2, 1, 0)


def by_cloudvolume(folder: Path) -> NDArray:
    from cloudvolume import CloudVolume

    volume = CloudVolume(f"precomputed://file://{folder}", fill_missing=True, progress=False)
    return np.asarray(volume[:])[..., 0].transpose(2, 1, 0)


def in_tube(map_: Straightening, volume: Volume) -> NDArray[np.bool_]:
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    return np.isfinite(map_.to_straightened(volume.levels[0].to_nm(index))[..., 0])


@pytest.mark.parametrize("out", ["straight.tif", "straight"])
def test_ids_go_there_and_back(segmentation: Volume, out: str, tmp_path: Path) -> None:
    map_ = helical(4.0)
    assert map_.exactness(RESOLUTION).volume_exact
    straightened = straighten_to(tmp_path / out, segmentation, map_)
    assert straightened.dtype == "uint64"
    report = backproject(
        straightened.path, Straightening.load(straightened.recipe), tmp_path / "home", threads=2
    )
    assert report.dtype == "uint64"
    tube = in_tube(map_, segmentation)
    expected = np.where(tube, cells(), 0)
    assert set(np.unique(expected)) == {0, *IDS.tolist()}
    for read in (by_tensorstore, by_cloudvolume):
        home = read(tmp_path / "home")
        assert home.dtype == np.uint64
        np.testing.assert_array_equal(home, expected)
    assert report.voxels_in_tube == tube.sum()
    assert report.voxels_labelled == np.count_nonzero(expected)


@pytest.mark.parametrize(
    ("given", "result", "encoding"),
    [
        ("bool", "uint8", "raw"), ("uint8", "uint8", "raw"), ("int8", "uint8", "raw"),
        ("uint16", "uint16", "raw"), ("int16", "uint16", "raw"),
        ("int32", "uint32", "compressed_segmentation"),
        ("uint32", "uint32", "compressed_segmentation"),
        ("int64", "uint64", "compressed_segmentation"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["array", "labels.npy"])
def test_dtypes(
    given: str, result: str, encoding: str, source: str, segmentation: Volume, tmp_path: Path
) -> None:
    map_ = helical(5.0)
    rng = np.random.default_rng(1)
    top = 1 if given == "bool" else np.iinfo(given).max
    labels = rng.choice(np.array([0, 1, top], np.int64), map_.shape).astype(given)
    stack: Any = labels
    if source != "array":
        stack = tmp_path / source
        np.save(stack, labels)
    report = backproject(stack, map_, tmp_path / "home", like=segmentation, threads=1)
    info = json.loads((tmp_path / "home" / "info").read_text())
    assert report.dtype == info["data_type"] == result
    assert info["scales"][0]["encoding"] == encoding
    # Each voxel by the map itself: the nearest sample.
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    at = map_.to_straightened(segmentation.levels[0].to_nm(index))
    tube = np.isfinite(at[..., 0])
    sample = np.floor(np.where(tube[..., None], at, 0) + 0.5).astype(int)
    expected = np.where(tube, labels[tuple(np.moveaxis(sample, -1, 0))], 0).astype(result)
    for read in (by_tensorstore, by_cloudvolume):
        home = read(tmp_path / "home")
        assert home.dtype == np.dtype(result)
        np.testing.assert_array_equal(home, expected)


# -- check --------------------------------------------------------------------------------------


def test_a_promise_from_the_volume_and_back_is_kept(segmentation: Volume) -> None:
    report = check(segmentation, helical(4.0), threads=2)
    assert report.promised.volume_exact
    assert report.volume_agreement == 1.0
    assert report.voxels == in_tube(helical(4.0), segmentation).sum()
    assert report.kept_promises


def test_a_promise_from_the_drawing_and_back_is_kept(segmentation: Volume) -> None:
    report = check(segmentation, helical(25.0), threads=2)
    assert report.promised.drawn_exact
    assert report.drawn_agreement == 1.0
    assert report.samples > 200
    assert report.kept_promises


def test_check_fails_when_the_gather_rounds_down(
    segmentation: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples half a sample aside, which is what a missing + 1/2 would do."""
    claim = gather_kernel.claim

    def rounding_down(tube: Any, samples: gather_kernel.Samples, *rest: Any) -> None:
        claim(tube, samples._replace(offset=samples.offset + 0.5), *rest)

    monkeypatch.setattr(gather_kernel, "claim", rounding_down)
    report = check(segmentation, helical(4.0), threads=2)
    assert report.promised.volume_exact
    assert report.volume_agreement < 0.99
    assert not report.kept_promises


def test_check_fails_when_the_sampling_rounds_down(
    segmentation: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest = sample_kernel.nearest

    def rounding_down(*arguments: Any) -> None:
        given = list(arguments)
        given[5] = given[5] - 0.5  # start, in voxels
        nearest(*given)

    monkeypatch.setattr(sample_kernel, "nearest", rounding_down)
    report = check(segmentation, helical(4.0), missing="fill", threads=2)
    assert report.volume_agreement < 0.99
    assert not report.kept_promises
