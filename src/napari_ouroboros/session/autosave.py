"""Writes some seconds after an edit, in a thread of its own: nobody who edits ever waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from psygnal import Signal

from napari_ouroboros.errors import one_line

#: The share of `latest` that is kept for the write itself, at least and at most.
_LEAST_FOR_WRITING, _MOST_FOR_WRITING = 0.05, 0.5


class Clock:
    """The clock of the machine."""

    def now(self) -> float:
        """Seconds, from some moment on."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait until notified, or so long; the condition is held."""
        condition.wait(seconds)


class Autosave:
    """Calls `write` when the edits pause, and at the latest so long after the first of them.

    Parameters
    ----------
    write : callable
        Called in the thread of this object. What it reads must not change under it, or it asks
        the window's thread for a copy. OSError, OuroborosError and whatever else it raises is
        told by `failed`, and it is tried again.
    delay : float
        Seconds after the last edit.
    latest : float
        Seconds after the first edit that is not written yet, within which the write is to be
        done: it begins earlier by the time that the last one took.
    begin : callable, optional
        Called in the thread as soon as there is an edit: notes that there is unsaved work.
    clock : Clock, optional
    """

    #: A write has failed: one line, told in the thread of this object. It is tried again.
    failed = Signal(str)
    #: A write has been done, told in the thread of this object.
    written = Signal()

    def __init__(
        self,
        write: Callable[[], object],
        delay: float = 5.0,
        latest: float = 10.0,
        begin: Callable[[], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._write, self._begin = write, begin
        self._delay, self._latest = delay, latest
        # Nothing is known yet of how long a write takes.
        self._took = 0.05 * latest
        self._condition = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._news = False
        self._now = self._busy = self._closed = False
        self._problem, self._failures = "", 0
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> bool:
        """Whether there are edits that are not written yet."""
        with self._condition:
            return self._first is not None or self._busy

    @property
    def problem(self) -> str:
        """Why the last write failed, one line; "" if it did not."""
        return self._problem

    def changed(self) -> None:
        """There was an edit. Returns at once, from any thread."""
        with self._condition:
            if self._closed:
                return
            self._last = self._clock.now()
            if self._first is None:
                self._first = self._last
            self._news = True
            # It ends only where somebody who is told of a write raises: not what is still to come.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def flush(self, seconds: float) -> bool:
        """Write now; wait at most so long, and for no second try. Whether all edits are written."""
        with self._condition:
            failures = self._failures
            self._now = self._first is not None
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._is_idle() or self._failures > failures, seconds)
            return self._is_idle()

    def close(self, seconds: float = 10.0, write: bool = True) -> bool:
        """Write what is not written yet unless told not to, and end; wait at most so long.

        Returns
        -------
        bool
            Whether nothing is left unwritten (or was to be written), and the thread has ended.
        """
        deadline = time.monotonic() + seconds
        done = self.flush(seconds) if write else True
        with self._condition:
            self._closed = True
            if not write:
                self._first = None
            self._condition.notify_all()
            thread = self._thread
        if thread is None:
            return done
        thread.join(max(deadline - time.monotonic(), 0.0))
        return done and not thread.is_alive()

    def _is_idle(self) -> bool:
        return self._first is None and not self._busy

    def _due(self) -> float:
        """When the next write begins; with the condition held, and edits there."""
        assert self._first is not None
        if self._now:
            return self._last
        least, most = _LEAST_FOR_WRITING * self._latest, _MOST_FOR_WRITING * self._latest
        for_writing = min(max(2 * self._took, least), most)
        return min(self._last + self._delay, self._first + self._latest - for_writing)

    def _run(self) -> None:
        while True:
            with self._condition:
                news, self._news = self._news, False
                if not news:
                    if self._closed:
                        return
                    if self._first is None:
                        self._clock.wait(self._condition, None)
                        continue
                    wait = self._due() - self._clock.now()
                    if wait > 0:
                        self._clock.wait(self._condition, wait)
                        continue
                    self._first = None
                    self._now, self._busy = False, True
            if not news:
                self._write_once()
            elif self._begin is not None and (problem := _problem_of(self._begin)):
                # A full disk would be told at every edit.
                told, self._problem = self._problem, problem
                if problem != told:
                    self.failed.emit(problem)

    def _write_once(self) -> None:
        began = self._clock.now()
        problem = _problem_of(self._write)
        with self._condition:
            self._problem = problem
            self._took = self._clock.now() - began
            self._busy = False
            if problem:
                self._failures += 1
                # The edits are still to be written: again after the usual pause.
                self._first = self._last = self._clock.now()
            self._condition.notify_all()
        if problem:
            self.failed.emit(problem)
        else:
            self.written.emit()


def _problem_of(call: Callable[[], object]) -> str:
    """Call, and return what went wrong in one line; "" if nothing did."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - told to whoever shows it; the thread goes on
        return one_line(error) or type(error).__name__
    return ""
