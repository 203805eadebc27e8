"""Single slices and strips: the very samples of the whole, from chunks that stay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand

from napari_ouroboros import Straightening, Trace, UserError, Volume, open_volume, straighten
from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry import sample_kernel, sampling
from napari_ouroboros.operations.boxes import Box
from napari_ouroboros.operations.preview import Preview
from napari_ouroboros.operations.sampler import SliceSampler

SHAPE, CHUNK, STEP = (60, 64, 70), (16, 16, 16), 8.0
POINTS = np.array([[5.0, 20, 20], [20, 30, 40], [40, 35, 30], [55, 30, 50]]) * STEP


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(2)
    fine = rng.integers(0, 255, (1, *SHAPE), np.uint8)
    coarse = fine[:, ::2, ::2, ::2].copy()
    path = tmp_path_factory.mktemp("preview") / "v"
    write_by_hand(
        path, [fine, coarse], chunk=CHUNK, offsets=[(0, 0, 0)] * 2,
        resolutions=[(STEP,) * 3, (2 * STEP,) * 3], leave_out=[(1, 1, 1)],
    )  # fmt: skip
    return path


@pytest.fixture(params=[True, False], ids=["compiled", "numpy"])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With kernels that are ready, and with kernels that never are."""
    if request.param:
        for method in sampling.TAPS:
            sampling.start_compiling(method, np.dtype(np.uint8))
        waits = [("mark", None), ("nearest", np.dtype("u1")), ("linear", np.dtype("u1"))]
        for name, dtype in [*waits, ("cubic", np.dtype("u1"))]:
            sampling._compiled(name, dtype, wait=True)
    else:
        monkeypatch.setattr(sampling, "is_ready", lambda key, make: False)
    return bool(request.param)


def map_of(
    points: NDArray[np.float64] = POINTS, width: int = 31, height: int = 24
) -> Straightening:
    return Straightening(Trace(points), width, height, 6.0, 7.0)


@pytest.fixture(scope="module")
def volume(folder: Path) -> Iterator[Volume]:
    volume = open_volume(folder)
    yield volume
    volume.close()


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")
def test_slices_and_strips_are_those_of_the_whole(
    method: str, compiled: bool, volume: Volume
) -> None:
    map_ = map_of()
    for mip in (0, 1):
        whole = straighten(volume, map_, mip, method).compute()
        with Preview(volume) as preview:
            for k in (0, 17, len(whole) - 1):
                np.testing.assert_array_equal(preview.slice(map_, k, mip, method), whole[k])
            for strip, expected in [
                (preview.strip(map_, mip, interpolation=method), whole[:, 12, :]),
                (preview.strip(map_, mip, "row", interpolation=method), whole[:, :, 15]),
                (
                    preview.strip(map_, mip, "column", 3, (4, 40), 5, method),
                    whole[4:40:5, 3, :],
                ),
                (preview.strip(map_, mip, "row", 0, (1, 2), 9, method), whole[1:2, :, 0]),
            ]:
                np.testing.assert_array_equal(strip, expected)


def test_channels_come_last(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(3, 20, 20, 20)).astype(np.float32)
    write_by_hand(
        tmp_path / "v", [array], chunk=CHUNK, offsets=[(0, 0, 0)], resolutions=[(STEP,) * 3]
    )
    map_ = Straightening(Trace([[40.0, 80, 80], [120, 80, 80]]), 10, 8, 8, 8)
    with Preview(open_volume(tmp_path / "v")) as preview:
        whole = straighten(preview.volume, map_).compute()
        np.testing.assert_array_equal(preview.slice(map_, 3), whole[3])
        np.testing.assert_array_equal(preview.strip(map_), whole[:, 4])
        np.testing.assert_array_equal(preview.strip(map_, axis="row"), whole[:, :, 5])


@pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")
def test_lengths_left_open_follow_the_level(volume: Volume) -> None:
    open_map = Straightening(Trace(POINTS), 11, 12)
    with Preview(volume) as preview:
        for mip in (1, 0, 1):
            whole = straighten(volume, open_map, mip).compute()
            np.testing.assert_array_equal(preview.slice(open_map, 5, mip), whole[5])


def served_preview(
    folder: Path, http_server: Callable[..., LocalServer], **options: float
) -> tuple[LocalServer, Preview]:
    server = http_server(folder, bucket=True, **options)
    return server, Preview(open_volume(f"precomputed://{server.url}"))


def chunk_requests(server: LocalServer) -> dict[str, int]:
    return {path: n for path, n in server.requests.items() if "_" in path}


def test_chunks_outlive_the_curve(folder: Path, http_server: Callable[..., LocalServer]) -> None:
    server, preview = served_preview(folder, http_server)
    with preview:
        for shift in range(12):
            preview.slice(map_of(POINTS + shift * 4.0), 20)
            preview.strip(map_of(POINTS + shift * 4.0))
        assert max(n for path, n in chunk_requests(server).items() if ".gz" not in path) == 1
        before = server.n_requests
        preview.slice(map_of(POINTS + 6.0), 20)
        assert server.n_requests == before


def test_a_slice_is_that_of_the_curve_it_is_asked_for(volume: Volume) -> None:
    """Also after other curves and levels, and of a curve that is asked for again."""
    maps = [map_of(POINTS + [0, shift, 0]) for shift in (0, 15, 30)]
    with Preview(volume) as preview:
        for i, mip in [(0, 0), (1, 0), (0, 0), (1, 1), (2, 1), (2, 0), (0, 1)]:
            with Preview(volume) as fresh:
                np.testing.assert_array_equal(
                    preview.slice(maps[i], 20, mip), fresh.slice(maps[i], 20, mip)
                )
        first, second = (preview.slice(map_, 20) for map_ in maps[:2])
        assert (first != second).mean() > 0.5


def test_what_is_here_is_known_without_waiting(
    folder: Path, http_server: Callable[..., LocalServer]
) -> None:
    server, preview = served_preview(folder, http_server, latency=0.2)
    map_ = map_of()
    with preview:
        preview.slice(map_, 3, mip=1)  # kernels, connections
        before = server.n_requests
        assert not preview.slice_is_here(map_, 20)
        assert not preview.strip_is_here(map_)
        assert server.n_requests == before
        preview.slice(map_, 20)
        assert preview.slice_is_here(map_, 20)
        assert not preview.slice_is_here(map_, 50)
        preview.strip(map_)
        assert preview.strip_is_here(map_)
        # Also where all there is to know is that a chunk is missing, or that none is needed.
        preview.strip(map_, axis="row", at=30)
        assert preview.strip_is_here(map_, axis="row", at=30)


def test_waiting_can_be_cancelled(folder: Path, http_server: Callable[..., LocalServer]) -> None:
    server, preview = served_preview(folder, http_server)
    server.fault("*_*", "silent")
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    start = time.monotonic()
    with preview, pytest.raises(Cancelled):
        preview.slice(map_of(), 20, cancel=cancel)
    assert time.monotonic() - start < 15
    with pytest.raises(Cancelled, match="closed"):
        preview.slice(map_of(), 20)


@pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")
def test_one_compiled_kernel_serves_whole_runs_parts_and_previews(volume: Volume) -> None:
    """A second one, for arrays laid out otherwise, would take seconds in the middle of a run."""
    map_ = map_of()
    straighten(volume, map_).compute()
    with SliceSampler(volume, map_, 0, "linear", memory=8 * 16**3) as sampler:
        sampler.read(Box((3, 9), (2, 11), (5, 6)))
    sampling._compiled("linear", np.dtype("u1"), wait=True)
    with Preview(volume) as preview:
        preview.slice(map_, 4)
        preview.strip(map_, axis="row", step=3)
    uint8 = [s for s in sample_kernel.linear.signatures if str(s[0].dtype) == "uint8"]
    assert len(uint8) == 1
    with Preview(volume) as preview:
        preview.slice(map_, 4, interpolation="nearest")
    assert {str(s[0].dtype)[:4] for s in sample_kernel.nearest.signatures} <= {"uint"}


def test_a_pool_smaller_than_a_slice(volume: Volume) -> None:
    map_ = map_of(width=51, height=50)
    with Preview(volume) as large, Preview(volume, memory=8 * 16**3) as small:
        np.testing.assert_array_equal(small.slice(map_, 30), large.slice(map_, 30))
        np.testing.assert_array_equal(small.strip(map_), large.strip(map_))
        assert small._pools[0].capacity == 8


def test_many_threads_look_at_one_preview(volume: Volume) -> None:
    maps = [map_of(POINTS + 9.0 * i) for i in range(4)]
    with Preview(volume) as alone:
        expected = [alone.slice(m, 20) for m in maps]
    wrong: list[int] = []
    with Preview(volume, memory=30 * 16**3) as preview:

        def look(i: int) -> None:
            for _ in range(10):
                if not np.array_equal(preview.slice(maps[i], 20), expected[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=look, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    assert not wrong


@pytest.mark.parametrize(
    ("message", "look"),
    [
        ("there is no slice 999; there are", lambda p, m: p.slice(m, 999)),
        ("there is no slice -1", lambda p, m: p.slice(m, -1)),
        ("there is no mip 7", lambda p, m: p.slice(m, 0, mip=7)),
        ("there is no row 24; there are 24", lambda p, m: p.strip(m, at=24)),
        ("there is no column 31", lambda p, m: p.strip(m, axis="row", at=31)),
        ("axis must be 'row' or 'column'", lambda p, m: p.strip(m, axis="slice")),
        ("slices 5:3 are not within", lambda p, m: p.strip(m, slices=(5, 3))),
        ("step must be 1 or more", lambda p, m: p.strip(m, step=0)),
        ("interpolation must be", lambda p, m: p.slice(m, 0, interpolation="quintic")),
    ],
)
def test_what_cannot_be_looked_at(
    message: str, look: Callable[[Preview, Straightening], object], volume: Volume
) -> None:
    with Preview(volume) as preview, pytest.raises(UserError, match=message):
        look(preview, map_of())
