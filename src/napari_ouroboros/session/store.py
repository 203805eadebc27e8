"""A session as one file, ``NAME.ouroboros``: a zip of the document and all chunks of its labels.

Chunks are compressed already, and lie in the zip as they are. They are copied as files: a zarr
array need not be understood for it, nor held in memory.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_ouroboros.errors import SourceError, UserError, one_line
from napari_ouroboros.session.archive import DAMAGE, Archive, is_session
from napari_ouroboros.session.document import SessionDocument, to_bytes
from napari_ouroboros.session.names import DOCUMENT, is_safe
from napari_ouroboros.session.unpacking import unpack
from napari_ouroboros.volumes.stores.inflight import CancelSignal, check_cancel
from napari_ouroboros.volumes.writing.disk import destination_error, destination_errors
from napari_ouroboros.volumes.writing.staging import StagedFile

#: What session files end with.
SUFFIX = ".ouroboros"
#: Called as ``progress(done, total)``, in bytes, from the thread that saves or opens.
Progress = Callable[[int, int], None]

_BLOCK = 1 << 20
#: What writers of zarr name a chunk until it is whole.
_UNFINISHED = (".partial", ".incomplete", ".tmp", ".__lock")


class SavedElsewhere(UserError):
    """A session file is not what was opened or saved last: somebody else's work is in it."""


@dataclass(frozen=True)
class _File:
    """A file of a label store, and its name in the zip."""

    path: Path
    name: str
    size: int


def save_session(
    path: str | os.PathLike[str],
    document: SessionDocument,
    label_stores: Mapping[str, Path],
    progress: Progress | None = None,
    cancel: CancelSignal | None = None,
    *,
    instead_of: str | None = None,
) -> str:
    """Write a session into one file, whole or not at all; for a worker, not for a window's thread.

    Stores may be painted into meanwhile: each chunk is then the old or the new one, whole.

    Parameters
    ----------
    path : path
        ``NAME.ouroboros``. An older session there is replaced at the end, in one step; a file
        that is no session is not touched.
    document : SessionDocument
    label_stores : dict
        For each `LabelsEntry.store` the folder of its zarr array.
    progress : callable, optional
        ``progress(bytes done, bytes in all)``.
    cancel : object with is_set(), optional
    instead_of : str, optional
        The version (`version_of`) that may be replaced. Default: any.

    Returns
    -------
    str
        The version that is there now.

    Raises
    ------
    SavedElsewhere
        Another version than `instead_of` is there; it stays.
    UserError
        The folder is not there, or what lies at `path` is no session; labels without a store.
    SourceError
        A chunk cannot be read.
    DestinationError
        No space, no permission, a read-only disk.
    Cancelled
        An older session is still there, and nothing else is left.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir() and not is_session(path):
        raise UserError(f"{path} is no session and is not overwritten; choose another name")
    _check_version(path, instead_of)
    head = to_bytes(document)
    files = [
        file
        for entry in document.labels
        for file in _files_of(entry.store, label_stores.get(entry.store), entry.name)
    ]
    total = len(head) + sum(file.size for file in files)
    with StagedFile(path, overwrite=True) as staged:
        # The older session stays until the new one is whole: there must be room for both.
        if shutil.disk_usage(staged.path.parent).free < total:
            raise destination_error(OSError(errno.ENOSPC, "no space"), path, total)
        with destination_errors(path, total):
            with zipfile.ZipFile(staged.path, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:
                packed.writestr(zipfile.ZipInfo(DOCUMENT), head)
                done = len(head)
                for file in files:
                    check_cancel(cancel)
                    for count in _pack(packed, file, cancel):
                        done += count
                        if progress is not None:
                            progress(min(done, total), total)
        check_cancel(cancel)
        version = version_of(staged.path)
        _check_version(path, instead_of)
        staged.commit()
    if progress is not None:
        progress(total, total)
    return version


def version_of(path: str | os.PathLike[str]) -> str:
    """Return what tells the contents of a session file from those of any other; reads little.

    From the names, sizes and checksums of all that is in it. "": there is no such file, or it
    cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            facts = [(info.filename, info.file_size, info.CRC) for info in packed.infolist()]
    except (OSError, *DAMAGE):
        return ""
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _check_version(path: Path, instead_of: str | None) -> None:
    if instead_of is not None and os.path.lexists(path) and version_of(path) != instead_of:
        raise SavedElsewhere(
            f"{path.name} was saved by another window or program since it was opened or saved "
            "here; save under another name, or overwrite it"
        )


def open_session(
    path: str | os.PathLike[str],
    working_folder: str | os.PathLike[str],
    progress: Progress | None = None,
    cancel: CancelSignal | None = None,
) -> SessionDocument:
    """Read a session and lay its label stores into a working folder, all or none of them.

    Parameters
    ----------
    path : path
        Of a session file, from wherever it came: a name in it that leads out of the folder, and
        whatever else is not as `save_session` writes it, is refused before anything is written.
    working_folder : path
        An existing folder. Stores that are there already stay.
    progress : callable, optional
        ``progress(bytes done, bytes in all)``.
    cancel : object with is_set(), optional

    Returns
    -------
    SessionDocument
        Each `LabelsEntry.store` says where in `working_folder` the store lies now.

    Raises
    ------
    UserError
        There is no such file; it is no session, one of another version, not whole, or damaged.
    DestinationError
        The working folder cannot be written.
    Cancelled
        The working folder is as before.
    """
    with Archive(Path(path)) as archive:
        return unpack(archive, Path(working_folder), progress, cancel)


def read_session(path: str | os.PathLike[str]) -> SessionDocument:
    """Read the document of a session file, and no labels; errors are those of `open_session`."""
    with Archive(Path(path)) as archive:
        return archive.document


def _files_of(store: str, folder: Path | None, labels: str) -> Iterator[_File]:
    if folder is None or not (folder / "zarr.json").is_file():
        raise UserError(f"the labels {labels!r} have no zarr array in {folder}")
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            inner = f"{store}/{path.relative_to(folder).as_posix()}"
            if name.endswith(_UNFINISHED) or not is_safe(inner):
                continue  # nothing of the array: a chunk on its way, or what a file manager left
            # A chunk whose last label was erased may go at any moment.
            with contextlib.suppress(FileNotFoundError):
                yield _File(path, inner, path.stat().st_size)


def _pack(packed: zipfile.ZipFile, file: _File, cancel: CancelSignal | None) -> Iterator[int]:
    """Copy a file, yielding the bytes of each block; a file that has gone by now is left out.

    Writers replace a chunk, so that what is open here stays what it was.
    """
    try:
        source = open(file.path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(file, error) from error
    with source:
        info = zipfile.ZipInfo(file.name)
        info.file_size = os.fstat(source.fileno()).st_size  # decides about zip64
        with packed.open(info, "w") as target:
            while True:
                check_cancel(cancel)
                try:
                    block = source.read(_BLOCK)
                except OSError as error:
                    raise _unreadable(file, error) from error
                if not block:
                    return
                target.write(block)
                yield len(block)


def _unreadable(file: _File, error: OSError) -> SourceError:
    return SourceError(
        f"cannot read the labels in {file.path}: {one_line(error.strerror or error)}"
    )
