"""Autosave: when it writes, by a clock that the test moves, and what a failing disk does to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from napari_ouroboros.errors import DestinationError
from napari_ouroboros.session.autosave import Autosave, Clock


class Moved(Clock):
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = 0.0
        self._turns = 0
        self._condition: threading.Condition | None = None
        self._waiting = threading.Event()

    def now(self) -> float:
        return self.time

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        self._condition = condition
        self._turns += 1
        condition.notify_all()
        self._waiting.set()
        condition.wait()

    def settle(self, to: float | None = None) -> None:
        """Move to a time, and wait until the thread has seen it and waits again."""
        assert self._waiting.wait(10)
        condition = self._condition
        assert condition is not None
        with condition:
            if to is not None:
                self.time = to
            before = self._turns
            condition.notify_all()
            assert condition.wait_for(lambda: self._turns > before, 10)


class Written:
    """What the autosave has written and said, and at what time."""

    def __init__(self, clock: Moved, **more: object) -> None:
        self.clock = clock
        self.at: list[float] = []
        self.began: list[float] = []
        self.said: list[str] = []
        self.problem: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.autosave = Autosave(
            self._write, begin=lambda: self.began.append(clock.time), clock=clock
        )
        self.autosave.failed.connect(self.said.append)

    def _write(self) -> None:
        self.meanwhile()
        if self.problem is not None:
            raise self.problem
        self.at.append(self.clock.time)

    def edits(self, *times: float) -> None:
        for time in times:
            if self.clock.time or self.began:
                self.clock.settle(time)
            else:
                self.clock.time = time
            self.autosave.changed()


@pytest.fixture
def written() -> Iterator[Written]:
    found = Written(Moved())
    yield found
    found.problem, found.meanwhile = None, lambda: None
    assert found.autosave.close(10, write=False)


def test_an_edit_is_written_five_seconds_later(written: Written) -> None:
    written.edits(1.0)
    written.clock.settle(5.99)
    assert written.at == []
    assert written.autosave.pending
    # That there is something unsaved is known at once.
    assert written.began == [1.0]
    written.clock.settle(6.0)
    assert written.at == [6.0]
    assert not written.autosave.pending
    written.clock.settle(1000.0)
    assert written.at == [6.0]


def test_edits_without_a_pause_are_written_within_ten_seconds(written: Written) -> None:
    written.edits(*[0.5 * i for i in range(1, 101)])
    written.clock.settle(55.0)
    # From the first edit that is not in a file yet to the file.
    firsts, waits = [0.5], []
    for at in written.at:
        waits.append(at - firsts[-1])
        firsts.append(at if at < 50 else 50.0)
    assert len(written.at) >= 5
    assert max(waits) <= 10.0
    assert not written.autosave.pending


def test_the_time_that_a_write_takes_counts(written: Written) -> None:
    def slow() -> None:
        written.clock.time += 2.0

    written.meanwhile = slow
    written.edits(1.0)
    written.clock.settle(6.0)
    assert written.at == [8.0]
    # An edit at 9 and then one each second: done, not only begun, by 19.
    written.edits(*[float(t) for t in range(9, 17)])
    written.clock.settle(16.9)
    assert len(written.at) == 2
    assert written.at[1] <= 19.0


def test_an_edit_during_a_write_is_written_again(written: Written) -> None:
    def edit() -> None:
        written.meanwhile = lambda: None
        written.autosave.changed()

    written.meanwhile = edit
    written.edits(1.0)
    written.clock.settle(6.0)
    assert written.at == [6.0]
    assert written.autosave.pending
    written.clock.settle(11.0)
    assert written.at == [6.0, 11.0]


def test_a_failing_disk_is_said_and_tried_again(written: Written) -> None:
    written.problem = DestinationError("no space left\non the disk")
    written.edits(1.0)
    written.clock.settle(6.0)
    assert written.said == ["no space left on the disk"]
    assert written.autosave.problem == "no space left on the disk"
    assert written.autosave.pending
    written.problem = ValueError("a mistake of ours")
    written.clock.settle(11.0)
    assert written.said[1:] == ["a mistake of ours"]
    written.problem = None
    written.clock.settle(16.0)
    assert written.at == [16.0]
    assert written.autosave.problem == ""
    assert not written.autosave.pending


def test_flush_writes_now(written: Written) -> None:
    written.edits(1.0)
    assert written.autosave.flush(10)
    assert written.at == [1.0]
    assert written.autosave.flush(10)
    assert written.at == [1.0]


def test_flush_waits_for_no_second_try(written: Written) -> None:
    written.problem = DestinationError("full")
    written.edits(1.0)
    assert not written.autosave.flush(10)
    assert written.autosave.pending


def test_close_writes_what_is_unwritten_or_not() -> None:
    for write in (True, False):
        written = Written(Moved())
        written.edits(1.0)
        assert written.autosave.close(10, write=write)
        assert written.at == ([1.0] if write else [])
        written.autosave.changed()
        assert not written.autosave.pending
    assert all(thread.name != "autosave" for thread in threading.enumerate())


def test_close_does_not_wait_for_a_disk_that_hangs() -> None:
    written, gate = Written(Moved()), threading.Event()
    written.meanwhile = lambda: assert_(gate.wait(10))
    written.edits(1.0)
    assert not written.autosave.close(0.05)
    gate.set()
    assert written.autosave.close(10)


def test_whoever_is_told_may_raise(written: Written) -> None:
    """The thread ends with the mistake of a listener; the next edit begins another."""
    done = threading.Event()

    def told() -> None:
        written.autosave.written.disconnect(told)
        done.set()

    written.autosave.written.connect(told)
    written.edits(1.0)
    assert written.autosave.flush(10)
    assert done.wait(10)
    written.autosave.changed()
    assert written.autosave.flush(10)
    assert len(written.at) == 2


def assert_(value: bool) -> None:
    assert value
