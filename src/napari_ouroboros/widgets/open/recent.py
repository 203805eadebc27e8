"""The addresses that were opened last, kept between sessions; never a name or a password."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from napari_ouroboros.errors import UserError
from napari_ouroboros.neuroglancer import links
from napari_ouroboros.volumes.stores.credentials import redact

#: A link may hold a whole state; a longer one is not kept.
_LONGEST = 100_000


def usual_file() -> Path:
    """Where the list is kept, beside nothing that belongs to others."""
    import platformdirs

    return Path(platformdirs.user_config_dir("napari-ouroboros", appauthor=False)) / "recent.json"


def without_secrets(source: str) -> str:
    """Return an address as it may be kept: one that still opens, with what lies in files."""
    clean = redact(source)
    if clean == source or not links.is_link(source):
        return clean
    # In a whole link, what is cut off with a password would be the end of the state.
    try:
        held = links.read_link(source)
    except UserError:
        return clean
    if isinstance(held, dict):
        return links.make_link(_redacted(held), redact(source.partition("#")[0]))
    # Sites that name the state in the query: its address is what the link is about.
    return clean if held == source else redact(held)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def title(source: str, longest: int = 60) -> str:
    """Return an address short enough for a menu: its beginning and its end."""
    one_line = " ".join(source.split())
    if len(one_line) <= longest:
        return one_line
    head = longest // 2
    return f"{one_line[:head]} … {one_line[-(longest - head - 3) :]}"


class RecentSources:
    """A list in a file, the newest first. What cannot be read or written is as if it were empty.

    Parameters
    ----------
    file : Path, optional
        Default: in the user's folder of settings.
    most : int
        How many are kept; 0: none, and the file goes.
    """

    def __init__(self, file: Path | None = None, most: int = 12) -> None:
        self.file = usual_file() if file is None else file
        self.most = most

    def sources(self) -> list[str]:
        """Return the addresses, the newest first."""
        try:
            listed = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []  # none yet, or written by hand: the next one begins a new list
        if not isinstance(listed, list):
            return []
        return [source for source in listed if isinstance(source, str)][: self.most]

    def add(self, source: str) -> None:
        """Put an address first."""
        clean = without_secrets(source.strip())
        if not clean or len(clean) > _LONGEST:
            return
        self._write([clean, *(other for other in self.sources() if other != clean)][: self.most])

    def clear(self) -> None:
        """Forget all."""
        self._write([])

    def _write(self, sources: list[str]) -> None:
        try:
            if not sources:
                self.file.unlink(missing_ok=True)
                return
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
            temporary.write_text(json.dumps(sources, indent=1), encoding="utf-8")
            os.replace(temporary, self.file)
        except OSError:
            return  # a home that cannot be written to must not keep a volume from opening
