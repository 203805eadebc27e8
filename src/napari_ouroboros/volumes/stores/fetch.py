"""Bytes of the objects of a volume, from a folder or over HTTP, without any voxel library.

What a caller may rely on: an object that is not there is ``None`` and nothing else is; a body
that ends early, a refusal or a silence is a `SourceError` within the time limit; a failure that
may pass (5xx, a reset connection) is tried a few times first. The libraries do not promise
this: cloud-files reads a 403 as "missing" and waits for ever for a silent server.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from napari_ouroboros.errors import SourceError, one_line
from napari_ouroboros.volumes.stores.deadline import Heartbeat, call
from napari_ouroboros.volumes.stores.inflight import as_completed
from napari_ouroboros.volumes.stores.location import Location

# What cloud-volume and neuroglancer-scripts append to the names of compressed local files.
SUFFIXES = {".gz": "gzip", "": "", ".br": "br", ".zstd": "zstd", ".xz": "xz", ".bz2": "bz2"}

_AT_ONCE = 8
_LARGE = 1 << 14  # bytes; a small `info` is not worth an import


class Fetcher(Protocol):
    """Reads whole objects or byte ranges below one folder; safe to share between threads."""

    def get(self, name: str, byte_range: tuple[int, int] | None = None) -> bytes | None:
        """Return the object `name`, or its bytes ``start <= i < end``; ``None`` if not there.

        A whole object is decompressed as its name or its headers say; a range is what is stored,
        and may be short where the object ends before it does. ``(-n, 0)``: its last n bytes.

        Raises
        ------
        SourceError
            Names the object.
        """

    def close(self) -> None:
        """Drop open connections; a later `get` opens new ones."""


class AbortableFetcher(Fetcher, Protocol):
    """One whose requests can be given up."""

    def abort(self) -> None:
        """End what is under way with `Cancelled`; nothing can be got any more."""


def make_fetcher(location: Location, timeout: float) -> AbortableFetcher:
    """Return the fetcher for `location`; `timeout` is in seconds without a byte.

    Raises
    ------
    UserError
        A file with credentials for the place is there and cannot be understood.
    """
    if location.local:
        return FileFetcher(location, timeout)
    from napari_ouroboros.volumes.stores.fetch_http import HttpFetcher

    return HttpFetcher(location, timeout)


def fetch_json(fetcher: Fetcher, location: Location, name: str) -> dict[str, Any] | None:
    """Return the JSON object called `name`, or ``None`` if there is no such file.

    Raises
    ------
    SourceError
        It is no JSON object; a web page is named as such, since servers like to answer with one.
    """
    data = fetcher.get(name)
    if data is None:
        return None
    shown = location.shown(name)
    if data.lstrip()[:1] == b"<":
        raise SourceError(f"{shown} is a web page, not JSON; give the address of the data itself")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{shown} is not valid JSON: {one_line(error, 100)}") from error
    if not isinstance(value, dict):
        raise SourceError(f"{shown} is not the description of a volume: no JSON object")
    return value


def fetch_jsons(
    fetcher: Fetcher, location: Location, names: Sequence[str]
) -> dict[str, dict[str, Any] | SourceError | None]:
    """Return `fetch_json` of each name, or its error.

    Many at once, since one after the other costs a round trip for each.
    """

    def fetch(name: str) -> tuple[str, dict[str, Any] | SourceError | None]:
        try:
            return name, fetch_json(fetcher, location, name)
        except SourceError as error:
            return name, error

    return dict(as_completed((partial(fetch, name) for name in names), _AT_ONCE))


def decompress(data: bytes | bytearray, encoding: str, shown: str) -> bytes:
    """Undo a compression by its HTTP name; `shown` names the object in errors.

    Raises
    ------
    SourceError
        The bytes are truncated or corrupt, or the compression is unknown.
    """
    if encoding in ("", "identity"):
        return bytes(data)
    try:
        if not data:
            raise EOFError("the file is empty")
        if encoding in ("gzip", "x-gzip"):
            return _gunzip(data)
        if encoding == "deflate":
            return zlib.decompress(data)
        if encoding == "xz":
            return lzma.decompress(data)
        if encoding == "bz2":
            return bz2.decompress(data)
        import imagecodecs

        if encoding == "br":
            return bytes(imagecodecs.brotli_decode(data))
        if encoding == "zstd":
            return bytes(imagecodecs.zstd_decode(data))
    except Exception as error:  # every codec has its own exceptions
        raise SourceError(f"{shown} is corrupt: {encoding} says {one_line(error, 120)}") from error
    raise SourceError(f"{shown} is compressed with {encoding}, which is not known here")


def _gunzip(data: bytes | bytearray) -> bytes:
    # libdeflate takes half the time, and needs the size, which stands at the end. What is too good
    # to be true goes the slow way, and so does what it cannot read: several members of different
    # sizes, and damaged ones, because Python's own module says what is wrong with them. (Members
    # of one size would be read as one; whoever decodes a chunk knows its size and would say so.)
    size = int.from_bytes(data[-4:], "little")
    if len(data) >= _LARGE and 0 < size <= 1032 * len(data):
        import imagecodecs

        try:
            found = bytes(imagecodecs.gzip_decode(data, out=size))
        except (imagecodecs.DeflateError, ValueError):
            found = b""
        if len(found) == size:
            return found
    return gzip.decompress(data)


class FileFetcher:
    """Objects as files of a local folder; a compressed ``<name>.gz`` counts as ``<name>``."""

    def __init__(self, location: Location, timeout: float) -> None:
        self._location = location
        self._timeout = timeout

    def get(self, name: str, byte_range: tuple[int, int] | None = None) -> bytes | None:
        """See `Fetcher.get`."""
        shown = self._location.shown(name)
        # A network drive can fall silent like a server.
        beat = Heartbeat()
        found = call(lambda: self._read(name, byte_range, beat), self._timeout, shown, beat)
        if found is None:
            return None
        data, encoding = found
        return decompress(data, encoding, shown)

    def close(self) -> None:
        """Nothing is kept open."""

    def abort(self) -> None:
        """A file that is being read is read to its end."""

    def _read(
        self, name: str, byte_range: tuple[int, int] | None, beat: Heartbeat
    ) -> tuple[bytes, str] | None:
        path = f"{self._location.base}/{name}"
        suffixes = SUFFIXES if byte_range is None else {"": ""}
        for suffix, encoding in suffixes.items():
            try:
                with open(path + suffix, "rb") as file:
                    if byte_range is not None:
                        start, end = byte_range
                        # Within the file: a damaged index may ask for more than memory can hold.
                        size = file.seek(0, os.SEEK_END)
                        start, end, _ = slice(start, end or None).indices(size)
                        file.seek(start)
                        return file.read(max(end - start, 0)), encoding
                    parts = []
                    while part := file.read(1 << 24):
                        parts.append(part)
                        beat.beat()
                    return (parts[0] if len(parts) == 1 else b"".join(parts)), encoding
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                shown = self._location.shown(name + suffix)
                reason = error.strerror or one_line(error)
                raise SourceError(f"{shown} cannot be read: {reason}") from error
            except ValueError as error:
                shown = self._location.shown(name)
                raise SourceError(f"{shown!r} cannot be the name of a file") from error
        return None
