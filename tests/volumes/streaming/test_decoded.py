"""What is kept of chunks, within one bound: the spare first to go."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.volumes.streaming import DecodedChunks
from napari_ouroboros.volumes.streaming.decoded import Key


def chunk(n_bytes: int, fill: int = 1) -> np.ndarray:
    return np.full((1, 1, 1, n_bytes), fill, np.uint8)


def key(number: int, owner: int = 0) -> Key:
    return owner, 0, (0, 0, number)


def test_the_longest_unused_goes_first() -> None:
    kept = DecodedChunks(30)
    for i in range(3):
        kept.put(key(i), chunk(10))
    assert kept.get(key(0)) is not None
    kept.put(key(3), chunk(10))
    assert [key(i) in kept for i in range(4)] == [True, False, True, True]


def test_what_is_spare_takes_the_room_that_is_left() -> None:
    kept = DecodedChunks(30)
    kept.put(key(0), chunk(10))
    for i in (1, 2, 3):
        kept.put(key(i), chunk(10, i), spare=True)
    assert kept.held_bytes == 30
    assert kept.get(key(1)) is None  # of what is spare, the longest unused
    assert kept.get(key(0)) is not None
    np.testing.assert_array_equal(kept.get(key(3)), chunk(10, 3))
    kept.put(key(4), chunk(20))
    assert kept.get(key(2)) is None
    assert kept.get(key(3)) is None
    assert key(0) in kept
    kept.put(key(5), chunk(1), spare=True)
    assert kept.get(key(5)) is None
    assert kept.held_bytes == 30


def test_an_owner_that_goes_takes_both_kinds() -> None:
    kept = DecodedChunks(100)
    kept.put(key(0, 1), chunk(10))
    kept.put(key(1, 1), chunk(10), spare=True)
    kept.put(key(2, 2), chunk(10), spare=True)
    kept.drop(1)
    assert kept.held_bytes == 10
    kept.discard(key(2, 2))
    assert kept.held_bytes == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 40), st.booleans(), st.booleans()),
        max_size=40,
    ),
    st.integers(0, 100),
)
def test_the_bound_holds_and_is_counted_right(
    steps: list[tuple[int, int, bool, bool]], limit: int
) -> None:
    kept = DecodedChunks(100)
    for number, size, spare, gone in steps:
        before = [i for i in range(10) if key(i) in kept and i != number]
        if gone:
            kept.discard(key(number))
        else:
            kept.put(key(number), chunk(size), spare)
        assert 0 <= kept.held_bytes <= 100
        there = [kept.get(key(i)) for i in range(10)]
        assert sum(c.nbytes for c in there if c is not None) == kept.held_bytes
        if spare:
            assert all(key(i) in kept for i in before)
    kept.limit_bytes = limit
    assert kept.held_bytes <= limit
