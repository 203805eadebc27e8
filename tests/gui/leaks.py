"""What may not outlive a window: widgets, models, layers, callbacks, threads and sockets."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

import psutil
from psygnal import Signal, SignalGroup
from real_events import wait_until


class Alive:
    """Weak references to everything of a viewer, to be asked after it was closed."""

    def __init__(self) -> None:
        self._references: list[tuple[str, weakref.ref[Any]]] = []

    def note(self, *objects: Any) -> None:
        """Remember things that have to go."""
        for each in objects:
            each = getattr(each, "__wrapped__", each)
            self._references.append((f"{type(each).__name__} {name_of(each)}", weakref.ref(each)))

    def note_viewer(self, model: Any) -> None:
        """Remember a viewer model, its layers and the canvases that show it."""
        from real_events import qt_viewer

        self.note(model, *model.layers, qt_viewer(model))

    @property
    def names(self) -> list[str]:
        """What is still alive."""
        return [name for name, reference in self._references if reference() is not None]

    def expect_gone(self, seconds: float = 10.0) -> None:
        """Collect garbage until nothing is left; fail and say who holds what is."""

        def gone() -> bool:
            gc.collect()
            return not self.names

        try:
            wait_until(gone, "what was closed to be gone", seconds)
        except AssertionError:
            held = [
                f"{name}: held by {', '.join(holders(reference()))}"
                for name, reference in self._references
                if reference() is not None
            ]
            raise AssertionError("still alive after close:\n" + "\n".join(held)) from None


def name_of(thing: Any) -> str:
    """Return its name or title, where it has one."""
    return str(getattr(thing, "name", "") or getattr(thing, "title", ""))


def holders(thing: Any, most: int = 6) -> list[str]:
    """Say which objects refer to one: the first that a search would follow."""
    found = []
    for holder in gc.get_referrers(thing)[:40]:
        if isinstance(holder, (list, dict)) and holder is not None:
            above = [type(each).__name__ for each in gc.get_referrers(holder)[:4]]
            keys = (
                [k for k, v in holder.items() if v is thing][:1] if isinstance(holder, dict) else []
            )
            found.append(f"{type(holder).__name__}{keys} of {above}")
        elif type(holder).__name__ != "frame":
            found.append(f"{type(holder).__name__} {getattr(holder, '__qualname__', '')}".strip())
    return found[:most]


def callbacks_of(*emitters: Any) -> Counter[str]:
    """Count what is connected to napari's and psygnal's emitters, by the emitter's name.

    Parameters
    ----------
    emitters : objects with ``events`` or signals
        Viewer models with their dims, camera, cursor and layers; layers; scenes' parts.
    """
    counts: Counter[str] = Counter()
    for thing in emitters:
        label = type(thing).__name__
        events = getattr(thing, "events", None)
        if events is not None:
            counts.update({f"{label}.{k}": n for k, n in _counted(events)})
        for name in dir(type(thing)):
            # Only signals: pydantic warns of other attributes when they are looked at.
            if isinstance(inspect.getattr_static(type(thing), name, None), Signal):
                counts[f"{label}.{name}"] += len(getattr(thing, name))
    return counts


def viewer_emitters(model: Any) -> list[Any]:
    """Everything of a viewer model that others connect to."""
    model = getattr(model, "__wrapped__", model)
    return [
        model, model.layers, model.layers.selection, model.dims, model.scene.camera,
        model.cursor, *model.layers,
    ]  # fmt: skip


def _counted(events: Any) -> Iterable[tuple[str, int]]:
    if isinstance(events, SignalGroup):
        for name in events:
            yield name, len(events[name])
        return
    for name, emitter in getattr(events, "emitters", {}).items():
        if emitter is not None:
            yield name, len(emitter.callbacks)
    yield "all", len(getattr(events, "callbacks", ()))


def grown(before: Counter[str], after: Counter[str]) -> dict[str, tuple[int, int]]:
    """Emitters with more callbacks than before."""
    return {key: (before[key], n) for key, n in after.items() if n > before[key]}


def mouse_and_keys(model: Any) -> dict[str, int]:
    """How many mouse callbacks and keys are bound on a viewer model or layer."""
    model = getattr(model, "__wrapped__", model)
    names = ("mouse_move_callbacks", "mouse_drag_callbacks", "mouse_wheel_callbacks",
             "mouse_double_click_callbacks")  # fmt: skip
    return {**{name: len(getattr(model, name)) for name in names}, "keys": len(model.keymap)}


class Workers:
    """Threads and connections of the process, to be compared with a later time."""

    def __init__(self, port: int | None = None) -> None:
        self._port = port
        self._threads = set(threading.enumerate())
        self._connections = self._open()

    def _open(self) -> set[Any]:
        """Our ends of the connections to the server."""
        return {
            each.laddr
            for each in psutil.Process().net_connections("tcp")
            if each.raddr and each.raddr.port == self._port and each.status != "TIME_WAIT"
        }

    def left(self) -> list[str]:
        """Names of threads and connections that were not there at the start."""
        threads = [
            f"thread {thread.name}"
            for thread in set(threading.enumerate()) - self._threads
            # One for each request, for as long as the test's own server waits with its answer.
            if thread.is_alive() and "process_request_thread" not in thread.name
        ]
        return sorted(threads) + [f"socket {each}" for each in self._open() - self._connections]

    def expect_gone(self, seconds: float = 10.0) -> None:
        """Fail unless everything that came since has gone by then."""
        try:
            wait_until(lambda: not self.left(), "threads and sockets to end", seconds)
        except AssertionError:
            raise AssertionError(f"left after {seconds:g} s: {self.left()}") from None
