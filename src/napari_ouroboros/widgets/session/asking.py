"""What is asked about a session: where to save it, and what becomes of unsaved work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_ouroboros.session import SUFFIX

if TYPE_CHECKING:
    from napari_ouroboros.session import Abandoned
    from napari_ouroboros.widgets.session.work import Work

Answer = Literal["save", "discard", "stop", "cancel"]

_FILTER = f"Sessions (*{SUFFIX})"


def when(moment: float) -> str:
    """Return a moment of Unix time as people say it: "21 Nov 16:40"."""
    local = time.localtime(moment)
    year = "" if local.tm_year == time.localtime().tm_year else f" {local.tm_year}"
    return f"{local.tm_mday} {time.strftime('%b', local)}{year} {time.strftime('%H:%M', local)}"


def unsaved_line(one: Abandoned) -> str:
    """Return one sentence about work of another time."""
    what = "Work" if one.file is None else f"Work on {one.file.name}"
    where = f" on {one.host}" if one.host else ""
    return f"{what} of {when(one.changed)}{where} was not saved."


def where_to_save(parent: QWidget | None, work: Work) -> Path | None:
    """Ask for a file to save into; None: cancelled."""
    start = str(work.file or f"session{SUFFIX}")
    # We ask ourselves before anything is replaced: the ending may be ours.
    name, _ = QFileDialog.getSaveFileName(
        parent, "Save the session", start, _FILTER,
        options=QFileDialog.Option.DontConfirmOverwrite,
    )  # fmt: skip
    if not name:
        return None
    path = Path(name)
    if not path.suffix:
        path = path.with_name(path.name + SUFFIX)
    if path != work.file and path.exists() and not _may_replace(parent, path):
        return None
    return path


def what_to_open(parent: QWidget | None) -> Path | None:
    """Ask for a session file; None: cancelled."""
    name, _ = QFileDialog.getOpenFileName(parent, "Open a session", "", _FILTER)
    return Path(name) if name else None


def save(
    parent: QWidget | None,
    work: Work,
    after: Callable[[bool], object] | None = None,
    anew: bool = False,
) -> None:
    """Save a session; ask where to if it has no file yet, or `anew`.

    Parameters
    ----------
    after : callable, optional
        ``after(saved)``, however it ends.
    """
    path = where_to_save(parent, work) if anew or work.file is None else work.file
    if path is not None and not work.filing.busy:

        def elsewhere() -> None:
            _ask_elsewhere(parent, work, path, after)

        work.filing.save(path, after, elsewhere=elsewhere)
    elif after is not None:
        after(False)


def ask(
    parent: QWidget | None,
    text: str,
    unsaved: bool,
    answered: Callable[[Answer], object],
    then: str = "close",
) -> QMessageBox:
    """Ask before something is lost, without waiting.

    Parameters
    ----------
    text : str
        The question.
    unsaved : bool
        Whether there is something to save; else the work that goes on is stopped or not.
    answered : callable
        Called with the answer; closing the question is "cancel".
    then : str
        What is done after the work has been stopped.
    """
    box = QMessageBox(QMessageBox.Icon.Question, "napari-ouroboros", text, parent=parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    kinds = QMessageBox.StandardButton
    answers: dict[object, Answer] = {}
    if unsaved:
        box.setStandardButtons(kinds.Save | kinds.Discard | kinds.Cancel)
        answers = {kinds.Save: "save", kinds.Discard: "discard"}
        box.setDefaultButton(kinds.Save)
    else:
        box.setStandardButtons(kinds.Ok | kinds.Cancel)
        box.button(kinds.Ok).setText(f"Stop and {then}")
        answers = {kinds.Ok: "stop"}
        box.setDefaultButton(kinds.Cancel)

    def finished(code: int) -> None:
        answered(answers.get(kinds(code), "cancel"))

    box.finished.connect(finished)
    box.open()
    return box


def _ask_elsewhere(
    parent: QWidget | None, work: Work, path: Path, after: Callable[[bool], object] | None
) -> None:
    """Ask what becomes of a file that somebody else has saved meanwhile, without waiting."""
    text = (
        f"Another window or program has saved {path.name} since it was opened or saved here. "
        "Overwrite what it saved?"
    )
    box = QMessageBox(QMessageBox.Icon.Warning, "napari-ouroboros", text, parent=parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    roles = QMessageBox.ButtonRole
    overwrite = box.addButton("Overwrite", roles.DestructiveRole)
    save_as = box.addButton("Save as…", roles.AcceptRole)
    box.setDefaultButton(save_as)
    box.setEscapeButton(box.addButton(QMessageBox.StandardButton.Cancel))

    def finished(_code: int) -> None:
        clicked = box.clickedButton()
        if clicked is overwrite:
            work.filing.save(path, after, overwrite=True)
        elif clicked is save_as:
            save(parent, work, after, anew=True)
        elif after is not None:
            after(False)

    box.finished.connect(finished)
    box.open()


def _may_replace(parent: QWidget | None, path: Path) -> bool:
    kinds = QMessageBox.StandardButton
    answer = QMessageBox.question(
        parent, "Save the session", f"{path.name} is there already. Replace it?",
        kinds.Yes | kinds.No, kinds.No,
    )  # fmt: skip
    return bool(answer == kinds.Yes)
