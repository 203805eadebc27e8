"""What goes wrong when a disk is written to, said in one line."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_ouroboros.errors import DestinationError, OuroborosError, one_line


def destination_error(
    error: OSError, destination: Path, needed_bytes: int | None = None
) -> DestinationError:
    """Say in one line why nothing could be written to `destination`, and what to do.

    Parameters
    ----------
    error : OSError
        What the system said; its `errno` decides the line.
    destination : Path
        The result that the user asked for (not the folder that the job works in).
    needed_bytes : int, optional
        How much was to be written, for the line about a full disk.
    """
    code = error.errno
    if code is None and needed_bytes and _free_bytes(destination.parent) < needed_bytes:
        # numpy says only how much of an array it could write.
        code = errno.ENOSPC
    if code in (errno.ENOSPC, errno.EDQUOT):
        why = "no space left on the disk" if code == errno.ENOSPC else "the disk quota is used up"
        line = f"{why} of {destination.parent}"
        if needed_bytes:
            line += f", {max(needed_bytes / 1e6, 0.1):.1f} MB needed"
        return DestinationError(line + "; make room or choose another place")
    if code in (errno.EACCES, errno.EPERM):
        return DestinationError(
            f"no permission to write {destination}; choose another place or change its permissions"
        )
    if code == errno.EROFS:
        return DestinationError(
            f"cannot write {destination}: the disk is read-only; choose another place"
        )
    return DestinationError(f"cannot write {destination}: {one_line(error.strerror or error)}")


@contextmanager
def destination_errors(destination: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn every OSError of the block into the DestinationError of `destination_error`."""
    try:
        yield
    except OuroborosError:
        raise  # says already what is wrong
    except OSError as error:
        raise destination_error(error, destination, needed_bytes) from error


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder: a power failure spares it then.

    Raises
    ------
    OSError
        The disk is full or broken; FileNotFoundError: there is nothing.
    """
    try:
        handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    except PermissionError:
        if not path.is_dir():
            raise
        return  # Windows opens no folders
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network disks know of files only.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(handle)


def _free_bytes(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.inf


def why_not_writable(folder: Path) -> int:
    """Tell a read-only disk from a missing permission: os.access does not."""
    read_only = getattr(os, "ST_RDONLY", 0)
    if read_only and os.statvfs(folder).f_flag & read_only:
        return errno.EROFS
    return errno.EACCES
