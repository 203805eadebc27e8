"""What the first click would otherwise wait for, made ready in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from napari_ouroboros.errors import Cancelled

if TYPE_CHECKING:
    from napari_ouroboros.geometry.warm import CancelSignal
    from napari_ouroboros.widgets.background import Deliver

_POLL = 0.05  # seconds between looks at a cancel signal

_lock = threading.Lock()
_begun = False
_done = threading.Event()
_calls: list[tuple[Deliver, Callable[[], None]]] = []


def begin_warming() -> None:
    """Import what tables of points and curves need, once per process; returns at once.

    pandas (napari's Points import it for their first feature), the list of all units (its first
    layer reads it) and SciPy's splines take up to a second, which a window would feel.
    """
    global _begun
    with _lock:
        if _begun:
            return
        _begun = True
    threading.Thread(target=_work, daemon=True, name="ouroboros-imports").start()


def wait_until_warm(cancel: CancelSignal | None = None) -> None:
    """Return once all is ready; not in the GUI thread.

    Raises
    ------
    Cancelled
        ``cancel.is_set()`` became true.
    """
    begin_warming()
    while not _done.wait(_POLL):
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled")


def when_warm(deliver: Deliver, function: Callable[[], None]) -> None:
    """Call ``deliver(function)`` as soon as all is ready; never at once."""
    begin_warming()
    with _lock:
        if not _done.is_set():
            _calls.append((deliver, function))
            return
    deliver(function)


def _work() -> None:
    try:
        _warm()
    finally:
        # Also after a failure, which is told by the thread's own message: what waits does
        # without, and meets the same error itself where it matters.
        with _lock:
            _done.set()
            waiting = _calls.copy()
            _calls.clear()
        for deliver, function in waiting:
            deliver(function)


def _warm() -> None:
    from napari_ouroboros.geometry import Straightening, Trace

    _read_units()
    import_module("scipy.ndimage")  # napari's thumbnails
    import_module("pandas").DataFrame({"order": [0]})
    bend = Trace([(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (20.0, 5.0, 0.0), (30.0, 9.0, 1.0)])
    for trace in (bend, Trace(bend.points_nm[:3], closed=True), Trace(bend.points_nm, False, 1.0)):
        _ = Straightening(trace, 10, 10, 1.0, 1.0, twist=[(0.0, 0.0), (9.0, 5.0)]).frames


def _read_units() -> None:
    """Give pint, which napari measures layers with, a registry that has read its units.

    Its own reads them when first used, and is half-read for whoever uses it meanwhile in another
    thread; so a complete one takes its place, unless somebody has used it by then.
    """
    pint = import_module("pint")
    current = pint.get_application_registry().get()
    if type(current) is not pint.LazyRegistry:
        return
    registry = pint.LazyRegistry()
    _ = registry.nm  # reads all units
    if type(current) is pint.LazyRegistry and pint.get_application_registry().get() is current:
        pint.set_application_registry(registry)
