"""Saving, opening and recovering the session of a scene, off the GUI thread. No Qt."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.errors import Cancelled, DestinationError, OuroborosError, one_line
from napari_ouroboros.session import (
    SUFFIX,
    Abandoned,
    SavedElsewhere,
    WorkingFolder,
    adopt,
    half_done,
    open_session,
    save_session,
    version_of,
)
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.session.restore import (
    Ready,
    late_steps,
    prepare,
    prepare_sources,
    steps,
)
from napari_ouroboros.widgets.session.tidying import Tidying

if TYPE_CHECKING:
    from napari_ouroboros.session import LabelsEntry
    from napari_ouroboros.widgets.scene.scene import Scene

#: Told how many of how many, and of what.
Report = Callable[[int, int, str], None]


class Filing(Tidying):
    """One thing at a time: a save, an opening, a recovery.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    doing : str
        "Saving", "Opening"; "" while nothing goes on.
    """

    #: Something has begun, or ended: `doing` is another one.
    changed = Signal()
    #: ``(done, total, unit)`` of what goes on; unit "MB" or "layers".
    progressed = Signal(int, int, str)
    #: It has ended well: a line for the user.
    said = Signal(str)
    #: What could not be brought back: one line each; empty when all is there.
    problems_changed = Signal(tuple)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._deliver = scene.deliver
        self._worker = Worker("ouroboros-session", scene.deliver, keep_all=True)
        self._token: Token | None = None
        self._run = 0
        self._after: Callable[[bool], object] | None = None
        self.doing = ""
        self.problems: tuple[str, ...] = ()
        #: Brings a space to the front; a window says how.
        self.show_front: Callable[[str], object] = lambda front: None

    @property
    def busy(self) -> bool:
        """Whether something goes on."""
        return bool(self.doing)

    @property
    def idle(self) -> bool:
        """Whether nothing goes on, tidying included."""
        return not self.busy and self._worker.idle and self._tidying.idle

    # -- save -----------------------------------------------------------------------------

    def save(
        self,
        path: Path | None = None,
        after: Callable[[bool], object] | None = None,
        *,
        overwrite: bool = False,
        elsewhere: Callable[[], object] | None = None,
    ) -> None:
        """Save into a file, by default the one that was saved or opened last.

        Parameters
        ----------
        path : Path, optional
            The usual ending is added to a name without one.
        after : callable, optional
            ``after(saved)``, in the GUI thread, however it ends.
        overwrite : bool
            Whatever the file holds by now.
        elsewhere : callable, optional
            Called, and `after` not, where another window or program has saved the file since it
            was opened or saved here. Default: that is an error, told by `failed`.
        """
        scene = self._scene()
        if scene is None or self.busy:
            return
        work = scene.work
        target = path or work.file
        if target is None:
            raise ValueError("a session that has no file yet is saved into a given one")
        if not target.suffix:
            target = target.with_name(target.name + SUFFIX)
        file = target.absolute()
        captured = work.capture()
        changes = work.changes

        def run(stop: Token) -> list[str] | SavedElsewhere:
            folder = work.folder()
            document = work.document(captured, folder)
            # A file with labels that cannot be read would not open at all.
            broken = [entry for entry in captured.waiting.labels if not _is_whole(entry, folder)]
            if broken:
                kept = tuple(entry for entry in document.labels if entry not in broken)
                document = replace(document, labels=kept)
            stores = {entry.store: folder.store(entry.store) for entry in document.labels}
            known = None if overwrite or file != folder.file else folder.file_version
            report = self._reporter("MB", 1e-6)
            try:
                with half_done.steady(folder.path, stores, work.new_store) as (found, written):
                    version = save_session(file, document, found, report, stop, instead_of=known)
            except SavedElsewhere as error:
                return error
            half = [entry for entry in document.labels if entry.store in written]
            captured.flush()
            # What it holds is the newest of the folder, too: there may be no room for a second
            # note of it, and it is safe by now.
            with contextlib.suppress(DestinationError):
                folder.write(document)
            with contextlib.suppress(DestinationError):
                # What is painted while something is written is not in the file yet.
                folder.note_saved(file, -1 if half else changes, version)
            return [
                *(f" Without the labels {e.name!r}: their files are broken." for e in broken),
                *(f" {e.name!r} as before what is being written into it." for e in half),
            ]

        def done(notes: list[str] | SavedElsewhere) -> None:
            if isinstance(notes, SavedElsewhere):
                if elsewhere is not None:
                    self._after = None
                self._end(False)
                if elsewhere is None:
                    self.failed.emit(notes, None)
                else:
                    elsewhere()
                return
            work.note_saved()
            self._end(True)
            self.said.emit(f"Saved: {file}{''.join(notes)}")

        def again() -> None:
            self.save(path, after, overwrite=overwrite, elsewhere=elsewhere)

        self._start("Saving", run, done, again, after)

    # -- open -----------------------------------------------------------------------------

    def open(self, path: Path, after: Callable[[bool], object] | None = None) -> None:
        """Open a session file in place of what is in the window; whoever calls has asked."""
        file = Path(path).absolute()

        def fetch(stop: Token) -> tuple[WorkingFolder, Ready]:
            folder = WorkingFolder.create()
            try:
                # Before: what somebody saves meanwhile is another version than that.
                version = version_of(file)
                document = open_session(file, folder.path, self._reporter("MB", 1e-6), stop)
                folder.write(document)
                folder.note_saved(file, folder.changes, version)
                return folder, prepare(document, folder, stop, self._reporter("layers"))
            except BaseException:
                with contextlib.suppress(DestinationError):
                    folder.discard()
                raise

        self._bring(fetch, f"Opened: {file}", lambda: self.open(path, after), after)

    def recover(self, one: Abandoned, after: Callable[[bool], object] | None = None) -> None:
        """Bring unsaved work back; it stays unsaved, and in its folder whatever happens."""
        self.abandoned = [other for other in self.abandoned if other.path != one.path]

        def fetch(stop: Token) -> tuple[WorkingFolder, Ready]:
            folder = adopt(one)
            try:
                return folder, prepare(folder.read(), folder, stop, self._reporter("layers"))
            except BaseException:
                folder.leave()
                raise

        line = "Unsaved work is back; save it to keep it."
        self._bring(fetch, line, lambda: self.recover(one, after), after)

    def retry(self) -> None:
        """Try once more to open the sources that could not be had."""
        scene = self._scene()
        if scene is None or self.busy:
            return
        waiting = scene.work.waiting

        def run(stop: Token) -> tuple[list[Any], list[Any], list[str]]:
            report = self._reporter("layers")
            total = len(waiting.sources)
            return prepare_sources(waiting.sources, stop, lambda done: report(done, total))

        def done(found: tuple[list[Any], list[Any], list[str]]) -> None:
            layers, lost, problems = found
            todo = late_steps(scene, layers, replace(waiting, sources=tuple(lost)))
            self._show(todo, "", tuple(problems))

        self._start("Opening", run, done, self.retry, None)

    def cancel(self) -> None:
        """Stop what goes on."""
        if self._token is not None:
            self._token.set()

    def close(self) -> None:
        """Stop; what is being written is left as it was."""
        self.cancel()
        self._run += 1
        self._worker.close()
        self._tidying.close()

    # -------------------------------------------------------------------------------------

    def _bring(
        self,
        fetch: Callable[[Token], tuple[WorkingFolder, Ready]],
        line: str,
        again: Callable[[], object],
        after: Callable[[bool], object] | None,
    ) -> None:
        scene = self._scene()
        if scene is None or self.busy:
            return

        changes = scene.work.changes

        def run(stop: Token) -> tuple[WorkingFolder, Ready]:
            from napari_ouroboros.widgets.scene.warm import wait_until_warm

            found = fetch(stop)
            wait_until_warm(stop)  # napari's first layer needs it in the GUI thread
            return found

        def done(found: tuple[WorkingFolder, Ready]) -> None:
            folder, ready = found
            self.let_go(changes)
            scene.work.exchange(folder)
            told = f"{line}{_taken_back_text(ready.taken_back)}"
            self._show(steps(scene, ready, self.show_front), told, ready.problems)

        self._start("Opening", run, done, again, after)

    def _show(self, todo: list[Callable[[], object]], line: str, problems: tuple[str, ...]) -> None:
        """Do one step; the next when the event loop has turned."""
        run, me, total, lines = self._run, weakref.ref(self), len(todo), list(problems)
        scene = self._scene()
        if scene is not None:
            scene.work.restoring = True

        def turn() -> None:
            found = me()
            if found is not None and run == found._run:
                found._step(todo, total, turn, line, lines)

        turn()

    def _step(
        self,
        todo: list[Callable[[], object]],
        total: int,
        turn: Callable[[], None],
        line: str,
        lines: list[str],
    ) -> None:
        scene = self._scene()
        if scene is None:
            return
        if not todo:
            self.problems = tuple(lines)
            scene.work.note_saved()
            self._end(True)
            self.problems_changed.emit(self.problems)
            if line:
                self.said.emit(line)
            return
        step = todo.pop(0)
        try:
            with scene.work.quietly():
                step()
        except Exception as error:  # noqa: BLE001  # of napari's, too: said at the end
            # The rest comes all the same: what stayed away would be gone with the next autosave.
            lines.append(one_line(error) or type(error).__name__)
        self.progressed.emit(total - len(todo), total, "layers")
        self._deliver(turn)

    def _start(
        self,
        doing: str,
        run: Callable[[Token], Any],
        done: Callable[[Any], None],
        again: Callable[[], object],
        after: Callable[[bool], object] | None,
    ) -> None:
        self.doing, self._after = doing, after
        # Not the worker's own token: of what that one cancels nobody is told.
        stop = self._token = Token()
        self._run += 1
        self.changed.emit()

        def guarded(_closed: Token) -> Any:
            try:
                return run(stop)
            except Cancelled as error:
                return error

        def ended(found: Any) -> None:
            if isinstance(found, Cancelled):
                self._end(False)
                self.said.emit(f"{doing} was cancelled.")
            else:
                done(found)

        def failed(error: Exception) -> None:
            self._end(False)
            self.failed.emit(error, again)

        self._worker.submit(guarded, ended, failed)

    def _end(self, well: bool) -> None:
        self.doing, self._token = "", None
        self._run += 1
        scene = self._scene()
        if scene is not None:
            scene.work.restoring = False
        after, self._after = self._after, None
        self.changed.emit()
        if after is not None:
            after(well)

    def _reporter(self, unit: str, factor: float = 1.0) -> Callable[[int, int], None]:
        me, deliver, run = weakref.ref(self), self._deliver, self._run

        def report(done: int, total: int) -> None:
            def tell() -> None:
                found = me()
                if found is not None and found.busy and found._run == run:
                    found.progressed.emit(round(done * factor), max(round(total * factor), 1), unit)

            deliver(tell)

        return report


def _taken_back_text(names: tuple[str, ...]) -> str:
    """What the user is told of labels that something was half written into."""
    if not names:
        return ""
    which = " and ".join(map(repr, names))
    verb = "is as it was" if len(names) == 1 else "are as they were"
    return (
        f" Something was being written into {which} when the program ended: {which} {verb} before."
    )


def _is_whole(entry: LabelsEntry, folder: WorkingFolder) -> bool:
    """Whether labels that are not shown are the array that the session says. In the worker."""
    from napari_ouroboros.volumes.labels.label_array import LabelArray

    try:
        array = LabelArray.open(folder.store(entry.store))
    except OuroborosError:
        return False
    return array.shape == tuple(entry.shape) and array.dtype == entry.dtype
