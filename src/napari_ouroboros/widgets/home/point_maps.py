"""Along which map each point of a layer was set, whatever becomes of the layer's rows. No Qt."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from napari_ouroboros.geometry import Straightening

Float = NDArray[np.float64]
Index = NDArray[np.int64]

_OURS, _MAPS = "napari-ouroboros", "set along"


@dataclass(frozen=True, eq=False)
class PointMaps:
    """The map of each point.

    Attributes
    ----------
    rows : array (n, d)
        The layer's data when it was looked at last.
    maps : array (n,) of Straightening or None
        None: there was no trace yet; the next map is that of the point.
    """

    rows: Float
    maps: NDArray[np.object_]

    @cached_property
    def complete(self) -> bool:
        """Whether each has its map."""
        return all(map_ is not None for map_ in self.maps)

    @classmethod
    def of(cls, layer: Layer) -> PointMaps:
        """Take them from a layer's metadata, which goes with every copy of the layer."""
        known = layer.metadata.get(_OURS, {}).get(_MAPS)
        return known if isinstance(known, cls) else cls(np.empty((0, 3)), np.empty(0, object))

    def keep_in(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Return a layer's metadata with these maps in it."""
        return {**metadata, _OURS: {**metadata.get(_OURS, {}), _MAPS: self}}

    def followed(
        self, data: Float, map_: Straightening | None, removed: Sequence[int] | None = None
    ) -> PointMaps:
        """Return those of the rows `data`: what is new or was moved belongs to `map_`."""
        kept = followed_rows(self.rows, data, removed)
        maps = np.full(len(data), map_, object)
        maps[kept >= 0] = self.maps[kept[kept >= 0]]
        maps[[known is None for known in maps]] = map_
        return PointMaps(np.array(data, np.float64), maps)


def look_again(
    layer: Points, map_: Straightening | None, removed: Sequence[int] | None = None
) -> PointMaps:
    """Find what was done to a layer's points while `map_` was shown; return the map of each.

    `removed`: the rows that have just been removed, where that is known.
    """
    before = PointMaps.of(layer)
    # As a rule nothing was done, and there may be very many.
    if before.complete and np.array_equal(before.rows, layer.data):
        return before
    now = before.followed(np.asarray(layer.data, np.float64), map_, removed)
    layer.metadata = now.keep_in(layer.metadata)
    return now


def followed_rows(before: Float, after: Float, removed: Sequence[int] | None = None) -> Index:
    """For each row after, the row before that it is; -1 for one that is new or was moved.

    Rows that stand where they stood are the same; others are found by what is in them, as when
    they were sorted. Of as many rows as before either all that changed have only changed places,
    or they were moved: a grid that is shifted by one is not the same grid.

    Parameters
    ----------
    before, after : arrays (n, d), (m, d)
    removed : sequence of int, optional
        Rows of `before` that are gone: of two at one place only who removed one knows which.
    """
    found = np.full(len(after), -1, np.int64)
    if before.shape[1:] != after.shape[1:]:
        return found
    if removed is not None and len(before):
        rest = np.delete(np.arange(len(before)), np.asarray(removed, np.int64) % len(before))
        if np.array_equal(before[rest], after):
            return rest
    shorter = min(len(before), len(after))
    stayed = np.flatnonzero((before[:shorter] == after[:shorter]).all(axis=1))
    found[stayed] = stayed
    left = np.setdiff1d(np.arange(len(before)), stayed)
    if not len(left):
        return found  # whatever is new, it is none of those before
    rows = [tuple(row) for row in before[left].tolist()]
    new = np.flatnonzero(found < 0)
    wanted = [tuple(row) for row in after[new].tolist()]
    if len(before) == len(after) and Counter(rows) != Counter(wanted):
        return found
    places: defaultdict[tuple[float, ...], deque[int]] = defaultdict(deque)
    for i, row in zip(left.tolist(), rows, strict=True):
        places[row].append(i)
    for j, row in zip(new.tolist(), wanted, strict=True):
        if places[row]:
            found[j] = places[row].popleft()
    return found
