"""The straightened volume does not depend on how it is made, bit for bit.

Reader, store, memory bound, slab size and number of threads: for every interpolation and kind of
voxel, compared with one plain way to make it (one slab, one thread, all chunks in memory).
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_server import LocalServer
from oracles.arrays import write_n5_by_hand, write_zarr2_by_hand
from oracles.precomputed import write_by_hand, write_tensorstore
from small_scene import RESOLUTION, Scene

from napari_ouroboros import Straightening, Trace, open_volume, straighten_to
from napari_ouroboros.errors import Notice
from napari_ouroboros.operations import straighten
from napari_ouroboros.operations.boxes import Box
from napari_ouroboros.operations.sampler import SliceSampler

SHAPE = (61, 23, 27)
SHARDS = {
    "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 2, "hash": "identity",
    "minishard_index_encoding": "gzip", "data_encoding": "gzip",
}  # fmt: skip
rarely = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def map_(scene: Scene) -> Straightening:
    made = Straightening(Trace(scene.points_nm), SHAPE[2], SHAPE[1], 9.0, 12.0)
    assert made.shape[0] >= SHAPE[0]
    return made


def made(url: Any, map_: Straightening, how: str, **more: Any) -> np.ndarray[Any, Any]:
    """Sample in slabs of some number of slices; `reader` and what `SliceSampler` takes."""
    volume = open_volume(url, reader=more.pop("reader", None), resolution=more.pop("voxel", None))
    n, rows, columns = map_.shape
    step = more.pop("slab", n)
    slabs = [Box((k, min(k + step, n)), (0, rows), (0, columns)) for k in range(0, n, step)]
    with SliceSampler(volume, map_, 0, how, **more) as sampler:  # type: ignore[arg-type]
        parts = [part.copy() for part in sampler.stream(slabs)]
    volume.close()
    return np.concatenate(parts)


@pytest.fixture(autouse=True)
def every_thread_has_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give threads their share of slabs that are too small for it otherwise."""
    monkeypatch.setattr("napari_ouroboros.operations.sampler._FEW_SAMPLES", 1)


@pytest.mark.parametrize(
    ("layer", "how"), [("em", "nearest"), ("em", "linear"), ("em", "cubic"), ("cells", "nearest")]
)
def test_memory_slabs_threads_and_readers(
    scene: Scene, map_: Straightening, layer: str, how: str
) -> None:
    url = scene.folder / layer
    plain = made(url, map_, how, threads=1)
    assert len(np.unique(plain)) > 4
    chunk = 32**3 * plain.dtype.itemsize

    @rarely
    @given(
        st.integers(8, 30), st.integers(1, 5), st.sampled_from([1, 3, 10, 50]),
        st.sampled_from(["cloud-volume", "tensorstore"]), st.booleans(),
    )  # fmt: skip
    def check(chunks: int, threads: int, slab: int, reader: str, wait: bool) -> None:
        got = made(
            url, map_, how, memory=chunks * chunk, threads=threads, slab=slab, reader=reader,
            wait=wait,
        )  # fmt: skip
        np.testing.assert_array_equal(got, plain)

    check()


def test_formats_stores_and_encodings(
    scene: Scene, map_: Straightening, tmp_path: Path, http_server: Callable[..., LocalServer]
) -> None:
    offset = open_volume(scene.folder / "cells").levels[0].voxel_offset
    for encoding, sharding in (
        ("raw", None), ("raw", SHARDS), ("compressed_segmentation", None),
        ("compressed_segmentation", SHARDS),
    ):  # fmt: skip
        write_tensorstore(
            tmp_path / f"{encoding}{sharding is not None}", scene.cells[None], encoding,
            chunk=(20, 32, 28), offset=offset, sharding=sharding,
            resolution=[int(r) for r in RESOLUTION[::-1]],
        )  # fmt: skip
    plain = made(scene.folder / "cells", map_, "nearest", threads=1)
    server = http_server(tmp_path)
    for part in sorted(tmp_path.iterdir()):
        for url in (part, f"{server.url}/{part.name}"):
            for reader in ("cloud-volume", "tensorstore"):
                got = made(url, map_, "nearest", reader=reader, threads=2, slab=7)
                np.testing.assert_array_equal(got, plain, err_msg=f"{url} {reader}")


def test_zarr_and_n5(scene: Scene, tmp_path: Path) -> None:
    # They have no offset, so the volume to compare with has none, either.
    write_by_hand(tmp_path / "plain", [scene.em[None]], chunk=(32, 32, 32), resolutions=[(8,) * 3])
    write_n5_by_hand(tmp_path / "n5", scene.em.T, chunk=(30, 20, 25))
    write_zarr2_by_hand(tmp_path / "zarr", scene.em, chunk=(16, 25, 30))
    points = np.array([[0.15, 0.2, 0.2], [0.5, 0.6, 0.4], [0.8, 0.7, 0.8]]) * scene.em.shape * 8
    map_ = Straightening(Trace(points), SHAPE[2], SHAPE[1], 7.0, 11.0)
    for how in ("nearest", "linear", "cubic"):
        plain = made(tmp_path / "plain", map_, how, threads=1)
        for name in ("n5", "zarr"):
            got = made(tmp_path / name, map_, how, voxel=(8, 8, 8), slab=9, memory=300_000)
            np.testing.assert_array_equal(got, plain, err_msg=f"{name} {how}")


def test_lazy_and_written(scene: Scene, map_: Straightening, tmp_path: Path) -> None:
    volume = open_volume(scene.folder / "em")
    plain = made(scene.folder / "em", map_, "linear", threads=1)[..., 0]
    with pytest.warns(Notice, match="lie outside the volume"):
        np.testing.assert_array_equal(straighten(volume, map_).compute(), plain)
    with pytest.warns(Notice, match="lie outside the volume"):
        straighten_to(tmp_path / "out", volume, map_, memory=3 << 20, threads=3)
    np.testing.assert_array_equal(open_volume(tmp_path / "out").read(0), plain)


def test_lazy_in_another_process(scene: Scene, map_: Straightening) -> None:
    """What dask sends there samples the same, and its threads end when it is done."""
    with pytest.warns(Notice, match="lie outside the volume"):
        lazy = straighten(open_volume(scene.folder / "em"), map_)
    expected = lazy.compute(scheduler="synchronous")
    before = threading.active_count()
    sent = cloudpickle.loads(cloudpickle.dumps(lazy))
    np.testing.assert_array_equal(sent.compute(scheduler="synchronous"), expected)
    assert threading.active_count() > before
    del sent
    gc.collect()
    until = time.monotonic() + 20
    while threading.active_count() > before:
        assert time.monotonic() < until, threading.enumerate()
        time.sleep(0.05)


def test_lazy_arrays_of_one_address_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """What dask calls by one name it computes once: voxels of another size are another array."""
    import dask

    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 40)).astype(np.uint8)
    write_zarr2_by_hand(tmp_path / "zarr", noise, chunk=(20, 20, 20))
    map_ = Straightening(Trace([[30.0, 60, 60], [100, 60, 70]]), 12, 12, 4.0, 4.0)
    volumes = [open_volume(tmp_path / "zarr", resolution=(r, r, r)) for r in (4, 8)]
    fine, coarse = dask.compute(*(straighten(volume, map_) for volume in volumes))
    for samples, volume in ((fine, volumes[0]), (coarse, volumes[1])):
        np.testing.assert_array_equal(samples, straighten(volume, map_).compute())
    assert (fine != coarse).mean() > 0.5
