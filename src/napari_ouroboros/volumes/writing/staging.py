"""Results appear whole or not at all, and an older result stays until the new one is complete.

A job works in ``.NAME.incomplete`` beside its destination (the same file system, so that the
last step is a rename). The folder holds a marker, ``incomplete``, that says which process works
there, and a journal with one line per finished write unit. What makes a folder look like a
result (``info``, ``.zattrs``) is handed over with `StagedFolder.last` and written only when the
job commits.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_ouroboros.errors import Cancelled, Notice, UserError, one_line
from napari_ouroboros.volumes.writing.disk import destination_errors as destination_errors
from napari_ouroboros.volumes.writing.disk import sync, why_not_writable
from napari_ouroboros.volumes.writing.owner import MARKER, Owner

JOURNAL = "journal.jsonl"

_active: set[Path] = set()
_active_lock = threading.Lock()


def shown_destination(path: str | Path) -> Path:
    """Return the result that `path`, the file of a `StagedFile`, is going to be; else `path`."""
    path = Path(path)
    return path.parent.with_name(path.name) if path.parent.name == _staging_of(path).name else path


def _staging_of(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.incomplete")


class _Staged(ABC):
    """What a staged folder and a staged file have in common: the checks and the life cycle."""

    def __init__(self, destination: str | Path, overwrite: bool = False) -> None:
        # A link is followed, so that the result lands where the link points and the link stays.
        self.destination = Path(os.path.realpath(destination))
        self.overwrite = overwrite
        self.staging = _staging_of(self.destination)
        self._open = False
        self._writing = 0
        self._idle = threading.Condition()
        parent = self.destination.parent
        with destination_errors(self.destination):
            if not parent.is_dir():
                raise UserError(f"the folder {parent} does not exist; create it first")
            self._recover()
            self._check_destination()
            if not os.access(parent, os.W_OK | os.X_OK):
                raise OSError(why_not_writable(parent), "not writable")
            self._check_leftover()

    # what a folder and a file do differently -------------------------------------------------

    @abstractmethod
    def _check_destination(self) -> None:
        """Raise UserError when the destination must not be written."""

    @abstractmethod
    def _finish(self) -> None:
        """Put the finished result in its place."""

    @abstractmethod
    def _is_nameless_leftover(self) -> bool:
        """Whether a staging folder without a marker is a rest of ours all the same."""

    @abstractmethod
    def _recover(self) -> None:
        """Mend what a run killed in the middle of the last renames left behind."""

    # life cycle ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with _active_lock:
            if self.staging in _active:
                raise UserError(self._busy("this program"))
            with destination_errors(self.destination):
                self._check_leftover()
                if self.staging.exists():
                    shutil.rmtree(self.staging)
                try:
                    self.staging.mkdir()
                except FileExistsError:
                    raise UserError(self._busy("another program")) from None
                try:
                    Owner.me().mark(self.staging)
                except OSError:
                    shutil.rmtree(self.staging, ignore_errors=True)
                    raise
            _active.add(self.staging)
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._close()
            if self.staging.exists():
                shutil.rmtree(self.staging)
        except OSError as problem:
            # Not raised: it would hide the error that ended the job.
            warnings.warn(
                f"could not remove the unfinished {self.staging}: {one_line(problem)}",
                Notice,
                stacklevel=2,
            )
        finally:
            with _active_lock:
                _active.discard(self.staging)

    def commit(self) -> None:
        """Wait for writes under way, then put the result in its place; nothing may follow.

        Raises
        ------
        UserError
            Something else appeared at the destination meanwhile and may not be replaced.
        DestinationError
            The last files could not be written; an older result is still in its place.
        """
        if not self._open:
            raise RuntimeError("commit() belongs inside the with block, once")
        self._close()
        with destination_errors(self.destination):
            self._check_destination()
            self._finish()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder open during one write; any number of threads at once.

        The end of the job waits for the writes under way, so that a thread that is still
        writing cannot bring a removed folder back or add to a finished result.

        Raises
        ------
        Cancelled
            The job has ended already (failed, cancelled or committed).
        """
        with self._idle:
            if not self._open:
                raise Cancelled(f"{self.destination} is not being written any more")
            self._writing += 1
        try:
            yield
        finally:
            with self._idle:
                self._writing -= 1
                self._idle.notify_all()

    def _close(self) -> None:
        with self._idle:
            self._open = False
            self._idle.wait_for(lambda: self._writing == 0)

    # leftovers -------------------------------------------------------------------------------

    def _busy(self, who: str) -> str:
        return (
            f"{self.destination} is being written by {who}; wait until it has finished, "
            "or choose another name"
        )

    def _check_leftover(self) -> None:
        """Raise UserError unless the staging folder is absent or a dead job's rest."""
        if not os.path.lexists(self.staging):
            return
        try:
            owner = Owner.of(self.staging)
        except (FileNotFoundError, NotADirectoryError):
            is_folder = self.staging.is_dir() and not self.staging.is_symlink()
            if is_folder and (not any(self.staging.iterdir()) or self._is_nameless_leftover()):
                return
            raise UserError(
                f"{self.staging} is in the way and is no leftover of this program; "
                "rename or remove it"
            ) from None
        if owner is None:
            return
        if not owner.is_here():
            raise UserError(
                f"{self.destination} is being written by process {owner.pid} on {owner.host}; "
                f"if that job is gone, remove {self.staging}, otherwise choose another name"
            )
        if owner.pid == os.getpid():
            if self.staging in _active:
                raise UserError(self._busy("this program"))
        elif owner.is_alive():
            raise UserError(self._busy(f"process {owner.pid}"))


class StagedFolder(_Staged):
    """A result that is a folder: precomputed, zarr.

    ::

        with StagedFolder(path, overwrite, is_precomputed) as folder:
            ...  # write into folder.path, folder.done("unit 1"), folder.last("info", b"{}")
            folder.commit()

    Parameters
    ----------
    destination : path
        The folder to be. Its parent must exist.
    overwrite : bool
        Whether a finished result may be replaced.
    is_ours : callable
        Tells whether the folder it is given is a result that may be replaced. A folder that is
        neither that nor empty is never touched.

    Raises
    ------
    UserError
        At construction: the parent is missing; the destination exists and `overwrite` is not
        set, or is no result of ours; another process is writing it.
    DestinationError
        No permission, no space, a read-only disk.
    """

    def __init__(
        self, destination: str | Path, overwrite: bool, is_ours: Callable[[Path], bool]
    ) -> None:
        self._is_ours = is_ours
        self._last: dict[str, bytes] = {}
        self._journal_lock = threading.Lock()
        super().__init__(destination, overwrite)

    @property
    def path(self) -> Path:
        """Where the job writes until it commits."""
        return self.staging

    @property
    def _aside(self) -> Path:
        """Where an older result waits while the new one takes its place."""
        return self.destination.with_name(f".{self.destination.name}.previous")

    def done(self, key: str, **facts: Any) -> None:
        """Append one line to the journal: the write unit `key` is on disk. Thread-safe."""
        line = json.dumps({"unit": key, **facts}) + "\n"
        with self.writing(), self._journal_lock, destination_errors(self.destination):
            with open(self.staging / JOURNAL, "a", encoding="utf-8") as journal:
                journal.write(line)

    def last(self, name: str, data: bytes) -> None:
        """Keep a small file (``info``) back until the commit; the latest of a name counts."""
        self._last[name] = bytes(data)

    def _check_destination(self) -> None:
        if not os.path.lexists(self.destination):
            return
        if not self.overwrite:
            raise UserError(_exists(self.destination))
        if not self.destination.is_dir():
            raise UserError(f"{self.destination} is a file, not a folder; choose another name")
        if any(self.destination.iterdir()) and not self._is_ours(self.destination):
            raise UserError(
                f"{self.destination} is not a result of this program and is not overwritten; "
                "choose another name"
            )
        if not os.access(self.destination, os.W_OK | os.X_OK):
            raise OSError(why_not_writable(self.destination), "not writable")

    def _is_nameless_leftover(self) -> bool:
        # Killed between the removal of the marker and the rename: the result is whole.
        return self._is_ours(self.staging)

    def _recover(self) -> None:
        if not self._aside.is_dir():
            return
        if not os.path.lexists(self.destination):
            os.rename(self._aside, self.destination)
        elif self._is_ours(self._aside):
            shutil.rmtree(self._aside)

    def _finish(self) -> None:
        for name, data in self._last.items():
            file = self.staging / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        (self.staging / JOURNAL).unlink(missing_ok=True)
        (self.staging / MARKER).unlink()
        if not self.destination.exists():
            os.rename(self.staging, self.destination)
            return
        try:
            os.rename(self.destination, self._aside)
            os.rename(self.staging, self.destination)
        except BaseException:
            if self._aside.exists() and not self.destination.exists():
                os.rename(self._aside, self.destination)
            raise
        try:
            shutil.rmtree(self._aside)
        except OSError as problem:
            warnings.warn(
                f"{self.destination} is complete, but the older result in {self._aside} could "
                f"not be removed: {one_line(problem)}",
                Notice,
                stacklevel=4,
            )


class StagedFile(_Staged):
    """A result that is one file, for example a TIFF.

    The file is written as ``.NAME.incomplete/NAME`` (its suffix stays: writers go by it) and
    moved onto the destination in one step by `commit`.

    Parameters
    ----------
    destination : path
        The file to be. Its parent must exist.
    overwrite : bool
        Whether an older file may be replaced.

    Raises
    ------
    UserError, DestinationError
        As for `StagedFolder`.
    """

    @property
    def path(self) -> Path:
        """Where the job writes until it commits."""
        return self.staging / self.destination.name

    def _check_destination(self) -> None:
        if not os.path.lexists(self.destination):
            return
        if self.destination.is_dir():
            raise UserError(f"{self.destination} is a folder; choose another name")
        if not self.overwrite:
            raise UserError(_exists(self.destination))

    def _is_nameless_leftover(self) -> bool:
        return {file.name for file in self.staging.iterdir()} <= {self.destination.name}

    def _recover(self) -> None:
        """Nothing to mend: a file is replaced in one step."""

    def _finish(self) -> None:
        # After a power failure, too, there is the older file or the new one, whole.
        sync(self.path)
        os.replace(self.path, self.destination)
        sync(self.destination.parent)


def _exists(destination: Path) -> str:
    return f"{destination} exists; choose another name or pass --overwrite"
