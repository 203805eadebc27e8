"""What the first click would otherwise wait for, imported in the background."""

from __future__ import annotations

import threading
from importlib import import_module

_begun = False


def begin_warming() -> None:
    """Import what tables of points and curves need, once per process; returns at once.

    pandas (napari's Points import it for their first feature) and SciPy's splines take up to
    0.4 s, which a window would feel at the first point of a trace.
    """
    global _begun
    if not _begun:
        _begun = True
        threading.Thread(target=_warm, daemon=True, name="ouroboros-imports").start()


def _warm() -> None:
    from napari_ouroboros.geometry import Straightening, Trace

    import_module("pandas").DataFrame({"order": [0]})
    _ = import_module("pint").get_application_registry().nm  # reads all units
    bend = Trace([(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (20.0, 5.0, 0.0), (30.0, 9.0, 1.0)])
    for trace in (bend, Trace(bend.points_nm[:3], closed=True), Trace(bend.points_nm, False, 1.0)):
        _ = Straightening(trace, 10, 10, 1.0, 1.0, twist=[(0.0, 0.0), (9.0, 5.0)]).frames
