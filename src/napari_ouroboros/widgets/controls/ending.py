"""Calls at the end of a widget, in whichever way it ends."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from qtpy.QtWidgets import QWidget

#: Slots of widgets that Qt has not destroyed yet. A widget that Python forgets as garbage would
#: take its slot along, emptied, though Qt calls it when it destroys what is left: that crashes.
_slots: set[_Slot] = set()


class _Slot:
    """What Qt calls when a widget is destroyed."""

    def __init__(self, calls: list[Callable[[], object]]) -> None:
        self._calls = calls
        _slots.add(self)

    def __call__(self, *_: object) -> None:
        _slots.discard(self)
        _end(self._calls)


def _end(calls: list[Callable[[], object]]) -> None:
    while calls:
        calls.pop()()


def calls_at_end(widget: QWidget) -> list[Callable[[], object]]:
    """Return a list: whatever is put into it is called once, when the widget is no more.

    Qt may delete the widget while Python still knows it, or Python may forget it first: then Qt's
    signal comes to nobody. The calls must not hold the widget, and garbage may be collected in any
    thread: they must be fit for that, too.
    """
    calls: list[Callable[[], object]] = []
    # No bound method: it would be called with the widget half gone, or keep it alive.
    widget.destroyed.connect(_Slot(calls))
    weakref.finalize(widget, _end, calls).atexit = False
    return calls
