"""The chunks of a label array: files of a zarr (version 3) array, and the last of them decoded.

A chunk in memory is never written to: whoever changes it puts a new one in its place, on disk by
renaming a finished file. So readers see whole chunks without waiting for anybody, a process that
is killed leaves whole chunks, and a hard link to a file is a copy of it for good.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import DestinationError, SourceError, UserError, one_line
from napari_ouroboros.volumes.writing.disk import destination_errors, sync

Index = tuple[int, int, int]

METADATA = "zarr.json"
_NAME = re.compile(r"c\.(\d+)\.(\d+)\.(\d+)")
# What a chunk's dictionary entries take besides its voxels, about.
_ENTRY_BYTES = 512


class ChunkFiles:
    """Chunks by their index; None is one in which nothing is painted, and which has no file.

    Parameters
    ----------
    folder : Path
    shape, chunk : (int, int, int)
        Of the array and of a chunk: (slices, rows, columns). Chunks at the end are stored whole.
    dtype : dtype
    cache_bytes : int
        Limit of the decoded chunks that are kept.
    """

    def __init__(
        self, folder: Path, shape: Index, chunk: Index, dtype: np.dtype[Any], cache_bytes: int
    ) -> None:
        self.folder, self.shape, self.chunk, self.dtype = folder, shape, chunk, dtype
        self._limit = cache_bytes
        self._size = int(np.prod(chunk)) * dtype.itemsize + _ENTRY_BYTES
        self._lock = threading.Lock()
        self._cached: OrderedDict[Index, NDArray[Any]] = OrderedDict()  # longest unused first
        # How often each chunk was written: a reader must not keep what has been replaced since.
        self._written: dict[Index, int] = {}
        with os.scandir(folder) as entries:
            found = [_NAME.fullmatch(entry.name) for entry in entries]
        self._stored = {(int(m[1]), int(m[2]), int(m[3])) for m in found if m}
        # Whoever wrote them may have been killed, or in a hurry.
        self._unsynced = {*self._stored}
        self._names_unsynced = self._all_new = True

    def stored(self) -> list[Index]:
        """Indices of the chunks in which something is painted, in order."""
        with self._lock:
            return sorted(self._stored)

    def path(self, index: Index) -> Path:
        """Where a chunk lies, if it is stored."""
        return self.folder / f"c.{index[0]}.{index[1]}.{index[2]}"

    def get(self, index: Index) -> NDArray[Any] | None:
        """A chunk, not to be written to; None: it is all 0.

        Raises
        ------
        SourceError
            The file is broken, or somebody else took it away.
        """
        while True:
            with self._lock:
                if index not in self._stored:
                    return None
                if (chunk := self._cached.get(index)) is not None:
                    self._cached.move_to_end(index)
                    return chunk
                written = self._written.get(index, 0)
            try:
                data = self.path(index).read_bytes()
            except FileNotFoundError as error:
                with self._lock:
                    emptied = self._written.get(index, 0) != written
                if emptied:  # while we looked
                    continue
                raise SourceError(f"the chunk {self.path(index)} of the labels is gone") from error
            except OSError as error:
                why = one_line(error.strerror or error)
                raise SourceError(f"cannot read {self.path(index)}: {why}") from error
            chunk = self._decode(data, index)
            with self._lock:
                if self._written.get(index, 0) == written:
                    self._keep(index, chunk)
            return chunk

    def put(self, index: Index, chunk: NDArray[Any]) -> None:
        """Store a chunk, which is the cache's from now on; all 0 takes its file away.

        One writer at a time; readers need not care.

        Raises
        ------
        DestinationError
            The disk is full or read-only; what was there before is there still.
        """
        path = self.path(index)
        if not chunk.any():
            # Readers wait this moment, or one would miss a file that it still counts on.
            with self._lock, destination_errors(self.folder):
                path.unlink(missing_ok=True)
                self._stored.discard(index)
                self._cached.pop(index, None)
                self._unsynced.discard(index)
                self._names_unsynced = True
                self._written[index] = self._written.get(index, 0) + 1
            return
        chunk.setflags(write=False)
        data = encode(chunk)
        # Always the same name: what a killed process leaves is overwritten the next time.
        unfinished = path.with_name(f".{path.name}.partial")
        with destination_errors(self.folder, len(data)):
            unfinished.write_bytes(data)
            os.replace(unfinished, path)
        self._stored_now(index, chunk)

    def put_same(self, index: Index, source: ChunkFiles) -> None:
        """Store the chunk that another array has, which is of the same shape and dtype.

        On the same disk it is the same file: that needs no room, on a full disk either. Errors as
        `put`, and `get` of the source.
        """
        chunk = source.get(index)
        path = self.path(index)
        # Not the name that `put` writes to: what is written there would go into the source, too.
        unfinished = path.with_name(f".{path.name}.same.partial")
        try:
            unfinished.unlink(missing_ok=True)
            if chunk is not None:
                os.link(source.path(index), unfinished)
                os.replace(unfinished, path)
        except OSError:  # another disk, or one without links
            unfinished.unlink(missing_ok=True)
        else:
            if chunk is not None:
                self._stored_now(index, chunk)
                return
        self.put(index, np.zeros(self.chunk, self.dtype) if chunk is None else chunk)

    def is_same(self, index: Index, other: ChunkFiles) -> bool:
        """Whether a chunk is the very file that another array has, whole or broken."""
        try:
            return os.path.samefile(self.path(index), other.path(index))
        except OSError:
            return False

    def copy_to(self, folder: Path, share: bool) -> None:
        """Copy all files into a folder, each whole; `share`: as links, where the disk has them."""
        for index in self.stored():
            source = self.path(index)
            _copy(source, folder / source.name, share)
        shutil.copyfile(self.folder / METADATA, folder / METADATA)

    def sync(self) -> None:
        """Wait until the disk has what was stored: a power failure then takes nothing of it."""
        with self._lock:
            waiting, self._unsynced = self._unsynced, set()
            names, self._names_unsynced = self._names_unsynced, False
            all_new, self._all_new = self._all_new, False
        paths = [*map(self.path, sorted(waiting))]
        if all_new:
            paths.append(self.folder / METADATA)
        if names:
            paths.append(self.folder)
        if all_new:
            paths.append(self.folder.parent)
        try:
            with destination_errors(self.folder):
                for path in paths:
                    # A chunk that has been emptied since is gone.
                    with contextlib.suppress(FileNotFoundError):
                        sync(path)
        except DestinationError:
            with self._lock:
                self._unsynced |= waiting & self._stored
                self._names_unsynced |= names
                self._all_new |= all_new
            raise

    def _stored_now(self, index: Index, chunk: NDArray[Any]) -> None:
        with self._lock:
            self._stored.add(index)
            self._unsynced.add(index)
            self._names_unsynced = True
            self._written[index] = self._written.get(index, 0) + 1
            self._keep(index, chunk)

    def _keep(self, index: Index, chunk: NDArray[Any]) -> None:
        self._cached[index] = chunk
        self._cached.move_to_end(index)
        while len(self._cached) * self._size > self._limit and len(self._cached) > 1:
            self._cached.popitem(last=False)

    def _decode(self, data: bytes, index: Index) -> NDArray[Any]:
        import imagecodecs

        size = int(np.prod(self.chunk)) * self.dtype.itemsize
        try:
            decoded = imagecodecs.zstd_decode(data, out=size)
            chunk = np.frombuffer(decoded, self.dtype.newbyteorder("<")).reshape(self.chunk)
        except (imagecodecs.ZstdError, ValueError) as error:
            raise SourceError(
                f"the chunk {self.path(index)} of the labels is broken; take it from a saved "
                "session, or delete the file to lose only this part"
            ) from error
        chunk = chunk.astype(self.dtype, copy=False)
        chunk.setflags(write=False)
        return chunk


def _copy(source: Path, target: Path, share: bool) -> None:
    with contextlib.suppress(FileNotFoundError):  # emptied while we copy
        if share:
            try:
                os.link(source, target)
                return
            except FileNotFoundError:
                return
            except OSError:
                pass  # another disk, or one without links
        shutil.copyfile(source, target)


def encode(chunk: NDArray[Any]) -> bytes:
    """Bytes of a chunk's file."""
    import imagecodecs

    little = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<"))
    return bytes(imagecodecs.zstd_encode(little.tobytes(), level=1))


def metadata(
    shape: Index, chunk: Index, dtype: np.dtype[Any], attributes: dict[str, Any]
) -> dict[str, Any]:
    """What ``zarr.json`` says of such an array."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        # All chunks in one folder: a folder for each slice would take longer than its chunks.
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
        ],
        "attributes": attributes,
    }


def read_metadata(folder: Path) -> tuple[Index, Index, np.dtype[Any], dict[str, Any]]:
    """Shape, chunk, dtype and attributes of an array that `metadata` describes.

    Raises
    ------
    UserError
        Nothing there, or another kind of array.
    SourceError
        It cannot be read.
    """
    path = folder / METADATA
    try:
        found = json.loads(path.read_bytes())
        shape = three_sizes(found["shape"], "the shape of labels")
        chunk = three_sizes(found["chunk_grid"]["configuration"]["chunk_shape"], "a chunk")
        dtype = checked_dtype(found["data_type"])
        attributes = dict(found.get("attributes", {}))
        same = found == metadata(shape, chunk, dtype, attributes)
    except FileNotFoundError as error:
        raise UserError(f"there are no labels in {folder}: it has no {METADATA}") from error
    except OSError as error:
        why = one_line(error.strerror or error)
        raise SourceError(f"cannot read {path}: {why}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        same = False
    if not same:
        raise UserError(
            f"{folder} is no label array of this program, or its {METADATA} is broken; other "
            "arrays of labels can be opened as a volume"
        )
    return shape, chunk, dtype, attributes


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """An unsigned dtype in the machine's own byte order; UserError for any other."""
    try:
        found = np.dtype(dtype).newbyteorder("=")
    except TypeError as error:
        raise UserError(f"{dtype!r} is no dtype; use uint8, uint16, uint32 or uint64") from error
    if found.kind != "u":
        raise UserError(f"labels are uint8, uint16, uint32 or uint64, not {found}")
    return found


def three_sizes(numbers: Any, what: str) -> Index:
    """Three lengths (slices, rows, columns); UserError if they are none."""
    try:
        k, r, c = (int(n) for n in numbers)
        good = min(k, r, c) > 0 and [k, r, c] == list(numbers)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise UserError(
            f"{what} must be three whole numbers over 0, (slices, rows, columns); it is {numbers!r}"
        )
    return k, r, c
