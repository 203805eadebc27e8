"""The ways in which Neuroglancer users write a data source, and the one form used inside.

``precomputed://gs://b/p``, ``gs://b/p|neuroglancer-precomputed:`` and, for a folder with an
``info`` file, a bare path all become a `Source`: a format and the URL of the store below it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.stores.credentials import redact
from napari_ouroboros.volumes.stores.location import METADATA_FILES

# scheme before "://", or pipeline step after "|" -> format
_FORMATS = {
    "precomputed": "precomputed",
    "neuroglancer-precomputed": "precomputed",
    "graphene": "graphene",
    "zarr": "zarr",
    "zarr2": "zarr2",
    "zarr3": "zarr3",
    "n5": "n5",
    "nifti": "nifti",
    "local": "local",
} | {
    name: name
    for name in (
        *("boss", "brainmaps", "catmaid", "deepzoom", "dvid", "nggraph"),
        *("obj", "python", "render", "swc", "vtk"),
    )
}
# Stores inside other files or stores: part of the address, not the format.
_ADAPTERS = ("gzip", "zip", "byte-range", "ocdbt", "icechunk")
_STORES = re.compile(r"(middleauth\+)?(file|https?|gs|s3|gs\+[a-z+]+|s3\+https?)$")
_NO_VOLUME = ("local", "obj", "swc", "vtk", "nggraph", "catmaid")
_ENDINGS = ((".zarr", "zarr"), (".n5", "n5"), (".nii", "nifti"), (".nii.gz", "nifti"))


@dataclass(frozen=True)
class Source:
    """Where data are and in which format.

    Attributes
    ----------
    format : str
        ``precomputed``, ``zarr``, ``zarr2``, ``zarr3``, ``n5``, ``nifti``, ``graphene``,
        ``local`` (inside the state itself), or another of Neuroglancer's own names.
    store : str
        URL of the store below the format, without a trailing slash; ``file://`` ones are
        absolute. It may hold credentials: show `shown` instead.
    part : str
        ``mesh``, ``skeleton``, ``annotations``, ... where the URL ends in ``#type=...``,
        which says that it is no volume; else empty.
    """

    format: str
    store: str = field(repr=False)
    part: str = ""

    @property
    def url(self) -> str:
        """Canonical spelling, such as ``precomputed://gs://b/p``, with any credentials."""
        return f"{self.format}://{self.store}"

    @property
    def shown(self) -> str:
        """`url` fit to be shown: no password, no query."""
        return redact(self.url)

    @property
    def may_hold_volume(self) -> bool:
        """False for annotations in the state, meshes, skeletons and the like."""
        return self.format not in _NO_VOLUME and not self.part

    @property
    def name(self) -> str:
        """Last component of the path."""
        return re.split(r"[?|#]", self.store)[0].rstrip("/").rpartition("/")[2]


def parse_source(url: str, folder: str | os.PathLike[str] | None = None) -> Source:
    """Read the URL of a data source in any of Neuroglancer's spellings.

    Parameters
    ----------
    url : str
        For example ``precomputed://gs://b/p``, ``gs://b/p|neuroglancer-precomputed:``,
        ``https://h/f.nii.gz|gzip:|nifti:``, ``file://./volume`` or a path.
    folder : path, optional
        What relative paths are relative to; the working directory if not given.

    Raises
    ------
    UserError
        For an empty URL and for formats and stores that do not exist.
    """
    first, *steps = (part.strip() for part in url.strip().split("|"))
    scheme, rest = _split(first)
    format_ = ""
    if scheme in _FORMATS and "://" in first:
        format_, first = _FORMATS[scheme], rest
        if format_ == "local":
            return Source("local", rest)
    if not first:
        raise UserError("the URL of the source is empty")
    first, _, fragment = first.partition("#")
    store = _store(first, folder, url, known_format=format_ not in ("", "precomputed", "graphene"))
    for index, step in enumerate(steps):
        name, _, path = step.partition(":")
        path, _, step_fragment = path.partition("#")
        fragment = step_fragment or fragment
        if name in _FORMATS:
            if format_ or index != len(steps) - 1:
                raise UserError(f"this URL names more than one format: {redact(url)}")
            format_ = _FORMATS[name]
            store += f"/{path.strip('/')}" if path.strip("/") else ""
        elif name in _ADAPTERS:
            store += f"|{name}:{path}"
        else:
            raise UserError(f"'{name}' is no format known here: {redact(url)}")
    part = dict(parse_qsl(fragment.removeprefix("!"))).get("type", "")
    return Source(format_ or _guess(store), store, part)


def _split(text: str) -> tuple[str, str]:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)$", text, re.DOTALL)
    return (match.group(1).lower(), match.group(2)) if match else ("", text)


def _store(
    text: str, folder: str | os.PathLike[str] | None, url: str, *, known_format: bool
) -> str:
    scheme, rest = _split(text)
    if not rest.strip("/") and rest != "/":
        raise UserError(f"this URL names no place: {redact(url)}")
    if scheme == "file" or (not scheme and not known_format):
        return f"file://{_absolute(rest, folder)}"
    if not scheme:
        # dvid, boss, render, python, ... have addresses of their own kind.
        return rest.rstrip("/")
    if not _STORES.match(scheme):
        if known_format:
            return text.rstrip("/")
        raise UserError(f"'{scheme}://' is no format or store known here: {redact(url)}")
    path, mark, query = rest.partition("?")
    return f"{scheme}://{path.rstrip('/')}{mark}{query}"


def _absolute(text: str, folder: str | os.PathLike[str] | None) -> str:
    """Absolute path of what follows ``file://``, with forward slashes."""
    text = text.removeprefix("localhost") if text.startswith("localhost/") else text
    if re.match(r"/[A-Za-z]:[/\\]", text):  # file:///C:/folder
        text = text[1:]
    base = Path.cwd() if folder is None else Path(folder)
    path, decoded = (
        os.path.abspath(base / os.path.expanduser(spelling)) for spelling in (text, unquote(text))
    )
    # Programs of this field write file:// and the bare path; others escape it.
    if not os.path.exists(path) and os.path.exists(decoded):
        path = decoded
    if os.path.basename(path) == "info" and os.path.isfile(path):
        path = os.path.dirname(path)
    return Path(path).as_posix()


def _guess(store: str) -> str:
    """Format of a store given without one."""
    path = re.split(r"[?|#]", store)[0]
    if path.startswith("file://"):
        folder = Path(path.removeprefix("file://"))
        for name, found in METADATA_FILES.items():
            if (folder / name).is_file():
                return found.rstrip("23")
    for ending, format_ in _ENDINGS:
        if path.lower().endswith(ending):
            return format_
    return "precomputed"
