"""Coarse first: what is not at hand repeats coarser voxels, and labels are never blended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from streamed import Gated, in_a_thread, levels_of, padded, pyramid_of, wait_until, write

from napari_ouroboros.layers import align
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.level import Level
from napari_ouroboros.volumes.streaming import ChunkLoader, StreamedPyramid, compose
from napari_ouroboros.volumes.streaming import pyramid as module


def fetch(pyramid: StreamedPyramid, level: int, *boxes: tuple[slice, ...]) -> None:
    """Have the chunks of parts of a level at hand."""
    mip = pyramid.lattices[level].mip
    sizes = pyramid.volume.mip(mip).chunk
    grid = pyramid.volume.mip(mip).chunk_grid
    wanted = []
    for box in boxes:
        ranges = [
            range(along.start // c, min(-(-along.stop // c), n))
            for along, c, n in zip(box, sizes, grid, strict=True)
        ]
        wanted += [(mip, (z, y, x)) for z in ranges[0] for y in ranges[1] for x in ranges[2]]
    pyramid.loader.want("test", wanted)
    wait_until(lambda: pyramid.loader.idle)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_is_missing_repeats_the_coarser_level(tmp_path: Path, axis: int) -> None:
    levels = levels_of((16, 24, 32), 3, "uint64")
    pyramid = pyramid_of(open_volume(write(tmp_path / "v", levels, 8)), 3)
    pyramid.watched = True  # only what we ask for
    plane = tuple(5 if a == axis else slice(None) for a in range(3))
    assert not np.asarray(pyramid.levels[0][plane]).any()
    whole = tuple(slice(0, n) for n in pyramid.lattices[2].shape)
    fetch(pyramid, 2, whole)
    coarse = levels[2][0]
    for k in range(3):
        coarse = coarse.repeat(4, k)
    np.testing.assert_array_equal(np.asarray(pyramid.levels[0][plane]), coarse[plane])
    # Some chunks of the middle level, one of the finest: each over what is coarser.
    fetch(pyramid, 1, (slice(0, 8), slice(0, 8), slice(8, 16)))
    expected = coarse.copy()
    middle = levels[1][0][:8, :8, 8:16]
    for k in range(3):
        middle = middle.repeat(2, k)
    expected[:16, :16, 16:32] = middle
    fetch(pyramid, 0, (slice(0, 8), slice(8, 16), slice(16, 24)))
    expected[:8, 8:16, 16:24] = levels[0][0][:8, 8:16, 16:24]
    np.testing.assert_array_equal(np.asarray(pyramid.levels[0][plane]), expected[plane])
    # Also backwards and with steps.
    step = pyramid.levels[0][plane][::-3, 1::2]
    np.testing.assert_array_equal(np.asarray(step), expected[plane][::-3, 1::2])


def test_padding_is_0_whatever_the_coarser_level_has_there(tmp_path: Path) -> None:
    levels = levels_of((9, 9, 9), 2)
    pyramid = pyramid_of(open_volume(write(tmp_path / "v", levels, 8)), 2)
    pyramid.watched = True
    fetch(pyramid, 1, (slice(0, 5),) * 3)
    shown = np.asarray(pyramid.levels[0][4])
    expected = levels[1][0].repeat(2, 0).repeat(2, 1).repeat(2, 2)[4]
    expected[9:], expected[:, 9:] = 0, 0
    np.testing.assert_array_equal(shown, expected)
    fetch(pyramid, 0, (slice(0, 9),) * 3)
    np.testing.assert_array_equal(
        np.asarray(pyramid.levels[0][4]), padded(levels[0][0], (10, 10, 10))[4]
    )


def test_missing_chunks_are_0_and_not_coarser_voxels(
    tmp_path: Path, http_server: Callable[..., LocalServer]
) -> None:
    from oracles.precomputed import write_by_hand

    levels = levels_of((16, 16, 16), 2)
    folder = write_by_hand(tmp_path / "v", levels, leave_out=[(0, 0, 1)])
    server = http_server(folder.parent)
    pyramid = pyramid_of(open_volume(f"precomputed://{server.url}/v"), 2)
    expected = levels[0][0].copy()
    expected[:8, :8, 8:] = 0
    np.asarray(pyramid.levels[0][3])
    wait_until(lambda: pyramid.loader.idle)
    np.testing.assert_array_equal(np.asarray(pyramid.levels[0][3]), expected[3])
    np.testing.assert_array_equal(in_a_thread(lambda: np.asarray(pyramid.levels[0])), expected)


def test_a_window_in_3d_reads_a_level_without_waiting_and_no_part_of_it(tmp_path: Path) -> None:
    levels = levels_of((16, 16, 16), 2)
    pyramid = pyramid_of(open_volume(write(tmp_path / "v", levels, 8)), 2)
    pyramid.in_3d.add("a window")
    assert not np.asarray(pyramid.levels[1]).any()
    wait_until(lambda: pyramid.loader.idle)
    np.testing.assert_array_equal(np.asarray(pyramid.levels[1]), levels[1][0])
    # A part of a level is nothing that napari shows in 3D: it is read exactly.
    np.testing.assert_array_equal(np.asarray(pyramid.levels[0][2:6]), levels[0][0][2:6])


def test_where_the_volume_has_no_coarse_level_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http_server: Callable[..., LocalServer]
) -> None:
    monkeypatch.setattr(module, "_LONGEST_PLANE", 12)
    monkeypatch.setattr(module, "_SHORT_ENOUGH", 8)
    levels = levels_of((6, 45, 30), 1, "uint32")
    server = http_server(write(tmp_path / "v", levels, (6, 8, 8)).parent)
    pyramid = pyramid_of(open_volume(f"precomputed://{server.url}/v"), 1)
    assert [lattice.stride for lattice in pyramid.lattices] == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]
    shapes = np.array([lattice.shape for lattice in pyramid.lattices])
    assert (shapes[0] % shapes == 0).all()
    whole = padded(levels[0][0], tuple(shapes[0]))
    for level, lattice in zip(pyramid.levels, pyramid.lattices, strict=True):
        _, y, x = lattice.stride
        # The voxel in the middle of those that one stands for.
        expected = whole[:, y // 2 :: y, x // 2 :: x]
        read = in_a_thread(partial(np.asarray, level))
        np.testing.assert_array_equal(read, expected)
    # As napari does: what is visible of the finest level, and the thumbnail.
    server.requests.clear()
    np.asarray(pyramid.levels[0][:, 8:16, 16:24][3])
    np.asarray(pyramid.levels[-1][3])
    wait_until(lambda: pyramid.loader.idle)
    assert dict(server.requests) == {"v/mip0/16-24_8-16_0-6": 1}
    shown = np.asarray(pyramid.levels[-1][3])
    at_hand = np.zeros_like(whole)
    at_hand[:, 8:16, 16:24] = whole[:, 8:16, 16:24]
    np.testing.assert_array_equal(shown, at_hand[3, 2::4, 2::4])


def test_a_huge_volume_without_coarser_mips_is_looked_at_in_its_middle() -> None:
    """Millions of chunks lie in what is seen of it: nobody goes through all of them."""
    volume: Any = Gated()
    volume.levels = (Level((20_000, 100_000, 100_000), (40.0, 4.0, 4.0), chunk=(64, 64, 64)),)
    looked: list[Any] = []

    class Loader(ChunkLoader):
        def peek(self, mip: int, index: Any) -> Any:
            looked.append(index)
            return super().peek(mip, index)

    aligned = align(volume.levels)
    pyramid = StreamedPyramid(volume, aligned.mips, aligned.boxes, Loader(volume, 1))
    pyramid.watched = True
    coarsest = pyramid.levels[-1]
    assert max(coarsest.shape) <= 1024
    for part in (coarsest[coarsest.shape[0] // 2], pyramid.levels[-2][:, 300]):
        looked.clear()
        assert np.asarray(part).shape == part.shape
        assert 0 < len(looked) <= 3 * compose.MOST_CHUNKS
    middle = np.mean(sorted({index[1] for index in looked}))
    assert middle == pytest.approx(300 * 128 / 64, abs=3)
    pyramid.in_3d.add("test")
    looked.clear()
    np.asarray(coarsest)
    assert 0 < len(looked) <= compose.MOST_CHUNKS
    pyramid.claim("test", pyramid.take_readings())
    assert pyramid.loader.status.left_out > 100_000  # and it is said
    pyramid.loader.close()
    volume.let(100)


def test_unwatched_levels_fetch_what_was_read_last(
    tmp_path: Path, http_server: Callable[..., LocalServer]
) -> None:
    """Nobody says when the slicing is over, so it is over when it has been quiet for a while."""
    levels = levels_of((64, 16, 16), 2)
    server = http_server(write(tmp_path / "v", levels, 8).parent)
    pyramid = pyramid_of(open_volume(f"precomputed://{server.url}/v"), 2)
    server.requests.clear()
    for z in range(0, 64, 2):
        np.asarray(pyramid.levels[0][z])
        np.asarray(pyramid.levels[1][z // 2])
    wait_until(lambda: pyramid.loader.idle)
    fine = {name for name in server.requests if "mip0" in name}
    assert {name.rsplit("_", 1)[1] for name in fine} == {"56-64"}


def test_errors_reach_who_waits(tmp_path: Path, http_server: Callable[..., LocalServer]) -> None:
    from napari_ouroboros.errors import SourceError

    levels = levels_of((16, 16, 16), 1)
    server = http_server(write(tmp_path / "v", levels, 8).parent)
    pyramid = pyramid_of(open_volume(f"precomputed://{server.url}/v"), 1)
    server.fault("v/mip0/*", 403)

    def read() -> Any:
        return np.asarray(pyramid.levels[0])

    with pytest.raises(SourceError, match="403"):
        in_a_thread(read)
    # The window shows what it has, and knows why.
    assert not np.asarray(pyramid.levels[0][3]).any()
    wait_until(lambda: pyramid.loader.status.failed == 8)
    assert "403" in pyramid.loader.status.problem
    server.heal()
    pyramid.loader.retry()
    wait_until(lambda: pyramid.loader.idle)
    np.testing.assert_array_equal(np.asarray(pyramid.levels[0][3]), levels[0][0][3])
