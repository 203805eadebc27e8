"""Labels on their way back: any stack of whole numbers, slab by slab, ids exactly as they are."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError, one_line

_CACHE_BYTES = 128 * 1024 * 1024


class Source(Protocol):
    """Where slices come from. `read` may return a view, and must be safe from many threads."""

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    #: Slices to read at a time, kept for the next reader; 0 where reading costs no decoding.
    thickness: int
    metadata: dict[str, Any]

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        """Slices k0 <= k < k1."""

    def close(self) -> None:
        """Let go of files."""


def open_labels(source: Any, *, cache_bytes: int = _CACHE_BYTES) -> LabelStack:
    """Open labels in straightened space.

    Parameters
    ----------
    source : path, URL or array
        A TIFF, an ``.npy`` file, a precomputed folder or URL (xyz = column, row, slice), or an
        array (numpy, dask, zarr; anything with shape, dtype and slicing) with axes
        (slices, rows, columns). A fourth axis of length 1 is dropped; a 2D image is one slice.
    cache_bytes : int
        Limit of the decoded slices that are kept.

    Returns
    -------
    LabelStack
        Nothing but headers has been read.

    Raises
    ------
    UserError
        No labels: floats, wrong number of axes, an unknown format.
    SourceError
        A file is broken or truncated.
    """
    found: Source
    if isinstance(source, str | os.PathLike):
        found = _open_path(os.fspath(source))
    else:
        found = _ArraySource(source, "the labels")
    try:
        return LabelStack(found, cache_bytes)
    except UserError:
        found.close()
        raise


class LabelStack:
    """Labels (slices, rows, columns), read in slabs; safe to share between threads.

    Attributes
    ----------
    shape : (slices, rows, columns)
    dtype : dtype
        As stored.
    out_dtype : dtype
        Of what `read` returns: unsigned, as wide as `dtype`; uint8 for bool.
    metadata : dict
        What this program noted when it wrote the stack (the recipe's hash), else {}.
    """

    def __init__(self, source: Source, cache_bytes: int = _CACHE_BYTES) -> None:
        self._source = source
        self.name = source.name
        self.shape = source.shape
        self.dtype = source.dtype
        self.metadata = source.metadata
        self.out_dtype = _out_dtype(source.dtype, source.name)
        if min(self.shape) < 1:
            raise UserError(f"{self.name} holds no labels: its shape is {self.shape}")
        self._keep: NDArray[Any] | None = None
        self._thickness = source.thickness
        if self._thickness:
            # One slab may take half of the memory; a thinner one is decoded more often.
            slice_bytes = self.shape[1] * self.shape[2] * self.out_dtype.itemsize
            most = max(1, cache_bytes // 2 // slice_bytes)
            self._thickness = min(self._thickness, most)
            self._slabs = _SlabCache(self._load_slab, cache_bytes)

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        """Slices k0 <= k < k1 as (k1 - k0, rows, columns) of `out_dtype`; not to be written to.

        Raises
        ------
        UserError
            A negative id; the message names its slice.
        SourceError
            A slice cannot be read or decoded.
        """
        if not 0 <= k0 < k1 <= self.shape[0]:
            raise ValueError(f"slices {k0}:{k1} of a stack of {self.shape[0]}")
        if not self._thickness:
            labels = self._convert(self._source.read(k0, k1), k0)
        else:
            first, last = k0 // self._thickness, (k1 - 1) // self._thickness
            parts = []
            for i in range(first, last + 1):
                start = i * self._thickness
                slab = self._slabs.get(i)
                parts.append(slab[max(k0 - start, 0) : k1 - start])
            labels = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._keep is None:
            return labels
        return np.where(np.isin(labels, self._keep), labels, self.out_dtype.type(0))

    def select(self, keep: Iterable[int]) -> LabelStack:
        """Return a view in which every id that is not in `keep` is 0.

        Raises
        ------
        UserError
            No ids, 0, or an id that the labels' dtype cannot hold.
        """
        ids = sorted({int(i) for i in keep})
        limit = 1 if self.dtype == bool else int(np.iinfo(self.dtype).max)
        for i in ids:
            if not 1 <= i <= limit:
                raise UserError(
                    f"{i} cannot be a label of {self.name}: its {self.dtype} ids are 1 to {limit}"
                )
        if not ids:
            raise UserError("no label is selected; name at least one id")
        view = object.__new__(LabelStack)
        view.__dict__.update(self.__dict__)
        chosen = np.array(ids, dtype=self.out_dtype)
        if self._keep is not None:
            chosen = chosen[np.isin(chosen, self._keep)]
        view._keep = chosen
        return view

    def close(self) -> None:
        """Close the files; views made by `select` are closed with it."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _load_slab(self, i: int) -> NDArray[Any]:
        start = i * self._thickness
        stop = min(start + self._thickness, self.shape[0])
        return self._convert(self._source.read(start, stop), start)

    def _convert(self, labels: NDArray[Any], k0: int) -> NDArray[Any]:
        """`out_dtype`, after a look for negative ids; `k0` is the number of the first slice."""
        if self.dtype.kind == "i" and labels.min() < 0:
            k = int(np.argmax(labels.min(axis=(1, 2)) < 0))
            raise UserError(
                f"labels must not be negative: slice {k0 + k} of {self.name} has {labels[k].min()}"
            )
        return np.asarray(labels).astype(self.out_dtype, copy=False)


def _out_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind in "iu":
        return np.dtype(f"u{dtype.itemsize}")
    # An array has one dtype, so the first slice that is wrong is the first.
    raise UserError(
        f"labels must be whole numbers; slice 0 of {name} is {dtype}: "
        "convert them, for example with .astype('uint32')"
    )


class _SlabCache:
    """Decoded slabs, least recently used dropped first; each is decoded once, by whoever asks."""

    def __init__(self, load: Callable[[int], NDArray[Any]], limit_bytes: int) -> None:
        self._load = load
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._slabs: OrderedDict[int, Future[NDArray[Any]]] = OrderedDict()

    def get(self, i: int) -> NDArray[Any]:
        with self._lock:
            slab = self._slabs.get(i)
            mine = slab is None
            if slab is None:
                slab = self._slabs[i] = Future()
            self._slabs.move_to_end(i)
        if mine:
            try:
                slab.set_result(self._load(i))
            except BaseException as error:  # noqa: BLE001  # handed to all who wait, and raised below
                with self._lock:
                    self._slabs.pop(i)  # the next one who asks tries again
                slab.set_exception(error)
            else:
                self._shrink()
        return slab.result()

    def _shrink(self) -> None:
        with self._lock:
            done = [(i, s.result().nbytes) for i, s in self._slabs.items() if s.done()]
            total = sum(n for _, n in done)
            for i, n in done[:-1]:
                if total <= self._limit:
                    break
                del self._slabs[i]
                total -= n


# sources -------------------------------------------------------------------------------------


def _open_path(path: str) -> Source:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) or "|" in path:
        return _PrecomputedSource(path)
    file = Path(path).expanduser()
    try:
        if file.is_dir():
            if (file / "info").is_file():
                return _PrecomputedSource(str(file))
            raise UserError(
                f"{path} is a folder without an info file; labels can be a precomputed volume, "
                "a TIFF or an .npy file"
            )
        with open(file, "rb") as stream:
            start = stream.read(6)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"cannot read {path}: {one_line(error.strerror or error)}") from error
    if start == b"\x93NUMPY":
        return _open_npy(file)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        from napari_ouroboros.volumes.tiff_stack import TiffStack

        return TiffStack(file)
    raise UserError(
        f"{path} is neither a TIFF nor an .npy file nor a precomputed folder, "
        "or it is broken from the first byte"
    )


def _open_npy(file: Path) -> Source:
    try:
        return _ArraySource(np.load(file, mmap_mode="r", allow_pickle=False), str(file))
    except (ValueError, OSError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        raise SourceError(f"{file} is broken or truncated: {one_line(error, 120)}") from error


class _ArraySource:
    """Anything with shape, dtype and slicing; lazy ones are read by their own chunks."""

    def __init__(self, array: Any, name: str) -> None:
        self.name = name
        self.metadata: dict[str, Any] = {}
        try:
            shape, self.dtype = tuple(array.shape), np.dtype(array.dtype).newbyteorder("=")
        except (AttributeError, TypeError) as error:
            raise UserError(
                f"labels must be a path or an array, not {type(array).__name__}"
            ) from error
        self._last_axis = len(shape) == 4
        self._flat = len(shape) == 2
        if self._flat:
            shape = (1, *shape)
        if len(shape) not in (3, 4) or shape[3:] not in ((), (1,)):
            raise UserError(
                f"{name} must have the axes (slices, rows, columns), not the shape {shape}"
            )
        n, rows, columns = (int(length) for length in shape[:3])
        self.shape = (n, rows, columns)
        self._array = array
        self.thickness = 0 if isinstance(array, np.ndarray) else self._chunk()

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        part = np.asarray(self._array[:] if self._flat else self._array[k0:k1])
        if self._flat:
            return part[None]
        return part[..., 0] if self._last_axis else part

    def close(self) -> None:
        """Arrays belong to the caller."""

    def _chunk(self) -> int:
        chunks = getattr(self._array, "chunks", None)
        if not chunks or self._flat:
            return 1
        # dask: a tuple of lengths along every axis; zarr and h5py: one length.
        first = chunks[0]
        return max(int(first[0] if isinstance(first, tuple) else first), 1)


class _PrecomputedSource:
    """A straightened volume: xyz = (column, row, slice)."""

    def __init__(self, url: str) -> None:
        from napari_ouroboros.volumes import open_volume
        from napari_ouroboros.volumes.fetch import fetch_json, make_fetcher
        from napari_ouroboros.volumes.location import parse_location
        from napari_ouroboros.volumes.precomputed_writer import OUR_KEY

        self._volume = open_volume(url)
        self.name = self._volume.url
        if self._volume.channels != 1:
            raise UserError(f"{self.name} has {self._volume.channels} channels; labels have one")
        level = self._volume.levels[0]
        self.shape = level.shape
        self.dtype = np.dtype(self._volume.dtype)
        self.thickness = level.chunk[0]
        location = parse_location(url)
        fetcher = make_fetcher(location, self._volume.timeout)
        try:
            info = fetch_json(fetcher, location, "info") or {}
        finally:
            fetcher.close()
        noted = info.get(OUR_KEY)
        self.metadata: dict[str, Any] = dict(noted) if isinstance(noted, dict) else {}

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        _, rows, columns = self.shape
        return self._volume.read(0, ((k0, k1), (0, rows), (0, columns)), missing="fill")

    def close(self) -> None:
        self._volume.close()
