"""The straightened layers that are shown, and where their pictures come from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.widgets.straighten.placement import shift_between
from napari_ouroboros.widgets.straighten.straight_layer import StraightLayer, kind_of
from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed
from napari_ouroboros.widgets.streaming import volume_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.widgets.scene import LiveState, Scene


class ShownLayers:
    """A straightened layer for each volume layer that is added; layers of one volume share a feed.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    """

    #: Another picture is there; more of what is shown in 3D is there.
    arrived = Signal()
    more_arrived = Signal()
    #: Something could not be read, or could again.
    problem_changed = Signal()
    #: Others of a volume's ids are picked.
    picks_changed = Signal()
    #: The user has removed the straightened layer of this volume layer.
    removed = Signal(object)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._layers: dict[Layer, StraightLayer] = {}
        self._feeds: dict[tuple[Any, ...], VolumeFeed] = {}
        self._busy = False
        scene.straight.layers.events.removed.connect(self._removed)

    def __iter__(self) -> Iterator[StraightLayer]:
        return iter(list(self._layers.values()))

    def __contains__(self, layer: Layer) -> bool:
        return layer in self._layers

    def get(self, layer: Layer) -> StraightLayer | None:
        """Return what shows a volume layer."""
        return self._layers.get(layer)

    @property
    def volume_layers(self) -> list[Layer]:
        """Whose straightened layers there are."""
        return list(self._layers)

    @property
    def feeds(self) -> list[VolumeFeed]:
        """Where their pictures come from."""
        return list(self._feeds.values())

    def show(self, which: Callable[[VolumeFeed], bool] = lambda _: True) -> None:
        """Show what the feeds have: all, or some of them."""
        for shown in self:
            if which(shown.source):
                shown.show()

    def add(self, layer: Layer, reference: Layer, state: LiveState) -> bool:
        """Show a volume layer straightened along the map of `state`; False: it was already.

        Parameters
        ----------
        layer : Layer
        reference : Layer
            That of the volume in whose nm the trace lies.

        Raises
        ------
        UserError
            The two cannot be brought in line; the layer is not shown any more.
        """
        scene, volume = self._scene(), volume_of(layer)
        assert scene is not None
        assert volume is not None
        assert scene.live.volume is not None
        assert state.map is not None
        shown = self._layers.get(layer)
        try:
            shift = shift_between(layer, reference)
        except BaseException:
            self.drop(layer)
            raise
        labels = kind_of(layer) == "labels"
        key = (volume, labels, None if shift is None else tuple(shift.tolist()))
        source = self._feeds.get(key)
        if shown is not None and source is shown.source:
            return False
        self.drop(layer)
        if source is None:
            source = VolumeFeed(volume, labels, shift, scene.deliver)
            for signal, ours in self._signals(source):
                signal.connect(ours)
            self._feeds[key] = source
        if source.live is None:
            source.feed.show(
                source.cut(state.map, scene.live.volume, state.mip, scene.settings.interpolation)
            )
        with self._by_ourselves():
            self._layers[layer] = StraightLayer(scene, layer, source)
        return True

    def drop(self, layer: Layer) -> None:
        """Show a volume layer no more. Harmless when it is not shown."""
        shown = self._layers.pop(layer, None)
        if shown is not None:
            with self._by_ourselves():
                shown.close()

    def close_unused(self) -> None:
        """End the feeds that nobody shows."""
        used = {id(shown.source) for shown in self}
        for key, feed in list(self._feeds.items()):
            if id(feed) not in used:
                del self._feeds[key]
                for signal, ours in self._signals(feed):
                    signal.disconnect(ours)
                feed.close()

    def clear(self) -> None:
        """Show nothing, and give the memory back."""
        for layer in self.volume_layers:
            self.drop(layer)
        self.close_unused()

    def close(self) -> None:
        """Show nothing any more."""
        scene = self._scene()
        if scene is not None:
            scene.straight.layers.events.removed.disconnect(self._removed)
        self.clear()

    def _signals(self, feed: VolumeFeed) -> list[tuple[Any, Callable[..., None]]]:
        return [
            (feed.feed.arrived, self._tell_arrived),
            (feed.feed.failed, self._tell_problem),
            (feed.coarse.arrived, self._tell_more),
            (feed.picks.changed, self._tell_picks),
        ]

    def _tell_arrived(self) -> None:
        self.arrived.emit()

    def _tell_problem(self, *_: Any) -> None:
        self.problem_changed.emit()

    def _tell_more(self) -> None:
        self.more_arrived.emit()

    def _tell_picks(self) -> None:
        self.picks_changed.emit()

    @contextmanager
    def _by_ourselves(self) -> Iterator[None]:
        """Layers that come and go meanwhile are not the user's doing."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _removed(self, event: Any) -> None:
        if not self._busy:
            for layer, shown in list(self._layers.items()):
                if shown.layer is event.value:
                    self.removed.emit(layer)
