"""Working folders: what a window works in, and what is left of one that ended without saving.

A folder lies in `recovery_folder`, or where the user wants it::

    ID/owner-1.json     which process has it (see `owning`)
    ID/state.json       whether there is unsaved work, and in which session file it belongs
    ID/session.json     the document, replaced whole some seconds after each edit
    ID/half-done-*.json what is being written into labels at length (see `half_done`)
    ID/labels/NAME/     label stores, painted directly: what is painted is on disk
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from napari_ouroboros.errors import SourceError, UserError, one_line
from napari_ouroboros.session import owning
from napari_ouroboros.session.autosave import Autosave, Clock
from napari_ouroboros.session.document import SessionDocument, from_bytes, to_bytes
from napari_ouroboros.session.files import write_whole
from napari_ouroboros.session.names import DOCUMENT, LABELS, inside
from napari_ouroboros.session.unpacking import free_store
from napari_ouroboros.volumes.writing.disk import destination_errors, sync

_STATE = "state.json"
#: A folder without an owner that is younger than this may be in the making.
_STILL_MADE_S = 3600.0


def recovery_folder() -> Path:
    """Return where working folders lie: in the user's own folder of data.

    ``NAPARI_OUROBOROS_RECOVERY`` names another one.
    """
    if named := os.environ.get("NAPARI_OUROBOROS_RECOVERY"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-ouroboros", appauthor=False)) / "recovery"


@dataclass(frozen=True)
class _State:
    """What is on disk about a folder: unsaved work, and the session file it belongs to."""

    unsaved: bool = False
    file: str | None = None
    version: str | None = None

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read it; where it is missing or damaged, there may be unsaved work."""
        try:
            facts: Any = json.loads((folder / _STATE).read_bytes())
            file, version = facts["file"], facts.get("version")
            return cls(
                bool(facts["unsaved"]),
                None if file is None else str(file),
                None if version is None else str(version),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(True, None)


class WorkingFolder:
    """The folder that one window works in; made by `create` or `adopt`. Safe in any thread.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, state: _State, unsaved: bool) -> None:
        self.path = path
        self._state = state
        # One for what is only in memory: whoever edits must not wait for a disk.
        self._lock, self._disk, self._naming = (threading.Lock() for _ in range(3))
        self._changes = 0
        self._saved_changes = -1 if unsaved else 0
        self._stores: set[str] = set()
        self._removed = False

    def __repr__(self) -> str:
        return f"<WorkingFolder {self.path.name}{', unsaved' if self.unsaved else ''}>"

    @classmethod
    def create(cls, root: Path | None = None) -> Self:
        """Make a new folder below `root`, by default `recovery_folder`, owned by this process.

        Raises
        ------
        DestinationError
            No space, no permission, a read-only disk.
        """
        root = recovery_folder() if root is None else root
        path = root / uuid.uuid4().hex
        with destination_errors(path):
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            try:
                owning.take(path)
                (path / LABELS).mkdir()
                made = cls(path, _State(), unsaved=False)
                made._write_state(_State())
                sync(root)
            except BaseException:
                owning.release(path)
                shutil.rmtree(path, ignore_errors=True)
                raise
        return made

    # -- unsaved work ---------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """Number of edits so far; to be taken with the document that is going to be saved."""
        return self._changes

    @property
    def unsaved(self) -> bool:
        """Whether there are edits that are in no session file."""
        return self._changes != self._saved_changes

    @property
    def file(self) -> Path | None:
        """The session file that was saved or opened last."""
        return None if self._state.file is None else Path(self._state.file)

    @property
    def file_version(self) -> str | None:
        """The `version_of` that file when it was saved or opened; None: not known."""
        return self._state.version

    def changed(self) -> None:
        """There was an edit. Returns at once; `note_unsaved` is what goes to the disk."""
        with self._lock:
            self._changes += 1

    def note_unsaved(self) -> None:
        """Note on disk that there is unsaved work, if there is; for the thread that autosaves."""
        with self._disk:
            if self.unsaved and not self._state.unsaved and not self._removed:
                self._write_state(replace(self._state, unsaved=True))

    def note_saved(self, file: Path, changes: int, version: str | None = None) -> None:
        """Note that the document of so many `changes` is in a session file, and which version.

        Whatever was edited since then is still unsaved.

        Raises
        ------
        DestinationError
            It is known here, but not noted on the disk: after a crash, what has been saved is
            offered as unsaved work.
        """
        with self._disk:
            self._saved_changes = changes
            self._state = _State(self.unsaved, str(file.absolute()), version)
            self._write_state(self._state)

    def _write_state(self, state: _State) -> None:
        write_whole(self.path / _STATE, json.dumps(asdict(state)).encode())
        self._state = state

    # -- what lies in it ------------------------------------------------------------------

    def autosave(
        self,
        take: Callable[[], SessionDocument],
        delay: float = 5.0,
        latest: float = 10.0,
        clock: Clock | None = None,
    ) -> Autosave:
        """Return what writes ``take()`` into this folder some seconds after its ``changed()``.

        `take` is called in the thread of the `Autosave`.
        """

        def write() -> None:
            # Again: the disk may have been full when the edit was made.
            self.note_unsaved()
            self.write(take())

        return Autosave(write, delay, latest, self.note_unsaved, clock)

    def write(self, document: SessionDocument) -> None:
        """Replace the document, whole or not at all.

        Raises
        ------
        UserError
            The document holds what cannot be written.
        DestinationError
            The disk is full, read-only, gone; the older document is still there.
        """
        data = to_bytes(document)
        with self._disk:
            if not self._removed:  # by another thread, meanwhile
                write_whole(self.path / DOCUMENT, data)

    def read(self) -> SessionDocument:
        """Read the document; errors as `Abandoned.document`."""
        return _document_in(self.path)

    def new_store(self) -> str:
        """Return a name for a new label store; nothing is made, and it is given out once."""
        with self._naming:
            number = 0
            while True:
                number += 1
                name = free_store(self.path, f"{LABELS}/{number}")
                if name not in self._stores:
                    self._stores.add(name)
                    return name

    def store(self, name: str) -> Path:
        """Return where the label store of this name (`LabelsEntry.store`) lies."""
        return inside(self.path, name)

    # -- the end --------------------------------------------------------------------------

    def leave(self) -> None:
        """Give the folder up as it is: unsaved work in it is offered at the next start."""
        owning.release(self.path)

    def discard(self) -> None:
        """Remove the folder with all that is in it, as a window does that has been saved.

        Raises
        ------
        DestinationError
            Something could not be removed; what is left is not offered any more.
        """
        try:
            with destination_errors(self.path), self._disk:
                self._removed = True
                # First: what is killed while it removes must not be offered half removed. A full
                # disk has room for it again once the document has gone.
                (self.path / DOCUMENT).unlink(missing_ok=True)
                self._write_state(replace(self._state, unsaved=False))
                shutil.rmtree(self.path)
        finally:
            owning.release(self.path)


@dataclass(frozen=True)
class Abandoned:
    """A working folder with unsaved work whose owner does not run any more.

    Attributes
    ----------
    path : Path
    changed : float
        When it was written last, in Unix seconds.
    file : Path or None
        The session file that its work belongs to.
    host : str
        The other computer on which the owner ran, and perhaps still runs; "" for this one.
    """

    path: Path
    changed: float
    file: Path | None
    host: str = ""

    def document(self) -> SessionDocument:
        """Read the document.

        Raises
        ------
        UserError
            It was never written, is damaged, or of another version.
        SourceError
            It cannot be read.
        """
        return _document_in(self.path)


def abandoned(root: Path | None = None, other_hosts: bool = False) -> list[Abandoned]:
    """List folders that hold unsaved work and whose owner is dead, the newest first.

    Parameters
    ----------
    root : Path, optional
        Default: `recovery_folder`.
    other_hosts : bool
        Those of other computers, too, where a home is shared, or the computer was renamed. Nobody
        here can tell whether their owners still run: ask the user, naming `Abandoned.host`.
    """
    found = []
    for folder in _folders(root):
        # Somebody may remove it, or take it, at this very moment; and others' are not readable.
        with contextlib.suppress(OSError):
            host = owning.host_of(owning.owner_of(folder))
            state = _State.of(folder)
            mine = other_hosts if host else not owning.is_owned(folder)
            if mine and state.unsaved and _has_work(folder):
                file = None if state.file is None else Path(state.file)
                found.append(Abandoned(folder, _changed(folder), file, host))
    return sorted(found, key=lambda one: one.changed, reverse=True)


def adopt(one: Abandoned) -> WorkingFolder:
    """Take an abandoned folder over, to go on working in it. Of several programs one succeeds.

    Raises
    ------
    UserError
        Another window was faster, or it has been removed.
    DestinationError
        The folder cannot be written.
    """
    if not one.path.is_dir():
        raise UserError(f"the session in {one.path} is not there any more")
    owning.take(one.path)
    return WorkingFolder(one.path, _State.of(one.path), unsaved=True)


def discard(one: Abandoned) -> None:
    """Remove an abandoned folder and the work in it; errors as `adopt` and `WorkingFolder`."""
    adopt(one).discard()


def sweep(root: Path | None = None) -> int:
    """Remove folders of dead owners that hold no unsaved work; return how many.

    Never those of other computers.
    """
    removed = 0
    for folder in _folders(root):
        # Another start may sweep at the same moment; what cannot be removed is left.
        with contextlib.suppress(OSError, UserError):
            if owning.is_owned(folder) or _is_new(folder):
                continue
            if _State.of(folder).unsaved and _has_work(folder):
                continue
            owning.take(folder)
            try:
                shutil.rmtree(folder)
                removed += 1
            finally:
                owning.release(folder)
    return removed


def _folders(root: Path | None) -> list[Path]:
    root = recovery_folder() if root is None else root
    try:
        with os.scandir(root) as entries:
            return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(f"cannot read {root}: {one_line(error.strerror or error)}") from error


def _is_new(folder: Path) -> bool:
    """Whether another program may just be making it, and has not put its name in it yet."""
    no_owner = owning.owner_of(folder) is None
    return no_owner and time.time() - folder.stat().st_mtime < _STILL_MADE_S


def _has_work(folder: Path) -> bool:
    """Whether there is a document, or at least a painted chunk."""
    if (folder / DOCUMENT).is_file():
        return True
    stored = (names for _, _, names in os.walk(folder / LABELS))
    return any(name != "zarr.json" for names in stored for name in names)


def _changed(folder: Path) -> float:
    files = [folder / name for name in (DOCUMENT, _STATE)]
    return max((f.stat().st_mtime for f in files if f.exists()), default=folder.stat().st_mtime)


def _document_in(folder: Path) -> SessionDocument:
    file = folder / DOCUMENT
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"the session in {folder} was never written") from None
    except OSError as error:
        raise SourceError(f"cannot read {file}: {one_line(error.strerror or error)}") from error
    return from_bytes(data, str(file))
