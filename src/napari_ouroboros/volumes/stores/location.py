"""The ways to spell where a volume is, and the one form used inside: a store and a format."""

from __future__ import annotations

import math
import os
import re
import string
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.stores.credentials import redact

Store = Literal["file", "http", "gs", "s3"]
Format = Literal["precomputed", "zarr", "zarr2", "zarr3", "n5", "graphene", "auto"]

# "<name>://" before the store's URL, or "|<name>:" after it.
_FORMATS: dict[str, Format] = {
    "precomputed": "precomputed",
    "neuroglancer-precomputed": "precomputed",
    "zarr": "zarr",
    "zarr2": "zarr2",
    "zarr3": "zarr3",
    "n5": "n5",
    "graphene": "graphene",
}
# Known by name, so that the refusal can say more than "not found".
_LATER_FORMATS = {
    "nifti": "NIfTI",
    "boss": "BOSS",
    "dvid": "DVID",
    "brainmaps": "BrainMaps",
    "deepzoom": "DeepZoom",
    "render": "Render",
    "nggraph": "nggraph",
}
#: Files that make a folder a volume, and of which format; the first one found decides.
METADATA_FILES: dict[str, Format] = {
    "info": "precomputed",
    "zarr.json": "zarr3",
    ".zarray": "zarr2",
    ".zattrs": "zarr2",
    ".zgroup": "zarr2",
    ".zmetadata": "zarr2",
    "attributes.json": "n5",
}
# What Neuroglancer writes into the query of a zarr URL is for itself, not for the server.
_OPTIONS = {"dimension_separator"}
_TABLE = re.compile(r"(?P<server>.*?)/(?:table|1\.0|api/v1(?:/table)?)/(?P<name>[\w.-]+)$")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*$")


@dataclass(frozen=True)
class Location:
    """A folder on disk, below an http(s) URL, or in a bucket; and the format of what is there.

    Attributes
    ----------
    base : str
        Absolute folder, ``http(s)://host/path``, ``gs://bucket/path``, ``s3://bucket/path``, or
        ``s3+https://host/bucket/path`` for a server of S3 that is not Amazon's. Without a
        trailing slash, and without credentials.
    store : {"file", "http", "gs", "s3"}
        How objects are read there.
    format : str
        "precomputed", "zarr" (2 or 3), "zarr2", "zarr3", "n5", "graphene", or "auto": the address
        does not say, and what files are there decides.
    query : str
        What follows ``?`` in the URL, sent with every request and never shown: it may be a
        signature.
    user : (str, str) or None
        Name and password written in the URL; never shown.
    middleauth : bool
        Written ``middleauth+https://``: the server wants the token of a CAVE login.
    timestamp : int or None
        Of a graphene segmentation: the moment whose segments are meant, in Unix seconds. Written
        ``?timestamp=``, as such or as a date (ISO 8601).
    """

    base: str
    store: Store
    format: Format = "auto"
    query: str = field(default="", repr=False)
    user: tuple[str, str] | None = field(default=None, repr=False)
    middleauth: bool = False
    timestamp: int | None = None

    @property
    def local(self) -> bool:
        """Whether `base` is a folder on disk."""
        return self.store == "file"

    @property
    def url(self) -> str:
        """Canonical spelling, such as ``precomputed://gs://bucket/path``, fit to be shown."""
        shown = self.shown("")
        if self.timestamp is not None:
            shown += f"?timestamp={self.timestamp}"
        return shown if self.format == "auto" else f"{self.format}://{shown}"

    def shown(self, name: str) -> str:
        """The URL of the object called `name` below this folder, fit to be shown."""
        base = self.base
        if self.local:
            base = unquote(Path(base).as_uri())  # as people and Neuroglancer write it: no %20
        if self.middleauth:
            base = f"middleauth+{base}"
        return f"{base}/{name}" if name else base

    def with_format(self, format: Format) -> Location:
        """Return the same place, its format known to be `format`."""
        return replace(self, format=format)

    def child(self, name: str) -> Location:
        """Return the place called `name`, parts separated by ``/``, below this one."""
        name = name.strip("/")
        return replace(self, base=f"{self.base.rstrip('/')}/{name}") if name else self


def parse_location(url: str | os.PathLike[str]) -> Location:
    """Read a path or URL of a volume in any spelling that Neuroglancer users write.

    Stores: a folder (absolute, relative, ``~``), ``file://``, ``http(s)://``,
    ``middleauth+https://``, ``gs://``, ``s3://``, ``s3+https://host/bucket/path`` (also written
    ``s3://https://host/bucket/path``). Formats: ``precomputed://``, ``zarr://``, ``zarr2://``,
    ``zarr3://``, ``n5://`` or ``graphene://`` before it, or ``|neuroglancer-precomputed:``,
    ``|zarr:``, ... after it; without one, the address of a metadata file (``info``,
    ``zarr.json``, ...) says it, else the format is "auto".

    Raises
    ------
    UserError
        For an empty one, and for stores and formats that are not supported, by name.
    """
    if isinstance(url, os.PathLike):
        return _local(os.fspath(url))
    text = url.strip()
    if not text:
        raise UserError("the address of the volume is empty; give a folder or a URL")
    text, *pipeline = text.split("|")
    text = text.strip()
    named: list[Format] = []
    while (scheme := _scheme(text)) in _FORMATS:
        named.append(_FORMATS[scheme])
        text = text[len(scheme) + 3 :]
    inside = ""
    for step in pipeline:
        name, _, path = step.strip().partition(":")
        if name not in _FORMATS:
            name = _LATER_FORMATS.get(name, name)
            raise UserError(f"{name} is not supported yet: {redact(url)}")
        named.append(_FORMATS[name])
        inside = path.partition("#")[0].strip("/")
    if len(set(named)) > 1:
        raise UserError(f"this address names more than one format: {redact(url)}")
    if not text:
        raise UserError(f"this address names no place: {redact(url)}; give a folder or a URL")
    place = _place(text, url).child(inside)
    if not named:
        return place
    if named[0] == "graphene":
        place = _table(place)
    return place.with_format(named[0])


def _place(text: str, url: str) -> Location:
    """The store that `text` names; `url` is the whole address, for messages."""
    scheme = _scheme(text)
    rest = text[len(scheme) + 3 :] if scheme else text
    if not scheme:
        return _local(text)
    if scheme == "file":
        if rest.startswith("localhost/"):
            rest = rest[len("localhost") :]
        if re.match(r"/[A-Za-z]:[/\\]", rest):  # file:///C:/folder
            rest = rest[1:]
        # Programs of this field write file:// and the bare path; others escape it.
        return _local(rest if os.path.exists(rest) else unquote(rest))
    if scheme in ("http", "https"):
        return _http(text, "http")
    if scheme in ("middleauth+http", "middleauth+https"):
        return replace(_http(text[len("middleauth+") :], "http"), middleauth=True)
    if scheme in ("gs", "gs+xml"):
        return _bucket("gs", rest, url)
    if scheme == "s3" and _scheme(rest) in ("http", "https"):
        return _http(rest, "s3")
    if scheme in ("s3+http", "s3+https"):
        return _http(text[len("s3+") :], "s3")
    if scheme == "s3":
        return _bucket("s3", rest, url)
    if scheme in _LATER_FORMATS:
        raise UserError(f"{_LATER_FORMATS[scheme]} is not supported yet: {redact(url)}")
    if "ngauth" in scheme:
        raise UserError(
            f"ngauth logins are not supported: {redact(url)}; give the gs:// address and use "
            "Google credentials of your own"
        )
    raise UserError(
        f"{scheme}:// is not known: {redact(url)}; give a folder, file://, http://, https://, "
        "gs:// or s3://"
    )


def _scheme(text: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return match.group(1).lower() if match else ""


def _local(text: str) -> Location:
    path = Path(os.path.abspath(os.path.expanduser(text)))
    # People paste the address of the file that they looked at.
    if path.name in METADATA_FILES and path.is_file():
        return Location(str(path.parent), "file", METADATA_FILES[path.name])
    return Location(str(path), "file")


def _http(text: str, store: Literal["http", "s3"]) -> Location:
    """``http(s)://host/path``; for `store` "s3", the server of ``host/bucket/path``."""
    try:
        parts = urlsplit(text)
        # As the host is looked up; a label of it that is empty or too long is a ValueError, too.
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        host = ""
    if not host or re.search(r"[\x00-\x20]", host):
        raise UserError(f"this URL has no valid host: {redact(text)}")
    name = f"[{host}]" if ":" in host else host
    netloc = name if port is None else f"{name}:{port}"
    path, found = _without_metadata_file(_escaped(parts.path))
    user = None
    if parts.username is not None:
        user = (unquote(parts.username), unquote(parts.password or ""))
    base = urlunsplit((parts.scheme.lower(), netloc, path, "", "")).rstrip("/")
    if store == "s3":
        if not _BUCKET.match(path.strip("/").partition("/")[0]):
            raise UserError(f"this address names no bucket: {redact(text)}")
        if user is not None:
            raise UserError(
                "keys do not belong in an s3 address; put them in AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY or ~/.cloudvolume/secrets/aws-secret.json"
            )
        base = f"s3+{base}"
    return Location(base, store, found, _query(parts.query), user)


def _bucket(store: Literal["gs", "s3"], rest: str, url: str) -> Location:
    rest = rest.partition("#")[0]
    rest, _, query = rest.partition("?")
    bucket, _, path = rest.partition("/")
    if not _BUCKET.match(bucket):
        raise UserError(f"this address names no bucket: {redact(url)}; write {store}://bucket/path")
    path, found = _without_metadata_file(path)
    return Location(f"{store}://{bucket}/{path}".rstrip("/"), store, found, _query(query))


def _without_metadata_file(path: str) -> tuple[str, Format]:
    """`path` without the slash at its end, or a metadata file there, and the format that says."""
    path = path.rstrip("/")
    folder, _, name = path.rpartition("/")
    found = METADATA_FILES.get(name, "auto")
    return (path, found) if found == "auto" else (folder.rstrip("/"), found)


def _query(query: str) -> str:
    """`query` without options meant for the viewer; a signature stays as it is, to the byte."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(name in _OPTIONS for name, _ in pairs):
        return urlencode([(name, value) for name, value in pairs if name not in _OPTIONS])
    return _escaped(query)


def _escaped(text: str) -> str:
    """A part of a URL with what no request can hold (a space, an umlaut) escaped, and no more."""
    return quote(text, safe=string.punctuation)


def _table(place: Location) -> Location:
    """The table of segments that a graphene address names, whatever version of the interface."""
    match = _TABLE.match(place.base) if place.store == "http" else None
    if match is None:
        raise UserError(
            f"{place.shown('')} is no graphene segmentation; its address ends in "
            "/segmentation/table/NAME"
        )
    return _with_timestamp(replace(place, base=f"{match['server']}/table/{match['name']}"))


def _with_timestamp(place: Location) -> Location:
    """Take the timestamp out of the query, where it is not shown."""
    pairs = parse_qsl(place.query, keep_blank_values=True)
    given = [value for name, value in pairs if name == "timestamp"]
    if not given:
        return place
    rest = urlencode([(name, value) for name, value in pairs if name != "timestamp"])
    try:
        seconds = float(given[-1])
    except ValueError:
        try:
            moment = datetime.fromisoformat(given[-1])
        except ValueError:
            raise UserError(
                f"the timestamp {given[-1]!r} is neither Unix seconds nor a date such as "
                "2024-06-05T12:00:00Z"
            ) from None
        # A date without a zone means the same moment on every machine.
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 < seconds < 1e11:
        raise UserError(f"the timestamp {given[-1]} is no moment in Unix seconds")
    return replace(place, query=rest, timestamp=math.ceil(seconds))
