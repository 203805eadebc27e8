"""Which process has a working folder: taken once by one, however many try at the same moment.

The folder holds ``owner-1.json``, ``owner-2.json``, ...; the one with the highest number names
the owner. A dead owner is succeeded by making the file with the next number, which the file
system lets only one process do, on network disks, too. No locks of the operating system are
used: they do not work on every remote home.
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
import uuid
from dataclasses import asdict
from pathlib import Path

from napari_ouroboros.errors import UserError
from napari_ouroboros.session.files import to_disk
from napari_ouroboros.volumes.writing.disk import destination_errors
from napari_ouroboros.volumes.writing.owner import Owner

_NAME = re.compile(r"owner-(\d{1,9})\.json")
#: What file systems say that have no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}

# Folders of this process. A file that names its number may be of an earlier process that had it.
_ours: set[Path] = set()
_lock = threading.Lock()


def take(folder: Path) -> None:
    """Make this process the owner of a folder.

    Raises
    ------
    UserError
        It belongs to a process that still runs, this one included.
    DestinationError
        The folder cannot be written.
    """
    key = folder.resolve()
    with _lock, destination_errors(folder):
        number, owner = _latest(folder)
        if _holds(owner, key) or not _succeed(folder, number + 1):
            raise UserError(f"the session in {folder} is open in another window")
        _ours.add(key)


def release(folder: Path) -> None:
    """Give a folder of this process up, so that it counts as abandoned."""
    with _lock:
        _ours.discard(folder.resolve())


def is_owned(folder: Path) -> bool:
    """Whether the owner of a folder runs, or cannot be asked since it is on another computer."""
    with _lock:
        owner = _latest(folder)[1]
        return _holds(owner, folder.resolve()) or host_of(owner) != ""


def owner_of(folder: Path) -> Owner | None:
    """Return the last owner of a folder, alive or not; None: it has none, or it cannot be read."""
    return _latest(folder)[1]


def host_of(owner: Owner | None) -> str:
    """Return the name of the owner's computer if it is another one than this, else ""."""
    return "" if owner is None or owner.is_here() else owner.host


def _holds(owner: Owner | None, folder: Path) -> bool:
    """Whether the owner, one of this computer, still has the folder."""
    if owner is None or not owner.is_here():
        return False
    if owner.pid == os.getpid():
        return folder in _ours
    return owner.is_alive()


def _latest(folder: Path) -> tuple[int, Owner | None]:
    """Highest number and the owner it names; one that was not written to its end died doing so."""
    matches = (_NAME.fullmatch(name) for name in os.listdir(folder))
    number = max((int(match[1]) for match in matches if match), default=0)
    if not number:
        return 0, None
    try:
        facts = json.loads((folder / f"owner-{number}.json").read_bytes())
        return number, Owner(int(facts["pid"]), str(facts["host"]), float(facts["start"]))
    except (ValueError, KeyError, TypeError):
        return number, None


def _succeed(folder: Path, number: int) -> bool:
    """Make the file with this number; whether nobody else was first."""
    target = folder / f"owner-{number}.json"
    data = json.dumps(asdict(Owner.me())).encode()
    temporary = folder / f".owner-{uuid.uuid4().hex}.incomplete"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            to_disk(file)
        try:
            os.link(temporary, target)  # whole at once, and never over another's
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create(target, data)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create(target: Path, data: bytes) -> bool:
    try:
        with open(target, "xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True
