"""The session's own rows in the Open dock: its file, Save, Open, and what was not saved."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_ouroboros.widgets.controls import Banner, named, set_ready, tab_order, wrapping_label
from napari_ouroboros.widgets.session import asking
from napari_ouroboros.widgets.session.recovery_offer import RecoveryOffer
from napari_ouroboros.widgets.session.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ouroboros.session import Abandoned
    from napari_ouroboros.widgets.scene.scene import Scene

_BUSY = "Wait until the session has been saved or opened."

#: A file of so many MB is not written in an instant.
_LONG_MB = 50


class SessionForm(QWidget):
    """File and state of the session, the buttons, and an offer of what was not saved.

    Parameters
    ----------
    scene : Scene
    """

    #: There is something to be seen here, or no more.
    noticed = Signal(bool)
    #: File and state of the session in a few words, for a title.
    titled = Signal(str)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work, self._filing = scene.work, scene.work.filing
        self._stopping = Stopping(self, scene.work)
        #: As `titled` said last.
        self.title = ""
        #: Whether what goes wrong is said here.
        self.attached = False
        self.banner = Banner()
        self.offer = RecoveryOffer()
        self.label = wrapping_label()
        self.open_button = named(
            QPushButton("Open…"), "open a session",
            "Open a session file in place of what is in the window.",
        )  # fmt: skip
        self.save_button = named(
            QPushButton("Save"), "save the session",
            "Save volumes, traces, labels, marks and views in one file.",
        )  # fmt: skip
        self.save_as_button = named(
            QPushButton("Save as…"), "save the session as", "Save it in another file."
        )
        self.bar = named(QProgressBar(), "progress of the session", "How much is done.")
        self.cancel_button = named(
            QPushButton("Cancel"), "cancel: session", "Stop it; nothing is left half done."
        )
        buttons = QHBoxLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(4)
        for button in (self.open_button, self.save_button, self.save_as_button):
            button.setMinimumWidth(40)
            buttons.addWidget(button)
        progress = QHBoxLayout()
        progress.setContentsMargins(0, 0, 0, 0)
        progress.addWidget(self.bar, 1)
        progress.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.offer)
        column.addWidget(self.banner)
        column.addWidget(self.label)
        column.addLayout(buttons)
        column.addLayout(progress)
        self.open_button.clicked.connect(self.open)
        self.save_button.clicked.connect(self.save)
        self.save_as_button.clicked.connect(self.save_as)
        self.cancel_button.clicked.connect(self._filing.cancel)
        self.offer.restore.connect(self.restore)
        self.offer.discard.connect(self._filing.discard)
        self.offer.ended.connect(self._offer_ended)
        tab_order(*self.controls())
        self._show()

    def controls(self) -> tuple[QWidget, ...]:
        """What the user operates, in the order in which it is read."""
        return (
            self.offer.restore_button, self.offer.discard_button, self.offer.later_button,
            self.open_button, self.save_button, self.save_as_button, self.cancel_button,
        )  # fmt: skip

    # What the user does

    def save(self) -> None:
        """Save; ask where to if there is no file yet."""
        self.banner.clear()
        asking.save(self.window(), self._work)

    def save_as(self) -> None:
        """Save into another file."""
        self.banner.clear()
        asking.save(self.window(), self._work, anew=True)

    def open(self) -> None:
        """Ask for a session file, and open it."""
        path = asking.what_to_open(self.window())
        if path is not None:
            self.open_file(path)

    def open_file(self, path: Path) -> None:
        """Open a session file; ask first if there is unsaved work."""
        self._replace("open", path.name, partial(self._filing.open, path))

    def restore(self, one: Abandoned) -> None:
        """Bring unsaved work of another time back."""
        self._replace("restore", "it", partial(self._filing.recover, one))

    def _replace(self, verb: str, what: str, go_on: Callable[[], object]) -> None:
        """Put something in the place of what is in the window; ask if that has an end by it."""
        self.banner.clear()
        if self._stopping.isActive():
            return
        unsaved, running = self._work.unsaved, self._work.jobs.question(f"{verb} {what}")
        if not unsaved and not running:
            go_on()
            return
        parts = [running] if running else []
        if unsaved:
            parts.append(f"Save the work in this window before you {verb} {what}?")

        def stopped(answer: asking.Answer, ended: bool) -> None:
            if not ended:
                self.banner.show_error(
                    "What was to stop still goes on; try again when it has ended."
                )
                self._filing.look_for_unsaved()
            elif answer == "save":
                asking.save(self.window(), self._work, lambda saved: go_on() if saved else None)
            elif self._work.unsaved and answer != "discard":
                self._replace(verb, what, go_on)  # the user has gone on meanwhile
            else:
                go_on()

        def answered(answer: asking.Answer) -> None:
            if answer == "cancel":
                self._filing.look_for_unsaved()  # what was offered is still there
            else:
                # What is stopped takes back what it has half done: saved is what is left then.
                self._stopping.begin(partial(stopped, answer))

        asking.ask(self.window(), " ".join(parts), unsaved, answered, verb)

    # Shown and hidden, as the dock is

    def attach(self) -> None:
        """Follow the work, and look for what was not saved, once."""
        for signal, slot in self._connections():
            signal.connect(slot)
        self.attached = True
        self._show()
        self._filing.look_once()
        if self._filing.abandoned:
            self.offer.offer(self._filing.abandoned)
            self._found(None)

    def detach(self) -> None:
        """Stop following."""
        for signal, slot in self._connections():
            signal.disconnect(slot)
        self.attached = False

    def _connections(self) -> list[tuple[Any, Any]]:
        return [
            (self._work.changed, self._show),
            (self._work.failed, self._could_not_keep),
            (self._filing.changed, self._show),
            (self._filing.progressed, self._advance),
            (self._filing.said, self._say),
            (self._filing.failed, self._failed),
            (self._filing.problems_changed, self._show_problems),
            (self._filing.found, self.offer.offer),
            (self._filing.found, self._found),
        ]

    def _show(self) -> None:
        file, unsaved, busy = self._work.file, self._work.unsaved, self._filing.busy
        name = "not saved yet" if file is None else file.name
        if file is not None and unsaved:
            name += " – unsaved changes"
        self.title = f"Session: {name}"
        self.titled.emit(self.title)
        if busy or (unsaved and self.label.text().startswith("Saved: ")):
            self.label.setText("")
        self.label.setVisible(bool(self.label.text()))
        set_ready(self.open_button, not busy, _BUSY)
        set_ready(self.save_as_button, not busy, _BUSY)
        nothing = "Nothing has changed since it was saved."
        ready = not busy and (unsaved or file is None)
        set_ready(self.save_button, ready, _BUSY if busy else nothing)
        for button in (self.offer.restore_button, self.offer.discard_button):
            set_ready(button, not busy, _BUSY)
        self.bar.setVisible(busy)
        self.cancel_button.setVisible(busy)
        if busy and not self.bar.format().startswith(self._filing.doing):
            self.bar.setRange(0, 0)
            self.bar.setFormat(self._filing.doing)
        elif not busy:
            self.bar.setFormat("")

    def _advance(self, done: int, total: int, unit: str) -> None:
        if unit == "MB" and total > _LONG_MB and not self.isVisible():
            self.noticed.emit(True)  # it takes a while: how far it is, and Cancel
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        # How many megabytes there are says something; how many steps of ours there are does not.
        how_far = f"{done:,} of {total:,} MB" if unit == "MB" else f"{done / max(total, 1):.0%}"
        self.bar.setFormat(f"{self._filing.doing}: {how_far}")

    def _say(self, line: str) -> None:
        self.label.setText(line)
        self.label.setVisible(bool(line))

    def _failed(self, error: Exception, again: Callable[[], object] | None) -> None:
        self.banner.show_exception(error, again)
        self.noticed.emit(True)

    def _show_problems(self, problems: tuple[str, ...]) -> None:
        if problems:
            sources = bool(self._work.waiting.sources)
            retry = self._filing.retry if sources else None
            self.banner.show_error("\n".join(problems), retry=retry)
            self.noticed.emit(True)

    def _could_not_keep(self, line: str) -> None:
        self.banner.show_error(f"Unsaved work could not be kept: {line}")
        self.noticed.emit(True)

    def _offer_ended(self) -> None:
        self.noticed.emit(False)

    def _found(self, _found: object) -> None:
        if self.offer.offered is not None:
            self.noticed.emit(True)
