"""The JSON files of a zarr store, version 2 and 3: which arrays and groups there are.

Formats: https://zarr-specs.readthedocs.io.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes.stores.fetch import Fetcher, fetch_jsons
from napari_ouroboros.volumes.stores.location import Location

Version = Literal[2, 3]

# What may be needed of the array or group at the location itself.
_AT_THE_TOP = {2: (".zarray", ".zattrs", ".zmetadata"), 3: ("zarr.json",)}


@dataclass(frozen=True)
class ZarrNode:
    """An array or a group: its JSON.

    Attributes
    ----------
    key : str
        Path below the location, ``""`` is the location itself.
    version : {2, 3}
        Of zarr.
    is_array : bool
    json : dict
        ``.zarray`` or ``zarr.json``; empty for a group of version 2.
    attributes : dict
        Of the user: ``.zattrs``, or what is in ``zarr.json``.
    shown : str
        Begins messages.
    """

    key: str
    version: Version
    is_array: bool
    json: Mapping[str, Any]
    attributes: Mapping[str, Any]
    shown: str


class ZarrStore:
    """Reads the JSON of the arrays and groups below a location.

    Attributes
    ----------
    notices : list of str
        Gets what the user should know about what was read.
    """

    def __init__(self, fetcher: Fetcher, location: Location, notices: list[str]) -> None:
        self._fetcher = fetcher
        self._location = location
        self._files: dict[str, dict[str, Any] | SourceError | None] = {}
        self._consolidated: dict[str, Any] | None = None
        self.notices = notices

    @property
    def location(self) -> Location:
        """Where the store is."""
        return self._location

    def shown(self, key: str) -> str:
        """How messages name the array or group `key`."""
        return self._location.shown(key)

    def open(self) -> ZarrNode:
        """Return the array or group at the location itself.

        Raises
        ------
        SourceError
            Nothing there. Where a version's file was refused and the other one is not there,
            the refusal: some buckets refuse what they do not have.
        """
        wanted: tuple[Version, ...] = {"zarr2": (2,), "zarr3": (3,)}.get(
            self._location.format, (3, 2)
        )  # type: ignore[assignment]
        self._ask([name for version in wanted for name in _AT_THE_TOP[version]])
        refusal: SourceError | None = None
        for version in wanted:
            try:
                node = self.node("", version)
            except SourceError as error:
                refusal = refusal or error
                continue
            if node is not None:
                return node
        if refusal is not None:
            raise refusal
        files = "zarr.json" if wanted == (3,) else ".zarray or .zattrs"
        files = "zarr.json, .zarray or .zattrs" if len(wanted) == 2 else files
        raise SourceError(f"no zarr at {self.shown('')}: there is no {files} in it")

    def node(self, key: str, version: Version) -> ZarrNode | None:
        """Return the array or group `key`, or None if there is none of that version."""
        return self._node3(key) if version == 3 else self._node2(key)

    def nodes(self, keys: Sequence[str], version: Version) -> list[ZarrNode | None]:
        """Return `node` of each of several arrays."""
        names = ("zarr.json",) if version == 3 else (".zarray", ".zattrs")
        self._ask([_path(key, name) for key in keys for name in names])
        return [self.node(key, version) for key in keys]

    def _node3(self, key: str) -> ZarrNode | None:
        json = self._json(key, "zarr.json")
        if json is None and self._consolidated is not None:
            json = self._consolidated.get(key)
        if json is None:
            return None
        shown = self.shown(key)
        if json.get("zarr_format") != 3 or json.get("node_type") not in ("array", "group"):
            raise SourceError(f"{shown}: its zarr.json is neither a zarr 3 array nor a group")
        if not key:
            inline = json.get("consolidated_metadata")
            inline = inline.get("metadata") if isinstance(inline, dict) else None
            self._consolidated = inline if isinstance(inline, dict) else None
        attributes = json.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise SourceError(f"{shown}: the attributes in its zarr.json are no JSON object")
        return ZarrNode(key, 3, json["node_type"] == "array", json, attributes, shown)

    def _node2(self, key: str) -> ZarrNode | None:
        array = self._json(key, ".zarray") or self._from_zmetadata(key, ".zarray")
        attributes = self._json(key, ".zattrs") or self._from_zmetadata(key, ".zattrs")
        shown = self.shown(key)
        if array is not None:
            return ZarrNode(key, 2, True, array, attributes or {}, shown)
        if attributes is None and self._json(key, ".zgroup") is None:
            return None
        return ZarrNode(key, 2, False, {}, attributes or {}, shown)

    def _from_zmetadata(self, key: str, name: str) -> dict[str, Any] | None:
        """Return JSON out of ``.zmetadata``, for stores that hold nothing else."""
        if self._consolidated is None:
            json = self._json("", ".zmetadata") or {}
            found = json.get("metadata")
            self._consolidated = found if isinstance(found, dict) else {}
        found = self._consolidated.get(_path(key, name))
        return found if isinstance(found, dict) else None

    def _json(self, key: str, name: str) -> dict[str, Any] | None:
        path = _path(key, name)
        self._ask([path])
        found = self._files[path]
        if isinstance(found, SourceError):
            raise found
        return found

    def _ask(self, paths: Sequence[str]) -> None:
        new = [path for path in dict.fromkeys(paths) if path not in self._files]
        self._files.update(fetch_jsons(self._fetcher, self._location, new))


def _path(key: str, name: str) -> str:
    return f"{key}/{name}" if key else name
