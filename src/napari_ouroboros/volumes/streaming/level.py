"""One level of a volume as something that napari takes for an array."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ouroboros.volumes.streaming.pyramid import StreamedPyramid

Axis = range | int


class StreamedLevel:
    """A level, or a part of one: indexing only narrows, and `numpy.asarray` reads.

    In the main thread at most one plane, or the level that is shown in 3D, is read without
    waiting: from the chunks at hand, then from coarser levels, voxels repeated, else 0; the
    chunks themselves are asked for, and whoever watches the pyramid is told when they have come.
    Any other thread, and whoever asks for more, gets what the volume holds and waits for it.

    Parameters
    ----------
    pyramid : StreamedPyramid
    number : int
        Which of its levels.
    axes : sequence of range or int
        What is left of z, y, x and channel: indices, or one index of an axis that is gone.

    Attributes
    ----------
    pyramid : StreamedPyramid
    number : int
    """

    def __init__(self, pyramid: StreamedPyramid, number: int, axes: Sequence[Axis]) -> None:
        self.pyramid = pyramid
        self.number = number
        self._axes = tuple(axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis that is left, in the order z, y, x, channel."""
        return tuple(len(axis) for axis in self._axes if isinstance(axis, range))

    @property
    def ndim(self) -> int:
        """Number of axes that are left."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the volume."""
        return self.pyramid.volume.dtype

    @property
    def channel(self) -> int | None:
        """The one channel that is left of several; None: all that the volume has."""
        last = self._axes[3] if len(self._axes) > 3 else None
        return last if isinstance(last, int) else None

    @property
    def size(self) -> int:
        """Number of values."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """What they would take as an array."""
        return self.size * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the chunks along each axis, as dask has them."""
        return tuple(
            self.pyramid.chunk_sizes(self.number, number, axis)
            for number, axis in enumerate(self._axes)
            if isinstance(axis, range)
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<StreamedLevel {self.shape} {self.dtype} of {self.pyramid.volume.url}>"

    def __copy__(self) -> StreamedLevel:
        return self

    def __deepcopy__(self, memo: object) -> StreamedLevel:
        # A duplicated layer looks at the same volume; there is nothing in it that could change.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return StreamedLevel, (self.pyramid, self.number, self._axes)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (*self.pyramid.token, self.number, self._axes)

    def __getitem__(self, key: Any) -> Any:
        """Narrow by integers, slices and an Ellipsis; arrays of indices are read at once."""
        keys = key if isinstance(key, tuple) else (key,)
        kept = [number for number, axis in enumerate(self._axes) if isinstance(axis, range)]
        whole = [n for n, one in enumerate(keys) if one is Ellipsis]
        if len(whole) > 1:
            raise IndexError("an index can only have a single Ellipsis ('...')")
        if any(not _is_plain(one) for one in keys):
            return self._picked(keys)
        if whole:
            gap = (slice(None),) * (len(kept) - len(keys) + 1)
            keys = (*keys[: whole[0]], *gap, *keys[whole[0] + 1 :])
        if len(keys) > len(kept):
            raise IndexError(f"too many indices: there are {len(kept)} axes, not {len(keys)}")
        axes = list(self._axes)
        for number, one in zip(kept, keys, strict=False):
            axis = axes[number]
            assert isinstance(axis, range)
            if isinstance(one, slice):
                axes[number] = axis[one]
            else:
                try:
                    axes[number] = axis[int(one)]
                except IndexError:
                    raise IndexError(
                        f"index {one} is outside an axis of length {len(axis)}"
                    ) from None
        return StreamedLevel(self.pyramid, self.number, axes)

    def _picked(self, keys: tuple[Any, ...]) -> NDArray[Any]:
        """Read what arrays of indices or of booleans pick, as numpy would, through their box."""
        low: list[Any] = []
        picks: NDArray[Any] = np.asarray(self._box_of(keys, low))
        shifted = []
        for one, start in zip(keys, low, strict=True):
            shifted.append(one if start is None else np.asarray(one) - start)
        return picks[tuple(shifted)]

    def _box_of(self, keys: tuple[Any, ...], low: list[Any]) -> StreamedLevel:
        """Narrow to the box of arrays of integers; `low` gets where each begins, None: whole."""
        arrays = [one is not Ellipsis and not isinstance(one, slice) for one in keys]
        simple = len(keys) <= self.ndim and not any(
            one is None or one is Ellipsis or np.asarray(one).dtype.kind not in "iu"
            for one, array in zip(keys, arrays, strict=True)
            if array or one is Ellipsis
        )
        if not simple:
            low.extend([None] * len(keys))
            return self
        box: list[slice] = []
        for one, array, n in zip(keys, arrays, self.shape, strict=False):
            values = np.asarray(one) if array else None
            if values is None or not values.size or values.min() < 0:
                box.append(slice(None))
                low.append(None)
                continue
            if values.max() >= n:
                raise IndexError(f"index {values.max()} is outside an axis of length {n}")
            box.append(slice(int(values.min()), int(values.max()) + 1))
            low.append(int(values.min()))
        narrowed = self[tuple(box)]
        assert isinstance(narrowed, StreamedLevel)
        return narrowed

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("what is read from a volume is always a new array")
        main = threading.current_thread() is threading.main_thread()
        found = self.pyramid.read(self.number, self._axes, may_wait=not main)
        return found if dtype is None else found.astype(dtype, copy=False)


def _is_plain(one: Any) -> bool:
    if one is Ellipsis or isinstance(one, (slice, int, np.integer)):
        return not isinstance(one, (bool, np.bool_))
    return isinstance(one, np.ndarray) and one.ndim == 0 and one.dtype.kind in "iu"
