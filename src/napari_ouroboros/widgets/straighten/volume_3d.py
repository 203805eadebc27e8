"""The straightened volume in three dimensions: every so many-th sample of a coarse level. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import Cancelled, OuroborosError, one_line
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.straighten.content import Want

if TYPE_CHECKING:
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.straighten.content import Content

#: Samples of the whole picture, and along one axis: what a card and a glance can take.
MOST_SAMPLES = 1 << 23
MOST_ALONG = 512
# Parts after which the picture is shown anew while it fills.
_SHOWN_TIMES = 8


@dataclass(frozen=True, eq=False)
class Coarse:
    """A picture of the whole.

    Attributes
    ----------
    content : Content
    steps : (slices, rows, columns)
        It has every so many-th of each, from the first on.
    mip : int
    data : array (slices, rows, columns[, channels])
        Grows while it is computed: what is not there yet is 0.
    done : bool
    """

    content: Content
    steps: tuple[int, int, int]
    mip: int
    data: NDArray[Any]
    done: bool

    @property
    def scale_nm(self) -> tuple[float, float, float]:
        """Distances between its samples."""
        spacing, row, column = (
            step * scale for step, scale in zip(self.steps, self.content.scale_nm, strict=True)
        )
        return spacing, row, column


class CoarseVolume:
    """Computes the picture of changing content in a thread, and tells when there is more of it."""

    arrived = Signal()

    def __init__(self, deliver: Deliver) -> None:
        self._worker = Worker("ouroboros-3d", deliver)
        self._deliver = deliver
        self.picture: Coarse | None = None
        self.problem = ""

    @property
    def idle(self) -> bool:
        """Whether nothing more is on its way."""
        return self._worker.idle

    def show(self, content: Content) -> Coarse:
        """Return the picture of the content, empty at first; it fills."""
        if self.picture is not None and self.picture.content is content:
            return self.picture
        steps = steps_of(content.shape)
        tail = (content.channels,) if content.channels > 1 else ()
        shape = [-(-n // step) for n, step in zip(content.shape, steps, strict=True)]
        mip = content.mips[-1] if max(steps) > 1 else content.mips[0]
        first = Coarse(content, steps, mip, np.zeros((*shape, *tail), content.dtype), False)
        self.picture = first

        def fill(token: Token) -> Coarse:
            data = first.data.copy()
            often = max(1, shape[0] // _SHOWN_TIMES)
            for i in range(shape[0]):
                if token.is_set():
                    raise Cancelled("another picture is wanted")
                plane = content.read(Want(0, i * steps[0]), mip, token)
                data[i] = plane[:: steps[1], :: steps[2]]
                if (i + 1) % often == 0 and i + 1 < shape[0]:
                    part = Coarse(content, steps, mip, data.copy(), False)
                    self._deliver(lambda part=part: self._take(part))  # type: ignore[misc]
            return Coarse(content, steps, mip, data, True)

        self._worker.submit(fill, self._take, self._fail)
        return first

    def stop(self) -> None:
        """Nobody looks at it any more."""
        self._worker.cancel()
        if self.picture is not None and not self.picture.done:
            self.picture = None

    def close(self) -> None:
        """Stop for good."""
        self._worker.close()
        self.picture = None

    def _take(self, picture: Coarse) -> None:
        now = self.picture
        if now is not None and now.content is picture.content and not now.done:
            self.picture = picture
            self.arrived.emit()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, OuroborosError):
            raise error  # a mistake of ours: napari shows it
        self.problem = one_line(error)


def steps_of(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the steps along slices, rows and columns that keep the picture small enough."""
    steps = [max(1, -(-n // MOST_ALONG)) for n in shape]

    def samples() -> int:
        return int(np.prod([-(-n // step) for n, step in zip(shape, steps, strict=True)]))

    while samples() > MOST_SAMPLES:
        longest = int(np.argmax([n / step for n, step in zip(shape, steps, strict=True)]))
        steps[longest] += 1
    return steps[0], steps[1], steps[2]
