"""Straightened stacks as TIFF files: written slice by slice, one page each.

What OME has a type for becomes OME-TIFF; uint64 and int64, which it has none for, become plain
BigTIFF with a JSON description. Channels lie together in each pixel (axes ZYXS, which OME calls
interleaved samples), so that a slice is one page and the stack reads back as
(slices, rows, columns, channel). A single channel is no axis.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_ouroboros.errors import UserError, one_line
from napari_ouroboros.volumes.writing.disk import destination_error
from napari_ouroboros.volumes.writing.staging import shown_destination

if TYPE_CHECKING:
    import tifffile

OME_TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")
PLAIN_TYPES = ("uint64", "int64")

# A classic TIFF ends at 4 GiB; the room in between is for the pages' headers.
_BIG_BYTES = 3_500_000_000
_OUR_KEY = "napari_ouroboros"
_NAMESPACE = "napari-ouroboros"


def write_tiff(
    path: str | Path,
    slabs: Iterable[NDArray[Any]],
    shape: Sequence[int],
    dtype: DTypeLike,
    pitch_nm: float,
    spacing_nm: float,
    metadata: Mapping[str, Any] | None = None,
    compression: Literal["zlib"] | None = None,
) -> None:
    """Write a stack that never is in memory as a whole.

    Parameters
    ----------
    path : path
        Of a `StagedFile`, which its owner commits; errors name the destination. An existing
        file is written over.
    slabs : iterable of (k, rows, columns) or (k, rows, columns, channel)
        Consecutive slices, any number at a time.
    shape : (slices, rows, columns) or (slices, rows, columns, channel)
        Of the whole stack.
    dtype : dtype
        Of the slabs. bool is written as uint8 {0, 1}.
    pitch_nm, spacing_nm : float
        Size of a pixel, distance between slices, nm.
    metadata : dict, optional
        JSON-able facts, read back by `tiff_metadata`.
    compression : "zlib" or None
        For each page.

    Raises
    ------
    UserError
        TIFF has no room for the dtype.
    DestinationError
        No space, no permission. What was written so far stays for the staged file to remove.
    ValueError
        The slabs do not add up to `shape`.
    """
    import tifffile

    kind = np.dtype(dtype)
    if kind.kind == "b":
        kind = np.dtype("uint8")
    shape = tuple(int(n) for n in shape)
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise UserError(f"a stack of shape {shape} cannot be written as TIFF")
    pages = _Pages(slabs, shape, np.dtype(dtype))
    if shape[3:] == (1,):
        shape = shape[:3]
    n_bytes = math.prod(shape) * kind.itemsize
    form = tiff_form(shape, kind, (spacing_nm, pitch_nm, pitch_nm), metadata or {})
    options: dict[str, Any] = {
        **form.options,
        "shape": shape,
        "dtype": kind,
        "compression": compression,
        "photometric": "rgb" if kind == np.uint8 and shape[3:] == (3,) else "minisblack",
    }
    if len(shape) == 4:
        options["planarconfig"] = "contig"
    try:
        with tifffile.TiffWriter(path, bigtiff=form.big, ome=form.ome) as writer:
            writer.write(iter(pages), **options)
    except Exception as error:
        if pages.error is not None:  # the source failed, not the disk
            raise pages.error from pages.error.__cause__
        if isinstance(error, OSError):
            raise destination_error(error, shown_destination(path), n_bytes) from error
        raise
    pages.check_end()


@dataclass(frozen=True)
class TiffForm:
    """How a stack is said in a TIFF.

    Attributes
    ----------
    ome, big : bool
        OME-TIFF or plain; BigTIFF or classic.
    options : dict
        What `tifffile.TiffWriter.write` is told of size and metadata.
    """

    ome: bool
    big: bool
    options: dict[str, Any]


def tiff_form(
    shape: Sequence[int],
    dtype: np.dtype[Any],
    resolution: Sequence[float],
    facts: Mapping[str, Any],
) -> TiffForm:
    """Choose between OME-TIFF and plain BigTIFF, and say size and facts in its words.

    Parameters
    ----------
    shape : (z, y, x) or (z, y, x, channel)
    dtype : dtype
    resolution : (z, y, x)
        Nm per voxel.
    facts : dict
        JSON-able; read back by `tiff_metadata`.

    Raises
    ------
    UserError
        TIFF has no room for the dtype.
    """
    z, y, x = resolution
    options: dict[str, Any] = {
        "resolution": (1e7 / x, 1e7 / y),
        "resolutionunit": "CENTIMETER",
        "software": _NAMESPACE,
        "maxworkers": 1,
    }
    if dtype.name in OME_TYPES:
        options["metadata"] = {
            "axes": "ZYX" if len(shape) == 3 else "ZYXS",
            "PhysicalSizeX": x,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": y,
            "PhysicalSizeYUnit": "nm",
            "PhysicalSizeZ": z,
            "PhysicalSizeZUnit": "nm",
            "MapAnnotation": {"Namespace": _NAMESPACE, "metadata": json.dumps(dict(facts))},
        }
        return TiffForm(True, math.prod(shape) * dtype.itemsize > _BIG_BYTES, options)
    if dtype.name not in PLAIN_TYPES:
        raise UserError(
            f"a TIFF cannot hold {dtype.name}; it can hold {', '.join(OME_TYPES + PLAIN_TYPES)}"
        )
    options["metadata"] = None
    options["description"] = json.dumps(
        {
            "axes": "ZYX" if len(shape) == 3 else "ZYXC",
            "spacing": z,
            "pitch": x if x == y else [y, x],
            "unit": "nm",
            _OUR_KEY: dict(facts),
        }
    )
    return TiffForm(False, True, options)


class _Pages:
    """Slabs as single pages, counted; an error of their source is kept apart from the disk's."""

    def __init__(
        self, slabs: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._slabs = iter(slabs)
        self._shape = shape
        self._dtype = dtype
        self._n = 0
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        try:
            for slab in self._slabs:
                self._count(slab)
                for page in slab[..., 0] if self._shape[3:] == (1,) else slab:
                    yield page.astype(np.uint8) if page.dtype == bool else page
            if self._n < self._shape[0]:
                raise ValueError(f"only {self._n} slices for a stack of {self._shape[0]}")
        except Exception as error:
            self.error = error
            raise

    def check_end(self) -> None:
        """Raise ValueError unless the slabs ended with the last page."""
        for slab in self._slabs:
            self._count(slab)

    def _count(self, slab: NDArray[Any]) -> None:
        if slab.shape[1:] != self._shape[1:] or slab.dtype != self._dtype:
            raise ValueError(
                f"a slab of {slab.shape} {slab.dtype} for a stack of {self._shape} {self._dtype}"
            )
        self._n += len(slab)
        if self._n > self._shape[0]:
            raise ValueError(f"more than {self._shape[0]} slices for a stack of {self._shape[0]}")


def tiff_metadata(path: str | Path) -> dict[str, Any]:
    """What `write_tiff` was given as `metadata`; {} for the TIFFs of other programs.

    Raises
    ------
    UserError
        There is no such file, or it is no TIFF.
    """
    with open_tiff(path) as tif:
        return metadata_of(tif)


def open_tiff(path: str | Path) -> tifffile.TiffFile:
    """Open a TIFF; what is wrong with one that cannot be opened is said in one line (UserError)."""
    import tifffile

    try:
        return tifffile.TiffFile(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except Exception as error:  # tifffile raises whatever a broken header leads to
        raise UserError(f"{path} is not a readable TIFF: {one_line(error)}") from error


def metadata_of(tif: tifffile.TiffFile) -> dict[str, Any]:
    """`tiff_metadata` of an open file."""
    text = tif.ome_metadata
    if text is not None:
        return _from_ome(text)
    try:
        found = json.loads(tif.pages.first.description)[_OUR_KEY]
    except (ValueError, KeyError, TypeError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def _from_ome(text: str) -> dict[str, Any]:
    try:
        tree = ET.fromstring(text)
        for annotation in tree.iterfind(f".//{{*}}MapAnnotation[@Namespace='{_NAMESPACE}']"):
            entry = annotation.find("{*}Value/{*}M[@K='metadata']")
            if entry is not None and entry.text:
                found = json.loads(entry.text)
                return dict(found) if isinstance(found, dict) else {}
    except (ET.ParseError, ValueError):
        return {}
    return {}
