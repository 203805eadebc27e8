"""Ids of a segmentation that the user has picked: only these are kept; all where none is."""

from __future__ import annotations

from collections.abc import Iterable

from psygnal import Signal


class PickedIds:
    """The picked ids of one segmentation, in the order in which they were picked."""

    #: After every change.
    changed = Signal()

    def __init__(self) -> None:
        self._ids: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, label: object) -> bool:
        return label in self._ids

    @property
    def ids(self) -> tuple[int, ...]:
        """The picked ids; exact, whatever their size."""
        return tuple(self._ids)

    @property
    def as_set(self) -> frozenset[int]:
        """The same without an order."""
        return frozenset(self._ids)

    def toggle(self, label: int) -> None:
        """Pick an id, or no longer; 0 is the background and cannot be picked."""
        label = int(label)
        if label == 0:
            return
        if label in self._ids:
            del self._ids[label]
        else:
            self._ids[label] = None
        self.changed.emit()

    def set(self, labels: Iterable[int]) -> None:
        """Pick these and no others."""
        new = dict.fromkeys(int(label) for label in labels if int(label) != 0)
        if list(new) != list(self._ids):
            self._ids = new
            self.changed.emit()

    def clear(self) -> None:
        """Keep all again."""
        self.set(())
