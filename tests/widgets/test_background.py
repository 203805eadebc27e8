"""Work off the GUI thread, with the GUI's event loop played by a list."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest
from gui_loop import GuiLoop

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.widgets.background import Token, Worker


@pytest.fixture
def loop() -> GuiLoop:
    return GuiLoop()


def raised(error: Exception) -> None:
    raise error


def test_a_result_comes_back_in_the_gui_thread(loop: GuiLoop) -> None:
    worker = Worker("test", loop.deliver)
    threads: list[Any] = []

    def run(token: Token) -> int:
        threads.append(threading.current_thread())
        return 42

    got: list[Any] = []
    worker.submit(run, lambda value: got.append((value, threading.current_thread())), raised)
    loop.until(lambda: worker.idle, "the worker")
    assert got == [(42, threading.current_thread())]
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon
    assert worker.close(2)


def test_the_latest_wins(loop: GuiLoop) -> None:
    worker = Worker("test", loop.deliver)
    begun, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def first(token: Token) -> str:
        begun.set()
        go_on.wait(20)
        seen.append("first was told to stop" if token.is_set() else "first was not told")
        return "first"

    got: list[str] = []
    worker.submit(first, got.append, raised)
    assert begun.wait(20)
    for name in ("second", "third", "fourth"):
        worker.submit(lambda token, name=name: name, got.append, raised)  # type: ignore[misc]
    go_on.set()
    loop.until(lambda: worker.idle, "the worker")
    assert got == ["fourth"]
    assert seen == ["first was told to stop"]
    assert worker.close(2)


def test_what_has_begun_is_finished_where_asked(loop: GuiLoop) -> None:
    worker = Worker("test", loop.deliver, finish_begun=True)
    begun, go_on = threading.Event(), threading.Event()

    def first(token: Token) -> str:
        begun.set()
        go_on.wait(20)
        return "first"

    got: list[str] = []
    worker.submit(first, got.append, raised)
    assert begun.wait(20)
    for name in ("second", "third"):
        worker.submit(lambda token, name=name: name, got.append, raised)  # type: ignore[misc]
    go_on.set()
    loop.until(lambda: worker.idle, "the worker")
    assert got == ["first", "third"]
    assert worker.close(2)


def test_all_in_their_order(loop: GuiLoop) -> None:
    worker = Worker("test", loop.deliver, keep_all=True)
    got: list[int] = []
    for i in range(20):
        worker.submit(lambda token, i=i: i, got.append, raised)  # type: ignore[misc]
    loop.until(lambda: worker.idle, "the worker")
    assert got == list(range(20))
    assert worker.close(2)


@pytest.mark.parametrize("finish_begun", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
def test_a_result_that_is_on_its_way_is_dropped(
    loop: GuiLoop, cancelled: bool, finish_begun: bool
) -> None:
    worker = Worker("test", loop.deliver, finish_begun=finish_begun)
    got: list[str] = []
    worker.submit(lambda token: "stale", got.append, raised)
    give_up = time.monotonic() + 20
    while not loop.calls and time.monotonic() < give_up:
        threading.Event().wait(0.005)
    assert loop.calls
    if cancelled:
        worker.cancel()
    else:
        worker.submit(lambda token: "new", got.append, raised)
    loop.until(lambda: worker.idle, "the worker")
    if cancelled:
        assert got == []
    else:
        assert got == (["stale", "new"] if finish_begun else ["new"])
    assert worker.close(2)


def test_errors_come_back_and_cancelling_does_not(loop: GuiLoop) -> None:
    worker = Worker("test", loop.deliver, keep_all=True)
    errors: list[Exception] = []

    def fail(token: Token) -> None:
        raise UserError("no such volume")

    def cancelled(token: Token) -> None:
        raise Cancelled("as wished")

    worker.submit(cancelled, raised, errors.append)
    worker.submit(fail, raised, errors.append)
    loop.until(lambda: worker.idle, "the worker")
    assert [str(error) for error in errors] == ["no such volume"]
    assert worker.close(2)


def test_nothing_comes_after_closing(loop: GuiLoop) -> None:
    worker = Worker("test", loop.deliver)
    stopped = threading.Event()

    def run(token: Token) -> str:
        token.wait(20)
        stopped.set()
        return "too late"

    got: list[str] = []
    worker.submit(run, got.append, raised)
    worker.submit(run, got.append, raised)
    assert worker.close(5)
    loop.turn()
    assert got == []
    assert worker.submit(run, got.append, raised).is_set()
    assert worker.close()


def test_a_forgotten_worker_ends_its_thread(loop: GuiLoop) -> None:
    def work() -> weakref.ref[Worker]:
        worker = Worker("forgotten", loop.deliver)
        got: list[int] = []
        worker.submit(lambda token: 1, got.append, raised)
        loop.until(lambda: worker.idle, "the worker")
        return weakref.ref(worker)

    reference = work()
    gc.collect()
    assert reference() is None
    loop.until(
        lambda: not any(thread.name == "forgotten" for thread in threading.enumerate()),
        "the thread's end",
    )
