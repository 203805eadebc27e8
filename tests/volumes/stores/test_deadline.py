"""Waiting has an end, and who is waited for keeps nothing alive."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from napari_ouroboros.errors import Cancelled, SourceError
from napari_ouroboros.volumes.stores.deadline import Heartbeat, call
from napari_ouroboros.volumes.stores.inflight import as_completed


def test_the_result_and_the_error_of_the_call() -> None:
    assert call(lambda: 42, 5, "it") == 42
    with pytest.raises(KeyError, match="mine"):
        call(lambda: {}["mine"], 5, "it")


def test_a_call_that_does_not_return() -> None:
    gate = threading.Event()
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"^it did not answer within 0\.2 s$"):
        call(lambda: gate.wait(20), 0.2, "it")
    assert 0.15 < time.monotonic() - start < 15
    gate.set()


def test_signs_of_life_renew_the_limit() -> None:
    beat = Heartbeat()
    gate = threading.Event()

    def lively() -> str:
        for _ in range(8):
            time.sleep(0.2)
            beat.beat()
        return "done"

    assert call(lively, 1.2, "it", beat) == "done"
    start = time.monotonic()
    with pytest.raises(SourceError):
        call(lambda: gate.wait(20), 0.2, "it", Heartbeat())
    assert time.monotonic() - start < 15
    gate.set()


def test_threads_are_daemons_and_used_again() -> None:
    seen = {call(threading.current_thread, 5, "it") for _ in range(50)}
    assert all(thread.daemon for thread in seen)
    assert len(seen) < 5


def test_many_at_a_time() -> None:
    inside = threading.Barrier(20, timeout=30)
    threads = [threading.Thread(target=call, args=(inside.wait, 40, "it")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not inside.broken


def test_an_idle_thread_does_not_keep_the_result() -> None:
    result = call(lambda: np.zeros(10), 5, "it")
    gone = weakref.ref(result)
    del result
    limit = time.monotonic() + 20
    while gone() is not None and time.monotonic() < limit:
        time.sleep(0.01)
        gc.collect()
    assert gone() is None


def test_as_completed_gives_all_in_order_of_arrival() -> None:
    gates = [threading.Event() for _ in range(3)]

    def after(i: int) -> int:
        assert gates[i].wait(30)
        return i

    results = as_completed(iter([lambda i=i: after(i) for i in range(3)]), 3)
    for i in (1, 2, 0):
        gates[i].set()
        assert next(results) == i
    assert list(results) == []
    assert list(as_completed(iter([]), 3)) == []


def test_as_completed_begins_only_what_may_be_in_flight() -> None:
    begun = []
    tasks = iter([lambda i=i: begun.append(i) for i in range(100)])
    results = as_completed(tasks, 3)
    next(results)
    limit = time.monotonic() + 10
    while len(begun) < 3 and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(begun) == 3
    results.close()
    time.sleep(0.05)
    assert len(begun) == 3


def test_as_completed_is_cancelled() -> None:
    cancel = threading.Event()
    gate = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        list(as_completed(iter([lambda: gate.wait(20)]), 3, cancel))
    assert time.monotonic() - start < 15
    gate.set()


def test_as_completed_ends_its_threads() -> None:
    before = threading.active_count()
    for _ in as_completed(iter([lambda: 1] * 30), 8):
        pass
    limit = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < limit:
        time.sleep(0.01)
    assert threading.active_count() <= before
