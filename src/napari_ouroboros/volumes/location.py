"""The ways to spell where a precomputed volume is, and the one form used inside."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from napari_ouroboros.errors import UserError

_FORMAT = "precomputed"
_SUFFIX = "neuroglancer-precomputed"

# Known by name, so that the refusal can say more than "not found".
_LATER_STORES = {"gs": "Google buckets (gs://)", "s3": "S3 buckets (s3://)"}
_LATER_FORMATS = {
    "graphene": "graphene",
    "zarr": "zarr",
    "zarr2": "zarr",
    "zarr3": "zarr",
    "n5": "N5",
    "nifti": "NIfTI",
    "boss": "BOSS",
    "dvid": "DVID",
    "brainmaps": "BrainMaps",
    "deepzoom": "DeepZoom",
}


@dataclass(frozen=True)
class Location:
    """A folder on disk or below an http(s) URL.

    Attributes
    ----------
    base : str
        Absolute folder, or ``http(s)://host/path`` without a trailing slash, without credentials.
    local : bool
        Whether `base` is a folder on disk.
    query : str
        What follows ``?`` in the URL, sent with every request and never shown: it may be a
        signature.
    user : (str, str) or None
        Name and password written in the URL; never shown.
    """

    base: str
    local: bool
    query: str = field(default="", repr=False)
    user: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Canonical spelling: ``precomputed://file:///...`` or ``precomputed://https://...``."""
        return f"{_FORMAT}://{self.shown('')}"

    def shown(self, name: str) -> str:
        """The URL of the object called `name` below this folder, fit to be shown."""
        base = Path(self.base).as_uri() if self.local else self.base
        if self.local:
            base = unquote(base)  # as people and Neuroglancer write it: no %20
        return f"{base}/{name}" if name else base


def parse_location(url: str | os.PathLike[str]) -> Location:
    """Read a path or URL of a precomputed volume in any spelling that Neuroglancer users write.

    A folder (absolute, relative, ``~``), its ``info`` file, ``file://``, ``http(s)://``, each also
    after ``precomputed://`` or before ``|neuroglancer-precomputed:``.

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
    for step in pipeline:
        step = step.strip().rstrip(":/")
        if step != _SUFFIX:
            name = _LATER_FORMATS.get(step.split(":")[0], step)
            raise UserError(f"{name} is not supported yet: {_hide(url)}")
    scheme = _scheme(text)
    if scheme == _FORMAT:
        text = text[len(_FORMAT) + 3 :]
        scheme = _scheme(text)
    if scheme in _LATER_FORMATS:
        raise UserError(f"{_LATER_FORMATS[scheme]} is not supported yet: {_hide(url)}")
    if scheme in _LATER_STORES:
        raise UserError(
            f"{_LATER_STORES[scheme]} are not supported yet: {_hide(url)}; give its https:// "
            "address if the bucket is public"
        )
    if scheme in ("http", "https"):
        return _http(text)
    if scheme == "file":
        rest = text[len("file://") :]
        if rest.startswith("localhost/"):
            rest = rest[len("localhost") :]
        if re.match(r"/[A-Za-z]:[/\\]", rest):  # file:///C:/folder
            rest = rest[1:]
        # Programs of this field write file:// and the bare path; others escape it.
        return _local(rest if os.path.exists(rest) else unquote(rest))
    if scheme:
        raise UserError(
            f"{scheme}:// is not known: {_hide(url)}; give a folder, file://, http:// or https://"
        )
    return _local(text)


def _scheme(text: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return match.group(1).lower() if match else ""


def _hide(url: str) -> str:
    """`url` without a password or a query."""
    return re.sub(r"//[^/@|]*@", "//", url).split("?")[0]


def _local(text: str) -> Location:
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if path.name == "info" and path.is_file():
        path = path.parent
    return Location(str(path), local=True)


def _http(text: str) -> Location:
    parts = urlsplit(text)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise UserError(f"this URL has no valid host: {_hide(text)}")
    name = f"[{host}]" if ":" in host else host
    netloc = name if port is None else f"{name}:{port}"
    path = parts.path.rstrip("/").removesuffix("/info")
    user = None
    if parts.username is not None:
        user = (unquote(parts.username), unquote(parts.password or ""))
    base = urlunsplit((parts.scheme.lower(), netloc, path, "", ""))
    return Location(base.rstrip("/"), local=False, query=parts.query, user=user)
