"""Answers that napari wants at once, waited for while the window goes on being drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from qtpy.QtCore import QEventLoop

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.widgets import gui_thread

T = TypeVar("T")


def while_drawing(run: Callable[[], T]) -> T:
    """Return ``run()``, done in another thread; in the GUI thread only.

    What the user does meanwhile is kept for later: who asked stands in the middle of something.

    Raises
    ------
    Cancelled
        The application has ended meanwhile.
    Exception
        Whatever `run` raised.
    """
    gui_thread.prepare()
    loop = QEventLoop()
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(run())
        except BaseException as error:  # noqa: BLE001  # raised below
            errors.append(error)
        gui_thread.deliver(loop.quit)

    threading.Thread(target=work, daemon=True, name="ouroboros-reader").start()
    loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    if errors:
        try:
            raise errors.pop()
        finally:
            errors.clear()
    if not results:
        raise Cancelled("the application has ended")
    return results.pop()
