"""A map that answers at once: what it needs is computed, and compiled, off the GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_ouroboros.widgets.background import Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.scene import LiveMap, LiveState


class WarmMap:
    """Keeps the latest map whose points can be looked up without waiting.

    The first look-up of a process compiles kernels for seconds; the first of a map bounds its
    segments.

    Parameters
    ----------
    live : LiveMap
    deliver : callable
    """

    #: `map` has changed.
    changed = Signal()

    def __init__(self, live: LiveMap, deliver: Deliver) -> None:
        self._live = live
        self._worker = Worker("ouroboros-locate", deliver)
        #: None until there is one.
        self.map: Straightening | None = None
        live.changed.connect(self._live_changed)
        self._live_changed(live.state)

    @property
    def idle(self) -> bool:
        """Whether `map` is the latest."""
        return self._worker.idle

    def close(self) -> None:
        """Stop listening and computing."""
        self._live.changed.disconnect(self._live_changed)
        self._worker.close()

    def _live_changed(self, state: LiveState, _before: Any = None) -> None:
        map_ = state.map
        if map_ is None:
            self._worker.cancel()
            self._set(None)
            return

        def warm(_token: Token) -> Straightening:
            map_.to_straightened(map_.to_volume((0.0, 0.0, 0.0)))
            return map_

        self._worker.submit(warm, self._set, self._failed)

    def _set(self, map_: Straightening | None) -> None:
        self.map = map_
        self.changed.emit()

    def _failed(self, error: Exception) -> None:
        raise error
