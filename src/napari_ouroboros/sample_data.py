"""The demo nerve for napari's File > Open Sample: made once, then kept in the user's cache."""

from __future__ import annotations

from napari_ouroboros.layers import LayerData
from napari_ouroboros.operations.demo.kept import cache_folder, demo_nerve_state

__all__ = ["cache_folder", "demo_nerve", "demo_nerve_state"]


def demo_nerve() -> list[LayerData]:
    """Return an image of a phantom nerve, the true labels of its fascicles, and a trace."""
    from napari_ouroboros.reader import read_state_layers

    return read_state_layers(str(demo_nerve_state()))
