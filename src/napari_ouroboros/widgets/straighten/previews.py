"""Which scene has which live preview; what is asked of it where there may be none."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_ouroboros.widgets.straighten.live_preview import LivePreview

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.widgets.scene import Scene
    from napari_ouroboros.widgets.straighten.straight_layer import StraightLayer

_previews: weakref.WeakKeyDictionary[Scene, LivePreview] = weakref.WeakKeyDictionary()


def live_preview_of(scene: Scene) -> LivePreview:
    """The live preview of a scene, made when it is first asked for."""
    found = _previews.get(scene)
    if found is None or found.closed:
        found = _previews[scene] = LivePreview(scene)
        reference = weakref.ref(scene)

        def forget() -> None:
            ended = reference()
            if ended is not None:
                _previews.pop(ended, None)

        scene.closing.connect(forget)
    return found


def is_straightened(scene: Scene, layer: Layer) -> bool:
    """Whether a volume layer is wanted straightened; asks for no preview where there is none."""
    return scene not in _previews or _previews[scene].is_chosen(layer)


def straightened(scene: Scene, layer: Layer) -> Layer | None:
    """Return the straightened layer of a volume layer; asks for no preview where there is none."""
    return _previews[scene].straightened(layer) if scene in _previews else None


def shown_by(scene: Scene, layer: Layer) -> StraightLayer | None:
    """Return whose layer this is, if it is the straightened one of a volume."""
    shown = _previews[scene].shown if scene in _previews else []
    return next((x for x in shown if x.layer is layer), None)
