"""One long piece of work: progress, cancel, failure, and the end of all of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.widgets.straighten.conftest import Loop

from napari_ouroboros import Cancelled, UserError
from napari_ouroboros.widgets.qa.job import Job


class Told:
    """All that a job says, in order."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.job = Job("test", loop.deliver)
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
    assert told.all == ["started", (1, 2), (2, 2), 7, None]


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
