"""Two layers over one array, each refreshed when the other is edited. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Image, Labels, Layer

from napari_ouroboros.volumes.labels.label_array import LabelArray
from napari_ouroboros.widgets.spaces.soon import Soon

if TYPE_CHECKING:
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.straighten.straight_layer import StraightLayer


def twin_of(layer: Layer, shown: StraightLayer | None = None) -> Layer:
    """A layer of the same kind, look and place over the very same array.

    Of a straightened image, `shown`, over its slices, though it be coarse in 3D just now.
    """
    made_of = layer.as_layer_data_tuple() if shown is None else shown.as_in_2d()
    return Layer.create(*made_of)


class TwinLayers:
    """Keeps two layers that share an array alike.

    Labels on disk tell of every write themselves, whoever writes; of other arrays the layers
    tell. Another array in one layer becomes that of the other, too, except in the place of labels
    on disk: these are their book's. The second lies where the first does.

    Parameters
    ----------
    first, second : Layer
        Held weakly: either may go at any moment.
    deliver : callable
    shown : StraightLayer, optional
        That of the first, if it is a straightened image.
    """

    def __init__(
        self, first: Layer, second: Layer, deliver: Deliver, shown: StraightLayer | None = None
    ) -> None:
        self._sides = _Side(first, second, deliver), _Side(second, first, deliver)
        self._sides[0].other, self._sides[1].other = self._sides[1], self._sides[0]
        self._first, self._second = ref(first), ref(second)
        self._refresh = Soon(deliver, self._sides[0].refresh)
        self._arrived = None if shown is None else shown.source.feed.arrived
        if self._arrived is not None:
            # In 3D the first shows none of the slices, and tells of none.
            self._arrived.connect(self._refresh.request)
        for emitter in (first.events.scale, first.events.data):
            emitter.connect(self._place)

    def close(self) -> None:
        """Let each go its way."""
        for side in self._sides:
            side.close()
        self._refresh.close()
        if self._arrived is not None:
            self._arrived.disconnect(self._refresh.request)
        self._arrived = None
        first = self._first()
        if first is not None:
            first.events.scale.disconnect(self._place)
            first.events.data.disconnect(self._place)

    def _place(self, _event: Any = None) -> None:
        first, second = self._first(), self._second()
        if first is None or second is None or first.ndim != second.ndim or _is_coarse(first):
            return
        if tuple(first.scale) != tuple(second.scale):
            second.scale = first.scale


class _Side:
    """Listens to one layer on behalf of the other."""

    def __init__(self, source: Layer, target: Layer, deliver: Deliver) -> None:
        self._source, self._target = ref(source), ref(target)
        self._soon = Soon(deliver, self.refresh)
        # Undo and redo of labels tell of `set_data` alone, and so does a picture that got sharper.
        names: tuple[str, ...] = ()
        if isinstance(source, Image | Labels):
            names = ("set_data",)
        if isinstance(source, Labels):
            names = ("set_data", "paint", "labels_update")
        self._array = source.data if isinstance(source.data, LabelArray) else None
        if self._array is not None:
            names = ()
            self._array.changed.connect(self._edited)
        self._emitters = [getattr(source.events, name) for name in names]
        for emitter in self._emitters:
            emitter.connect(self._edited)
        source.events.data.connect(self._replaced)
        self.other: _Side | None = None
        self.deaf = False

    def close(self) -> None:
        self._soon.close()
        for emitter in self._emitters:
            emitter.disconnect(self._edited)
        if self._array is not None:
            self._array.changed.disconnect(self._edited, missing_ok=True)
        source = self._source()
        if source is not None:
            source.events.data.disconnect(self._replaced)
        self._emitters, self._array, self.other = [], None, None

    def _edited(self, _event: Any = None) -> None:
        if not self.deaf:
            self._soon.request()

    def refresh(self) -> None:
        """Let the other layer read anew."""
        target, other = self._target(), self.other
        if target is None or other is None:
            return
        # The two would go on telling each other for ever.
        other.deaf = True
        try:
            target.refresh(extent=False, thumbnail=False)
        finally:
            other.deaf = False

    def _replaced(self, _event: Any = None) -> None:
        source, target = self._source(), self._target()
        if source is None or target is None or target.data is source.data:
            return
        if _is_coarse(source):
            return
        if not isinstance(target.data, LabelArray):
            target.data = source.data


def _is_coarse(layer: Layer) -> bool:
    """Whether it is made for three dimensions: those of its own window."""
    return "steps" in layer.metadata.get("napari-ouroboros", {})
