"""What is computed once is kept within a limit, and what fails is not."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_ouroboros.volumes.chunks.kept import Kept


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    kept: Kept[np.ndarray] = Kept(10_000)
    computed: list[int] = []

    def get(i: int) -> np.ndarray:
        def compute() -> np.ndarray:
            computed.append(i)
            return np.full(2000, i, np.uint8)

        return kept.get(i, compute)

    for i in (0, 1, 2, 0, 3, 0, 2, 4, 0):  # 3 of them fit
        assert get(i)[0] == i
    assert computed == [0, 1, 2, 3, 4]
    get(3)
    assert computed == [0, 1, 2, 3, 4, 3]
    # One that is too large by itself is kept until the next one.
    kept.get("large", lambda: np.zeros(50_000, np.uint8))
    kept.get("large", lambda: pytest.fail("it was there"))
    get(0)
    assert computed[-1] == 0


def test_nothing_takes_memory_too() -> None:
    kept: Kept[None] = Kept(10_000)
    for i in range(1000):
        assert kept.get(i, lambda: None) is None
    assert len(kept._futures) < 50


def test_an_error_is_raised_to_all_and_not_kept() -> None:
    kept: Kept[int] = Kept(10_000)
    inside, go = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def fail() -> int:
        inside.set()
        assert go.wait(20)
        raise OSError("gone")

    def ask() -> None:
        try:
            kept.get("it", fail)
        except OSError as error:
            raised.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    assert inside.wait(20)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(20)
    assert len(raised) == 3
    assert kept.get("it", lambda: 5) == 5
