"""Labels of a straightened volume, of any size, painted on disk."""

from __future__ import annotations

import copy
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.volumes.labels.label_changes import Box, around, changed_part
from napari_ouroboros.volumes.labels.label_chunks import (
    METADATA,
    Index,
    checked_dtype,
    metadata,
    three_sizes,
)
from napari_ouroboros.volumes.labels.label_keys import (
    Basic,
    basic_key,
    check_ids,
    pick_points,
    pieces,
)
from napari_ouroboros.volumes.labels.label_numpy import NumpyLike
from napari_ouroboros.volumes.labels.label_store import CACHE_BYTES, LabelStore
from napari_ouroboros.volumes.writing.disk import destination_errors, sync

# Of seven shapes from (4, 64, 64) to (32, 32, 32), in labels of 10,000 x 200 x 200 uint64 on two
# cores: a dab of 10 to 40 pixels 8 ms in a slice and 2 to 16 in 3D, undo as long, a slice 0.1 ms,
# a plane along 400 painted slices 4 ms; thicker ones are written again more often slice by slice.
_CHUNK = (8, 64, 64)


class LabelArray(LabelStore, NumpyLike):
    """Labels (slices, rows, columns) in a zarr array (version 3) on disk; made for napari's Labels.

    It is indexed, written to and calculated with like a numpy array. What is written is on disk
    when the write returns, chunk by chunk, each whole or not at all; chunks that are all 0 are not
    stored. Any thread may read at any time; writers take turns.

    Attributes
    ----------
    path : Path
        Of the folder.
    shape : (int, int, int)
        (slices, rows, columns).
    chunks : (int, int, int)
        Shape of a chunk.
    dtype : dtype
        uint8 to uint64.
    changed : Signal(Change)
        After every write that changed something, in the thread that wrote.
    """

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        shape: Sequence[int],
        dtype: DTypeLike,
        attributes: dict[str, Any] | None = None,
        *,
        chunks: Sequence[int] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> LabelArray:
        """Make an array in which nothing is painted.

        Parameters
        ----------
        path : path
            A folder that does not exist, or is empty.
        shape : (slices, rows, columns)
        dtype : dtype
            uint8, uint16, uint32 or uint64.
        attributes : dict, optional
            Kept in the array's metadata; whatever JSON can hold.
        chunks : (int, int, int), optional
            Shape of a chunk.
        cache_bytes : int
            Limit of the decoded chunks that are kept in memory.

        Raises
        ------
        UserError
            The folder has something in it; no such shape or dtype; attributes that are no JSON.
        DestinationError
            The folder cannot be made.
        """
        folder = Path(path)
        kind = checked_dtype(dtype)
        size = three_sizes(shape, "the shape of labels")
        chunk = three_sizes(_CHUNK if chunks is None else chunks, "the shape of a chunk")
        try:
            text = json.dumps(metadata(size, chunk, kind, dict(attributes or {})), indent=2)
        except (TypeError, ValueError) as error:
            raise UserError(f"attributes of labels must be JSON: {error}") from error
        with destination_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UserError(f"{folder} is not empty; labels need a folder of their own")
            unfinished = folder / f".{METADATA}.partial"
            unfinished.write_text(text, encoding="utf-8")
            sync(unfinished)
            os.replace(unfinished, folder / METADATA)
            sync(folder)
            sync(folder.parent)
        return cls.open(folder, cache_bytes=cache_bytes)

    # -- what it is -----------------------------------------------------------------------

    @property
    def attributes(self) -> dict[str, Any]:
        """A copy of what `create` was given."""
        return copy.deepcopy(self._attributes)

    @property
    def out_dtype(self) -> np.dtype[Any]:
        """Of what `read` returns: `dtype`. Label stacks have it, too."""
        return self.dtype

    def __repr__(self) -> str:
        return f"<LabelArray {self.shape} {self.dtype} in {self.path}>"

    # -- reading --------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """What numpy would return, always as a new array; any kind of index numpy knows."""
        basic = basic_key(key, self.shape)
        if basic is not None:
            return self._read_ranges(basic)[basic.key]
        points, shape = pick_points(key, self.shape)
        out = np.zeros(len(points[0]), self.dtype)
        for index, within, chosen in self._by_chunk(points):
            if (chunk := self._files.get(index)) is not None:
                out[chosen] = chunk[within]
        return out.reshape(shape)

    def read(self, k0: int, k1: int) -> NDArray[Any]:
        """Slices k0 <= k < k1 as a new array (k1 - k0, rows, columns).

        Raises
        ------
        SourceError
            A chunk is broken; the message names its file.
        """
        if not 0 <= k0 < k1 <= self.shape[0]:
            raise ValueError(f"slices {k0}:{k1} of labels with {self.shape[0]}")
        return np.asarray(self[k0:k1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("labels on disk can only be had as a copy")
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def _read_ranges(self, basic: Basic) -> NDArray[Any]:
        out = np.zeros([len(r) for r in basic.ranges], self.dtype)
        for index, within, outer in pieces(basic.ranges, self.chunks):
            if (chunk := self._files.get(index)) is not None:
                out[outer] = chunk[within]
        return out

    # -- writing --------------------------------------------------------------------------

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write as numpy does, but never an id that the dtype cannot hold.

        Raises
        ------
        UserError
            An id that is too large, negative, or no whole number; nothing was written.
        DestinationError
            A chunk could not be written; those before it were.
        """
        values = check_ids(value, self.dtype)
        basic = basic_key(key, self.shape)
        if basic is not None:
            with self._announced() as parts:
                self._write_ranges(basic, basic.spread(values), parts)
            return
        points, shape = pick_points(key, self.shape)
        flat = np.broadcast_to(_without_leading_ones(values, len(shape)), shape).ravel()
        picked: list[NDArray[np.int64]] = []
        with self._announced(points, picked) as parts:
            for index, within, chosen in self._by_chunk(points):
                old = self._files.get(index)
                new = np.zeros(self.chunks, self.dtype) if old is None else old.copy()
                before = new[within]
                new[within] = flat[chosen]
                differs = new[within] != before
                if differs.any():
                    self._files.put(index, new)
                    picked.append(chosen[differs])
                    parts.append(around([p[chosen[differs]] for p in points]))

    def clear(self) -> None:
        """Erase everything; the painted chunks are all that it looks at.

        Raises
        ------
        DestinationError
            A chunk could not be taken away; those before it were.
        """
        with self._announced() as parts:
            for (k0, k1), (r0, r1), (c0, c1) in self.painted_chunks():
                basic = basic_key((slice(k0, k1), slice(r0, r1), slice(c0, c1)), self.shape)
                assert basic is not None
                self._write_ranges(basic, basic.spread(np.zeros((), self.dtype)), parts)

    def _write_ranges(self, basic: Basic, values: NDArray[Any], parts: list[Box]) -> None:
        for index, within, outer in pieces(basic.ranges, self.chunks):
            old, part = self._files.get(index), values[outer]
            differs = part != (0 if old is None else old[within])
            if not differs.any():
                continue
            new = np.zeros(self.chunks, self.dtype) if old is None else old.copy()
            new[within] = part
            self._files.put(index, new)
            parts.append(changed_part(differs, basic.ranges, outer))

    # -- copies ---------------------------------------------------------------------------

    def __copy__(self) -> LabelArray:
        return self

    def __deepcopy__(self, memo: object) -> LabelArray:
        """An array of its own beside this one: what napari's "duplicate layer" asks for."""
        for number in itertools.count(2):
            path = self.path.with_name(f"{self.path.name}-{number}")
            if not path.exists():
                break
        return self.snapshot_to(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return LabelArray.open, (self.path,)

    # -- how ------------------------------------------------------------------------------

    def _by_chunk(
        self, points: tuple[NDArray[np.int64], ...]
    ) -> Iterator[tuple[Index, tuple[NDArray[np.int64], ...], NDArray[np.int64]]]:
        """Chunk, indices within it, and which of the points they are, in their order."""
        if not len(points[0]):
            return
        numbers = [p // c for p, c in zip(points, self.chunks, strict=True)]
        grid = [-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True)]
        flat = (numbers[0] * grid[1] + numbers[1]) * grid[2] + numbers[2]
        order = np.argsort(flat, kind="stable")
        ends = np.flatnonzero(np.diff(flat[order])) + 1
        for chosen in np.split(order, ends):
            k, r, c = (int(n[chosen[0]]) for n in numbers)
            corner = (k * self.chunks[0], r * self.chunks[1], c * self.chunks[2])
            within = tuple(p[chosen] - o for p, o in zip(points, corner, strict=True))
            yield (k, r, c), within, chosen


def _without_leading_ones(values: NDArray[Any], ndim: int) -> NDArray[Any]:
    """As numpy does when it assigns."""
    while values.ndim > ndim and values.shape[0] == 1:
        values = values[0]
    return values
