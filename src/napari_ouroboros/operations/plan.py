"""An operation as a plan: idempotent write units, run with progress and cancel.

Threads run it here; processes and clusters can run the same units later.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from napari_ouroboros.errors import Cancelled

#: Called as ``progress(done, total)`` in the calling thread, in write units.
Progress = Callable[[int, int], None]

# How long a wait may be before Ctrl-C and cancel are looked at again, in seconds.
POLL = 0.1


class Cancel(Protocol):
    """Anything that can be asked whether to stop, for example a ``threading.Event``."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


@dataclass(frozen=True)
class Unit:
    """One write unit: done again it writes the same bytes to the same place.

    Attributes
    ----------
    key : str
        Names the unit in the journal.
    run : callable
        Does it; takes the plan's own `Cancel`.
    """

    key: str
    run: Callable[[Cancel], None]


@dataclass(frozen=True)
class Plan:
    """What a job will do, known before it is done.

    Attributes
    ----------
    title : str
    units : sequence of Unit
    bytes_to_fetch, bytes_to_write, memory_bytes : int
        Decoded bytes to read, bytes of the result before compression, and the most memory that
        the job's own buffers take.
    chunks_to_fetch : int
    later : sequence of Unit
        Units that need the others' results: they start when `units` are all done.
    """

    title: str
    units: Sequence[Unit] = field(repr=False)
    bytes_to_fetch: int
    bytes_to_write: int
    memory_bytes: int
    chunks_to_fetch: int = 0
    later: Sequence[Unit] = field(default=(), repr=False)

    def run(
        self,
        threads: int = 1,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        done: Callable[[str], None] | None = None,
    ) -> None:
        """Run every unit; in order where `threads` is 1.

        Parameters
        ----------
        threads : int
            How many units at once.
        progress : callable, optional
            ``progress(units done, units)``, called from this thread.
        cancel : Cancel, optional
            Looked at ten times a second.
        done : callable, optional
            Told the key of every finished unit (the journal).

        Raises
        ------
        Cancelled
            `cancel` was set.
        Exception
            The first error of any unit; the others are stopped.
        """
        total = len(self.units) + len(self.later)
        finished = 0

        def one_more() -> None:
            nonlocal finished
            finished += 1
            if progress is not None:
                progress(finished, total)

        if progress is not None:
            progress(0, total)
        for units in (self.units, self.later):
            self._run_all(units, threads, _Stop(cancel), done, one_more)

    def _run_all(
        self,
        units: Sequence[Unit],
        threads: int,
        stop: _Stop,
        done: Callable[[str], None] | None,
        one_more: Callable[[], None],
    ) -> None:
        """Run units and wait for all of them; `one_more` is called here after each."""
        if threads <= 1:
            for unit in units:
                _run_unit(unit, stop, done)
                one_more()
            return
        waiting: queue.SimpleQueue[Unit] = queue.SimpleQueue()
        for unit in units:
            waiting.put(unit)
        results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            while not stop.is_set():
                try:
                    unit = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    _run_unit(unit, stop, done)
                except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                    results.put(error)
                    return
                results.put(None)

        workers = [
            threading.Thread(target=work, daemon=True, name=f"{self.title} {i}")
            for i in range(min(threads, len(units)))
        ]
        try:
            for worker in workers:
                worker.start()
            finished = 0
            while finished < len(units):
                if stop.is_set():
                    raise Cancelled(f"{self.title} was cancelled; nothing was kept")
                try:
                    error = results.get(timeout=POLL)
                except queue.Empty:
                    continue
                if error is not None:
                    raise error
                finished += 1
                one_more()
        finally:
            stop.now = True
            for worker in workers:
                worker.join()


class _Stop:
    """The caller's cancel, or our own stop after an error or Ctrl-C."""

    def __init__(self, cancel: Cancel | None) -> None:
        self._cancel = cancel
        self.now = False

    def is_set(self) -> bool:
        return self.now or (self._cancel is not None and self._cancel.is_set())


def _run_unit(unit: Unit, stop: Cancel, done: Callable[[str], None] | None) -> None:
    if stop.is_set():
        raise Cancelled("the job was cancelled; nothing was kept")
    unit.run(stop)
    if done is not None:
        done(unit.key)


def default_threads() -> int:
    """As many as this process may use processors."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
