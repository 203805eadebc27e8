"""How the shell behaves: notices as lines, signals that stop cleanly, no credentials."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from napari_ouroboros.errors import Notice


@contextlib.contextmanager
def shell_manners(debug: bool) -> Iterator[threading.Event]:
    """Notices as plain lines, other libraries' warnings kept quiet, SIGTERM like Ctrl-C.

    The event is set by either signal: an exception alone is lost where a library calls back
    from C, as numba's compiler does.
    """
    stopped = threading.Event()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, Notice) or debug:
            print(f"note: {redacted(str(message))}", file=sys.stderr)

    def stop(number: int, frame: object) -> NoReturn:
        stopped.set()
        raise KeyboardInterrupt

    def lost(what: Any) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            report_lost(what)

    report_lost, sys.unraisablehook = sys.unraisablehook, lost
    before: dict[signal.Signals, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        warnings.showwarning = show
        try:
            # Elsewhere than in the main thread, whoever called main() handles signals.
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGTERM, signal.SIGINT):
                    before[number] = signal.signal(number, stop)
            yield stopped
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.unraisablehook = report_lost


def redacted(text: str) -> str:
    """The text without the credentials that it may contain."""
    from napari_ouroboros.volumes.stores.credentials import redact

    return redact(text)
