"""The chunk pool against a model: a dict, a set of pins, and a bound."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from oracles.precomputed import write_by_hand

from napari_ouroboros.errors import Cancelled, SourceError, UserError
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.chunks import pool as pool_module
from napari_ouroboros.volumes.chunks.pool import ChunkPool
from napari_ouroboros.volumes.level import Level

Index = tuple[int, int, int]


class FakeVolume:
    """4 x 3 x 2 chunks of 2 x 2 x 2 (the last ones clipped); voxel values name their chunk."""

    def __init__(self, channels: int = 1) -> None:
        self.level = Level((7, 6, 4), (1, 1, 1), (0, 0, 0), chunk=(2, 2, 2), key="k")
        self.dtype = np.dtype("int32")
        self.channels = channels
        self.absent: set[Index] = set()
        self.broken: set[Index] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.slow: dict[Index, threading.Event] = {}
        self.asked: list[Index] = []
        self.lock = threading.Lock()

    def mip(self, mip: int) -> Level:
        assert mip == 0
        return self.level

    def value(self, index: Index) -> int:
        return 100 * index[0] + 10 * index[1] + index[2]

    def fetch_chunk(self, mip: int, index: Index) -> np.ndarray[Any, Any] | None:
        with self.lock:
            self.asked.append(index)
        assert self.gate.wait(30)
        assert index not in self.slow or self.slow[index].wait(30)
        if index in self.broken:
            raise SourceError(f"chunk {index} is broken")
        if index in self.absent:
            return None
        size = [b - a for a, b in self.level.chunk_box(index)]
        return np.full((self.channels, *size), self.value(index), self.dtype)


def make(slots: int, **more: Any) -> tuple[FakeVolume, ChunkPool]:
    volume = FakeVolume()
    return volume, ChunkPool(volume, 0, slots * 8 * 4, **more)  # type: ignore[arg-type]


def request(pool: ChunkPool, *ids: Index) -> Any:
    ticket = pool.request(np.array(ids))
    assert ticket is not None
    return ticket


def holds(pool: ChunkPool, volume: FakeVolume, index: Index, slot: int) -> bool:
    size = [b - a for a, b in volume.level.chunk_box(index)]
    inside = pool.slots[(slot, slice(None), *(slice(n) for n in size))]
    return bool((inside == volume.value(index)).all())


def test_slots_hold_the_chunks() -> None:
    volume, pool = make(10)
    with pool:
        assert pool.slots.shape == (10, 1, 2, 2, 2)
        ids = [(0, 0, 0), (3, 2, 1), (0, 0, 0), (1, 2, 0)]
        with request(pool, *ids) as ticket:
            slots = ticket.wait()
            assert slots.dtype == np.int32
            assert slots[0] == slots[2]
            assert len(set(slots.tolist())) == 3
            assert all(holds(pool, volume, i, s) for i, s in zip(ids, slots, strict=True))
        assert pool.fetched == 3
        assert pool.bytes_decoded == 4 * (8 + 4 + 8)


def test_capacity_is_bounded_by_the_level_and_by_memory() -> None:
    assert make(1000)[1].capacity == 24
    assert make(5)[1].capacity == 5
    with pytest.raises(UserError, match="too little memory: one chunk needs 1 MB; use --memory 1"):
        make(0)


def test_memory_is_touched_only_when_used(tmp_path: Path) -> None:
    import psutil

    array = np.ones((1, 64, 64, 64), "uint8")
    write_by_hand(tmp_path, [array], chunk=(64, 64, 64))
    info = (tmp_path / "info").read_text().replace("[64, 64, 64]", "[6400, 6400, 6400]", 1)
    (tmp_path / "info").write_text(info)
    volume = open_volume(tmp_path)
    volume.fetch_chunk(0, (0, 0, 0))
    before = psutil.Process().memory_info().rss
    with ChunkPool(volume, 0, 2 * 10**9) as pool:
        assert pool.slots.nbytes > 1.9e9
        request(pool, (0, 0, 0)).wait()
        assert psutil.Process().memory_info().rss - before < 100e6


def test_resident_chunks_are_not_fetched_again_and_the_longest_unused_goes_first() -> None:
    volume, pool = make(3)
    with pool:
        for index in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 0)]:
            with request(pool, index) as ticket:
                ticket.wait()
        assert volume.asked == [(0, 0, 0), (0, 0, 1), (0, 1, 0)]
        with request(pool, (1, 0, 0)) as ticket:  # puts out (0, 0, 1)
            ticket.wait()
        with request(pool, (0, 0, 0), (0, 1, 0)) as ticket:
            ticket.wait()
        assert pool.fetched == 4
        with request(pool, (0, 0, 1)) as ticket:
            ticket.wait()
        assert pool.fetched == 5


def test_what_does_not_fit_beside_the_pinned_is_none() -> None:
    _, pool = make(4)
    with pool:
        first = request(pool, (0, 0, 0), (0, 0, 1))
        second = request(pool, (0, 0, 1), (0, 1, 0))
        assert pool.request(np.array([(1, 0, 0), (1, 0, 1)])) is None
        assert pool.request(np.array([(1, 0, 0), (0, 0, 0)])) is not None
        first.release()
        first.release()
        assert pool.request(np.array([(1, 1, 0)])) is None  # the third request is still pinned
        second.release()
        assert pool.request(np.array([(1, 1, 0), (1, 2, 0)])) is not None


def test_what_can_never_fit_names_the_memory_that_would_do() -> None:
    _, pool = make(4)
    with pool, pytest.raises(UserError, match=r"5 chunks are needed at once: 1 MB; use --memory 1"):
        pool.request(np.array([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 2, 0)]))


def test_two_tickets_share_one_fetch() -> None:
    volume, pool = make(8)
    with pool:
        volume.gate.clear()
        tickets = [request(pool, (0, 0, 0), (1, i, 0)) for i in range(3)]
        volume.gate.set()
        slots = [ticket.wait()[0] for ticket in tickets]
        assert len(set(slots)) == 1
        assert sorted(volume.asked) == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 2, 0)]


def test_missing_chunks_take_no_slot_and_are_remembered() -> None:
    volume, pool = make(2)
    volume.absent = {(0, 0, 0), (0, 1, 0)}
    with pool:
        with request(pool, (0, 0, 0), (0, 0, 1)) as ticket:
            slots = ticket.wait()
            assert slots[0] == -1
            assert holds(pool, volume, (0, 0, 1), slots[1])
            other = request(pool, (0, 0, 0), (0, 1, 0))
            np.testing.assert_array_equal(other.wait(), [-1, -1])
        assert pool.missing == {(0, 0, 0), (0, 1, 0)}
        assert pool.fetched == 1
        request(pool, (0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)).wait()
        assert volume.asked.count((0, 0, 0)) == 1


def test_what_it_holds_is_known_without_fetching() -> None:
    volume, pool = make(3)
    volume.absent = {(0, 1, 0)}
    ids = np.array([(0, 0, 0), (0, 1, 0)])
    with pool:
        assert pool.holds(np.empty((0, 3), np.int64))
        assert not pool.holds(ids)
        assert not volume.asked
        volume.gate.clear()
        ticket = request(pool, *map(tuple, ids.tolist()))
        assert not pool.holds(ids)  # on their way
        volume.gate.set()
        ticket.wait()
        assert pool.holds(ids)
        ticket.release()
        assert pool.holds(ids)
        request(pool, (1, 0, 0), (1, 0, 1), (1, 1, 0)).wait()
        assert not pool.holds(ids)
        assert pool.holds(ids[1:])  # known to be missing


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    volume, pool = make(3)
    volume.broken = {(0, 0, 1)}
    volume.gate.clear()
    with pool:
        first = request(pool, (0, 0, 0), (0, 0, 1))
        second = request(pool, (0, 0, 1))
        volume.gate.set()
        for ticket in (first, second):
            with pytest.raises(SourceError, match=r"^chunk \(0, 0, 1\) is broken$"):
                ticket.wait()
            ticket.release()
        volume.broken = set()
        with request(pool, (0, 0, 0), (0, 0, 1), (0, 1, 0)) as ticket:
            slots = ticket.wait()
            assert holds(pool, volume, (0, 0, 1), slots[1])
        assert volume.asked.count((0, 0, 0)) == 1


def test_cancel_and_close_end_a_wait() -> None:
    volume, pool = make(3)
    volume.gate.clear()
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    with pytest.raises(Cancelled), request(pool, (0, 0, 0)) as ticket:
        ticket.wait(cancel)
    ticket = request(pool, (0, 0, 0))
    threading.Timer(0.1, pool.close).start()
    with pytest.raises(Cancelled):
        ticket.wait()
    with pytest.raises(Cancelled):
        pool.request(np.array([(0, 0, 1)]))
    volume.gate.set()


def test_a_released_request_does_not_keep_others_waiting() -> None:
    """Neither one in the queue nor one on its way holds a slot once nobody wants it."""
    volume, pool = make(2, n_in_flight=1)
    with pool:
        volume.gate.clear()
        request(pool, (0, 0, 0), (0, 0, 1)).release()
        ticket = request(pool, (1, 0, 0), (1, 0, 1))
        volume.gate.set()
        slots = ticket.wait()
        assert holds(pool, volume, (1, 0, 0), slots[0])
        assert holds(pool, volume, (1, 0, 1), slots[1])
        assert (0, 0, 1) not in volume.asked


def test_a_chunk_that_comes_too_late_is_dropped() -> None:
    volume, pool = make(1)
    late = volume.slow[0, 0, 0] = threading.Event()
    with pool:
        first = request(pool, (0, 0, 0))
        limit = time.monotonic() + 20
        while not volume.asked and time.monotonic() < limit:
            time.sleep(0.01)
        first.release()
        with request(pool, (1, 0, 0)) as ticket:
            (slot,) = ticket.wait()
            late.set()
            while pool.fetched < 2 and time.monotonic() < limit:
                time.sleep(0.01)
            assert pool.fetched == 2
            assert holds(pool, volume, (1, 0, 0), slot)
        with request(pool, (0, 0, 0)) as ticket:
            assert holds(pool, volume, (0, 0, 0), ticket.wait()[0])
        assert pool.fetched == 3


@pytest.mark.parametrize(("asked_for", "megabytes"), [(5, 64), (32, 5 * 32 / 2**20)])
def test_in_flight_is_bounded_and_used(
    asked_for: int, megabytes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number, and by memory: what is on its way needs room beside the slots."""
    monkeypatch.setattr(pool_module, "_IN_FLIGHT_BYTES", int(megabytes * 2**20))
    volume, pool = make(24, n_in_flight=asked_for)
    with pool:
        volume.gate.clear()
        for i in range(4):
            request(pool, *((i, y, x) for y in range(3) for x in range(2)))
        limit = time.monotonic() + 20
        while len(volume.asked) < 5 and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(volume.asked) == 5
        volume.gate.set()


def test_single_requests_in_a_row_run_at_the_same_time() -> None:
    volume, pool = make(24, n_in_flight=4)
    with pool:
        request(pool, (0, 0, 0)).wait()  # now there is one resting thread
        time.sleep(0.05)
        volume.gate.clear()
        for y in range(3):
            request(pool, (1, y, 0))
        limit = time.monotonic() + 20
        while len(volume.asked) < 4 and time.monotonic() < limit:
            time.sleep(0.01)
        assert len(volume.asked) == 4
        volume.gate.set()


@pytest.mark.parametrize("bad", [[(4, 0, 0)], [(0, -1, 0)], [(0.5, 0, 0)], [1, 2, 3]])
def test_chunks_that_do_not_exist(bad: Any) -> None:
    _, pool = make(3)
    with pool, pytest.raises(IndexError):
        pool.request(np.array(bad))


def test_no_chunks_at_all() -> None:
    _, pool = make(3)
    with pool, request(pool) as ticket:
        assert ticket.wait().shape == (0,)


def test_many_threads() -> None:
    volume, pool = make(7)
    volume.absent = {(3, 2, 1), (0, 2, 0)}
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(150):
            ids = rng.integers(0, (4, 3, 2), (rng.integers(1, 4), 3))
            while (ticket := pool.request(ids)) is None:
                time.sleep(0.0005)
            with ticket:
                for index, slot in zip(map(tuple, ids.tolist()), ticket.wait(), strict=True):
                    if index in volume.absent:
                        good = slot == -1
                    else:
                        good = holds(pool, volume, index, slot)
                    if not good:
                        wrong.append((index, slot))

    with pool:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert not wrong
        assert pool.missing == volume.absent


class AgainstAModel(RuleBasedStateMachine):
    """Any order of requests and releases: the pool is an LRU dict with pins."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = 6
        self.volume, self.pool = make(self.slots, n_in_flight=2)
        self.volume.absent = {(z, y, x) for z in (1,) for y in range(3) for x in range(2)}
        self.unused: list[Index] = []  # resident and not pinned, longest unused first
        self.pins: dict[Index, int] = {}
        self.known_missing: set[Index] = set()
        self.fetched = 0
        self.tickets: list[tuple[Any, list[Index], np.ndarray[Any, Any]]] = []

    index = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))

    @rule(ids=st.lists(index, min_size=1, max_size=8))
    def request(self, ids: list[Index]) -> None:
        wanted = [i for i in dict.fromkeys(ids) if i not in self.known_missing]
        if len(wanted) > self.slots:
            with pytest.raises(UserError, match="--memory"):
                self.pool.request(np.array(ids))
            return
        together = set(self.pins) | set(wanted)
        ticket = self.pool.request(np.array(ids))
        assert (ticket is None) == (len(together) > self.slots)
        if ticket is None:
            return
        new = [i for i in wanted if i not in self.pins and i not in self.unused]
        self.unused = [i for i in self.unused if i not in wanted]
        while len(self.pins) + len(self.unused) + len(set(wanted) - set(self.pins)) > self.slots:
            self.unused.pop(0)
        slots = ticket.wait()
        for i in new:
            if i in self.volume.absent:
                self.known_missing.add(i)
            else:
                self.fetched += 1
        pinned = [i for i in wanted if i not in self.volume.absent]
        for i in pinned:
            self.pins[i] = self.pins.get(i, 0) + 1
        for i, slot in zip(ids, slots.tolist(), strict=True):
            assert (slot == -1) == (i in self.volume.absent)
        self.tickets.append((ticket, ids, slots))

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ticket, ids, _ = self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))
        ticket.release()
        for i in dict.fromkeys(ids):
            if i in self.pins:
                self.pins[i] -= 1
                if not self.pins[i]:
                    del self.pins[i]
                    self.unused.append(i)

    @invariant()
    def pinned_slots_hold_their_chunks(self) -> None:
        for _, ids, slots in self.tickets:
            for i, slot in zip(ids, slots.tolist(), strict=True):
                assert slot == -1 or holds(self.pool, self.volume, i, slot)

    @invariant()
    def the_bound_holds_and_nothing_is_fetched_twice(self) -> None:
        assert self.pool.slots.nbytes == self.slots * 32
        assert self.pool.fetched == self.fetched
        assert self.pool.missing == self.known_missing

    def teardown(self) -> None:
        self.pool.close()


AgainstAModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstAModel = AgainstAModel.TestCase
