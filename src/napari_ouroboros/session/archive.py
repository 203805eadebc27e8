"""A session file from wherever it came, looked through before anything is done with it."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from napari_ouroboros.errors import OuroborosError, SourceError, UserError, one_line
from napari_ouroboros.session.document import LabelsEntry, SessionDocument, from_bytes
from napari_ouroboros.session.names import DOCUMENT, is_safe

_BLOCK = 1 << 20
#: A document is never this large; what says it is would only fill the memory.
_MOST_DOCUMENT = 1 << 29
_ENCRYPTED = 0x1
#: What the zip library raises for files that are not as they should be.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError,
    RuntimeError, OverflowError,
)  # fmt: skip


def is_session(path: Path) -> bool:
    """Whether a file is a session, be it a damaged one, or empty: whether it may be replaced."""
    try:
        if not path.stat().st_size:
            return True
        with zipfile.ZipFile(path) as packed:
            return DOCUMENT in packed.namelist()
    except (OSError, *DAMAGE):
        return False


class Archive:
    """A session file, open for reading. All its names have been checked.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UserError
        As `open_session`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._one_line():
            self._packed = zipfile.ZipFile(path)
        try:
            self._files = self._checked()
        except BaseException:
            self._packed.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._packed.close()

    @cached_property
    def document(self) -> SessionDocument:
        """The document; its labels have stores here, of their shape and dtype."""
        found = from_bytes(b"".join(self.blocks(DOCUMENT)), str(self.path))
        for entry in found.labels:
            self._check_labels(entry)
        return found

    def files_of(self, store: str) -> list[tuple[str, int]]:
        """Names and sizes of the files of a label store."""
        return [
            (name, info.file_size)
            for name, info in self._files.items()
            if name.startswith(f"{store}/")
        ]

    def blocks(self, name: str) -> Iterator[bytes]:
        """Read a file block by block; its checksum is compared at its end."""
        info = self._files[name]
        got = 0
        with self._one_line():
            with self._packed.open(info) as file:
                while block := file.read(_BLOCK):
                    got += len(block)
                    yield block
            if got != info.file_size:
                raise self._damaged(f"{name} ends early")

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        files: dict[str, zipfile.ZipInfo] = {}
        seen: set[str] = set()
        for info in self._packed.infolist():
            name = info.filename.removesuffix("/") if info.is_dir() else info.filename
            if not is_safe(name):
                raise self._damaged(f"the name {name[:80]!r} in it leads out of its folder")
            if info.is_dir():
                continue
            if info.flag_bits & _ENCRYPTED:
                raise self._damaged("it is encrypted; save it without a password")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._damaged("it was packed in a way that is not read here")
            # Two names may be one on the disk of another system.
            if name.casefold() in seen:
                raise self._damaged(f"{name} is in it twice")
            seen.add(name.casefold())
            files[name] = info
        for name in files:
            if any(str(above).casefold() in seen for above in PurePosixPath(name).parents):
                raise self._damaged(f"{name} lies in a file")
        if DOCUMENT not in files:
            raise UserError(f"{self.path} is not a session of napari-ouroboros")
        if files[DOCUMENT].file_size > _MOST_DOCUMENT:
            raise self._damaged(f"{DOCUMENT} is too large")
        return files

    def _check_labels(self, entry: LabelsEntry) -> None:
        name = f"{entry.store}/zarr.json"
        if name not in self._files or self._files[name].file_size > _MOST_DOCUMENT:
            raise self._damaged(f"the labels {entry.name!r} are not in it")
        try:
            array = json.loads(b"".join(self.blocks(name)))
            found = array["zarr_format"], array["node_type"], array["shape"], array["data_type"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            if isinstance(error, OuroborosError):
                raise
            raise self._damaged(f"{name} describes no array") from error
        if found != (3, "array", list(entry.shape), entry.dtype):
            raise self._damaged(f"the labels {entry.name!r} are not the array that it describes")

    def _damaged(self, why: str) -> UserError:
        return UserError(f"{self.path} is damaged: {why}")

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Say in one line what is wrong with the file."""
        try:
            yield
        except OuroborosError:
            raise
        except FileNotFoundError:
            raise UserError(f"there is no session {self.path}") from None
        except IsADirectoryError:
            raise UserError(f"{self.path} is a folder, not a session") from None
        except OSError as error:
            if self._ends_early():
                raise self._not_whole() from error
            reason = one_line(error.strerror or error)
            raise SourceError(f"cannot read {self.path}: {reason}") from error
        except DAMAGE as error:
            if self._ends_early():
                raise self._not_whole() from error
            if not self._begins_as_zip():
                raise UserError(f"{self.path} is not a session of napari-ouroboros") from error
            raise self._damaged(one_line(error, 80)) from error

    def _not_whole(self) -> UserError:
        return UserError(
            f"{self.path} is not whole: it was not written or copied to its end; copy it again, "
            "or take an older one"
        )

    def _begins_as_zip(self) -> bool:
        with open(self.path, "rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")

    def _ends_early(self) -> bool:
        """Whether it begins as a zip and has no table of contents, which is written last."""
        try:
            return self._begins_as_zip() and not zipfile.is_zipfile(self.path)
        except OSError:
            return False
