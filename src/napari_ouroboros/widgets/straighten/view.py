"""The straightened volume as napari sees it: an array that never keeps a window waiting."""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_ouroboros.widgets.straighten.content import Content
    from napari_ouroboros.widgets.straighten.feed import Feed

_ALL = slice(None)


class StraightView:
    """A lazy array of (slices, rows, columns), or (slices, rows, columns, 3 or 4) of colours.

    Parameters
    ----------
    feed : Feed
        Gives single planes to the GUI thread, at once.
    content : Content
        The truth.
    channel : int or None
        One of several; None: the only one, or all as colours.

    Notes
    -----
    ``view[k, :, :]``, as napari asks for what it shows, gives the GUI thread what is there: the
    true plane, or for a moment one that is coarser or older, and when something better has come
    the feed says so. All else is exact, and waits: ``np.asarray(view)`` for saving, whatever is
    asked for in another thread, other parts.
    """

    def __init__(self, feed: Feed, content: Content, channel: int | None = None) -> None:
        self._feed, self._channel = feed, channel
        self.content = content

    @property
    def content(self) -> Content:
        """What it shows; may be replaced by other content of the same shape."""
        return self._content

    @content.setter
    def content(self, content: Content) -> None:
        self._content = content
        colours = (content.channels,) if self._channel is None and content.channels > 1 else ()
        self.shape: tuple[int, ...] = (*content.shape, *colours)
        self.dtype: np.dtype[Any] = content.dtype

    @property
    def ndim(self) -> int:
        """3, or 4 with colours."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Values in all."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """What it would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<StraightView {self.shape} {self.dtype}>"

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a straightened volume is computed; it cannot be had without a copy")
        whole = self._read([(0, n) for n in self.shape[:3]])
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> NDArray[Any] | _Plane:
        plane = self._plane_of(key)
        if plane is not None:
            return _Plane(self, *plane)
        return self._exact(key)

    def plane(self, axis: int, index: int) -> NDArray[Any]:
        """Return one plane: the exact one, but in the GUI thread what is there."""
        if threading.current_thread() is threading.main_thread():
            return self._one_channel(self._feed.plane(self._content, axis, index))
        box = [(0, n) for n in self.shape[:3]]
        box[axis] = (index, index + 1)
        return np.squeeze(self._read(box), axis)

    def _plane_of(self, key: Any) -> tuple[int, int, bool] | None:
        """The axis and index of a plane as napari asks for it, and whether the axis stays.

        One entry for every axis, all of them whole but one. Scripts and plugins rarely write it
        that way; what they write gets exact data.
        """
        if not isinstance(key, tuple) or len(key) != self.ndim:
            return None
        if not all(isinstance(part, (slice, int, np.integer)) for part in key):
            return None
        narrow = [axis for axis, part in enumerate(key) if part != _ALL]
        if len(narrow) != 1 or narrow[0] > 2:
            return None
        axis = narrow[0]
        part = key[axis]
        if isinstance(part, slice):
            first, last, step = part.indices(self.shape[axis])
            return (axis, first, True) if step == 1 and last == first + 1 else None
        index = operator.index(part)
        index += self.shape[axis] if index < 0 else 0
        return (axis, index, False) if 0 <= index < self.shape[axis] else None

    def _exact(self, key: Any) -> NDArray[Any]:
        """Any other part: no more is computed than the box around it."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if any(part is None or np.ndim(part) for part in parts if not isinstance(part, slice)):
            return np.asarray(self)[key]  # new axes, lists of indices, masks
        if Ellipsis in parts:
            i = parts.index(Ellipsis)
            parts[i : i + 1] = [_ALL] * (self.ndim - len(parts) + 1)
        if len(parts) > self.ndim:
            raise IndexError(f"too many indices: {len(parts)} for {self.ndim} axes")
        parts += [_ALL] * (self.ndim - len(parts))
        box, within = [], []
        for part, n in zip(parts[:3], self.shape, strict=False):
            if isinstance(part, slice):
                wanted = range(*part.indices(n))
                low, high = (min(wanted), max(wanted) + 1) if len(wanted) else (0, 0)
                within.append(np.array(wanted, int) - low if len(wanted) else np.empty(0, int))
            else:
                index = operator.index(part)
                index += n if index < 0 else 0
                if not 0 <= index < n:
                    raise IndexError(f"index {part} is outside 0..{n - 1}")
                low, high = index, index + 1
                within.append(np.array([0]))
            box.append((low, high))
        if any(low == high for low, high in box):
            data = np.empty((*(b - a for a, b in box), *self.shape[3:]), self.dtype)
        else:
            data = self._read(box)
        data = data[np.ix_(*within)]
        squeeze = tuple(0 if not isinstance(part, slice) else _ALL for part in parts[:3])
        return data[(*squeeze, *parts[3:])]

    def _read(self, box: list[tuple[int, int]]) -> NDArray[Any]:
        return self._one_channel(self._content.exact(box))

    def _one_channel(self, data: NDArray[Any]) -> NDArray[Any]:
        return data if self._channel is None else data[..., self._channel]


class _Plane:
    """``view[k, :, :]``, read when it is asked for its values."""

    def __init__(self, view: StraightView, axis: int, index: int, stays: bool) -> None:
        self._view, self._axis, self._index, self._stays = view, axis, index, stays
        shape = list(view.shape)
        shape[axis : axis + 1] = [1] if stays else []
        self.shape = tuple(shape)
        self.dtype = view.dtype
        self.ndim = len(shape)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        data = self._view.plane(self._axis, self._index)
        if self._stays:
            data = np.expand_dims(data, self._axis)
        return data.astype(data.dtype if dtype is None else dtype, copy=bool(copy))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self)[key]

    def __len__(self) -> int:
        return self.shape[0]
