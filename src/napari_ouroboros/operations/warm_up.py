"""Making ready in the background what the first slices of a volume will need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ouroboros.geometry.sampling import start_compiling
from napari_ouroboros.operations.slice_grid import choose_interpolation

if TYPE_CHECKING:
    from napari_ouroboros.volumes import Volume


def warm_up(volume: Volume, interpolation: str | None = None, kind: str | None = None) -> bool:
    """Begin to compile the kernels for a volume's dtype, in a background thread; returns at once.

    For a window, as soon as a volume is chosen: compiling takes seconds the first time, and half
    a second after that. Nothing has to wait for it: `Preview` uses numpy meanwhile.

    Parameters
    ----------
    volume : Volume
    interpolation : {"nearest", "linear", "cubic"}, optional
        Default nearest for segmentations and 64-bit integers, else linear.
    kind : {"image", "segmentation"}, optional
        What the layer says of the volume.

    Returns
    -------
    bool
        Whether all of them are ready already.

    Raises
    ------
    UserError
        Linear or cubic interpolation of labels.
    """
    return start_compiling(choose_interpolation(volume, interpolation, kind), volume.dtype)
