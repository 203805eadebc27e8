"""What is shown of large labels in three dimensions: napari would read each voxel of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from napari_ouroboros.operations.coarse_labels import CoarseLabels
from napari_ouroboros.widgets.background import Token, Worker
from napari_ouroboros.widgets.straighten.links import AppearanceLink
from napari_ouroboros.widgets.straighten.volume_3d import MOST_SAMPLES, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels, Layer

    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.volumes.labels.label_changes import Box, Change
    from napari_ouroboros.widgets.background import Deliver

#: What a stand-in is called beside its labels' name.
SUFFIX = " (coarse, in 3D)"
_OURS = "napari-ouroboros"
_LOOK = (
    "colormap", "opacity", "blending", "visible", "contour", "selected_label",
    "show_selected_label", "rendering", "iso_gradient_mode",
)  # fmt: skip


def needs_stand_in(array: LabelArray) -> bool:
    """Whether labels are too large to be shown in 3D as they are.

    napari reads all of them in the thread of the window, and again after each stroke. Of 8 million
    voxels that takes 15 ms where they were read lately, of 32 million 400 ms; the first time it is
    150 ms and more than a second, if every voxel is painted.
    """
    return array.size > MOST_SAMPLES


def is_stand_in(layer: Layer) -> bool:
    """Whether a layer stands in for labels."""
    return bool(layer.metadata.get(_OURS, {}).get("coarse", False))


class StandIn:
    """A coarse layer in the place of labels; it follows what is painted, and nobody paints in it.

    Parameters
    ----------
    real : Labels
        The layer it stands in for, over a `LabelArray`; the two share their look and their name.
    deliver : callable
    failed : callable
        Gets the error where the labels cannot be read.

    Attributes
    ----------
    layer : Labels
        Empty at first; it fills.
    """

    def __init__(
        self, real: Labels, deliver: Deliver, failed: Callable[[Exception], object]
    ) -> None:
        array = real.data
        self._real, self._failed = real, failed
        self._coarse = CoarseLabels(array, steps_of(array.shape))
        self._worker = Worker("ouroboros-labels-3d", deliver, keep_all=True)
        self._lock = threading.Lock()
        self._written: list[Box] = []
        self._closed = False
        self.layer = self._make()
        self._link = AppearanceLink(real, self.layer, _LOOK)
        real.events.name.connect(self._take_name)
        self.layer.events.name.connect(self._give_name)

        def fill(token: Token) -> None:
            self._coarse.fill(token, lambda: deliver(self._more))

        self._worker.submit(fill, self._done, self._fail)

    @property
    def idle(self) -> bool:
        """Whether it shows all that is painted."""
        return self._worker.idle

    def changed(self, change: Change) -> None:
        """Follow a write to the labels. At once: the work is done elsewhere."""
        with self._lock:
            first = not self._written
            self._written += change.parts
        if first:
            self._worker.submit(self._update, self._done, self._fail)

    def close(self) -> None:
        """Follow no more; the look stays with the labels."""
        self._closed = True
        self._worker.close()
        self._link.close()
        self._real.events.name.disconnect(self._take_name)
        self.layer.events.name.disconnect(self._give_name)

    def _make(self) -> Labels:
        from napari.layers import Labels

        real, steps = self._real, self._coarse.steps
        about = {**real.metadata.get(_OURS, {}), "coarse": True, "steps": steps}
        layer = Labels(
            self._coarse.data,
            name=real.name + SUFFIX,
            scale=tuple(step * scale for step, scale in zip(steps, real.scale, strict=True)),
            units=real.units,
            axis_labels=real.axis_labels,
            metadata={_OURS: about},
            projection_mode="none",
            multiscale=False,
        )
        layer.editable = False
        return layer

    def _update(self, token: Token) -> None:
        with self._lock:
            parts, self._written = self._written, []
        self._coarse.update(parts, token)

    def _more(self) -> None:
        if not self._closed:
            self.layer.refresh(extent=False, highlight=False, thumbnail=False)

    def _done(self, _result: None) -> None:
        self.layer.refresh(extent=False, highlight=False)

    def _fail(self, error: Exception) -> None:
        self._failed(error)

    def _take_name(self, _event: Any = None) -> None:
        self.layer.name = self._real.name + SUFFIX

    def _give_name(self, _event: Any = None) -> None:
        """The user has renamed it, and means the labels."""
        name = str(self.layer.name).removesuffix(SUFFIX).strip()
        if name and name != self._real.name:
            self._real.name = name  # which names this one, too
