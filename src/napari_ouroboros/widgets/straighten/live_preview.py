"""The straightened view of a scene: one layer for each chosen volume layer, following the map."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.errors import UserError, one_line
from napari_ouroboros.widgets.held import held
from napari_ouroboros.widgets.scene.live import NO_TRACE, NO_VOLUME
from napari_ouroboros.widgets.spaces.before_napari import BeforeNapari
from napari_ouroboros.widgets.straighten.carry import carried
from napari_ouroboros.widgets.straighten.dimming import Dimming
from napari_ouroboros.widgets.straighten.map_names import MapNames
from napari_ouroboros.widgets.straighten.shown_layers import ShownLayers
from napari_ouroboros.widgets.streaming import volume_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Layer

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.widgets.scene import LiveState, Scene
    from napari_ouroboros.widgets.straighten.content import LiveContent
    from napari_ouroboros.widgets.straighten.result import ResultContent
    from napari_ouroboros.widgets.straighten.straight_layer import StraightLayer
    from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed


class LivePreview:
    """Fills ``scene.straight.layers``; there is one per scene: `previews.live_preview_of`.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    problems : dict of Layer to str
        Volume layers that cannot be shown straightened, each with one line on why.
    closed : bool
        Nothing is shown any more.
    """

    #: Which layers are shown straightened has changed, or why one cannot be.
    layers_changed = Signal()
    #: Another picture is shown, or the same one has become stale or current.
    picture_changed = Signal()
    #: Something could not be read: one line. "" once it could.
    problem_changed = Signal(str)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._unwanted: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._shown = ShownLayers(scene)
        self._shown.arrived.connect(self._picture_arrived)
        self._shown.more_arrived.connect(self._more_arrived)
        self._shown.problem_changed.connect(self._look_at_problems)
        self._shown.picks_changed.connect(self._picks_changed)
        self._shown.removed.connect(self._straightened_removed)
        self.problems: dict[Layer, str] = {}
        self._map: Straightening | None = None
        self._place = float(scene.place.slice_index)
        self._problem = ""
        self._dimming = Dimming(self)
        self.closed = False
        self._names = MapNames(self)
        scene.live.changed.connect(self._live_changed)
        scene.live.requested.connect(self._map_requested)
        scene.volumes_changed.connect(self.update)
        scene.place.slice_changed.connect(self._slice_changed)
        scene.settings.events.interpolation.connect(self._interpolation_changed)
        # napari is to read neither the whole view in 3D, nor what lies in 2D as if it were 3D yet.
        turned = scene.straight.dims.events.ndisplay
        self._turning = BeforeNapari(turned, self._turns_to_3d)
        turned.connect(self._turned_to_2d)
        scene.closing.connect(self.close)
        self.update()

    # -- what is shown --------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """The scene; RuntimeError once it has gone."""
        return held(self._scene, "the scene of this preview")

    @property
    def candidates(self) -> list[Layer]:
        """Layers of the viewer that can be straightened, the lowest first."""
        return self.scene.volume_layers

    def is_chosen(self, layer: Layer) -> bool:
        """Whether a volume layer is to be shown straightened; all are, until one is not wanted."""
        return layer not in self._unwanted

    def choose(self, layer: Layer, wanted: bool) -> None:
        """Show a volume layer straightened, or not."""
        if wanted == self.is_chosen(layer):
            return
        if wanted:
            self._unwanted.discard(layer)
        else:
            self._unwanted.add(layer)
        self.scene.chosen_changed.emit()
        self.update()

    def straightened(self, layer: Layer) -> Layer | None:
        """Return the straightened layer of a volume layer."""
        shown = self._shown.get(layer)
        return None if shown is None else shown.layer

    def feed_of(self, layer: Layer) -> VolumeFeed | None:
        """Return where the pictures of a volume layer come from."""
        shown = self._shown.get(layer)
        return None if shown is None else shown.source

    @property
    def shown(self) -> list[StraightLayer]:
        """What is shown, in the order of the volume layers."""
        scene = self._scene()
        layers = [] if scene is None else scene.volume_layers
        return [shown for shown in map(self._shown.get, layers) if shown is not None]

    @property
    def idle(self) -> bool:
        """Whether all pictures are the truth of this moment, or cannot be had."""
        feeds = self._shown.feeds
        return self.scene.live.idle and all(x.feed.idle and x.coarse.idle for x in feeds)

    @property
    def is_stale(self) -> bool:
        """Whether some picture is not of the trace, settings and slice of this moment."""
        live = self.scene.live
        if live.state.map is None or not live.idle or live.state.map is not self._map:
            return True
        if self.scene.straight.dims.ndisplay == 3:
            return False  # an empty picture of the new one is there at once, and fills
        return any(feed.feed.is_stale for feed in self._shown.feeds)

    @property
    def problem(self) -> str:
        """Why a picture could not be had; "" where all is well."""
        return self._problem

    def show_result(
        self, source: VolumeFeed, result: ResultContent, made_from: LiveContent
    ) -> bool:
        """Let a result take the place of the preview it was made from; False: that has changed.

        The preview comes back with the next map; ``source.result`` keeps what was made.
        """
        if source.result is not None and source.result is not result:
            source.result.close()
        source.result, source.result_of = result, made_from
        if self.closed or source.live is not made_from:
            return False
        source.feed.show(result)
        self._shown.show(lambda feed: feed is source)
        self.picture_changed.emit()
        return True

    def show_preview(self, source: VolumeFeed) -> None:
        """Let the preview take the place of the result again."""
        source.feed.show(source.live)
        self._shown.show(lambda feed: feed is source)
        self.picture_changed.emit()

    def retry(self) -> None:
        """Ask again for what could not be read."""
        for feed in self._shown.feeds:
            feed.feed.retry()
        self._look_at_problems()

    def update(self) -> None:
        """Bring the straightened layers in line with the volumes, the choice and the map."""
        scene = self._scene()
        if self.closed or scene is None:
            return
        candidates = scene.volume_layers
        before = (set(self._shown.volume_layers), dict(self.problems))
        for layer in self._shown.volume_layers:
            if layer not in candidates or not self.is_chosen(layer):
                self._shown.drop(layer)
        self.problems = {}
        state = scene.live.state
        if state.map is not None:
            reference = next((x for x in candidates if volume_of(x) is scene.live.volume), None)
            for layer in candidates:
                if self.is_chosen(layer) and reference is not None:
                    self._add(layer, reference, state)
            if not before[0] and self._shown.volume_layers:
                # napari goes to the middle of the first layer that a viewer gets.
                self._go_to(min(round(self._place), len(state.map.frames) - 1))
        self._shown.close_unused()
        if before != (set(self._shown.volume_layers), self.problems):
            self.layers_changed.emit()
        self._look_at_age()

    def close(self) -> None:
        """Stop following, remove the layers, give the memory back. Harmless when repeated."""
        if self.closed:
            return
        self.closed = True
        scene = self._scene()
        self._dimming.close()
        self._turning.close()
        if scene is not None:
            scene.straight.dims.events.ndisplay.disconnect(self._turned_to_2d)
            scene.live.changed.disconnect(self._live_changed)
            scene.live.requested.disconnect(self._map_requested)
            scene.volumes_changed.disconnect(self.update)
            scene.place.slice_changed.disconnect(self._slice_changed)
            scene.settings.events.interpolation.disconnect(self._interpolation_changed)
            scene.closing.disconnect(self.close)
        self._names.close()
        self._shown.close()

    def _add(self, layer: Layer, reference: Layer, state: LiveState) -> None:
        """Show a volume layer straightened, or note why not."""
        try:
            if self._shown.add(layer, reference, state):
                self._map = state.map
        except UserError as error:
            self.problems[layer] = one_line(error)

    def _straightened_removed(self, layer: Layer) -> None:
        """The user removed a straightened layer: its volume is not wanted any more."""
        self.choose(layer, False)

    # -- following ------------------------------------------------------------------------

    def _live_changed(self, new: LiveState, _old: LiveState) -> None:
        if new.map is None:
            if new.problem in (NO_VOLUME, NO_TRACE):
                self._map = None
                self._shown.clear()
                self.layers_changed.emit()
            self._look_at_age()
            return
        before, self._map = self._map, new.map
        if before is not None:
            self._place = carried(before, new.map, self._place)
        self._place = min(max(self._place, 0.0), len(new.map.frames) - 1.0)
        k = round(self._place)
        if before is not None and len(new.map.frames) < len(before.frames):
            # First to a slice that stays: napari would choose one when the others go.
            self._go_to(k)
        self._cut()
        self._go_to(k)
        self.update()
        self._names.name(new)

    def _cut(self, which: Callable[[VolumeFeed], bool] = lambda _: True) -> None:
        """Make pictures anew from the state of this moment: all, or those of some feeds."""
        scene = self.scene
        state = scene.live.state
        if state.map is None or scene.live.volume is None:
            return
        feeds = [feed for feed in self._shown.feeds if which(feed)]
        for feed in feeds:
            feed.feed.show(
                feed.cut(state.map, scene.live.volume, state.mip, scene.settings.interpolation)
            )
        self._shown.show(lambda feed: feed in feeds)
        self._look_at_age()

    def _go_to(self, k: int) -> None:
        """Show a slice; the main viewer stays where it is, since nobody asked it to move."""
        scene = self.scene
        scene.place.go_to_slice(k, "volume")
        for shown in self._shown:
            scale = float(shown.layer.scale[-3])
            if scene.straight.dims.ndim == 3 and scene.straight.dims.ndisplay == 2:
                nm = k * scale
                if abs(scene.straight.dims.point[0] - nm) > 1e-6 * scale:
                    scene.straight.dims.set_point(0, nm)
            return

    def _slice_changed(self, k: int, _by: str) -> None:
        # Not when a shorter map cuts the slices: the place of the old one is carried over.
        if self._map is not None and self.scene.live.state.map is self._map:
            if k != round(self._place):
                self._place = float(k)
            self._look_at_age()

    def _interpolation_changed(self) -> None:
        for feed in self._shown.feeds:
            feed.warm_up(self.scene.settings.interpolation)

    def _picks_changed(self) -> None:
        # Of the others nothing has changed: their pictures and results stay.
        self._cut(lambda x: x.live is None or x.live.picked != x.picks.as_set)

    def _turns_to_3d(self, event: Any) -> None:
        if event.value == 3:
            self._shown.show()

    def _turned_to_2d(self, event: Any) -> None:
        if event.value == 2:
            self._shown.show()

    def _map_requested(self) -> None:
        # The pictures are of yesterday from now on, though nobody can see that yet.
        self._dimming.be_patient()

    # -- pictures -------------------------------------------------------------------------

    def _picture_arrived(self) -> None:
        for shown in self._shown:
            shown.refresh()
        self._look_at_problems()
        self._look_at_age()
        self.picture_changed.emit()

    def _more_arrived(self) -> None:
        for shown in self._shown:
            shown.refresh_3d()
        self.picture_changed.emit()

    def _look_at_problems(self, *_: Any) -> None:
        problem = next((f.feed.problem for f in self._shown.feeds if f.feed.problem), "")
        if problem != self._problem:
            self._problem = problem
            self.problem_changed.emit(problem)

    def _look_at_age(self) -> None:
        """Dim what has not been of this moment for a while; light up what is."""
        self._dimming.look()
