"""Arrays in, arrays out: the curve, its frames and the map both ways. No I/O but the recipe."""

from napari_ouroboros.geometry.curve import Curve
from napari_ouroboros.geometry.frames import Frames, double_reflection
from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.geometry.straightening import Straightening
from napari_ouroboros.geometry.trace import Trace

__all__ = ["Curve", "Frames", "Grid", "Straightening", "Trace", "double_reflection"]
