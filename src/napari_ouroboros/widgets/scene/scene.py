"""Everything that napari-ouroboros knows of one napari viewer. No Qt, and no layer by its name."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_ouroboros.widgets.held import held
from napari_ouroboros.widgets.preferences import slice_settings
from napari_ouroboros.widgets.scene.live import LiveMap
from napari_ouroboros.widgets.scene.place import Place
from napari_ouroboros.widgets.scene.settings import SliceSettings
from napari_ouroboros.widgets.scene.warm import begin_warming

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.home.overlays import HomeOverlays
    from napari_ouroboros.widgets.labels.book import LabelsBook
    from napari_ouroboros.widgets.qa.model import QaModel
    from napari_ouroboros.widgets.session.work import Work
    from napari_ouroboros.widgets.trace.book import TraceBook


class Scene:
    """One per viewer; get it with `scene_of`.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    deliver : callable
        Brings results to the GUI thread.

    Attributes
    ----------
    settings : SliceSettings
    live : LiveMap
        The map of the moment.
    place : Place
        Shown slice, cursor, follow.
    traces : TraceBook
        The traces of the viewer's Points layers, and which one is active.
    straight : ViewerModel
        The second space: straightened images and labels.
    work : Work
        Where unsaved work lies.
    labels : LabelsBook
        The labels of the straightened space, each with its recipe.
    overlays : HomeOverlays
        These labels, shown in the viewer while they are painted.
    qa : QaModel
        What is known of each slice, and what somebody said of it.
    """

    #: Volumes shown in the viewer have come, gone or changed their order.
    volumes_changed = Signal()
    #: Another choice of volumes is to be straightened.
    chosen_changed = Signal()
    #: The scene ends: whatever was made for it ends, too.
    closing = Signal()

    def __init__(self, viewer: ViewerModel, deliver: Deliver) -> None:
        from napari.components import ViewerModel

        from napari_ouroboros.widgets.home.overlays import HomeOverlays
        from napari_ouroboros.widgets.labels.book import LabelsBook
        from napari_ouroboros.widgets.qa.model import QaModel
        from napari_ouroboros.widgets.session.work import Work
        from napari_ouroboros.widgets.trace.book import TraceBook

        begin_warming()
        self._viewer = weakref.ref(viewer)
        self.deliver = deliver
        self.settings: SliceSettings = slice_settings()
        self.live = LiveMap(self.settings, deliver)
        self.place = Place()
        self.traces: TraceBook = TraceBook(self)
        self.straight: ViewerModel = ViewerModel(title="straightened")
        self.work: Work = Work(self)
        self.labels: LabelsBook = LabelsBook(self)
        self.overlays: HomeOverlays = HomeOverlays(self)
        self.qa: QaModel = QaModel(self)
        self._closed = False
        viewer.layers.events.inserted.connect(self._layers_changed)
        viewer.layers.events.removed.connect(self._layers_changed)
        viewer.layers.events.reordered.connect(self._layers_changed)
        self._layers_changed()
        self.work.listen()

    @property
    def viewer(self) -> ViewerModel:
        """The viewer; RuntimeError once it has gone."""
        return held(self._viewer, "the viewer of this scene")

    @property
    def volume_layers(self) -> list[Layer]:
        """Layers of the viewer that show a volume of ours, the lowest first."""
        from napari_ouroboros.widgets.streaming import volume_of

        viewer = self._viewer()
        return [] if viewer is None else [x for x in viewer.layers if volume_of(x) is not None]

    @property
    def reference(self) -> Volume | None:
        """The volume in whose nm everything lies: that of the lowest image, else of any layer."""
        return self.live.volume

    def close(self) -> None:
        """Stop all work and listening. Harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        self.closing.emit()
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.events.inserted.disconnect(self._layers_changed)
            viewer.layers.events.removed.disconnect(self._layers_changed)
            viewer.layers.events.reordered.disconnect(self._layers_changed)
        self.qa.close()
        self.overlays.close()
        self.labels.close()
        self.work.close()
        self.traces.close()
        self.live.close()

    def _layers_changed(self) -> None:
        from napari_ouroboros.widgets.streaming import volume_of

        layers = self.volume_layers
        # An image rather than labels laid over it: it is what people trace in.
        layers.sort(key=lambda layer: layer._type_string != "image")
        volume = next((v for v in map(volume_of, layers) if v is not None), None)
        self.live.set_volume(volume)
        self.volumes_changed.emit()


_scenes: weakref.WeakKeyDictionary[ViewerModel, Scene] = weakref.WeakKeyDictionary()


def scene_of(viewer: ViewerModel) -> Scene:
    """The scene of a viewer, made when it is first asked for."""
    # A window hands its plugins a proxy; the model behind it is the same for all of them.
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _scenes:
        from napari_ouroboros.widgets import gui_thread

        gui_thread.prepare()
        _scenes[viewer] = Scene(viewer, gui_thread.deliver)
    return _scenes[viewer]


def close_scene(viewer: ViewerModel) -> None:
    """End the scene of a viewer that is being closed."""
    from napari_ouroboros.widgets.streaming import unwatch

    unwatch(viewer)
    scene = _scenes.pop(getattr(viewer, "__wrapped__", viewer), None)
    if scene is not None:
        scene.close()
