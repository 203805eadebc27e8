"""A button that starts long work, what it will cost, how far it is, and Cancel."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets import gui_thread
from napari_ouroboros.widgets.controls.activity import Activity
from napari_ouroboros.widgets.controls.ending import calls_at_end
from napari_ouroboros.widgets.controls.manners import named, set_ready, wrapping_label
from napari_ouroboros.widgets.controls.rate import Rate

#: Bars move this often, however often the job reports.
_SHOW_MS = 200
#: Work shorter than this does not appear in napari's activity dock.
_MIRROR_AFTER_TURNS = 2


class JobRow(QWidget):
    """Run, cost, progress with rate and time left, Cancel; mirrored in the activity dock.

    The owner does the work: it listens to `run` and `cancelled`, and calls `start`, `advance`
    and `finish`, all in the GUI thread.

    Parameters
    ----------
    text : str
        Of the button, a verb: "Straighten".
    tooltip : str
    title : str
        Of the work, in the activity dock; default: the button's text.
    """

    #: The button was pressed.
    run = Signal()
    #: Cancel was pressed, here or in the activity dock. The owner still calls `finish`.
    cancelled = Signal()

    def __init__(
        self, text: str, tooltip: str = "", title: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._title = title or text
        self._rate: Rate | None = None
        self._words = ""
        self._turns = 0
        self._cancelling = False
        self._activity = Activity(self._title)
        self.button = named(QPushButton(text), text, tooltip or text)
        self.cancel_button = named(QPushButton("Cancel"), f"cancel: {self._title}", "Stop it.")
        self.cost = wrapping_label()
        self.bar = named(QProgressBar(), f"progress: {self._title}", "How much is done.")
        self.bar.setRange(0, 1000)
        self.status = wrapping_label()
        self._row = row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.button, 1)
        row.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.cost)
        column.addWidget(self.bar)
        column.addWidget(self.status)
        self._timer = QTimer(self)
        self._timer.setInterval(_SHOW_MS)
        self._timer.timeout.connect(self._turn)
        self.button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self._cancel)
        # Qt deletes the timer with the row, but the bar in the activity dock is napari's.
        gui_thread.prepare()
        calls_at_end(self).append(partial(gui_thread.deliver, self._activity.close))
        self._ready, self._why = True, ""
        self._show_idle()
        self.set_cost("")

    @property
    def running(self) -> bool:
        """Whether work goes on, between `start` and `finish`."""
        return self._rate is not None

    def add_beside(self, control: QWidget) -> None:
        """Put a control before the button, in its line."""
        self._row.insertWidget(0, control)

    def set_cost(self, text: str) -> None:
        """Say what it will cost: "400 slices, 120 chunks, 31 MB to fetch"."""
        self.cost.setText(text)
        self.cost.setVisible(bool(text) and not self.running)

    def set_ready(self, ready: bool, why: str = "") -> None:
        """Enable the button, or disable it and say why."""
        self._ready, self._why = ready, why
        if not self.running:
            set_ready(self.button, ready, why)

    def start(self, total: int | None = None, unit: str = "", text: str = "") -> None:
        """Work begins; `total` is counted in `unit` ("slices"), None: not known yet."""
        self._rate = Rate(total, unit)
        self._words = text
        self._turns = 0
        self._cancelling = False
        set_ready(self.button, False, "It is being done.")
        set_ready(self.cancel_button, True)
        self.cancel_button.show()
        self.cost.hide()  # now it is seen what it takes
        self.bar.show()
        self.status.show()
        self._show()
        self._timer.start()

    def advance(self, done: int, total: int | None = None, text: str | None = None) -> None:
        """So much is done; `text` says what is being done. May be called as often as one likes."""
        if self._rate is None:
            return  # a report that was on its way when the work was finished
        self._rate.update(done, total)
        if text is not None:
            self._words = text

    def finish(self, text: str = "") -> None:
        """Work has ended, in whatever way; `text` stays below the button."""
        self._rate = None
        self._timer.stop()
        self._activity.close()
        self._show_idle()
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _show_idle(self) -> None:
        set_ready(self.button, self._ready, self._why)
        self.cancel_button.hide()
        self.cost.setVisible(bool(self.cost.text()))
        self.bar.hide()
        self.status.hide()

    def _cancel(self) -> None:
        if self._rate is None or self._cancelling:
            return
        self._cancelling = True
        set_ready(self.cancel_button, False, "It is being stopped.")
        self._show()
        self.cancelled.emit()

    def _rate_now(self) -> Rate | None:
        return self._rate  # whoever was told of Cancel may have finished

    def _line(self) -> str:
        assert self._rate is not None
        parts = ["Stopping"] if self._cancelling else [self._words] if self._words else []
        if self._rate.text:
            parts.append(self._rate.text)
        return ": ".join(parts)

    def _show(self) -> None:
        if self._rate is None:
            return
        fraction = self._rate.fraction
        if fraction is None:
            self.bar.setRange(0, 0)  # Qt shows it as busy
        else:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * fraction))
        self.status.setText(self._line())

    def _turn(self) -> None:
        if self._rate is None:
            return
        self._turns += 1
        if self._activity.cancelled:
            self._cancel()
        self._show()
        rate = self._rate_now()
        if rate is not None and self._turns >= _MIRROR_AFTER_TURNS:
            # Last: napari handles any event in here, the end of this very row included.
            self._activity.show(rate.fraction, self._line())
