"""Precomputed volumes read by tensorstore: its own requests, its own decoders.

tensorstore by itself waits for ever for a silent server and tries a refused connection for
minutes; what is added here are limits to both, and errors that name the chunk. It is never
asked for a local volume of unsharded chunks: these may be ``*.gz``, which it reads as zeros.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, one_line
from napari_ouroboros.volumes.credentials import http_login, redact
from napari_ouroboros.volumes.decode import decode_chunk
from napari_ouroboros.volumes.fetch import Fetcher
from napari_ouroboros.volumes.level import Index, Level, VolumeInfo
from napari_ouroboros.volumes.location import Location
from napari_ouroboros.volumes.precomputed import chunk_name
from napari_ouroboros.volumes.whole import CorruptChunk

ENCODINGS = ("raw", "jpeg", "png", "compressed_segmentation")

_RETRIES = 3
_REQUESTS = 64  # at one time
# Of a sharded level: enough for the indices, without which each chunk takes three requests.
_INDEX_BYTES = 1 << 25


class TensorStoreReader:
    """See `napari_ouroboros.volumes.readers.Reader`. For http(s), and for shards also in a folder.

    Parameters
    ----------
    location, info
        Of a precomputed volume whose encodings are all in `ENCODINGS`.
    fetcher : Fetcher
        Asked for what tensorstore takes for missing: it may be ``<name>.gz``.
    timeout : float
        Seconds after which a chunk is given up if no chunk at all has come.
    """

    def __init__(
        self, location: Location, info: VolumeInfo, fetcher: Fetcher, timeout: float
    ) -> None:
        self._location = location
        self._info = info
        self._fetcher = fetcher
        self._timeout = timeout
        self._lock = threading.Lock()
        self._stores: dict[int, Any] = {}
        self._last_sign = time.monotonic()

    def read_chunk(self, mip: int, index: Index) -> NDArray[Any] | None:
        """See `napari_ouroboros.volumes.readers.Reader.read_chunk`."""
        level = self._info.levels[mip]
        box = tuple(
            slice(low + int(offset), high + int(offset))
            for (low, high), offset in zip(level.chunk_box(index), level.voxel_offset, strict=True)
        )
        name = chunk_name(level, index)
        shown = self._location.shown(name)
        start = time.monotonic()
        try:
            pending = self._store(mip)[(slice(None), *box)].read(order="C")
            chunk: NDArray[Any] = self._wait(pending, start, shown)
            return chunk
        except ValueError as error:
            text = _without_context(str(error))
            if text.startswith("NOT_FOUND"):
                return None if level.sharded else self._not_found(level, index, name)
            raise _failure(text, shown) from error

    def close(self) -> None:
        """See `napari_ouroboros.volumes.readers.Reader.close`."""
        with self._lock:
            self._stores = {}
        self._fetcher.close()

    def _wait(self, pending: Any, start: float, shown: str) -> Any:
        """Return the result. Any chunk that comes is a sign of life for all who wait."""
        while True:
            left = max(start, self._last_sign) + self._timeout - time.monotonic()
            try:
                result = pending.result(timeout=max(left, 0.001))
            except TimeoutError:
                if max(start, self._last_sign) + self._timeout > time.monotonic():
                    continue
                # tensorstore hands the same request to all who ask for the same chunk again,
                # so with the old store it would stay silent for ever.
                with self._lock:
                    self._stores = {}
                raise SourceError(
                    f"chunk {shown} did not come: no answer within {self._timeout:g} s"
                ) from None
            self._last_sign = time.monotonic()
            return result

    def _not_found(self, level: Level, index: Index, name: str) -> NDArray[Any] | None:
        """Ask again by ourselves: for ``<name>.gz``, and for what is no plain "not found"."""
        data = self._fetcher.get(name)
        if data is None:
            return None
        z, y, x = (high - low for low, high in level.chunk_box(index))
        try:
            return decode_chunk(
                data, level.encoding, (self._info.channels, z, y, x), self._info.dtype, level.block
            )
        except CorruptChunk as error:
            raise SourceError(f"chunk {self._location.shown(name)} is corrupt: {error}") from error

    def _store(self, mip: int) -> Any:
        with self._lock:
            if mip not in self._stores:
                self._stores[mip] = self._open(self._info.levels[mip])
            return self._stores[mip]

    def _open(self, level: Level) -> Any:
        """Open a level from what is known of it: no request is made. Its axes become czyx."""
        import tensorstore

        pause = min(0.1, self._timeout / 20)
        context = tensorstore.Context(
            {
                "cache_pool": {"total_bytes_limit": _INDEX_BYTES if level.sharded else 0},
                "http_request_concurrency": {"limit": _REQUESTS},
                "http_request_retries": {
                    "max_retries": _RETRIES,
                    "initial_delay": f"{pause * 1000:.0f}ms",
                    "max_delay": f"{pause * 9000:.0f}ms",
                },
            }
        )
        scale: dict[str, Any] = {
            "key": level.key,
            "size": list(level.shape[::-1]),
            "voxel_offset": [int(offset) for offset in level.voxel_offset[::-1]],
            "chunk_size": list(level.chunk[::-1]),
            "resolution": list(level.resolution[::-1]),
            "encoding": level.encoding,
            "sharding": None if level.sharding is None else dict(level.sharding),
        }
        if level.block is not None:
            scale["compressed_segmentation_block_size"] = list(level.block[::-1])
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": _kvstore(self._location),
            "multiscale_metadata": {
                "type": self._info.kind,
                "data_type": self._info.dtype.name,
                "num_channels": self._info.channels,
            },
            "scale_metadata": scale,
            "fill_missing_data_reads": False,
            "recheck_cached_data": "open",
        }
        opened = tensorstore.open(
            spec, read=True, open=True, assume_metadata=True, context=context
        ).result(timeout=self._timeout)
        return opened.T


def _kvstore(location: Location) -> dict[str, Any]:
    if location.local:
        return {"driver": "file", "path": f"{location.base}/"}
    login = location.user or http_login(urlsplit(location.base).hostname or "")
    headers = []
    if login is not None:
        word = b64encode(":".join(login).encode()).decode()
        headers.append(f"Authorization: Basic {word}")
    query = f"?{location.query}" if location.query else ""
    return {"driver": "http", "base_url": f"{location.base}/{query}", "headers": headers}


def _without_context(text: str) -> str:
    """The first line of what tensorstore says, without ``[key='value']`` at its end."""
    line = text.partition("\n")[0]
    code = re.search(r"\[HTTP code \d+\]", line)
    return line[: code.end()] if code else re.split(r" \[[\w ]+='", line)[0]


def _failure(text: str, shown: str) -> SourceError:
    """Return the error for what tensorstore said of a chunk."""
    code = re.search(r"\[HTTP code (\d+)\]", text)
    curl = re.search(r"CURL error ([^:]+)", text)
    if code is not None:
        return SourceError(f"chunk {shown}: the server answered {code[1]}")
    if curl is not None and "Encoding" not in curl[1]:
        return SourceError(f"chunk {shown}: {curl[1].strip()}")
    reason = re.sub(r"^[A-Z_]+: |Error reading \S+: |All \d+ retry attempts failed: ", "", text)
    return SourceError(
        f"chunk {shown} is corrupt: tensorstore says {redact(one_line(reason, 160))}"
    )
