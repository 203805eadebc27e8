"""The map of the moment: made again off the GUI thread when the trace or the settings change."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_ouroboros.errors import Notice, OuroborosError, UserError, one_line
from napari_ouroboros.geometry import Straightening
from napari_ouroboros.widgets.background import Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.scene.settings import SliceSettings
    from napari_ouroboros.widgets.trace.model import TraceModel

NO_VOLUME = "Open a volume, or try the demo."
NO_TRACE = "Start a trace, then click points along the structure."
#: What a window can show; the command line writes more.
MOST_SLICES, MOST_PIXELS = 1_000_000, 8192 * 8192


@dataclass(frozen=True, eq=False)
class LiveState:
    """One map and what it was made from.

    Attributes
    ----------
    map : Straightening or None
        With every length settled and its frames made; None: see `problem`.
    mip : int
        Level that it is sampled at.
    generation : int
        Grows with every state: whoever computes from one compares before showing the result.
    dragging : bool
        A point is being dragged: the next state is a moment away.
    problem : str
        One sentence on why there is no map and what to do.
    key : str
        See `slices_key`: equal for the same slices. "" while dragging and without a map.
    """

    map: Straightening | None
    mip: int = 0
    generation: int = 0
    dragging: bool = False
    problem: str = ""
    key: str = ""


class LiveMap:
    """Keeps `state` up to date with the active trace, the settings and the reference volume.

    Parameters
    ----------
    settings : SliceSettings
    deliver : callable
        Brings results to the GUI thread.
    """

    #: A new state is there: ``(state, the one before)``; in the GUI thread.
    changed = Signal(LiveState, LiveState)
    #: The trace or the settings have changed: `state` is of yesterday until it changes, too.
    requested = Signal()

    def __init__(self, settings: SliceSettings, deliver: Deliver) -> None:
        self._settings = settings
        # While a point is dragged the requests come faster than the slices can follow.
        self._worker = Worker("ouroboros-map", deliver, finish_begun=True)
        self._volume: Volume | None = None
        self._trace: TraceModel | None = None
        self._generation = 0
        self.state = LiveState(None, problem=NO_VOLUME)
        settings.events.connect(self._settings_changed)

    @property
    def volume(self) -> Volume | None:
        """The volume in whose nm the trace lies."""
        return self._volume

    @property
    def idle(self) -> bool:
        """Whether `state` is that of the trace and the settings as they are now."""
        return self._worker.idle

    @property
    def is_current(self) -> bool:
        """Whether `state` was made from the trace and the settings as they are now."""
        return self.state.generation == self._generation

    def set_volume(self, volume: Volume | None) -> None:
        """Choose the reference volume: it gives the resolution of lengths left open."""
        if volume is not self._volume:
            self._volume = volume
            self.refresh()

    def set_trace(self, trace: TraceModel | None) -> None:
        """Choose the trace to follow."""
        if trace is self._trace:
            return
        if self._trace is not None:
            self._trace.changed.disconnect(self.refresh)
        self._trace = trace
        if trace is not None:
            trace.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Make the map again; the state before stays until it is there."""
        volume, trace = self._volume, self._trace
        self._generation += 1
        generation = self._generation
        self.requested.emit()
        if volume is None or trace is None:
            self._worker.cancel()
            problem = NO_VOLUME if volume is None else NO_TRACE
            self._publish(LiveState(None, generation=generation, problem=problem))
            return
        # Everything that may change is read here, in the GUI thread.
        snapshot = trace.state
        dragging = trace.dragging
        s = self._settings
        lengths = (s.width, s.height, s.pitch_nm, s.spacing_nm, s.adaptive_radius_nm)
        wanted = s.mip

        def make(token: Token) -> LiveState:
            from napari_ouroboros.operations.outside_volume import best_mip

            with warnings.catch_warnings():
                # Points that repeat their neighbour are said in the trace's own dock.
                warnings.simplefilter("ignore", Notice)
                given = Straightening(
                    snapshot.trace(), *lengths, up=snapshot.up, twist=snapshot.twist
                )
            if wanted == "auto":
                finest = min(volume.levels[0].resolution)
                mip = best_mip(volume, finest if lengths[2] is None else lengths[2])
            else:
                mip = wanted
            map_ = given.resolved(volume.mip(mip).resolution)
            _check_size(map_)
            _ = map_.frames  # here, not in the GUI thread
            key = "" if dragging else slices_key(map_)
            return LiveState(map_, mip, generation, dragging, key=key)

        def failed(error: Exception) -> None:
            if not isinstance(error, OuroborosError):
                raise error  # a mistake of ours: napari shows it
            self._publish(LiveState(None, generation=generation, problem=one_line(error)))

        self._worker.submit(make, self._publish, failed)

    def close(self) -> None:
        """Stop listening and computing."""
        self._settings.events.disconnect(self._settings_changed)
        if self._trace is not None:
            self._trace.changed.disconnect(self.refresh)
            self._trace = None
        self._worker.close()

    def _settings_changed(self) -> None:
        self.refresh()

    def _publish(self, state: LiveState) -> None:
        # Overtaken states of a drag are shown, older ones than what is shown are not.
        if state.generation <= self.state.generation:
            return
        before, self.state = self.state, state
        self.changed.emit(state, before)


def slices_key(map_: Straightening) -> str:
    """Return what two maps have in common if their slices are the same, pixel by pixel.

    The hash of a recipe is that of the rectangles in the volume, whatever their pixels.
    """
    return f"{map_.recipe_hash} {map_.height} x {map_.width} at {map_.pitch_nm!r} nm"


def _check_size(map_: Straightening) -> None:
    """Refuse what would fill the memory before anybody has seen the size."""
    if map_.width * map_.height > MOST_PIXELS:
        raise UserError(
            f"slices of {map_.width:,} x {map_.height:,} pixels are too large for a window, which "
            f"shows up to {MOST_PIXELS:,} pixels; make them smaller"
        )
    if map_.curve.length > MOST_SLICES * map_.spacing_nm:
        raise UserError(
            f"{map_.curve.length / map_.spacing_nm:,.0f} slices are too many for a window, which "
            f"shows up to {MOST_SLICES:,}; make the distance between slices larger"
        )
