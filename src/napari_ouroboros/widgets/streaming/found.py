"""Which volume a layer shows. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ouroboros.volumes import Volume
from napari_ouroboros.volumes.streaming import StreamedLevel, StreamedPyramid

if TYPE_CHECKING:
    from napari.layers import Layer


def pyramid_of(layer: Layer) -> StreamedPyramid | None:
    """The levels of ours that a layer shows; None: it shows something else."""
    if not getattr(layer, "multiscale", False):
        return None
    finest = layer.data[0]
    return finest.pyramid if isinstance(finest, StreamedLevel) else None


def volume_of(layer: Layer) -> Volume | None:
    """The volume of ours that a layer shows; None: it shows something else, or what is computed.

    None, too, for what lies in the working folder of a window and goes with it: its metadata say
    so (``passing``). No session can remember that, and nobody straightens it.
    """
    pyramid = pyramid_of(layer)
    if pyramid is None or not isinstance(pyramid.volume, Volume):
        return None
    return None if layer.metadata.get("napari-ouroboros", {}).get("passing") else pyramid.volume
