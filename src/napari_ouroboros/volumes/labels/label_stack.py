"""Labels on their way back: any stack of whole numbers, slab by slab, ids exactly as they are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.chunks.kept import Kept
from napari_ouroboros.volumes.labels.label_sources import Source, open_source

_CACHE_BYTES = 128 * 1024 * 1024


def open_labels(
    source: Any, *, cache_bytes: int = _CACHE_BYTES, timeout: float = 60.0
) -> LabelStack:
    """Open labels in straightened space.

    Parameters
    ----------
    source : path, URL or array
        A TIFF, an ``.npy`` file, a volume (precomputed, zarr, OME-Zarr, N5; its finest level, zyx =
        slice, row, column), or an array (numpy, dask, zarr; anything with shape, dtype and
        slicing) with axes (slices, rows, columns). A fourth axis of length 1 is dropped; a 2D
        image is one slice.
    cache_bytes : int
        Limit of the decoded slices that are kept.
    timeout : float
        Seconds without a byte after which a source at a URL is given up.

    Returns
    -------
    LabelStack
        Nothing but headers has been read.

    Raises
    ------
    UserError
        No labels: floats, wrong number of axes, an unknown format.
    SourceError
        A file is broken or truncated; a server does not answer.
    """
    found = open_source(source, timeout)
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
            self._slabs: Kept[NDArray[Any]] = Kept(cache_bytes)

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
                slab = self._slabs.get(i, partial(self._load_slab, i))
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
