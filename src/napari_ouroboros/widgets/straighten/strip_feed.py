"""The longitudinal strip of a scene: computed in a thread, coarse first, then sharp. No Qt."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray
from psygnal import Signal

from napari_ouroboros.errors import Cancelled, OuroborosError
from napari_ouroboros.operations.live_strip import LiveStrip
from napari_ouroboros.operations.live_strip import Strip as LiveRows
from napari_ouroboros.operations.outside_volume import best_mip
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.straighten.content import level_for, only

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.widgets.straighten.content import LiveContent
    from napari_ouroboros.widgets.straighten.live_preview import LivePreview
    from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed

Axis = Literal["column", "row"]

# Seconds between two looks at a strip that is being computed.
_BETWEEN = 0.06


@dataclass(frozen=True, eq=False)
class Strip:
    """A section along the curve of one layer.

    Attributes
    ----------
    layer : Layer
        The straightened layer that it belongs to: its contrast and colours hold.
    map : Straightening
        Whose slices it shows.
    data : array (rows of the strip, across)
        One row for every `step` slices from slice 0 on.
    step : int
    mip : int
    done : bool
        Whether every row is what it should be; else some are coarse, of another place or empty.
    """

    layer: Layer
    map: Straightening
    data: NDArray[Any]
    step: int
    mip: int
    done: bool


@dataclass(frozen=True, eq=False)
class _Job:
    """What the thread needs of one layer, read in the GUI thread."""

    layer: Layer
    source: VolumeFeed
    strip: LiveStrip
    content: LiveContent
    channel: int | None
    mip: int


class StripFeed:
    """Keeps `strips` up to date with the preview's layers and the map.

    Parameters
    ----------
    preview : LivePreview

    Attributes
    ----------
    strips : list of Strip
        The first image and the labels over it, the lowest first.
    problem : str
    """

    #: Other strips are there.
    changed = Signal()

    def __init__(self, preview: LivePreview) -> None:
        self._preview = preview
        self._worker = Worker("ouroboros-strip", preview.scene.deliver, finish_begun=True)
        self._axis: Axis = "column"
        self._rows, self._across = 400, 80
        # What each volume's strip was, so that only what moves is computed again.
        self._live: weakref.WeakKeyDictionary[VolumeFeed, LiveStrip] = weakref.WeakKeyDictionary()
        self.strips: list[Strip] = []
        self.problem = ""
        live = preview.scene.live
        live.changed.connect(self.refresh)
        preview.layers_changed.connect(self.refresh)
        self.refresh()

    @property
    def axis(self) -> Axis:
        """What runs across: the columns of the middle row, or the rows of the middle column."""
        return self._axis

    @axis.setter
    def axis(self, axis: Axis) -> None:
        if axis != self._axis:
            self._axis = axis
            self.refresh()

    @property
    def idle(self) -> bool:
        """Whether nothing better is on its way."""
        return self._worker.idle

    @property
    def is_stale(self) -> bool:
        """Whether the strips are not those of the map of this moment."""
        map_ = self._preview.scene.live.state.map
        return bool(self.strips) and any(strip.map is not map_ for strip in self.strips)

    def set_size(self, rows: int, across: int) -> None:
        """Say how many pixels there are along the curve and across it."""
        size = (max(1, rows), max(1, across))
        if size != (self._rows, self._across):
            self._rows, self._across = size
            self.refresh()

    def refresh(self, *_: Any) -> None:
        """Compute the strips of this moment."""
        scene = self._preview.scene
        state = scene.live.state
        jobs = self._jobs()
        if state.map is None or not jobs:
            self._worker.cancel()
            if state.map is None and not self._preview.shown:
                self.strips = []
                self.changed.emit()
            return
        map_ = state.map
        axis, dragging = self._axis, state.dragging
        step = max(1, -(-map_.shape[0] // self._rows))

        def run(token: Token) -> None:
            for job in jobs:
                last = -_BETWEEN

                def show(strip: LiveRows, job: _Job = job) -> None:
                    nonlocal last
                    now = time.monotonic()
                    # The first, and not more of them than are looked at.
                    if now - last >= _BETWEEN:
                        last = now
                        self._deliver(_strip_of(job, map_, strip, step, False))

                strip = job.strip.update(
                    job.content.map, job.mip, axis, None, None, step,
                    job.content.interpolation, dragging,
                    show, token,
                )  # fmt: skip
                self._deliver(_strip_of(job, map_, strip, step, True))

        def failed(error: Exception) -> None:
            if not isinstance(error, OuroborosError):
                raise error  # a mistake of ours: napari shows it
            if not isinstance(error, Cancelled):
                self.problem = str(error)
                self.changed.emit()

        self._worker.submit(run, lambda _: None, failed)

    def close(self) -> None:
        """Stop following. Harmless when repeated."""
        self._worker.close()
        self._preview.scene.live.changed.disconnect(self.refresh, missing_ok=True)
        self._preview.layers_changed.disconnect(self.refresh, missing_ok=True)
        self.strips = []

    def _jobs(self) -> list[_Job]:
        """The first image, and every segmentation over it."""
        from napari_ouroboros.widgets.straighten.straight_layer import kind_of

        shown = self._preview.shown
        first = next((x for x in shown if kind_of(x.layer) == "image"), None)
        chosen = [x for x in shown if x is first or kind_of(x.layer) == "labels"]
        reference = self._preview.scene.live.volume
        state = self._preview.scene.live.state
        jobs = []
        for one in chosen:
            content = one.source.live
            if content is None or reference is None or state.map is None:
                continue
            if one.source.labels and not one.layer.visible:
                continue
            volume = one.source.volume
            least = level_for(volume, reference, state.mip)
            mip = max(least, best_mip(volume, self._pixel_nm(state.map)))
            if one.source not in self._live:
                self._live[one.source] = LiveStrip(one.source.preview)
            strip = self._live[one.source]
            jobs.append(_Job(one.layer, one.source, strip, content, one.channel, mip))
        return jobs

    def _pixel_nm(self, map_: Straightening) -> float:
        """How large a pixel of the strip is: finer levels would not be seen."""
        n, rows, columns = map_.shape
        across = (columns if self._axis == "column" else rows) * map_.pitch_nm / self._across
        along = n * map_.mean_spacing_nm / self._rows
        # A long curve has coarse pixels along it, and would need many chunks for little.
        return max(across, min(along, 4 * across))

    def _deliver(self, strip: Strip) -> None:
        self._preview.scene.deliver(lambda: self._take(strip))

    def _take(self, strip: Strip) -> None:
        layers = [shown.layer for shown in self._preview.shown]
        if strip.layer not in layers:
            return
        others = [old for old in self.strips if old.layer in layers and old.layer != strip.layer]
        self.strips = sorted([*others, strip], key=lambda s: layers.index(s.layer))
        self.problem = ""
        self.changed.emit()


def _strip_of(job: _Job, map_: Straightening, rows: LiveRows, step: int, done: bool) -> Strip:
    data = rows.image if job.channel is None else rows.image[..., job.channel]
    return Strip(job.layer, map_, only(data.copy(), job.content.picked), step, job.mip, done)
