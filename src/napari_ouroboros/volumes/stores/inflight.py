"""Some jobs at a time in daemon threads, results as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from napari_ouroboros.errors import Cancelled

T = TypeVar("T")

POLL_SECONDS = 0.1  # how often a cancel signal is asked


class CancelSignal(Protocol):
    """Such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the job is to stop."""


def check_cancel(cancel: CancelSignal | None) -> None:
    """Raise `Cancelled` if the signal is set."""
    if cancel is not None and cancel.is_set():
        raise Cancelled("cancelled")


def as_completed(
    tasks: Iterator[Callable[[], T]], n_in_flight: int, cancel: CancelSignal | None = None
) -> Iterator[T]:
    """Yield the results of `tasks` as they come; at most `n_in_flight` are begun and not taken.

    The threads end when the iterator is exhausted, closed or dropped; one that waits for a silent
    server ends later, by itself.

    Raises
    ------
    Cancelled
        The signal was set.
    Exception
        The first that a task raised; tasks not begun are dropped.
    """
    todo: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while (task := todo.get()) is not None:
            try:
                result = task()
            except BaseException as error:  # noqa: BLE001  # raised to who iterates
                done.put((None, error))
            else:
                done.put((result, None))
                del result
            del task

    n_threads = 0
    waiting = 0
    try:
        while True:
            check_cancel(cancel)
            while waiting < max(1, n_in_flight) and (task := next(tasks, None)) is not None:
                todo.put(task)
                waiting += 1
                if n_threads < waiting:
                    threading.Thread(target=work, daemon=True, name="ouroboros-fetch").start()
                    n_threads += 1
            if not waiting:
                return
            try:
                result, error = done.get(timeout=POLL_SECONDS if cancel is not None else None)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
            del result
            waiting -= 1
    finally:
        while True:  # what nobody will take need not begin
            try:
                todo.get_nowait()
            except queue.Empty:
                break
        for _ in range(n_threads):
            todo.put(None)
