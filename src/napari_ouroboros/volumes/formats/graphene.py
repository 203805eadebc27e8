"""Segmentations that people are still editing (graphene, CAVE), as they were at one moment.

What is stored is a precomputed volume of supervoxels that never changes. A server knows which
segment each of them belonged to at a given time. A chunk is read as any other, and its ids are
replaced by those of their segments (their roots). Nothing here needs cloud-volume's client, which
has no time limits and waits minutes before it reports a refusal; the tests compare with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.formats.precomputed import parse_info
from napari_ouroboros.volumes.level import Index, VolumeInfo
from napari_ouroboros.volumes.stores.fetch import Fetcher, fetch_json, make_fetcher
from napari_ouroboros.volumes.stores.fetch_http import HttpFetcher
from napari_ouroboros.volumes.stores.location import Location, parse_location

# A server refuses to speak of the future, and its clock may be a little behind ours.
_CLOCKS = 10  # seconds
_KNOWN = 1 << 19  # supervoxels whose segments are remembered, and as many again until forgotten


@dataclass(frozen=True)
class Graph:
    """What the metadata of a graphene segmentation say beyond those of a precomputed volume.

    Attributes
    ----------
    supervoxels : Location
        The precomputed volume that is stored.
    roots : Location
        Where the server is asked for segments.
    n_layers : int
        The layer of the graph that segments are in.
    layer_bits : int
        How many of the highest bits of an id are its layer.
    """

    supervoxels: Location
    roots: Location
    n_layers: int
    layer_bits: int


def at_one_moment(location: Location) -> Location:
    """Return `location` with a timestamp: now, where the address gives none.

    So that the first and the last chunk that are read belong to the same segmentation, and a
    recipe that names the volume means it, too.

    Raises
    ------
    UserError
        The timestamp lies in the future.
    """
    now = time.time()
    if location.timestamp is None:
        return replace(location, timestamp=int(now) - _CLOCKS)
    if location.timestamp > now + 24 * 3600:
        raise UserError(
            f"the timestamp {location.timestamp} of {location.shown('')} lies in the future"
        )
    return location


def read_graphene(fetcher: Fetcher, location: Location) -> VolumeInfo:
    """Return what the `info` of a graphene segmentation says; ids are uint64.

    Raises
    ------
    SourceError
        There is none, or no answer.
    """
    return _read(fetcher, location)[0]


class GrapheneReader:
    """See `napari_ouroboros.volumes.chunks.readers.Reader`."""

    def __init__(
        self, location: Location, info: VolumeInfo, timeout: float, decoder: str | None = None
    ) -> None:
        self._location = at_one_moment(location)
        self._info = info
        self._decoder = decoder  # the reader of the supervoxels; None: as `choose_reader` says
        self._timeout = timeout
        self._lock = threading.Lock()
        self._parts: tuple[Any, _Roots] | None = None

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.read_chunk`."""
        supervoxels, roots = self._open()
        chunk = supervoxels.read_chunk(mip, index)
        return None if chunk is None else roots.of(chunk)

    def close(self) -> None:
        """See `napari_ouroboros.volumes.chunks.readers.Reader.close`."""
        with self._lock:
            parts, self._parts = self._parts, None
        for part in parts or ():
            part.close()

    def _open(self) -> tuple[Any, _Roots]:
        from napari_ouroboros.volumes.chunks.readers import choose_reader, make_reader

        with self._lock:
            if self._parts is None:
                fetcher = make_fetcher(self._location, self._timeout)
                try:
                    _, graph = _read(fetcher, self._location)
                finally:
                    fetcher.close()
                place = graph.supervoxels
                name, _ = choose_reader(place, self._info, self._decoder)
                fetcher = make_fetcher(place, self._timeout)
                reader = make_reader(name, place, self._info, fetcher)
                self._parts = reader, _Roots(graph, self._timeout)
            return self._parts


class _Roots:
    """Segments of supervoxels, asked for once; safe to share between threads."""

    def __init__(self, graph: Graph, timeout: float) -> None:
        self._graph = graph
        self._fetcher = HttpFetcher(graph.roots, timeout)
        self._lock = threading.Lock()
        self._known: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def of(self, supervoxels: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return an array of the same shape with the segment of every supervoxel."""
        ids, places = np.unique(supervoxels, return_inverse=True)
        roots = ids.copy()
        # 0 is no supervoxel; and what is in the highest layer is a segment already.
        layer = ids >> np.uint64(64 - self._graph.layer_bits)
        asked = (ids != 0) & (layer != self._graph.n_layers)
        found = [self._recall(number) for number in ids[asked].tolist()]
        missing = [i for i, root in enumerate(found) if root is None]
        if missing:
            wanted = ids[asked][missing]
            answers = self._ask(wanted).tolist()
            self._remember(wanted.tolist(), answers)
            for i, root in zip(missing, answers, strict=True):
                found[i] = root
        roots[asked] = np.array(found, np.uint64)
        return roots[places].reshape(supervoxels.shape)

    def close(self) -> None:
        self._fetcher.close()

    def _recall(self, number: int) -> int | None:
        root = self._known.get(number)
        return self._older.get(number) if root is None else root

    def _remember(self, numbers: list[int], roots: list[int]) -> None:
        with self._lock:
            if len(self._known) + len(numbers) > _KNOWN:
                self._older, self._known = self._known, {}
            self._known.update(zip(numbers, roots, strict=True))

    def _ask(self, supervoxels: NDArray[np.uint64]) -> NDArray[np.uint64]:
        shown = self._graph.roots.shown("roots_binary")
        answer = self._fetcher.post("roots_binary", supervoxels.astype("<u8").tobytes())
        if answer is None:
            raise SourceError(f"{shown}: there is no such table of segments")
        if len(answer) != 8 * len(supervoxels):
            raise SourceError(
                f"{shown} answered {len(answer)} bytes to {len(supervoxels)} supervoxels: "
                "not their segments"
            )
        return np.frombuffer(answer, "<u8").astype(np.uint64)


def _read(fetcher: Fetcher, location: Location) -> tuple[VolumeInfo, Graph]:
    shown = location.shown("info")
    content = fetch_json(fetcher, location, "info")
    if content is None:
        raise SourceError(f"no segmentation here: there is no {shown}")
    graph, data = content.get("graph"), content.get("data_dir")
    if not isinstance(graph, Mapping) or not isinstance(data, str):
        raise SourceError(f"{shown} describes no graphene segmentation: no graph or no data_dir")
    info = parse_info(content, shown)
    if info.dtype != np.uint64 or info.channels != 1:
        raise SourceError(f"{shown}: ids of segments are uint64; these are {info.dtype}")
    layers, bits = graph.get("n_layers"), graph.get("n_bits_for_layer_id", 8)
    if not isinstance(layers, int) or not isinstance(bits, int) or not 0 < bits < 64:
        raise SourceError(f"{shown}: the layers of its graph are not understood")
    moment = at_one_moment(location).timestamp
    query = f"timestamp={moment}" + (f"&{location.query}" if location.query else "")
    server, _, name = location.base.rpartition("/table/")
    roots = replace(location, base=f"{server}/api/v1/table/{name}", query=query, timestamp=None)
    supervoxels = parse_location(data).with_format("precomputed")
    return replace(info, kind="segmentation"), Graph(supervoxels, roots, layers, bits)
