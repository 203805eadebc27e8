"""The label stores of a session file laid into a working folder, all or none of them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_ouroboros.errors import UserError
from napari_ouroboros.session.archive import Archive
from napari_ouroboros.session.document import SessionDocument
from napari_ouroboros.session.names import LABELS, inside
from napari_ouroboros.volumes.stores.inflight import CancelSignal, check_cancel
from napari_ouroboros.volumes.writing.disk import destination_error, destination_errors


def free_store(folder: Path, wanted: str = "") -> str:
    """Return a store's name that is not taken in a working folder; `wanted` if that is free."""
    number = 0
    name = wanted
    while not name or os.path.lexists(inside(folder, name)):
        number += 1
        name = f"{LABELS}/{number}"
    return name


def unpack(
    archive: Archive,
    folder: Path,
    progress: Callable[[int, int], None] | None,
    cancel: CancelSignal | None,
) -> SessionDocument:
    """See `store.open_session`."""
    document = archive.document
    if not folder.is_dir():
        raise UserError(f"the folder {folder} does not exist; create it first")
    files = [file for entry in document.labels for file in archive.files_of(entry.store)]
    total = sum(size for _, size in files)
    with destination_errors(folder, total):
        if shutil.disk_usage(folder).free < total:
            raise destination_error(OSError(errno.ENOSPC, "no space"), folder / LABELS, total)
        # In the folder itself: the stores are moved into their place, not copied.
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder) as name:
            incoming = Path(name)
            done = 0
            for member, _ in files:
                target = inside(incoming, member)
                target.parent.mkdir(parents=True, exist_ok=True)
                check_cancel(cancel)
                with open(target, "xb") as file:
                    for block in archive.blocks(member):
                        check_cancel(cancel)
                        file.write(block)
                        done += len(block)
                        if progress is not None:
                            progress(done, total)
            check_cancel(cancel)
            return _moved(document, incoming, folder)


def _moved(document: SessionDocument, incoming: Path, folder: Path) -> SessionDocument:
    (folder / LABELS).mkdir(exist_ok=True)
    placed: list[Path] = []
    entries = []
    try:
        for entry in document.labels:
            store = free_store(folder, entry.store)
            os.rename(inside(incoming, entry.store), inside(folder, store))
            placed.append(inside(folder, store))
            entries.append(replace(entry, store=store))
    except OSError:
        for path in placed:
            shutil.rmtree(path, ignore_errors=True)
        raise
    return replace(document, labels=tuple(entries))
