"""Results of backprojections, in place over the original; a re-run updates its layer. No Qt."""

from __future__ import annotations

import copy
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.streaming import pyramid_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.layers import LayerData
    from napari_ouroboros.widgets.home.runs import HomeResult, HomeRuns
    from napari_ouroboros.widgets.scene.scene import Scene


class HomeResults:
    """Shows what runs have made, each path in one layer.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    runs : HomeRuns
        Of the scene.
    """

    #: A result is shown: what it is, and its layer.
    shown = Signal(object, object)
    #: A result cannot be read: the error.
    failed = Signal(object)

    def __init__(self, scene: Scene, runs: HomeRuns) -> None:
        self._scene, self._runs = weakref.ref(scene), runs
        self._worker = Worker("ouroboros-results", scene.deliver, keep_all=True)
        self._layers: dict[Path, weakref.ref[Layer]] = {}
        runs.finished.connect(self._finished)

    @property
    def idle(self) -> bool:
        """Whether nothing is about to be shown."""
        return self._worker.idle

    def layer_of(self, path: Path) -> Layer | None:
        """The layer in the viewer that shows the result at a path, if there is one."""
        layer = self._layers[path]() if path in self._layers else None
        scene = self._scene()
        return layer if scene is not None and layer in scene.viewer.layers else None

    def close(self) -> None:
        """Show nothing more. The layers stay."""
        self._runs.finished.disconnect(self._finished)
        self._worker.close()

    def _finished(self, result: HomeResult) -> None:
        path = result.report.path

        def read(token: Token) -> LayerData:
            from napari_ouroboros.layers import array_layers, streamed_levels
            from napari_ouroboros.volumes import open_volume
            from napari_ouroboros.volumes.labels.tiff_home import TiffHome

            source = TiffHome(path) if path.is_file() else open_volume(path)
            pyramid, meta = streamed_levels(source, _name_of(result))
            meta["metadata"]["napari-ouroboros"]["passing"] = result.request.path is None
            (layer,) = array_layers(pyramid.levels, meta, "labels")
            return layer

        self._worker.submit(read, partial(self._show, result), self._not_read)

    def _not_read(self, error: Exception) -> None:
        self.failed.emit(error)
        if not isinstance(error, OuroborosError):
            raise error  # a mistake of ours: napari shows it

    def _show(self, result: HomeResult, data: LayerData) -> None:
        from napari.layers import Layer

        from napari_ouroboros.widgets.home.overlay import above_volumes, add_streamed
        from napari_ouroboros.widgets.straighten import live_preview_of

        scene = self._scene()
        if scene is None:
            return
        path = result.report.path
        before = self.layer_of(path)
        levels, meta, kind = data
        if before is not None and _same_grid(before, levels, meta):
            before.data = levels
            self.shown.emit(result, before)
            return
        layer = Layer.create(levels, dict(meta), kind)
        layer.editable = False
        for entry in scene.labels.entries:
            only = len(result.request.labels) == 1 and result.request.labels[0] is entry.array
            if only and entry.layer is not None:
                layer.colormap = copy.deepcopy(entry.layer.colormap)
        index = above_volumes(scene.viewer)
        if before is not None:
            index = scene.viewer.layers.index(before)
            for name in ("name", "visible", "opacity", "blending", "contour", "colormap"):
                setattr(layer, name, getattr(before, name))
            scene.viewer.layers.remove(before)
        self._layers[path] = weakref.ref(layer)
        # What has just come out of the straightened view is not straightened unasked.
        live_preview_of(scene).choose(layer, False)
        add_streamed(scene.viewer, layer, index)
        self.shown.emit(result, layer)


def _name_of(result: HomeResult) -> str:
    return result.request.name if result.request.path is None else result.report.path.name


def _same_grid(layer: Layer, levels: Any, meta: dict[str, Any]) -> bool:
    """Whether a layer's data can be replaced and nothing else changes."""
    pyramid = pyramid_of(layer)
    return (
        pyramid is not None
        and [level.shape for level in pyramid.levels] == [level.shape for level in levels]
        and pyramid.levels[0].dtype == levels[0].dtype
        and tuple(layer.scale) == tuple(meta["scale"])
        and tuple(layer.translate) == tuple(meta["translate"])
    )
