"""A callback that comes before napari's own: what it changes is what napari then reads. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.events import EventEmitter


class BeforeNapari:
    """Calls a function at an event, before napari does anything about it.

    napari puts its own callbacks before those of everybody else, wherever those want to be. An
    emitter is one of its own, and emitters can be chained.

    Parameters
    ----------
    event : EventEmitter
    callback : method
        Held weakly.
    """

    def __init__(self, event: EventEmitter, callback: Callable[[Any], object]) -> None:
        self._event = event
        self._first = EventEmitter(source=event.source, type_name="first")
        self._first.connect(callback)
        event.connect(self._first, position="first")

    def close(self) -> None:
        """Call it no more."""
        self._event.disconnect(self._first)
