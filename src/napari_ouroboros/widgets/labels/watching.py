"""Writes to labels, whoever writes and in whatever thread, told in the GUI thread. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_ouroboros.volumes.labels.label_changes import Change, union

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.background import Deliver

#: Voxels of one message; beyond that only boxes are told.
_MOST_INDICES = 1_000_000


class Watch:
    """Tells of all that was written to an array since it last told.

    Parameters
    ----------
    array : LabelArray
    deliver : callable
        Brings a call to the GUI thread.
    written : callable
        At each write, in the thread that wrote; to return at once.
    told : callable
        With all changes as one, in the GUI thread, as soon as that is free.
    """

    def __init__(
        self,
        array: LabelArray,
        deliver: Deliver,
        written: Callable[[], object],
        told: Callable[[Change], object],
    ) -> None:
        self._array, self._deliver, self._on_write, self._told = array, deliver, written, told
        self._lock = threading.Lock()
        self._waiting: list[Change] = []
        self._closed = False
        array.changed.connect(self._written)

    def close(self) -> None:
        """Listen no more; what has not been told is not told."""
        self._closed = True
        self._array.changed.disconnect(self._written, missing_ok=True)

    def _written(self, change: Change) -> None:
        self._on_write()
        with self._lock:
            self._waiting.append(change)
            first = len(self._waiting) == 1
        if first:
            self._deliver(self._tell)

    def _tell(self) -> None:
        with self._lock:
            changes, self._waiting = self._waiting, []
        if changes and not self._closed:
            self._told(together(changes))


class Bound:
    """A layer of labels, also while it is parked, and what listens to it and to its array.

    Parameters
    ----------
    layer : Labels
    watch : Watch
    renamed : callable
    """

    def __init__(self, layer: Labels, watch: Watch, renamed: Callable[[], object]) -> None:
        self.layer, self.watch, self._renamed = layer, watch, renamed
        layer.events.name.connect(renamed)

    def close(self) -> None:
        """Listen to neither."""
        self.watch.close()
        self.layer.events.name.disconnect(self._renamed)


def together(changes: Sequence[Change]) -> Change:
    """Several changes as one; of the same voxels more than once, perhaps."""
    if len(changes) == 1:
        return changes[0]
    parts = tuple(dict.fromkeys(part for change in changes for part in change.parts))
    indices = None
    found = [change.indices for change in changes]
    exact = [one for one in found if one is not None]
    if len(exact) == len(found) and sum(len(one[0]) for one in exact) <= _MOST_INDICES:
        k, r, c = (np.concatenate(axis) for axis in zip(*exact, strict=True))
        indices = (k, r, c)
    return Change(union([change.box for change in changes]), indices, parts)
