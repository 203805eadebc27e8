"""From an address to a volume: which format is there, and what its metadata say."""

from __future__ import annotations

import os
from collections.abc import Sequence

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.chunks.chunk_cache import ChunkCache
from napari_ouroboros.volumes.formats.precomputed import parse_info
from napari_ouroboros.volumes.level import VolumeInfo
from napari_ouroboros.volumes.stores.deadline import call
from napari_ouroboros.volumes.stores.fetch import Fetcher, fetch_json, fetch_jsons, make_fetcher
from napari_ouroboros.volumes.stores.location import (
    METADATA_FILES,
    Format,
    Location,
    parse_location,
)
from napari_ouroboros.volumes.volume import Volume

_NOT_INFO = [name for name in METADATA_FILES if name != "info"]


def open_volume(
    url: str | os.PathLike[str],
    *,
    timeout: float = 60.0,
    open_timeout: float = 20.0,
    reader: str | None = None,
    resolution: Sequence[float] | None = None,
    cache: ChunkCache | float | None = None,
) -> Volume:
    """Open a volume: Neuroglancer precomputed, zarr 2 or 3, OME-Zarr or N5.

    Only its metadata are read, and no voxel library is imported.

    Parameters
    ----------
    url : str or path
        A folder, ``file://``, ``http(s)://``, ``gs://`` or ``s3://``; the format before it
        (``precomputed://``, ``zarr://``, ``n5://``) or after it (``|zarr:``), or to be found out.
    timeout : float
        Seconds without a byte after which a chunk is given up.
    open_timeout : float
        Seconds for the whole of opening.
    reader : {"cloud-volume", "tensorstore"}, optional
        Which library reads the chunks. Left out, the faster of those that are right.
    resolution : (3,) zyx nm, optional
        Size of a voxel of the finest level, for zarr and N5 that do not say it, or say it wrongly.
    cache : ChunkCache or float, optional
        Keeps chunks on disk for the next time; a number is a limit in bytes for the usual folder.
        Not used for what is in a folder anyway.

    Raises
    ------
    UserError
        The address cannot be right, or names a format or store that is not supported; the size
        of a voxel is not known; `reader` cannot read this volume.
    SourceError
        Nothing there, no answer, or no volume.
    """
    for name, seconds in (("timeout", timeout), ("open_timeout", open_timeout)):
        if not seconds > 0:
            raise UserError(f"{name} must be more than 0 s; it is {seconds}")
    place = parse_location(url)

    def read() -> tuple[Location, VolumeInfo]:
        if place.local and not os.path.isdir(place.base):
            if os.path.isfile(place.base):
                raise UserError(f"{place.base} is a file; a volume is a folder")
            raise UserError(f"there is no folder {place.base}")
        fetcher = MetadataFetcher(make_fetcher(place, open_timeout))
        try:
            location = place
            if place.format == "auto":
                location = place.with_format(_find_format(fetcher, place))
            elif place.format == "graphene":
                from napari_ouroboros.volumes.formats.graphene import at_one_moment

                location = at_one_moment(place)
            fetcher.pages = location.format == "precomputed"
            try:
                return location, read_metadata(fetcher, location, resolution)
            except SourceError:
                _check_format(fetcher, location)
                raise
        finally:
            fetcher.close()

    # Not renewed by single bytes, unlike the chunks' limit: metadata are small.
    first = "info" if place.format in ("auto", "precomputed") else ""
    location, info = call(read, open_timeout, place.shown(first))
    return Volume(location, info, timeout, reader, resolution, cache)


class MetadataFetcher:
    """A fetcher that asks for each object once.

    Attributes
    ----------
    pages : bool
        Whether to return web pages, which some servers have for whatever they do not have: zarr
        has files that may be missing.
    """

    def __init__(self, fetcher: Fetcher, pages: bool = True) -> None:
        self.pages = pages
        self._fetcher = fetcher
        self._found: dict[str, bytes | None] = {}

    def get(self, name: str, byte_range: tuple[int, int] | None = None) -> bytes | None:
        """See `Fetcher.get`."""
        if byte_range is not None:
            return self._fetcher.get(name, byte_range)
        if name not in self._found:
            self._found[name] = self._fetcher.get(name)
        data = self._found[name]
        return None if data is not None and data.lstrip()[:1] == b"<" and not self.pages else data

    def close(self) -> None:
        """See `Fetcher.close`."""
        self._fetcher.close()


def read_metadata(
    fetcher: Fetcher, location: Location, resolution: Sequence[float] | None = None
) -> VolumeInfo:
    """Return what the metadata of a volume of known format say; `resolution` as `open_volume`."""
    if location.format in ("zarr", "zarr2", "zarr3"):
        from napari_ouroboros.volumes.formats.zarr import read_zarr

        return read_zarr(fetcher, location, resolution)
    if location.format == "n5":
        from napari_ouroboros.volumes.formats.n5 import read_n5

        return read_n5(fetcher, location, resolution)
    if location.format == "graphene":
        from napari_ouroboros.volumes.formats.graphene import read_graphene

        return read_graphene(fetcher, location)
    json = fetch_json(fetcher, location, "info")
    if json is None:
        raise _nothing_there(location)
    info = parse_info(json, location.shown("info"))
    if resolution is not None and tuple(resolution) != tuple(info.levels[0].resolution):
        own = ",".join(f"{r:g}" for r in info.levels[0].resolution)
        raise UserError(
            f"{location.shown('')} says that its voxels are {own} nm (zyx); leave --resolution out"
        )
    return info


def _check_format(fetcher: Fetcher, location: Location) -> None:
    """UserError where the address names one format and the metadata are of another."""
    if location.format == "graphene":
        return
    found = {
        METADATA_FILES[name]
        for name, json in fetch_jsons(fetcher, location, list(METADATA_FILES)).items()
        if isinstance(json, dict)
    }
    meant = {"zarr2", "zarr3"} if location.format == "zarr" else {location.format}
    if not found or found & meant:
        return
    real: str = sorted(found)[0]
    if not location.format.startswith("zarr"):
        real = real.rstrip("23")
    raise UserError(
        f"{location.shown('')} is no {location.format} volume but {real}; write {real}:// before "
        "the address"
    )


def _find_format(fetcher: Fetcher, location: Location) -> Format:
    """Return the format of what is at a bare address, by the metadata file that is there."""
    # The usual one first and alone; where the name says something else, it waits for the rest.
    refusal: SourceError | None = None
    first, rest = ["info"], _NOT_INFO
    if location.base.lower().endswith((".zarr", ".n5")):
        first, rest = rest, first
    for names in (first, rest):
        try:
            found = _look(fetcher, location, names)
        except SourceError as error:  # some buckets refuse to show what they do not have
            refusal = refusal or error
            continue
        if found is not None:
            return METADATA_FILES[found]
    raise refusal or _nothing_there(location)


def _look(fetcher: Fetcher, location: Location, names: Sequence[str]) -> str | None:
    """Return the first of the files that is there."""
    answers = fetch_jsons(fetcher, location, names)
    for name in names:
        if isinstance(answers[name], dict):
            return name
    for answer in answers.values():
        if isinstance(answer, SourceError):
            raise answer
    return None


def _nothing_there(location: Location) -> SourceError:
    # Not as a part of one URL: the first is what most who come here have left out.
    others = ", zarr.json, .zattrs or attributes.json" if location.format == "auto" else ""
    return SourceError(
        f"no volume here: there is no {location.shown('info')}{others}; give the folder that holds "
        f"`info`{' or one of these' if others else ''}"
    )
