"""What one viewer's docks share: settings, map, place, traces. No Qt here."""

from napari_ouroboros.widgets.scene.live import LiveMap, LiveState
from napari_ouroboros.widgets.scene.place import Place
from napari_ouroboros.widgets.scene.scene import Scene, close_scene, scene_of
from napari_ouroboros.widgets.scene.settings import SliceSettings

__all__ = ["LiveMap", "LiveState", "Place", "Scene", "SliceSettings", "close_scene", "scene_of"]
