"""A discreet line: what is loading, what could not be had, and a button to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_ouroboros.widgets.streaming.watching import watch

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_ouroboros.volumes.streaming import Status

_LONGEST = 60  # letters of a reason that are shown; the tooltip has all


def sentence(status: Status, names: list[str]) -> str:
    """What the sign says; nothing when there is nothing to say."""
    of = names[0] if len(names) == 1 else f"{len(names)} layers"
    if status.failed:
        reason = status.problem
        if len(reason) > _LONGEST:
            reason = reason[: _LONGEST - 1] + "…"
        return f"{_chunks(status.failed)} of {of} failed: {reason}"
    if status.loading:
        return f"loading {_chunks(status.loading)} of {of}"
    return ""


def _chunks(n: int) -> str:
    return f"{n} chunk" + "s" * (n != 1)


class LoadingSign(QWidget):
    """For a status bar or a dock: says what a viewer is loading, and is not seen otherwise.

    Parameters
    ----------
    viewer : ViewerModel
    parent : QWidget, optional
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._watcher = watch(viewer)
        self._text = QLabel(self)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._retry = QPushButton("Retry", self)
        self._retry.setToolTip("Ask again for the chunks that could not be had")
        self._retry.clicked.connect(self._watcher_retry)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._retry)
        self._watcher.changed.connect(self._update)
        self._update()

    @property
    def text(self) -> str:
        """What it says now."""
        return str(self._text.text())

    @property
    def retry_button(self) -> QPushButton:
        """The button; seen when something has failed."""
        return self._retry

    def disconnect_all(self) -> None:
        """Listen to nothing any more. Harmless when called twice."""
        self._watcher.changed.disconnect(self._update, missing_ok=True)

    def _watcher_retry(self) -> None:
        self._watcher.retry()

    def _update(self) -> None:
        status = self._watcher.status
        text = sentence(status, self._watcher.names)
        self._text.setText(text)
        self._text.setToolTip(status.problem or text)
        self._retry.setVisible(bool(status.failed))
        self.setVisible(bool(text))
