"""Where labels come from: TIFF, .npy, arrays, and every volume that can be opened."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import SourceError, UserError, one_line
from napari_ouroboros.volumes.stores.location import METADATA_FILES, Location, parse_location
from napari_ouroboros.volumes.volume import Volume


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


def open_source(source: Any, timeout: float) -> Source:
    """Open what `open_labels` is given; the errors are those that it names."""
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source), timeout)
    return _ArraySource(source, "the labels")


def _open_path(path: str, timeout: float) -> Source:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) or "|" in path:
        return _VolumeSource(path, timeout)
    file = Path(path).expanduser()
    try:
        if file.is_dir():
            if any((file / name).is_file() for name in METADATA_FILES):
                return _VolumeSource(str(file), timeout)
            raise UserError(
                f"{path} is a folder, but no volume; labels can be a precomputed volume, a zarr, "
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
        from napari_ouroboros.volumes.labels.tiff_stack import TiffStack

        return TiffStack(file)
    raise UserError(
        f"{path} is neither a TIFF nor an .npy file nor the folder of a volume, "
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


class _VolumeSource:
    """The finest level of a volume: zyx = (slice, row, column)."""

    def __init__(self, url: str, timeout: float) -> None:
        self._volume = _open_of_any_size(url, timeout)
        self.name = self._volume.url
        if self._volume.channels != 1:
            raise UserError(f"{self.name} has {self._volume.channels} channels; labels have one")
        level = self._volume.levels[0]
        if level.array is not None:
            written = level.array.metadata
            shape = written.get("shape", written.get("dimensions", ()))
            if any(shape[axis] > 1 for axis, _ in level.array.fixed):
                raise UserError(
                    f"{self.name} has the shape {tuple(shape)}; labels have the axes (slices, "
                    "rows, columns)"
                )
        self.shape = level.shape
        self.dtype = np.dtype(self._volume.dtype)
        self.thickness = level.chunk[0]
        self.metadata = _noted(parse_location(url), self.name, timeout)

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        _, rows, columns = self.shape
        return self._volume.read(0, ((k0, k1), (0, rows), (0, columns)), missing="fill")

    def close(self) -> None:
        self._volume.close()


def _open_of_any_size(url: str, timeout: float) -> Volume:
    """Open a volume; how large its voxels are does not matter here, and plain arrays do not say."""
    from napari_ouroboros.volumes import open_volume

    open_timeout = min(timeout, 20.0)
    try:
        return open_volume(url, timeout=timeout, open_timeout=open_timeout)
    except UserError as error:
        try:
            return open_volume(
                url, timeout=timeout, open_timeout=open_timeout, resolution=(1, 1, 1)
            )
        except (UserError, SourceError):
            raise error from None


def _noted(location: Location, url: str, timeout: float) -> dict[str, Any]:
    """What this program noted in the metadata of a volume when it wrote it."""
    from napari_ouroboros.volumes.stores.fetch import fetch_json, make_fetcher
    from napari_ouroboros.volumes.writing.chunk_writer import OUR_KEY

    name = {"precomputed": "info", "zarr2": ".zattrs", "zarr": ".zattrs"}.get(
        parse_location(url).format
    )
    if name is None:  # nothing that this program writes
        return {}
    fetcher = make_fetcher(location, timeout)
    try:
        found = (fetch_json(fetcher, location, name) or {}).get(OUR_KEY)
    finally:
        fetcher.close()
    return dict(found) if isinstance(found, dict) else {}
