"""Watches the GUI thread: how long it kept the user waiting, and what it did meanwhile.

A timer of the GUI thread beats every 10 ms. When a beat is late, a thread samples the GUI thread's
stack until the next one; over 50 ms it is a gap. Its time is filed sample by sample as

- ``paint``: napari, vispy and Qt draw;
- ``layers``: napari adds or removes a layer, makes a canvas, or turns between 2D and 3D;
- ``ours``: everything else, and any wait, whoever is on the stack. A wait within a paint, code of
  ours that napari or Qt called within one: both are ours.

What no program can help is taken off: time in which the thread was ready to run and the machine
ran something else (the kernel counts it), in which the whole machine stood still (another process
beats, too), and Python's garbage collection, whichever thread is at it: no other runs meanwhile.
All three are printed with the gap.
"""

from __future__ import annotations

import gc
import linecache
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Literal

import real_events
from machine_time import Machine, Schedule
from qtpy.QtCore import Qt, QTimer
from vispy.scene import SceneCanvas

Class = Literal["paint", "layers", "ours"]

BEAT = 0.010
LATE = 0.050
#: How often a late GUI thread's stack is sampled.
_PERIOD = 0.005

_OURS = os.sep + "napari_ouroboros" + os.sep
#: Functions of the standard library that wait; C functions that do are found by `_WAITING_LINE`.
_WAITS = {
    "threading.py": {"wait", "wait_for", "join", "_wait_for_tstate_lock", "acquire", "__enter__"},
    "queue.py": {"get", "put", "join"},
    "socket.py": {"readinto", "accept", "connect", "create_connection", "getaddrinfo", "sendall"},
    "ssl.py": {"read", "recv", "recv_into", "do_handshake", "send", "sendall"},
    "selectors.py": {"select"},
    "subprocess.py": {"wait", "_wait", "communicate", "_communicate"},
    "connection.py": {"poll", "recv", "recv_bytes", "_poll", "_recv", "wait"},
    "_base.py": {"result", "exception", "wait", "as_completed"},  # concurrent.futures
}
_WAITING_LINE = re.compile(
    r"\b(sleep|acquire|recv|recv_into|select|wait|join|urlopen|result)\s*\(|^\s*with .*lock",
)
_PAINTS = {
    "paintGL",
    "paintEvent",
    "on_draw",
    "_draw_scene",
    "_on_paint",
    "on_paint",
    "swap_buffers",
}
#: While Qt's own code handles these for napari's window, it draws.
_PAINT_EVENTS = {"UpdateRequest", "Paint"}
_LAYERS = {
    # function: end of the file's path
    "insert": "components/layerlist.py",
    "remove": "components/layerlist.py",
    "clear": "components/layerlist.py",
    "batched_update": "components/layerlist.py",
    "__delitem__": "containers/_evented_list.py",
    "add_layer": "components/viewer_model.py",
    "_on_add_layer": "components/viewer_model.py",
    "_on_remove_layer": "components/viewer_model.py",
    "_on_layers_change": "components/viewer_model.py",
    "_on_add_layer_change": "_qt/qt_viewer.py",
    "_add_layer": "_qt/qt_viewer.py",
    "add_layer_visual_mapping": "_vispy/canvas.py",
    "_remove_layer": "_vispy/canvas.py",
    "__init__": "_qt/qt_viewer.py",
    "_reorder_layers": "_vispy/canvas.py",
    "_clean_and_update_scenegraph": "_vispy/canvas.py",
    "toggle_ndisplay": "components/_viewer_key_bindings.py",
    "_on_ndisplay_changed": "components/viewer_model.py",
    "_on_ndisplay_change": "_vispy/camera.py",
    "set_data_displayed": "_vispy/camera.py",
}


@dataclass(frozen=True)
class Call:
    """One frame of a sampled stack, copied while it lived."""

    file: str
    function: str
    line: int
    #: Type of the Qt event that the function was called for, if it is an ``event`` of Qt.
    event: str = ""

    def __str__(self) -> str:
        short = os.sep.join(self.file.split(os.sep)[-3:])
        return f"{short}:{self.line} {self.function} {self.event}".rstrip()


Stack = tuple[Call, ...]  # the outermost first


def classify(stack: Stack) -> Class:
    """Say what a stack was doing."""
    if not stack or waits(stack[-1]):
        return "ours"
    for call in reversed(stack):
        if _OURS in call.file:
            return "ours"
        file = call.file.replace(os.sep, "/")
        if file.endswith(_LAYERS.get(call.function, "\0")) and "/napari/" in file:
            return "layers"
        if call.function in _PAINTS or call.event in _PAINT_EVENTS:
            return "paint"
    return "ours"


def waits(call: Call) -> bool:
    """Whether a stack that ends here waits for something."""
    if call.function in _WAITS.get(os.path.basename(call.file), ()):
        return True
    return bool(_WAITING_LINE.search(linecache.getline(call.file, call.line)))


@dataclass
class Gap:
    """One time in which the GUI thread did not answer.

    Attributes
    ----------
    doing : str
        What the test was at.
    seconds : dict
        Of each class, without what is taken off.
    machine, gc : float
        Seconds taken off: the processor was elsewhere; Python collected garbage, in any thread.
    stacks : list of (class, seconds, stack)
    """

    doing: str
    start: float
    seconds: dict[Class, float] = field(
        default_factory=lambda: {"paint": 0.0, "layers": 0.0, "ours": 0.0}
    )
    machine: float = 0.0
    gc: float = 0.0
    stacks: list[tuple[Class, float, Stack]] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{name} {1000 * value:.0f} ms" for name, value in self.seconds.items() if value]
        if self.machine > 0.001:
            parts.append(f"(machine {1000 * self.machine:.0f} ms)")
        if self.gc > 0.001:
            parts.append(f"(gc {1000 * self.gc:.0f} ms)")
        return f"{self.doing}: " + ", ".join(parts)

    def where(self, kind: Class, depth: int = 40) -> str:
        """The stack in which most of a class's time went, from the event loop inwards."""
        times: dict[Stack, float] = {}
        for of, seconds, stack in self.stacks:
            if of == kind:
                times[stack] = times.get(stack, 0.0) + seconds
        if not times:
            return "    no sample"
        stack = max(times, key=lambda each: times[each])
        inner = max((k for k, call in enumerate(stack) if call.function == "wait_until"), default=0)
        shown = [call for call in stack[inner:] if "importlib._bootstrap" not in call.file]
        return "\n".join(f"    {call}" for call in shown[-depth:])


class Watcher:
    """Use as a context manager in the GUI thread; it watches while `wait_until` runs the loop.

    Attributes
    ----------
    gaps : list of Gap
    """

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self.doing = "start"
        self._beat = self._painted = time.monotonic()
        self._watching = False
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._collecting = 0.0
        self._collected = 0.0
        self._collected_then = 0.0  # at the beat
        self._gui = threading.get_ident()
        self._schedule = Schedule(threading.get_native_id())
        self._machine = Machine()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beats)

    def __enter__(self) -> Watcher:
        self._machine.start()
        self._draw = SceneCanvas._draw_scene
        watcher, draw = self, SceneCanvas._draw_scene

        def noted(canvas: Any, *arguments: Any, **more: Any) -> Any:
            watcher._painted = time.monotonic()
            return draw(canvas, *arguments, **more)

        SceneCanvas._draw_scene = noted
        gc.callbacks.append(self._garbage)
        real_events.around_checks.append(self._beats)
        real_events.around_loops.append(self._loop)
        self._timer.start(round(1000 * BEAT))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watching = False
        SceneCanvas._draw_scene = self._draw
        self._timer.stop()
        self._timer.timeout.disconnect(self._beats)
        real_events.around_checks.remove(self._beats)
        real_events.around_loops.remove(self._loop)
        gc.callbacks.remove(self._garbage)
        self._end.set()
        self._thread.join()
        self._schedule.close()
        self._machine.close()
        for gap in self.gaps:
            self._take_off_machine(gap)

    @contextmanager
    def during(self, action: str) -> Iterator[None]:
        """Name what is done meanwhile, for the report."""
        before, self.doing = self.doing, action
        try:
            yield
        finally:
            self.doing = before

    def worst(self, kind: Class, doing: str | None = None) -> Gap | None:
        """The gap with the most time of a class, of one action or of all."""
        found = [g for g in self.gaps if g.seconds[kind] and doing in (None, g.doing)]
        return max(found, key=lambda gap: gap.seconds[kind], default=None)

    def check(self, limit: float = 0.100, apart: dict[str, float] | None = None) -> None:
        """Fail if a gap has more than `limit` seconds of ours; `apart`: other limits by action."""
        limits = apart or {}
        wrong = [gap for gap in self.gaps if gap.seconds["ours"] > limits.get(gap.doing, limit)]
        assert not wrong, "the GUI thread stood still:\n" + "\n".join(
            f"{gap}\n{gap.where('ours')}" for gap in wrong
        )

    def table(self) -> dict[str, dict[Class, float]]:
        """Longest gap of each class for every action, in seconds."""
        found: dict[str, dict[Class, float]] = {}
        for gap in self.gaps:
            row = found.setdefault(gap.doing, {"paint": 0.0, "layers": 0.0, "ours": 0.0})
            for kind, seconds in gap.seconds.items():
                row[kind] = max(row[kind], seconds)
        return found

    # -- in the GUI thread ------------------------------------------------------------------

    def _beats(self) -> None:
        # Noted here, because the watcher's thread may see the beat only after a collection.
        self._collected_then = self._garbage_time()
        self._beat = time.monotonic()

    def _loop(self, runs: bool) -> None:
        self._beats()
        self._watching = runs

    # -- in whichever thread it was that began to collect -----------------------------------

    def _garbage(self, phase: str, about: dict[str, Any]) -> None:
        # Another thread's collection, too: it holds the interpreter's lock from begin to end.
        if phase == "start":
            self._collecting = time.monotonic()
        elif self._collecting:
            self._collected += time.monotonic() - self._collecting
            self._collecting = 0.0

    def _garbage_time(self) -> float:
        """Seconds of garbage collection so far, with one that goes on (it calls Python, too)."""
        begun = self._collecting
        return self._collected + (time.monotonic() - begun if begun else 0.0)

    # -- in the watcher's thread ------------------------------------------------------------

    def _watch(self) -> None:
        gap: Gap | None = None
        owed = 0.0  # what was taken off beyond the time of a sample
        beat, before = self._beat, time.monotonic()
        waited, collected = self._schedule.waited(), self._collected_then
        while not self._end.wait(_PERIOD):
            now = time.monotonic()
            if self._beat != beat or not self._watching:
                gap, beat, before = None, self._beat, self._beat
                waited, collected = self._schedule.waited(), self._collected_then
                continue
            if now - beat < BEAT + _PERIOD:
                continue
            frame = sys._current_frames().get(self._gui)
            if frame is None or self._beat != beat:
                continue
            stack = _copy(frame)
            del frame
            if gap is None:
                gap = Gap(self.doing, beat)
                before, owed = beat, 0.0
            kind = classify(stack)
            if stack[-1].function == "wait_until" and self._painted > beat:
                # No Python runs: Qt shows on the screen what a canvas has just drawn, which is
                # when a software renderer works.
                kind = "paint"
            queued, garbage = self._schedule.waited() - waited, self._garbage_time() - collected
            now = time.monotonic()  # with both: a collection may have come since the stack was seen
            waited, collected = waited + queued, collected + garbage
            gap.machine += queued
            gap.gc += garbage
            own = now - before - queued - garbage + owed
            own, owed = max(0.0, own), min(0.0, own)
            gap.seconds[kind] += own
            gap.stacks.append((kind, own, stack))
            before = now
            if now - beat >= BEAT + LATE and not (self.gaps and self.gaps[-1] is gap):
                self.gaps.append(gap)

    def _take_off_machine(self, gap: Gap) -> None:
        """Take off the time in which another process stood still as well."""
        total = sum(gap.seconds.values())
        if not total:
            return
        still = self._machine.still(gap.start, gap.start + total + gap.machine + gap.gc)
        # What the scheduler counted for this thread may be the same time.
        more = min(max(0.0, still - gap.machine), total)
        gap.machine += more
        for kind in gap.seconds:
            gap.seconds[kind] *= 1 - more / total


def _copy(frame: FrameType | None) -> Stack:
    calls = []
    while frame is not None:
        code = frame.f_code
        event = ""
        if code.co_name == "event" and (given := frame.f_locals.get("e")) is not None:
            # It lives as long as its frame, which cannot end while this thread runs Python.
            event = given.type().name
        calls.append(Call(code.co_filename, code.co_name, frame.f_lineno or 0, event))
        frame = frame.f_back
    return tuple(reversed(calls))


def side_by_side(ours: Watcher, control: Watcher) -> str:
    """A table of the longest gaps of each action in two runs, in ms."""
    lines = [f"{'longest gap [ms] of':34} {'paint':>14} {'layers':>14} {'ours':>14}"]
    one, two = ours.table(), control.table()
    for action in dict.fromkeys([*one, *two]):
        cells = []
        for kind in ("paint", "layers", "ours"):
            pair = [1000 * table.get(action, {}).get(kind, 0.0) for table in (one, two)]  # type: ignore[call-overload]
            cells.append(f"{pair[0]:6.0f} /{pair[1]:6.0f}")
        lines.append(f"{action:34} " + " ".join(f"{cell:>14}" for cell in cells))
    return "\n".join([*lines, "(streamed volume / the same in memory)"])
