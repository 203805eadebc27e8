"""Calls in the GUI thread after a while."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QTimer


def later(seconds: float, function: Callable[[], None]) -> None:
    """Call `function` in the GUI thread after `seconds`; from that thread."""
    QTimer.singleShot(max(0, round(1000 * seconds)), function)
