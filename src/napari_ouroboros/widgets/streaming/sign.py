"""A discreet line: what is loading, what could not be had, and a button to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget
from superqt import QElidingLabel

if TYPE_CHECKING:
    from napari_ouroboros.volumes.streaming import Status
    from napari_ouroboros.widgets.streaming.watching import Watcher

_LONGEST = 60  # letters of a name and of a reason that are shown; the tooltip has all


def sentence(status: Status, names: list[str]) -> str:
    """What the sign says; nothing when there is nothing to say."""
    of = _short(names[0]) if len(names) == 1 else f"{len(names)} layers"
    if status.failed:
        return f"{_chunks(status.failed)} of {of} failed: {_short(status.problem)}"
    if status.loading:
        return f"loading {_chunks(status.loading)} of {of}"
    if status.left_out:
        return f"{of}: more than fits into memory is shown coarse or not at all; zoom in"
    return ""


def explanation(status: Status) -> str:
    """More about it, for the tooltip."""
    if status.problem:
        return status.problem
    if status.left_out and not status.loading:
        return (
            f"{_chunks(status.left_out)} of what is seen have no room in memory. Zoom in, or allow "
            "more memory for chunks in the preferences (napari-ouroboros)."
        )
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _chunks(n: int) -> str:
    return f"{n} chunk" + "s" * (n != 1)


class LoadingSign(QWidget):
    """For a status bar or a dock: says what a viewer is loading, and is not seen otherwise.

    Parameters
    ----------
    watcher : Watcher
        Of the viewer: ``watch(viewer)``.
    parent : QWidget, optional
    """

    def __init__(self, watcher: Watcher, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._watcher = watcher
        self._text = QElidingLabel(parent=self)  # a long reason must not widen the window
        self._retry = QPushButton("Retry", self)
        self._retry.setToolTip("Ask again for the chunks that could not be had")
        self._retry.clicked.connect(self._ask_again)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.addWidget(self._text)
        layout.addWidget(self._retry)
        # Held weakly by the signal, and nothing of it is called once the window has gone.
        watcher.changed.connect(self._update)
        self._update()

    @property
    def text(self) -> str:
        """What it says now."""
        return str(self._text.text())

    @property
    def retry_button(self) -> QPushButton:
        """The button; seen when something has failed."""
        return self._retry

    def _ask_again(self) -> None:
        self._watcher.retry()

    def _update(self) -> None:
        status = self._watcher.status
        text = sentence(status, self._watcher.names)
        if text != self.text:
            self._text.setText(text)
        self._text.setToolTip(explanation(status) or text)
        self._retry.setVisible(bool(status.failed))
        self.setVisible(bool(text))
