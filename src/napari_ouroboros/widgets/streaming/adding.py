"""Volumes as layers: prepared off the GUI thread, added in it without reading more than needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_ouroboros.errors import SourceError
from napari_ouroboros.layers import LayerData, volume_layers
from napari_ouroboros.widgets.streaming.found import pyramid_of
from napari_ouroboros.widgets.streaming.watching import watch

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.stores.inflight import CancelSignal


def prepare_volume(
    volume: Volume, name: str, labels: bool | None = None, cancel: CancelSignal | None = None
) -> list[LayerData]:
    """Return the layers of a volume for `add_layers`. In a worker: its contrast may be measured.

    Parameters
    ----------
    volume : Volume
    name : str
    labels : bool, optional
        Whether its voxels are labels. None: what the volume itself says.
    cancel : object with is_set(), optional
        Stops the measuring.
    """
    try:
        return volume_layers(volume, name, labels, cancel=cancel)
    except SourceError:
        # One chunk that cannot be had now is no reason not to open the rest: the sign says what
        # is missing, and the contrast is measured when it comes.
        return volume_layers(volume, name, labels, measure=False)


def add_layers(
    viewer: ViewerModel,
    layers: Sequence[LayerData],
    made: Callable[[Layer], object] | None = None,
) -> list[Layer]:
    """Add layers to a viewer, in the GUI thread, and see to it that they stream.

    Parameters
    ----------
    viewer : ViewerModel
    layers : sequence of (data, arguments, kind)
        Such as `prepare_volume` or a reader makes.
    made : callable, optional
        Called with each layer before the viewer has it.

    Returns
    -------
    list of Layer
        In the same order.
    """
    from napari.layers import Layer

    watch(viewer)
    added = []
    for data, meta, kind in layers:
        layer = Layer.create(data, dict(meta), kind)
        if made is not None:
            made(layer)
        pyramid = pyramid_of(layer)
        if pyramid is not None:
            # napari would read the finest level first, whatever is visible of it.
            layer.locked_data_level = len(pyramid.levels) - 1
        added.append(viewer.add_layer(layer))
        if pyramid is not None:
            layer.locked_data_level = None
    return added
