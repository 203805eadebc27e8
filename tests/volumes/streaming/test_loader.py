"""What is fetched, in which order, and what is not fetched any more."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from streamed import Gated, levels_of, wait_until, write

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.streaming import ChunkLoader, DecodedChunks
from napari_ouroboros.volumes.streaming import loader as module
from napari_ouroboros.volumes.streaming.loader import MISSING


@pytest.fixture
def gated() -> Iterator[Gated]:
    volume = Gated()
    yield volume
    volume.let(1000)  # no thread is left waiting


def loader_of(volume: Any, n_in_flight: int = 1, limit: int = 1 << 20) -> ChunkLoader:
    return ChunkLoader(volume, n_in_flight, DecodedChunks(limit))


def row(*xs: int) -> list[tuple[int, tuple[int, int, int]]]:
    return [(0, (0, 0, x)) for x in xs]


def test_in_the_order_of_the_wish(gated: Gated) -> None:
    loader = loader_of(gated)
    loader.want("a", row(3, 1, 2))
    gated.let(3)
    wait_until(lambda: loader.idle)
    assert gated.asked == [(0, 0, 3), (0, 0, 1), (0, 0, 2)]
    assert loader.status.loading == 0
    for x in (1, 2, 3):
        np.testing.assert_array_equal(loader.peek(0, (0, 0, x)), np.full((1, 4, 4, 4), x + 1))
    # What is there costs nothing.
    loader.want("a", row(1, 2))
    assert loader.idle
    assert loader.close(2)


def test_a_new_wish_replaces_what_was_queued(gated: Gated) -> None:
    loader = loader_of(gated)
    loader.want("a", row(0, 1, 2, 3))
    wait_until(lambda: gated.asked == [(0, 0, 0)])
    for x in range(4, 9):  # a slider that is dragged
        loader.want("a", row(x))
    assert loader.status.loading == 1
    gated.let(100)
    wait_until(lambda: loader.idle)
    assert gated.asked == [(0, 0, 0), (0, 0, 8)]
    # What was on its way is kept all the same.
    assert loader.peek(0, (0, 0, 0)) is not None


def test_the_last_who_asks_comes_first_and_others_stay(gated: Gated) -> None:
    loader = loader_of(gated)
    loader.want("a", row(0, 1))
    wait_until(lambda: len(gated.asked) == 1)
    loader.want("b", row(5))
    gated.let(100)
    wait_until(lambda: loader.idle)
    assert gated.asked == [(0, 0, 0), (0, 0, 5), (0, 0, 1)]


def test_who_looks_away_gets_nothing(gated: Gated) -> None:
    loader = loader_of(gated)
    loader.want("a", row(0, 1, 2))
    wait_until(lambda: len(gated.asked) == 1)
    loader.drop("a")
    assert loader.status.loading == 0
    gated.let(100)
    wait_until(lambda: loader.idle)
    assert gated.asked == [(0, 0, 0)]


def test_a_wish_for_later_is_replaced_by_one_for_now(gated: Gated) -> None:
    loader = loader_of(gated)
    loader.want_later("a", row(1), 30)
    loader.want("a", row(2))
    gated.let(100)
    wait_until(lambda: loader.idle)
    loader.want_later("a", row(3), 0.01)
    wait_until(lambda: loader.peek(0, (0, 0, 3)) is not None)
    assert gated.asked == [(0, 0, 2), (0, 0, 3)]


def test_failures_are_remembered_and_tried_again_when_asked(gated: Gated) -> None:
    loader = loader_of(gated)
    gated.problems[(0, 0, 1)] = SourceError("chunk 1 is\n corrupt")
    loader.want("a", row(1, 2))
    gated.let(2)
    wait_until(lambda: loader.peek(0, (0, 0, 2)) is not None)
    assert loader.status == module.Status(0, 1, "chunk 1 is corrupt")
    loader.want("a", row(2, 1))  # the same again, as each refresh does: not asked at once
    assert loader.idle
    assert gated.asked == [(0, 0, 1), (0, 0, 2)]
    gated.problems.clear()
    loader.retry()
    gated.let(1)
    wait_until(lambda: loader.peek(0, (0, 0, 1)) is not None)
    assert loader.status == module.Status()


def test_failures_are_tried_again_by_themselves(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.02)
    loader = loader_of(gated)
    for x in (0, 1, 2):
        gated.problems[(0, 0, x)] = SourceError("no answer")
    loader.want("a", row(0, 1, 2))
    gated.let(3)
    wait_until(lambda: loader.status.failed == 3)
    gated.problems.clear()
    gated.let(3)
    wait_until(lambda: loader.status == module.Status())
    assert all(loader.peek(0, (0, 0, x)) is not None for x in (0, 1, 2))


def test_missing_chunks_are_known_and_asked_for_once(gated: Gated) -> None:
    loader = loader_of(gated)
    gated.absent.add((0, 0, 1))
    loader.want("a", row(1))
    gated.let(1)
    wait_until(lambda: loader.idle)
    assert loader.peek(0, (0, 0, 1)) is MISSING
    loader.want("b", row(1))
    assert loader.idle
    assert loader.status == module.Status()


def test_memory_has_a_bound_and_a_wish_beyond_it_does_not_run_in_circles(gated: Gated) -> None:
    kept = DecodedChunks(64 * 10)
    loader = ChunkLoader(gated, 4, kept)
    gated.let(1000)
    loader.want("a", row(*range(10)))
    assert loader.status.left_out == 1
    wait_until(lambda: loader.idle)
    assert len(gated.asked) == 9  # the rest is for what comes and goes
    loader.want("a", row(0))
    assert loader.status.left_out == 0
    for x in range(9):
        loader.want("a", row(x))
        wait_until(lambda: loader.idle)
    assert kept.held_bytes <= 640
    assert loader.peek(0, (0, 0, 8)) is not None
    kept.limit_bytes = 128
    assert kept.held_bytes <= 128


def test_who_looks_at_more_than_memory_holds_shares_it(gated: Gated) -> None:
    """Else each would drive out what the other has just got, and fetch it again, for ever."""
    kept = DecodedChunks(64 * 10)
    loaders = [ChunkLoader(gated, 2, kept) for _ in range(3)]
    gated.let(1000)
    for _ in range(8):  # a refresh claims all layers again as soon as anything has come
        for loader in loaders:
            loader.want("layer", row(*range(8)))
        wait_until(lambda: all(loader.idle for loader in loaders))
        before, gated.asked[:] = len(gated.asked), []
    assert before == 0
    assert [loader.status.left_out for loader in loaders] == [5, 5, 5]
    assert all(loader.peek(0, (0, 0, x)) is not None for loader in loaders for x in range(3))
    # Who looks away, or is no more, leaves its share to the others.
    loaders[0].drop("layer")
    del loaders[1], loader
    gc.collect()
    loaders[1].want("layer", row(*range(8)))
    wait_until(lambda: loaders[1].idle)
    assert loaders[1].status == module.Status()


def test_who_wants_little_leaves_the_rest_of_its_share(gated: Gated) -> None:
    kept = DecodedChunks(64 * 10)  # of which 9 chunks may be looked at
    small, large = ChunkLoader(gated, 2, kept), ChunkLoader(gated, 2, kept)
    gated.let(1000)
    small.want("image", row(0, 1))
    large.want("labels", row(*range(8)))
    wait_until(lambda: small.idle and large.idle)
    assert large.status.left_out == 1
    assert small.status.left_out == 0
    small.want("image", row(0, 1, 2, 3, 4, 5))  # more than the other has left, but its own share
    wait_until(lambda: small.idle)
    assert small.status.left_out == 6 - 4
    large.want("labels", row(*range(8)))
    wait_until(lambda: large.idle)
    assert large.status.left_out == 8 - 5


def test_a_chunk_larger_than_the_memory_fails_with_words_and_is_never_fetched(
    gated: Gated,
) -> None:
    loader = loader_of(gated, limit=63)
    gated.let(100)
    for _ in range(3):
        loader.want("a", row(1))
        wait_until(lambda: loader.idle)
    assert gated.asked == []
    assert loader.status.failed == 1
    assert "preferences" in loader.status.problem
    loader._kept.limit_bytes = 640
    loader.retry()
    wait_until(lambda: loader.peek(0, (0, 0, 1)) is not None)


def test_a_loader_that_goes_while_chunks_are_kept_does_not_block() -> None:
    """Garbage may be collected in the middle of `put`, in the same thread."""
    kept = DecodedChunks(1000)
    kept.put((1, 0, (0, 0, 0)), np.zeros(100, np.uint8))
    kept.put((2, 0, (0, 0, 0)), np.zeros(100, np.uint8))
    with kept._lock:
        kept.drop(1)  # as its end would
    assert (1, 0, (0, 0, 0)) in kept
    kept.put((2, 0, (0, 0, 1)), np.zeros(100, np.uint8))
    assert (1, 0, (0, 0, 0)) not in kept
    assert kept.held_bytes == 200


def test_one_bound_for_all_volumes() -> None:
    kept = DecodedChunks(1000)
    big = np.zeros(2000, np.uint8)
    for owner in range(5):
        kept.put((owner, 0, (0, 0, 0)), np.zeros(300, np.uint8))
        assert kept.held_bytes <= 1000
    assert (0, 0, (0, 0, 0)) not in kept
    assert (4, 0, (0, 0, 0)) in kept
    # A view would hold on to all of its base.
    kept.put((9, 0, (0, 0, 0)), big[:10])
    found = kept.get((9, 0, (0, 0, 0)))
    assert found is not None
    assert found.base is None
    kept.put((9, 0, (0, 0, 1)), big)
    assert (9, 0, (0, 0, 1)) not in kept
    kept.drop(4)
    assert (4, 0, (0, 0, 0)) not in kept


def streaming_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ouroboros-stream"]


def test_idle_and_forgotten_loaders_leave_no_thread(gated: Gated) -> None:
    loader = loader_of(gated, n_in_flight=4)
    gated.let(1000)
    loader.want("a", row(*range(8)))
    wait_until(lambda: loader.idle)
    wait_until(lambda: not streaming_threads(), 10)
    assert gated.closed == 1  # and so its connections
    # They come back when there is something to do.
    loader.want("a", row(9))
    wait_until(lambda: loader.peek(0, (0, 0, 9)) is not None)


def test_a_forgotten_loader_ends_its_threads(gated: Gated) -> None:
    kept = DecodedChunks()
    loaders = [ChunkLoader(gated, 4, kept)]
    loaders[0].want("a", row(*range(8)))
    wait_until(lambda: len(gated.asked) == 4)
    gated.let(1)
    wait_until(lambda: kept.held_bytes == 64)
    reference = weakref.ref(loaders.pop())
    gc.collect()
    assert reference() is None
    assert kept.held_bytes == 0
    gated.let(4)
    wait_until(lambda: not streaming_threads(), 10)


def test_close_ends_all_within_two_seconds(gated: Gated) -> None:
    loader = loader_of(gated, n_in_flight=4)
    loader.want("a", row(*range(8)))
    wait_until(lambda: len(gated.asked) == 4)
    heard: list[int] = []
    loader.subscribe(lambda: heard.append(1))
    assert not loader.close()  # does not wait
    gated.let(4)
    assert loader.close(2)
    assert len(gated.asked) == 4
    assert not heard
    loader.want("a", row(1))
    assert loader.idle


def test_listeners_are_told_and_can_leave(gated: Gated) -> None:
    loader = loader_of(gated)
    heard: list[str] = []

    def listen() -> None:
        heard.append(threading.current_thread().name)

    loader.subscribe(listen)
    loader.want("a", row(1))
    gated.let(1)
    wait_until(lambda: "ouroboros-stream" in heard)
    loader.unsubscribe(listen)
    heard.clear()
    loader.want("a", row(2))
    gated.let(1)
    wait_until(lambda: loader.idle)
    assert not heard


@pytest.mark.parametrize("proven", [False, True])
def test_a_silent_server_does_not_hold_up_the_end(
    tmp_path: Path, http_server: Callable[..., LocalServer], proven: bool
) -> None:
    server = http_server(write(tmp_path / "v", levels_of((32, 32, 32), 1), 8).parent)
    volume = open_volume(f"precomputed://{server.url}/v")
    loader = ChunkLoader(volume, 8, DecodedChunks())
    loader.want("a", row(3) if proven else [])
    wait_until(lambda: loader.idle and not streaming_threads())
    server.fault("v/mip0/*", "silent")
    others = set(streaming_threads())
    asked = server.n_requests
    loader.want("a", row(0, 1, 2))
    wait_until(lambda: server.n_requests == asked + 3)
    assert loader.close(2)
    wait_until(lambda: set(streaming_threads()) <= others, 1)
    # The volume itself is not touched by that.
    server.heal()
    assert volume.fetch_chunk(0, (0, 0, 0)) is not None


def test_given_up_and_wanted_again(tmp_path: Path, http_server: Callable[..., LocalServer]) -> None:
    server = http_server(write(tmp_path / "v", levels_of((32, 32, 32), 1), 8).parent)
    loader = ChunkLoader(open_volume(f"precomputed://{server.url}/v"), 8, DecodedChunks())

    def listen() -> None:
        """Somebody who looks."""

    server.fault("v/mip0/*", "silent")
    loader.subscribe(listen)
    loader.want("a", row(0, 1, 2))
    wait_until(lambda: server.n_requests >= 4)
    loader.drop("a")
    loader.unsubscribe(listen)
    server.heal()
    loader.want("b", row(1))
    wait_until(lambda: loader.peek(0, (0, 0, 1)) is not None, 3)
    assert loader.status == module.Status()
    assert loader.close(2)
