"""Where the user looks: one place in the tissue, known in both spaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_ouroboros.geometry import Straightening

Float = NDArray[np.float64]


class Place:
    """The shown slice, and the point under the cursor, in straightened indices and in nm.

    Attributes
    ----------
    slice_index : int
        The slice that is shown.
    index : array (3,) or None
        (slice, row, column) of the cursor; None where it is in no slice.
    nm : array (3,) or None
        The same point zyx in nm; None where the cursor is nowhere.
    came_from : {"volume", "straightened", ""}
        The space in which the cursor is: the other one shows a mark.
    follow : bool
        Whether each space follows the other's slice (see `Place.go_to_slice`).
    """

    #: The shown slice has changed: ``(slice index, by whom)``.
    slice_changed = Signal(int, str)
    #: The cursor has moved, or left.
    cursor_changed = Signal()
    follow_changed = Signal(bool)

    def __init__(self) -> None:
        self.slice_index = 0
        self.index: Float | None = None
        self.nm: Float | None = None
        self.came_from = ""
        self._follow = True

    @property
    def follow(self) -> bool:
        """Whether each space follows the other."""
        return self._follow

    @follow.setter
    def follow(self, value: bool) -> None:
        if value != self._follow:
            self._follow = bool(value)
            self.follow_changed.emit(self._follow)

    def go_to_slice(self, index: int, by: str = "") -> None:
        """Show another slice; `by` names the space that asked, which need not be told."""
        if index != self.slice_index:
            self.slice_index = int(index)
            self.slice_changed.emit(self.slice_index, by)

    def hover_volume(self, nm: ArrayLike | None, map_: Straightening | None) -> None:
        """The cursor is at `nm` (zyx) of the volume; None: it has left."""
        self.nm = None if nm is None else np.asarray(nm, np.float64)
        self.index = None
        if self.nm is not None and map_ is not None:
            index = map_.to_straightened(self.nm)
            self.index = None if np.isnan(index).any() else index
        self.came_from = "" if self.nm is None else "volume"
        self.cursor_changed.emit()

    def hover_straightened(self, index: ArrayLike | None, map_: Straightening | None) -> None:
        """The cursor is at (slice, row, column); None: it has left."""
        self.index = None if index is None else np.asarray(index, np.float64)
        self.nm = None
        if self.index is not None and map_ is not None:
            self.nm = map_.to_volume(self.index)
        self.came_from = "" if self.index is None else "straightened"
        self.cursor_changed.emit()
