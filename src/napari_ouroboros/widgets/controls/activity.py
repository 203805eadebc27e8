"""Progress of ours mirrored in napari's activity dock."""

from __future__ import annotations

from typing import Any


class _Nowhere:
    """Where napari's progress would print when no window shows it."""

    def write(self, _: str) -> None:
        pass

    def flush(self) -> None:
        pass


class Activity:
    """One bar in napari's activity dock, to be used from a timer's slot only.

    napari turns Qt's event loop inside of each change of a bar: whoever calls must have nothing
    left to do that the events handled meanwhile could spoil.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._wanted = False

    def show(self, fraction: float | None, text: str) -> None:
        """Show how much is done (None: unknown), and a few words."""
        from napari.utils.progress import cancelable_progress

        if self._bar is None:
            total = None if fraction is None else 100
            self._wanted = True
            self._bar = cancelable_progress(total=total, desc=self._title, file=_Nowhere())
            if not self._wanted:  # `close` was called while the bar was in the making
                self.close()
            return  # the rest at the next turn
        bar = self._bar
        if fraction is not None:
            if not bar.total:
                bar.total = 100
            bar.n = round(100 * fraction)
            bar.events.eta(value=text)
            bar.events.value(value=bar.n)
        else:
            bar.events.eta(value=text)

    @property
    def cancelled(self) -> bool:
        """Whether its Cancel was pressed."""
        return self._bar is not None and bool(self._bar.is_canceled)

    def close(self) -> None:
        """Take the bar away. Harmless when repeated."""
        self._wanted = False
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
