"""Layers of labels put into the straightened space and taken out of it, with nothing else moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_ouroboros.widgets.labels.stand_in import StandIn, needs_stand_in
from napari_ouroboros.widgets.spaces.before_napari import BeforeNapari

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_ouroboros.volumes.labels.label_changes import Change
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.labels.straight_labels import StraightLabels


class Showing:
    """Puts layers into a viewer; selection and camera stay what they are.

    While the viewer shows three dimensions, a coarse layer stands in for large labels: their own
    waits outside with its undo history, and comes back to the same place.

    Parameters
    ----------
    straight : ViewerModel
    deliver : callable
    changed : callable
        Called when stand-ins have come or gone.
    failed : callable
        Gets the error where labels cannot be read.

    Attributes
    ----------
    moving : bool
        A layer comes or goes just now, and it is not the user who removes it.
    """

    def __init__(
        self,
        straight: ViewerModel,
        deliver: Deliver,
        changed: Callable[[], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self._straight, self._deliver = straight, deliver
        self._changed, self._failed = changed, failed
        self._shown: dict[StraightLabels, StandIn | None] = {}
        self.moving = False
        self._turning = BeforeNapari(straight.dims.events.ndisplay, self._ndisplay_changed)

    @property
    def idle(self) -> bool:
        """Whether stand-ins show all that is painted."""
        return all(stand_in is None or stand_in.idle for stand_in in self._shown.values())

    def show(self, entry: StraightLabels, layer: Labels) -> None:
        """Add the layer of labels, or what stands in for it, below what we draw."""
        entry.layer = layer
        self._shown[entry] = self._begin(entry)
        with self._moving():
            self._insert(entry)

    def park(self, entry: StraightLabels) -> None:
        """Take the layer of labels out; it keeps its look and its history."""
        seen = entry.in_view
        stand_in = self._shown.pop(entry, None)
        entry.layer = entry.stand_in = None
        if stand_in is not None:
            stand_in.close()
        # The user may have removed it.
        if seen is not None and seen in self._straight.layers:
            with self._moving():
                self._straight.layers.remove(seen)

    def written(self, entry: StraightLabels, change: Change) -> None:
        """Show what was written to labels, whoever wrote: napari only knows of its own strokes."""
        stand_in = self._shown.get(entry)
        if stand_in is not None:
            stand_in.changed(change)
        elif entry.layer is not None:
            entry.layer.refresh(extent=False, thumbnail=False)

    def close(self) -> None:
        """Stop following. Harmless when repeated."""
        self._turning.close()
        for stand_in in self._shown.values():
            if stand_in is not None:
                stand_in.close()
        self._shown.clear()

    def _begin(self, entry: StraightLabels) -> StandIn | None:
        """A stand-in for labels, where one is needed as the viewer is now."""
        if self._straight.dims.ndisplay != 3 or not needs_stand_in(entry.array):
            return None
        assert entry.layer is not None
        stand_in = StandIn(entry.layer, self._deliver, self._failed)
        entry.stand_in = stand_in.layer
        return stand_in

    def _ndisplay_changed(self, _event: Any = None) -> None:
        swapped = False
        for entry, before in list(self._shown.items()):
            seen, entry.stand_in = _in_view(entry), None
            self._shown[entry] = self._begin(entry)
            if _in_view(entry) is seen:
                continue
            swapped = True
            self._exchange(seen, entry)
            if before is not None:
                before.close()
        if swapped:
            self._changed()

    def _exchange(self, old: Labels, entry: StraightLabels) -> None:
        """Put a layer in the place of another, also among those that are selected."""
        layers, new = self._straight.layers, _in_view(entry)
        with self._moving():
            # First: without any layer the viewer would forget its dimensions.
            self._insert(entry, layers.index(old))
            if old in layers.selection:
                layers.selection.add(new)
            layers.remove(old)

    def _insert(self, entry: StraightLabels, index: int | None = None) -> None:
        from napari.layers import Image
        from napari.layers import Labels as LabelsLayer

        from napari_ouroboros.widgets.spaces.helper_layer import add_quietly

        layers, layer = self._straight.layers, _in_view(entry)
        if index is None:
            places = [i for i, x in enumerate(layers) if isinstance(x, Image | LabelsLayer)]
            index = max(places, default=-1) + 1
        add_quietly(self._straight, layer, index)
        if entry.stand_in is None:
            # napari reads a slice anew only where another one is wanted than was seen last; it may
            # have been written to while the layer was out.
            layer.refresh(extent=False)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        self.moving = True
        try:
            yield
        finally:
            self.moving = False


def _in_view(entry: StraightLabels) -> Labels:
    layer = entry.in_view
    assert layer is not None
    return layer
