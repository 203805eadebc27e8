"""One long piece of work: progress, cancel, failure, and the end of all of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.widgets.straighten.conftest import Loop

from napari_ouroboros import Cancelled, UserError
from napari_ouroboros.widgets.job import Job
from napari_ouroboros.widgets.qa.job import Check


class Told:
    """All that a job says, in order."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.job = Check("test", loop.deliver, "a test")
        self.all: list[Any] = []
        self.job.started.connect(lambda: self.all.append("started"))
        self.job.progressed.connect(lambda *x: self.all.append(x))
        self.job.ended.connect(self.all.append)

    def wait(self) -> None:
        self.loop.until(lambda: not self.job.running)


@pytest.fixture
def told() -> Any:
    told = Told(Loop())
    yield told
    told.job.close()


def test_a_result_comes_before_the_end_is_told(told: Told) -> None:
    def run(progress: Any, _cancel: Any) -> int:
        progress(1, 2)
        progress(2, 2)
        return 7

    assert told.job.start(run, lambda result: told.all.append(result))
    assert told.job.running
    told.wait()
    assert [told.all[0], *told.all[-3:]] == ["started", (2, 2), 7, None]


def test_one_at_a_time_and_again(told: Told) -> None:
    go = threading.Event()
    assert told.job.start(lambda *_: go.wait(20), lambda _: None)
    assert not told.job.start(lambda *_: 1, lambda _: None)
    go.set()
    told.wait()
    assert told.job.start(lambda *_: 1, lambda _: None)
    told.wait()
    assert told.all == ["started", None] * 2


def until_stopped(_progress: Any, cancel: Any) -> None:
    while not cancel.is_set():
        threading.Event().wait(0.001)


def test_cancelled(told: Told) -> None:
    def run(progress: Any, cancel: Any) -> None:
        until_stopped(progress, cancel)
        raise Cancelled("as asked")

    told.job.start(run, lambda _: told.all.append("never"))
    told.job.cancel()
    told.wait()
    assert told.all[0] == "started"
    assert [str(x) for x in told.all[1:]] == ["as asked"]


def test_what_fails_after_it_was_stopped_was_stopped(told: Told) -> None:
    def run(progress: Any, cancel: Any) -> None:
        until_stopped(progress, cancel)
        raise RuntimeError("closed under its feet")

    told.job.start(run, lambda _: told.all.append("never"))
    told.job.cancel()
    told.wait()
    assert isinstance(told.all[1], Cancelled)


def test_failed(told: Told) -> None:
    def run(_progress: Any, _cancel: Any) -> None:
        raise UserError("no")

    told.job.start(run, lambda _: told.all.append("never"))
    told.wait()
    assert isinstance(told.all[1], UserError)


def test_closed_it_says_nothing_more(told: Told) -> None:
    begun, ended = threading.Event(), threading.Event()

    def run(progress: Any, cancel: Any) -> None:
        begun.set()
        until_stopped(progress, cancel)
        progress(1, 1)
        ended.set()

    told.job.start(run, lambda _: told.all.append("never"))
    assert begun.wait(20)
    told.job.close()
    assert ended.wait(20)
    told.loop.turn()
    assert told.all in (["started"], ["started", (1, 1)])


def test_what_was_stopped_may_still_fail(told: Told) -> None:
    """Such as labels that cannot be put back: nobody must take that for a cancel that went well."""
    job, failed = Job("test", told.loop.deliver, "a test"), []

    def run(progress: Any, cancel: Any) -> None:
        until_stopped(progress, cancel)
        raise UserError("the disk is full")

    assert job.do(run, lambda _: failed.append("never"), failed.append)
    job.cancel()
    told.loop.until(lambda: job.idle)
    assert [str(x) for x in failed] == ["the disk is full"]
    assert job.was_cancelled
    job.close()


def test_the_end_is_told_though_what_came_of_it_fails(told: Told) -> None:
    told.job.start(lambda *_: 1, lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        told.wait()
    assert told.all == ["started", None]
    assert not told.job.running


def test_progress_is_never_stuck(told: Told) -> None:
    """However many reports come, one waits at a time, and the last one arrives."""

    def run(progress: Any, _cancel: Any) -> None:
        for n in range(5000):
            progress(n, 5000)

    for _ in range(3):
        told.job.start(run, lambda _: None)
        told.wait()
        assert [x for x in told.all if isinstance(x, tuple)][-1] == (4999, 5000)
        told.all.clear()
