"""Labels of the straightened space, shown in the original while they are painted."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.errors import Cancelled, OuroborosError
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.home.points import HomePoints
from napari_ouroboros.widgets.home.results import HomeResults
from napari_ouroboros.widgets.home.runs import HomeRuns

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ouroboros.operations.labels_home import LabelsHome
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.home.overlay import Overlay
    from napari_ouroboros.widgets.labels.book import StraightLabels
    from napari_ouroboros.widgets.scene.scene import Scene


class HomeOverlays:
    """A streamed layer in the main viewer for each labels of ``scene.labels``.

    Parameters
    ----------
    scene : Scene
        Held weakly; its labels are there already.

    Attributes
    ----------
    runs : HomeRuns
        Backprojections of the scene.
    results : HomeResults
        What they have made, shown.
    points : HomePoints
        Points of the straightened space, and their way home.
    """

    #: Labels are shown in the original from now on, or no more.
    on_changed = Signal(bool)
    #: Labels cannot be shown in the original: the error.
    failed = Signal(object)
    #: A layer has come or gone.
    changed = Signal()

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self.runs = HomeRuns(scene.deliver)
        # Who closes the window is asked first.
        self._no_job = scene.work.jobs.add(self.runs)
        self.results = HomeResults(scene, self.runs)
        self.points = HomePoints(scene)
        self._viewer = weakref.ref(scene.viewer)
        self._labels = scene.labels
        self._worker = Worker("ouroboros-overlays", scene.deliver, keep_all=True)
        self._overlays: dict[int, Overlay] = {}
        self._making: dict[int, tuple[StraightLabels, Token]] = {}
        #: Entries whose layer the user has removed, or that could not be shown.
        self._left_out: weakref.WeakSet[StraightLabels] = weakref.WeakSet()
        self._source: Volume | None = None
        self._on = True
        self._closed = self._syncing = False
        self._labels.changed.connect(self._sync)
        scene.volumes_changed.connect(self._sync)
        scene.viewer.layers.events.removed.connect(self._removed)

    @property
    def on(self) -> bool:
        """Whether labels are shown in the original as they are painted."""
        return self._on

    @on.setter
    def on(self, value: bool) -> None:
        if value != self._on:
            self._on = value
            self._left_out.clear()
            self._sync()
            self.on_changed.emit(value)

    @property
    def idle(self) -> bool:
        """Whether every layer is there that there should be."""
        return not self._making and self._worker.idle

    def layer_of(self, entry: StraightLabels) -> Labels | None:
        """The layer in the viewer that shows these labels, if there is one."""
        overlay = self._overlays.get(id(entry))
        return None if overlay is None else overlay.layer

    def close(self) -> None:
        """Take the layers away and compute nothing more."""
        if self._closed:
            return
        self._closed = True
        self.points.close()
        self.results.close()
        self._no_job()
        self.runs.close()
        self._labels.changed.disconnect(self._sync)
        scene, viewer = self._scene(), self._viewer()
        if scene is not None:
            scene.volumes_changed.disconnect(self._sync)
        if viewer is not None:
            viewer.layers.events.removed.disconnect(self._removed)
        self._worker.close()
        self._making.clear()
        for key in list(self._overlays):
            self._overlays.pop(key).close()

    def _sync(self) -> None:
        """Make what is missing, take away what has no labels or no volume any more."""
        scene = self._scene()
        if scene is None or self._closed or self._syncing:
            return
        # Adding a layer is a change of the volumes that a scene knows of.
        self._syncing = True
        try:
            if scene.reference is not self._source:
                self._source = scene.reference
                self._drop_all()
            wanted = {id(e): e for e in self._labels.entries if self._is_wanted(e)}
            for key in [key for key in self._overlays if key not in wanted]:
                self._overlays.pop(key).close()
                self.changed.emit()
            for key in [key for key in self._making if key not in wanted]:
                self._making.pop(key)[1].set()
            for key, entry in wanted.items():
                if key in self._overlays:
                    self._overlays[key].follow()
                elif key not in self._making:
                    self._make(entry)
        finally:
            self._syncing = False

    def _is_wanted(self, entry: StraightLabels) -> bool:
        return self._on and self._source is not None and entry not in self._left_out

    def _drop_all(self) -> None:
        for key in list(self._making):
            self._making.pop(key)[1].set()
        for key in list(self._overlays):
            self._overlays.pop(key).close()
            self.changed.emit()

    def _make(self, entry: StraightLabels) -> None:
        array, map_, source = entry.array, entry.map, self._source
        assert source is not None

        def make(token: Token) -> LabelsHome:
            from napari_ouroboros.operations.labels_home import LabelsHome

            home = LabelsHome(array, map_, source)
            if token.is_set():
                home.close()
                raise Cancelled("nobody wants to see these labels any more")
            return home

        token = self._worker.submit(
            make, partial(self._made, entry), partial(self._not_made, entry)
        )
        self._making[id(entry)] = entry, token

    def _made(self, entry: StraightLabels, home: LabelsHome) -> None:
        from napari_ouroboros.widgets.home.overlay import Overlay

        viewer = self._viewer()
        self._making.pop(id(entry), None)
        if viewer is None:
            home.close()
            return
        self._syncing = True
        try:
            self._overlays[id(entry)] = Overlay(viewer, entry, home)
        finally:
            self._syncing = False
        self._sync()
        self.changed.emit()

    def _not_made(self, entry: StraightLabels, error: Exception) -> None:
        self._making.pop(id(entry), None)
        self._left_out.add(entry)
        self.failed.emit(error)
        if not isinstance(error, OuroborosError):
            raise error  # a mistake of ours: napari shows it

    def _removed(self, event: Any) -> None:
        """Who removes the layer does not want to see it: until it is switched on again."""
        for key, overlay in list(self._overlays.items()):
            if overlay.layer is event.value:
                del self._overlays[key]
                self._left_out.add(overlay.entry)
                overlay.close()
                self.changed.emit()
