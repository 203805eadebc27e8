"""Names of files in a session: relative, and plain enough for every file system.

They come from files that anybody may have made, and lead to files that are written: what could
leave the folder is refused, not mended.
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_ouroboros.errors import UserError

#: Folder of the label stores, in the working folder and in the session file.
LABELS = "labels"
#: The document.
DOCUMENT = "session.json"

# No leading dot (".." and hidden files), no separator of any system, no drive, no trailing dot.
_PART = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
# Devices of Windows, whatever follows the dot.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_MOST_PARTS = 16


def is_safe(name: str) -> bool:
    """Whether `name` is a relative path with "/" that stays in its folder on every system."""
    parts = name.split("/")
    return len(parts) <= _MOST_PARTS and all(
        _PART.fullmatch(part) and not _DEVICE.fullmatch(part) for part in parts
    )


def check_store(store: str) -> None:
    """Raise UserError unless `store` names a label store: ``labels/NAME``."""
    parts = store.split("/")
    if len(parts) != 2 or parts[0] != LABELS or not is_safe(store):
        raise UserError(f"{store[:80]!r} is no place for labels of a session")


def inside(folder: Path, name: str) -> Path:
    """Return the path of a checked name in `folder`.

    Raises
    ------
    UserError
        The name, or a link on the way, leads out of the folder.
    """
    path = folder.joinpath(*name.split("/"))
    if not is_safe(name) or not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"the name {name[:80]!r} leads out of the session's folder")
    return path
