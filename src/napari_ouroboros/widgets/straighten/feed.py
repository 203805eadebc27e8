"""Planes for the window: what is there at once, coarse ones soon, the true one when it can be had.

Everything is called in the GUI thread, but for what its workers do.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import Cancelled, OuroborosError, one_line
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.straighten.content import Content, Want

if TYPE_CHECKING:
    from napari_ouroboros.widgets.background import Deliver

# Planes kept for going back and forth along the slices.
_KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Picture:
    """A plane that has been read.

    Attributes
    ----------
    content : Content
        Whose plane it is.
    want : Want
        Which one.
    mip : int
        The level that it shows; the truth's is ``content.mips[0]``.
    data : array
        Read-only.
    """

    content: Content
    want: Want
    mip: int
    data: NDArray[Any]

    @property
    def is_sharp(self) -> bool:
        """Whether it is the truth."""
        return self.mip == self.content.mips[0]


class Feed:
    """Gives the planes of changing content, never waiting; tells when a better one has come.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread.
    """

    #: Another picture is there for what is shown: look again. In the GUI thread.
    arrived = Signal()
    #: What is shown could not be had: one line.
    failed = Signal(str)

    def __init__(self, deliver: Deliver) -> None:
        # While a point is dragged this one finishes what it has begun, so that pictures keep
        # coming; it reads only what is here, or what is coarse.
        self._quick = Worker("ouroboros-slice", deliver, finish_begun=True)
        self._sharp = Worker("ouroboros-sharp", deliver)
        self._content: Content | None = None
        self._want: Want | None = None
        self._kept: OrderedDict[Want, Picture] = OrderedDict()  # of the content of now
        self._last: dict[int, Picture] = {}  # per axis, of whatever content
        self.problem = ""

    @property
    def content(self) -> Content | None:
        """What is shown."""
        return self._content

    @property
    def idle(self) -> bool:
        """Whether nothing better is on its way."""
        return self._quick.idle and self._sharp.idle

    @property
    def shown(self) -> Picture | None:
        """The picture that is shown for the plane looked at last."""
        if self._want is None:
            return None
        return self._kept.get(self._want) or self._last.get(self._want.axis)

    @property
    def is_stale(self) -> bool:
        """Whether what is shown belongs to another plane, or to what was before."""
        shown = self.shown
        if self._content is None or self._want is None:
            return False
        return shown is None or shown.content is not self._content or shown.want != self._want

    def show(self, content: Content | None) -> None:
        """Show other content from now on; the caller then refreshes what it shows."""
        self._content = content
        self._kept.clear()
        self._want = None
        self.problem = ""
        if content is None:
            self._quick.cancel()
            self._sharp.cancel()
            self._last.clear()

    def plane(self, content: Content, axis: int, index: int) -> NDArray[Any]:
        """Return the best picture of a plane, of its shape; a better one is on its way."""
        want = Want(axis, index)
        picture: Picture | None
        if content is not self._content:
            # Held by somebody else, of another shape: nothing is computed for it any more.
            picture = self._last.get(axis)
        else:
            if want != self._want:
                self._want = want
                if want not in self._kept or not self._kept[want].is_sharp:
                    self._request(content, want)
            picture = self._kept.get(want) or self._last.get(axis)
        shape = plane_shape(content, axis)
        if picture is None or picture.data.dtype != content.dtype:
            return np.zeros(shape, content.dtype)
        return fitted(picture.data, shape)

    def retry(self) -> None:
        """Ask again for what could not be had."""
        if self._content is not None and self._want is not None:
            self.problem = ""
            self._request(self._content, self._want)

    def close(self) -> None:
        """Stop everything."""
        self._quick.close()
        self._sharp.close()
        self._content = None
        self._kept.clear()
        self._last.clear()

    def _request(self, content: Content, want: Want) -> None:
        data = content.read_at_once(want)
        if data is not None:
            self._sharp.cancel()
            self._keep(_picture(content, want, content.mips[0], data))
            return
        self._sharp.cancel()
        self._quick.submit(partial(self._look, content, want), self._take, self._fail)

    def _look(self, content: Content, want: Want, token: Token) -> Picture | None:
        """In a worker: the best that is here, else the coarsest; the truth is sent for."""
        here = next((mip for mip in content.mips if content.is_here(want, mip)), None)
        if here == content.mips[0]:
            return _picture(content, want, here, content.read(want, here, token))
        if self._want == want and self._content is content:
            self._sharp.submit(partial(self._read, content, want), self._take, self._fail)
        coarse = content.mips[-1] if here is None else here
        if coarse == content.mips[0]:
            return None  # there is nothing coarser
        try:
            return _picture(content, want, coarse, content.read(want, coarse, token))
        except OuroborosError:
            return None  # the truth is on its way, and says what is wrong

    def _read(self, content: Content, want: Want, token: Token) -> Picture | None:
        return _picture(content, want, content.mips[0], content.read(want, content.mips[0], token))

    def _take(self, picture: Picture | None) -> None:
        if picture is None or self._content is None:
            return
        if picture.content is self._content:
            known = self._kept.get(picture.want)
            if known is not None and known.is_sharp:
                return
            if picture.is_sharp:
                self.problem = ""
            self._keep(picture)
            if picture.want == self._want:
                self.arrived.emit()
            return
        # Of what was before: better than something older still, while a point is dragged.
        last = self._last.get(picture.want.axis)
        if self.is_stale and (last is None or last.content.serial < picture.content.serial):
            self._last[picture.want.axis] = picture
            self.arrived.emit()

    def _keep(self, picture: Picture) -> None:
        self._kept[picture.want] = picture
        self._kept.move_to_end(picture.want)
        self._last[picture.want.axis] = picture
        held = sum(kept.data.nbytes for kept in self._kept.values())
        while held > _KEPT_BYTES and len(self._kept) > 1:
            held -= self._kept.popitem(last=False)[1].data.nbytes

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            return
        if not isinstance(error, OuroborosError):
            raise error  # a mistake of ours: napari shows it
        self.problem = one_line(error)
        self.failed.emit(self.problem)


def _picture(content: Content, want: Want, mip: int, data: NDArray[Any]) -> Picture:
    data.flags.writeable = False
    return Picture(content, want, mip, data)


def plane_shape(content: Content, axis: int) -> tuple[int, ...]:
    """Return the shape of a plane across an axis, channels last where there are several."""
    shape = [n for i, n in enumerate(content.shape) if i != axis]
    return (*shape, content.channels) if content.channels > 1 else tuple(shape)


def fitted(data: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the data stretched to a shape: an older picture fills the place of the new one."""
    if data.shape == shape:
        return data
    if data.ndim != len(shape) or data.shape[2:] != shape[2:]:
        return np.zeros(shape, data.dtype)
    index = [
        np.minimum((np.arange(n) + 0.5) * have / n, have - 1).astype(np.intp)
        for n, have in zip(shape[:2], data.shape[:2], strict=True)
    ]
    return data[np.ix_(*index)]
