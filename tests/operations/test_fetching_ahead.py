"""Whole runs from a server: the exact chunks, each once, fetched ahead of the sampling."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer
from numpy.typing import NDArray
from oracles import LiteralMap
from oracles.precomputed import write_by_hand

from napari_ouroboros import Straightening, Trace, Volume, open_volume, straighten_to
from napari_ouroboros.errors import Notice
from napari_ouroboros.operations import boxes as boxes_module
from napari_ouroboros.operations.boxes import Box
from napari_ouroboros.operations.round_trip import check, plan_check
from napari_ouroboros.operations.sampler import N_IN_FLIGHT, SliceSampler
from napari_ouroboros.operations.straighten_job import StraightenJob
from napari_ouroboros.volumes.chunks.pool import ChunkPool

SHAPE, CHUNK, STEP = (200, 48, 60), (10, 12, 15), 8.0
POINTS = np.array([[16, 16, 18], [60, 30, 35], [110, 20, 40], [150, 30, 20], [190, 24, 30]]) * STEP


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voxels = np.random.default_rng(1).integers(1, 255, (1, *SHAPE), np.uint8)
    path = tmp_path_factory.mktemp("ahead") / "v"
    return write_by_hand(
        path, [voxels], chunk=CHUNK, offsets=[(0, 0, 0)], resolutions=[(STEP,) * 3]
    )


@pytest.fixture(scope="module")
def map_() -> Straightening:
    return Straightening(Trace(POINTS), 16, 14, 8.0, 8.0)


def exact(map_: Straightening, slices: tuple[int, int] | None = None) -> set[str]:
    """Names of the chunks that hold a voxel which linear interpolation reads."""
    f = map_.frames
    literal = LiteralMap(f.c, f.N, f.B, f.T, map_.shape, map_.pitch_nm, map_.spacing_nm)
    index = np.stack(np.meshgrid(*map(np.arange, map_.shape), indexing="ij"), -1)
    index = literal.to_volume(index if slices is None else index[slice(*slices)])
    index = index.reshape(-1, 3) / STEP - 0.5
    low: NDArray[np.int64] = np.floor(index).astype(np.int64)
    corners = product((0, 1), repeat=3)
    cells = np.concatenate([(low + corner) // CHUNK for corner in corners])
    return {name(cell) for cell in np.unique(cells, axis=0)}


def name(cell: NDArray[np.int64]) -> str:
    ends = [
        (int(i) * c, min((int(i) + 1) * c, n)) for i, c, n in zip(cell, CHUNK, SHAPE, strict=True)
    ]
    return "_".join(f"{a}-{b}" for a, b in reversed(ends))


def asked(server: LocalServer) -> dict[str, int]:
    """Requests per chunk, by the file's own name."""
    return {path.rsplit("/", 1)[1]: n for path, n in server.requests.items() if "_" in path}


def serve(
    http_server: Callable[..., LocalServer], folder: Path, latency: float = 0
) -> tuple[LocalServer, Volume]:
    server = http_server(folder, latency=latency, bucket=True)
    return server, open_volume(f"precomputed://{server.url}")


@pytest.mark.parametrize("samples", [14 * 16, 10 * 14 * 16, 10**6])
@pytest.mark.parametrize(("out", "slots"), [("o.tif", 30), ("o.tif", 10_000), ("o", 10_000)])
def test_exactly_the_chunks_each_once(
    out: str, slots: int, samples: int, folder: Path, map_: Straightening, tmp_path: Path,
    http_server: Callable[..., LocalServer], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(boxes_module, "_BOX_SAMPLES", samples)
    server, volume = serve(http_server, folder)
    memory = slots * int(np.prod(CHUNK))
    report = straighten_to(tmp_path / out, volume, map_, memory=memory, threads=2)
    wanted = exact(map_)
    assert len(wanted) > 60
    assert asked(server) == dict.fromkeys(wanted, 1)
    assert report.chunks_fetched == len(wanted)


def test_a_plan_says_what_a_run_fetches(
    map_: Straightening, tmp_path: Path, http_server: Callable[..., LocalServer]
) -> None:
    """Chunks that reach beyond the volume, too: their bytes are those that lie in it."""
    voxels = np.random.default_rng(1).integers(1, 255, (1, 190, 45, 50), np.uint8)
    write_by_hand(
        tmp_path / "v", [voxels], chunk=(64, 30, 64), offsets=[(0, 0, 0)], resolutions=[(STEP,) * 3]
    )
    _, volume = serve(http_server, tmp_path / "v")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)  # a part of it lies outside
        job = StraightenJob(tmp_path / "o.tif", volume, map_)
        plan = job.plan()
        job.run(None, None, 0)
    assert plan.chunks_to_fetch == job.sampler.chunks_fetched == 6
    assert plan.bytes_to_fetch == voxels.nbytes


def test_a_check_planned_and_done(
    folder: Path, map_: Straightening, http_server: Callable[..., LocalServer]
) -> None:
    server, volume = serve(http_server, folder)
    plan = plan_check(volume, map_)
    assert asked(server) == {}
    report = check(volume, map_)
    assert report.voxels > 10_000
    done = sum(asked(server).values())
    # Of some blocks no voxel turns out to be in the tube: these are not read.
    assert done <= plan.chunks_to_fetch <= 1.1 * done
    assert plan.bytes_to_fetch == plan.chunks_to_fetch * int(np.prod(CHUNK))


def test_the_next_boxes_are_on_their_way_and_the_last_one_is_not_waited_for(
    folder: Path, map_: Straightening, http_server: Callable[..., LocalServer]
) -> None:
    server, volume = serve(http_server, folder)
    n = map_.shape[0]
    boxes = [Box((k, min(k + 20, n)), (0, 14), (0, 16)) for k in range(0, n, 20)]
    late = exact(map_, (40, n)) - exact(map_, (0, 40))
    for chunk in late:
        server.fault(f"*{chunk}*", "silent")
    with SliceSampler(volume, map_, 0, "linear") as sampler:
        stream = sampler.stream(boxes)
        assert next(stream).shape == (20, 14, 16, 1)
        assert next(stream).all()
        # Some of what is not there yet has been asked for meanwhile; not yet all of it.
        begun = set(asked(server)) & late
        assert exact(map_, (40, 60)) <= set(asked(server))
        assert begun < late
        server.close()
        stream.close()


def test_as_many_requests_at_a_time_as_are_useful(
    folder: Path, map_: Straightening, http_server: Callable[..., LocalServer], tmp_path: Path
) -> None:
    server, volume = serve(http_server, folder, latency=0.3)
    straighten_to(tmp_path / "o.tif", volume, map_)
    assert 16 <= server.most_in_flight <= N_IN_FLIGHT


def test_samplers_share_a_pool(folder: Path, map_: Straightening) -> None:
    volume = open_volume(folder)
    with ChunkPool(volume, 0, 10**7) as pool:
        for _ in range(2):
            with SliceSampler(volume, map_, 0, "linear", pool=pool) as sampler:
                part = sampler.read(Box((10, 30), (0, 14), (0, 16)))
                assert part.all()
        assert pool.fetched == len(exact(map_, (10, 30)))
        # It is still open.
        with SliceSampler(volume, map_, 0, "linear", pool=pool, first=10, step=4) as sampler:
            box = Box((0, 5), (3, 9), (2, 16))
            assert sampler.are_here(box)
            np.testing.assert_array_equal(sampler.read(box), part[::4, 3:9, 2:16])
            assert not sampler.are_here(Box((20, 21), (0, 14), (0, 16)))
