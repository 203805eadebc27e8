"""Calls brought to the GUI thread: all of them, in order, and the window has its turns between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from pytestqt.exceptions import capture_exceptions
from qtpy.QtCore import QEventLoop, QTimer
from real_events import wait_until

from napari_ouroboros.widgets import gui_thread


@pytest.fixture(autouse=True)
def _prepared(qapp: object) -> None:
    gui_thread.prepare()


def test_calls_come_in_order_from_every_thread() -> None:
    got: list[tuple[int, int]] = []
    where: set[int] = set()

    def call(thread: int, number: int) -> Callable[[], None]:
        def run() -> None:
            where.add(threading.get_ident())
            got.append((thread, number))
            if number % 50 == 0:
                time.sleep(0.01)

        return run

    def work(thread: int) -> None:
        for number in range(200):
            gui_thread.deliver(call(thread, number))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(got) == 600, "all calls")
    for k in range(3):
        assert [number for thread, number in got if thread == k] == list(range(200))
    assert where == {threading.get_ident()}


def test_after_a_long_call_the_event_loop_turns() -> None:
    """As a heartbeat sees it: also where each call delivers the next one."""
    beats: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    done: list[int] = []

    def chained(left: int) -> None:
        time.sleep(0.03)
        done.append(left)
        if left:
            gui_thread.deliver(lambda: chained(left - 1))

    def at_once() -> None:
        time.sleep(0.03)
        done.append(-1)

    timer.start(1)
    gui_thread.deliver(lambda: chained(5))
    for _ in range(6):
        gui_thread.deliver(at_once)
    wait_until(lambda: len(done) == 12, "all calls")
    timer.stop()
    assert len(beats) >= 10


def test_short_calls_share_a_turn() -> None:
    """Else the window would be painted after each of them."""
    turns: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(len(done)))
    done: list[int] = []
    timer.start(0)
    for _ in range(100):
        gui_thread.deliver(lambda: done.append(0))
    wait_until(lambda: len(done) == 100, "all calls")
    timer.stop()
    assert len({count for count in turns if 0 < count < 100}) < 10


def test_a_dialog_within_a_call_keeps_none_waiting() -> None:
    done: list[str] = []

    def dialog() -> None:
        time.sleep(0.02)
        loop = QEventLoop()
        QTimer.singleShot(5000, loop.quit)
        gui_thread.deliver(lambda: done.append("delivered within"))
        gui_thread.deliver(loop.quit)
        start = time.monotonic()
        loop.exec()
        assert time.monotonic() - start < 4
        done.append("closed")

    for _ in range(2):  # in the turn of its arrival, and in a later one
        gui_thread.deliver(dialog)
        gui_thread.deliver(lambda: done.append("next"))
    wait_until(lambda: len(done) == 6, "all calls")
    assert done.count("closed") == done.count("next") == done.count("delivered within") == 2


def test_a_call_that_fails_does_not_stop_the_others() -> None:
    done: list[int] = []

    def fail() -> None:
        time.sleep(0.02)
        raise RuntimeError("as a test wants")

    with capture_exceptions() as raised:
        for _ in range(3):
            gui_thread.deliver(fail)
            gui_thread.deliver(lambda: done.append(0))
        wait_until(lambda: len(done) == 3, "the other calls")
    assert [str(error) for _, error, _ in raised] == ["as a test wants"] * 3
