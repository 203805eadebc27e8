"""One volume on its way into the straightened space: its chunks, its planes, its picked ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.operations.preview import Preview
from napari_ouroboros.operations.warm_up import warm_up
from napari_ouroboros.widgets.straighten.content import LiveContent, level_for
from napari_ouroboros.widgets.straighten.feed import Feed
from napari_ouroboros.widgets.straighten.picks import PickedIds
from napari_ouroboros.widgets.straighten.volume_3d import CoarseVolume

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.straighten.result import ResultContent


class VolumeFeed:
    """Shared by all layers that show one volume in the same way: its channels, say.

    Parameters
    ----------
    volume : Volume
    labels : bool
        Whether its layers are labels.
    shift_nm : array (3,) or None
        Where its nm 0 lies in nm of the reference volume.
    deliver : callable

    Attributes
    ----------
    feed : Feed
    coarse : CoarseVolume
        The whole, for three dimensions.
    picks : PickedIds
        Of a segmentation.
    live : LiveContent or None
        The content that the map of the moment gives.
    """

    def __init__(
        self,
        volume: Volume,
        labels: bool,
        shift_nm: NDArray[np.float64] | None,
        deliver: Deliver,
    ) -> None:
        self.volume, self.labels, self.shift_nm = volume, labels, shift_nm
        self.kind = "segmentation" if labels else None
        self._preview = Preview(volume, kind=self.kind)
        self.feed = Feed(deliver)
        self.coarse = CoarseVolume(deliver)
        self.picks = PickedIds()
        self.live: LiveContent | None = None
        #: What the last run made, and from which content.
        self.result: ResultContent | None = None
        self.result_of: LiveContent | None = None

    @property
    def preview(self) -> Preview:
        """Reads slices and strips, and keeps their chunks."""
        return self._preview

    def interpolation(self, chosen: str | None) -> str | None:
        """What the user chose, but for ids, which nothing may blend."""
        return None if self.labels or self.volume.holds_labels else chosen

    def warm_up(self, chosen: str | None) -> None:
        """Begin to compile what the choice needs; returns at once."""
        warm_up(self.volume, self.interpolation(chosen), self.kind)

    def cut(
        self, map_: Straightening, reference: Volume, mip: int, interpolation: str | None
    ) -> LiveContent:
        """Return what the map makes of this volume; `mip` is the reference's."""
        self.live = LiveContent(
            self._preview,
            map_,
            level_for(self.volume, reference, mip),
            self.interpolation(interpolation),
            self.shift_nm,
            self.picks.as_set,
        )
        return self.live

    @property
    def shows_result(self) -> bool:
        """Whether the last result is shown instead of the preview."""
        return self.result is not None and self.feed.content is self.result

    def close(self) -> None:
        """Stop all work and give the memory back."""
        if self.result is not None:
            self.result.close()
        self.feed.close()
        self.coarse.close()
        self._preview.close()
