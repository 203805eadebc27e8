"""Small files that are replaced whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

from napari_ouroboros.volumes.writing.disk import destination_errors, sync


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside `path` and put it in its place: readers see the old or the new one.

    Raises
    ------
    DestinationError
        No space, no permission, a read-only disk; the old file is still in its place.
    """
    # One name per thread: what a killed process left behind is written over by the next.
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}.incomplete")
    with destination_errors(path, len(data)):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                to_disk(file)
            os.replace(temporary, path)
            sync(path.parent)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def to_disk(file: IO[bytes]) -> None:
    """Wait until what was written is on the disk: a machine may stop, not only a program."""
    file.flush()
    os.fsync(file.fileno())
