"""Rates and times left are those that were measured."""

from __future__ import annotations

import pytest

from napari_ouroboros.widgets.controls.rate import Rate, duration_text


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (8.4, "8 s"),
        (59.7, "1 min"),
        (80, "1 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (7199.9, "2 h"),
    ],
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_nothing_is_said_before_it_was_measured() -> None:
    clock = Clock()
    rate = Rate(400, "slices", clock)
    assert rate.text == "0 of 400 slices"
    clock.now += 0.5
    rate.update(20)
    assert rate.per_second is None
    assert rate.seconds_left is None


def test_a_steady_job() -> None:
    clock = Clock()
    rate = Rate(400, "slices", clock)
    for _ in range(12):
        clock.now += 1.0
        rate.update(rate.done + 10)
    assert rate.per_second == pytest.approx(10.0)
    assert rate.seconds_left == pytest.approx(28.0)
    assert rate.fraction == pytest.approx(0.3)
    assert rate.text == "120 of 400 slices, 10 slices/s, 28 s left"


def test_a_server_that_becomes_slow() -> None:
    clock = Clock()
    rate = Rate(10_000, "chunks", clock)
    for _ in range(10):
        clock.now += 1.0
        rate.update(rate.done + 100)
    for _ in range(25):
        clock.now += 1.0
        rate.update(rate.done + 1)
    assert rate.per_second == pytest.approx(1.0, rel=0.01)
    clock.now += 79.0  # and then stops: the rate falls without a report, too
    assert rate.per_second == pytest.approx(20 / 99, rel=0.02)


def test_an_unknown_total() -> None:
    clock = Clock()
    rate = Rate(None, "bytes", clock)
    clock.now += 2.0
    rate.update(5000)
    assert rate.fraction is None
    assert rate.text == "5,000 bytes, 2,500 bytes/s"
    rate.update(5000, 10_000)
    assert rate.fraction == 0.5
