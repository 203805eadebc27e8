"""What a viewer shows of streamed volumes is asked for, and shown again when it has come.

No Qt: `watch` hands in what calls back in the GUI thread, now or later.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.layers import contrast_limits
from napari_ouroboros.volumes import Volume
from napari_ouroboros.volumes.streaming import MOST_VOXELS_IN_3D, Status, StreamedPyramid, statuses
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.streaming.found import pyramid_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_ouroboros.widgets.background import Deliver

#: Brings a call to the GUI thread after so many seconds; called in the GUI thread.
Later = Callable[[float, Callable[[], None]], None]

#: Seconds between two refreshes at least, and what share of the time they may take.
_INTERVAL, _SHARE = 0.06, 0.35
#: Seconds after which contrast that could not be measured is tried again when something comes.
_MEASURE_PAUSE = 2.0


class _Watched:
    """One layer: after each slicing what it read becomes what it wants."""

    def __init__(self, layer: Layer, pyramid: StreamedPyramid, watcher: Watcher) -> None:
        self.layer = layer
        self.pyramid = pyramid
        self.readings: list[Any] | None = None
        self.stale = False
        #: Contrast as it was left open: another one is the user's.
        self.limits = list(getattr(layer, "contrast_limits", ()))
        self._watcher = weakref.ref(watcher)
        layer.events.set_data.connect(self._sliced)
        layer.events.visible.connect(self._visible_changed)
        layer.events.projection_mode.connect(self._projection_changed)
        layer.events.locked_data_level.connect(self._locked)
        layer.events.data.connect(self._data_changed)
        self._projection_changed()

    def close(self) -> None:
        self.layer.events.set_data.disconnect(self._sliced)
        self.layer.events.visible.disconnect(self._visible_changed)
        self.layer.events.projection_mode.disconnect(self._projection_changed)
        self.layer.events.locked_data_level.disconnect(self._locked)
        self.layer.events.data.disconnect(self._data_changed)
        self.pyramid.drop(id(self))

    def claim(self) -> None:
        """Fetch what the last slicing read."""
        readings, self.readings = self.readings, None
        if readings is not None and self.layer.visible:
            self.pyramid.claim(id(self), readings)

    def _sliced(self) -> None:
        if self.layer.visible:
            self.readings = self.pyramid.take_readings()
            watcher = self._watcher()
            if watcher is not None:
                watcher.sliced()

    def _visible_changed(self) -> None:
        if not self.layer.visible:
            self.readings = None
            self.pyramid.drop(id(self))

    def _projection_changed(self) -> None:
        self.pyramid.thick = str(self.layer.projection_mode) != "none"

    def _data_changed(self) -> None:
        watcher = self._watcher()
        if watcher is not None and pyramid_of(self.layer) is not self.pyramid:
            watcher.replaced(self.layer)

    def _locked(self) -> None:
        """Show no level in 3D that no window could show."""
        watcher = self._watcher()
        level = self.layer.locked_data_level
        if level is None or watcher is None or not watcher.in_3d:
            return
        sizes = [np.prod(lattice.shape) for lattice in self.pyramid.lattices]
        if sizes[level] > MOST_VOXELS_IN_3D:
            fits = [k for k, size in enumerate(sizes) if size <= MOST_VOXELS_IN_3D]
            self.layer.locked_data_level = fits[0]


class Watcher:
    """Streams the volumes of one viewer; get it with `watch`.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    deliver : callable
        Brings a call to the GUI thread from any other, after what it is doing.
    later : callable
        Calls back in the GUI thread after so many seconds.
    """

    #: Something has begun to load, has come or has failed; in the GUI thread.
    changed = Signal()

    def __init__(self, viewer: ViewerModel, deliver: Deliver, later: Later) -> None:
        self._viewer = weakref.ref(viewer)
        self._deliver, self._later = deliver, later
        self._worker = Worker("ouroboros-contrast", deliver, keep_all=True)
        self._watched: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._arrived_asked = False
        self._claims_asked = False
        self._refresh_asked = False
        self._not_before = self._measure_after = 0.0
        self._closed = False
        self.refreshes = 0
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)
        viewer.dims.events.ndisplay.connect(self._ndisplay_changed)
        for layer in viewer.layers:
            self._add(layer)

    @property
    def in_3d(self) -> bool:
        """Whether the viewer shows three dimensions."""
        viewer = self._viewer()
        return viewer is not None and viewer.dims.ndisplay == 3

    @property
    def status(self) -> Status:
        """What is loading and what has failed, of everything that the viewer shows."""
        return statuses(self._loaders())

    @property
    def names(self) -> list[str]:
        """Names of the layers that the sign has something to say about."""
        busy = []
        for watched in self._watched.values():
            status = watched.pyramid.loader.status
            if status.loading or status.failed or status.left_out:
                busy.append(watched.layer.name)
        return busy

    @property
    def settled(self) -> bool:
        """Whether all that the viewer shows is there, as far as it can be had, and shown."""
        return (
            not (self._claims_asked or self._refresh_asked or self._arrived_asked)
            and not any(one.stale or one.readings is not None for one in self._watched.values())
            and all(loader.idle for loader in self._loaders())
            and self._worker.idle
        )

    def retry(self) -> None:
        """Try at once what failed."""
        for loader in self._loaders():
            loader.retry()
        self._measure_after = 0.0
        self._measure_again()

    def close(self) -> None:
        """Ask for nothing any more. Harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.events.inserted.disconnect(self._inserted)
            viewer.layers.events.removed.disconnect(self._removed)
            viewer.dims.events.ndisplay.disconnect(self._ndisplay_changed)
        self.changed.disconnect()  # the sign may have gone already
        for key in list(self._watched):
            self._drop(key)
        self._worker.close()

    def sliced(self) -> None:
        """A layer has been sliced: when napari has made up its mind, what it read is fetched."""
        if not self._claims_asked:
            self._claims_asked = True
            self._deliver(self._claim)

    def replaced(self, layer: Layer) -> None:
        """A layer shows another volume, or none any more."""
        self._drop(id(layer))
        self._add(layer)

    def _claim(self) -> None:
        self._claims_asked = False
        for watched in self._watched.values():
            watched.claim()
        self.changed.emit()

    def _loaders(self) -> list[Any]:
        loaders = {id(one.pyramid.loader): one.pyramid.loader for one in self._watched.values()}
        return list(loaders.values())

    def _inserted(self, event: Any) -> None:
        self._add(event.value)

    def _add(self, layer: Layer) -> None:
        pyramid = pyramid_of(layer)
        if pyramid is None or id(layer) in self._watched:
            return
        pyramid.watched = True
        if self.in_3d:
            pyramid.in_3d.add(id(self))
        if not any(one.pyramid.loader is pyramid.loader for one in self._watched.values()):
            pyramid.loader.subscribe(self._arrived)
        watched = self._watched[id(layer)] = _Watched(layer, pyramid, self)
        watched.readings = pyramid.take_readings() or None
        self.sliced()
        self._measure(watched)

    def _removed(self, event: Any) -> None:
        self._drop(id(event.value))

    def _drop(self, key: int) -> None:
        watched = self._watched.pop(key, None)
        if watched is None:
            return
        watched.close()
        if not any(one.pyramid is watched.pyramid for one in self._watched.values()):
            watched.pyramid.in_3d.discard(id(self))
            watched.pyramid.watched = False
        if not any(one.pyramid.loader is watched.pyramid.loader for one in self._watched.values()):
            watched.pyramid.loader.unsubscribe(self._arrived)
        self.changed.emit()

    def _ndisplay_changed(self) -> None:
        for watched in self._watched.values():
            if self.in_3d:
                watched.pyramid.in_3d.add(id(self))
            else:
                watched.pyramid.in_3d.discard(id(self))

    def _measure_again(self) -> None:
        """Measure contrast that could not be measured, now that something has come, or may."""
        if time.monotonic() >= self._measure_after:
            for watched in self._watched.values():
                self._measure(watched)

    def _measure(self, watched: _Watched) -> None:
        """Set the contrast that a reader has left open, unless the user was faster."""
        layer, volume, before = watched.layer, watched.pyramid.volume, watched.limits
        about = layer.metadata.get("napari-ouroboros", {})
        if about.get("contrast") != "open" or not isinstance(volume, Volume):
            return
        about["contrast"] = "asked"
        reference = weakref.ref(layer)

        def measure(token: Token) -> tuple[float, float]:
            return contrast_limits(volume, token)

        def done(limits: tuple[float, float]) -> None:
            found = reference()
            if found is not None and list(found.contrast_limits) == before:
                found.contrast_limits_range = limits
                found.contrast_limits = limits
                about["contrast"] = "measured"

        def failed(error: Exception) -> None:
            about["contrast"] = "open"  # the sign says what cannot be had
            self._measure_after = time.monotonic() + _MEASURE_PAUSE
            if not isinstance(error, OuroborosError):
                raise error

        self._worker.submit(measure, done, failed)

    def _arrived(self) -> None:
        """From a loader's thread, often: one call to the GUI thread is on its way at a time."""
        with self._lock:
            if self._arrived_asked or self._closed:
                return
            self._arrived_asked = True
        self._deliver(self._plan_refresh)

    def _plan_refresh(self) -> None:
        with self._lock:
            self._arrived_asked = False
        if self._closed:
            return
        for watched in self._watched.values():
            watched.stale = True
        self._measure_again()
        if not self._refresh_asked:
            self._refresh_asked = True
            self._later(max(0.0, self._not_before - time.monotonic()), self._refresh)

    def _refresh(self) -> None:
        self._refresh_asked = False
        if self._closed:
            return
        start = time.perf_counter()
        for watched in list(self._watched.values()):
            if not watched.stale:
                continue
            watched.stale = False
            if watched.layer.visible:
                # The last one also brings the small picture in the layer list.
                last = watched.pyramid.loader.idle
                watched.layer.refresh(extent=False, highlight=False, thumbnail=last)
                self.refreshes += 1
        took = time.perf_counter() - start
        self._not_before = time.monotonic() + max(_INTERVAL, took / _SHARE)
        self.changed.emit()


_watchers: weakref.WeakKeyDictionary[ViewerModel, Watcher] = weakref.WeakKeyDictionary()


def watch(viewer: ViewerModel) -> Watcher:
    """Stream the volumes of a viewer from now on, however they are added. GUI thread only."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _watchers:
        from napari_ouroboros.widgets import gui_thread
        from napari_ouroboros.widgets.streaming.timer import later
        from napari_ouroboros.widgets.streaming.window import furnish

        gui_thread.prepare()
        watcher = _watchers[viewer] = Watcher(viewer, gui_thread.deliver, later)
        furnish(viewer, watcher)
    return _watchers[viewer]


def unwatch(viewer: ViewerModel) -> None:
    """Drop everything that is asked for a viewer, as it is being closed."""
    watcher = _watchers.pop(getattr(viewer, "__wrapped__", viewer), None)
    if watcher is not None:
        watcher.close()
