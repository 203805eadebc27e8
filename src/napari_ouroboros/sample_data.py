"""The demo nerve for napari's File > Open Sample: made once, then kept in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from napari_ouroboros.layers import LayerData


def cache_folder() -> Path:
    """Where the demo nerve is kept; ``NAPARI_OUROBOROS_CACHE`` names another place."""
    named = os.environ.get("NAPARI_OUROBOROS_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-ouroboros"))


def demo_nerve_state() -> Path:
    """Return the Neuroglancer state of the demo nerve; the volumes are beside it.

    Raises
    ------
    DestinationError
        The cache folder cannot be written.
    """
    from napari_ouroboros import __version__
    from napari_ouroboros.operations.demo.phantom import write_phantom

    # A new version may draw another nerve; an old folder must not pass for it.
    folder = cache_folder() / f"demo-nerve-{__version__}"
    state = folder / "state.json"
    if not state.is_file():  # written last, so that it stands for the whole
        write_phantom(folder, overwrite=True)
    return state


def demo_nerve() -> list[LayerData]:
    """Return an image of a phantom nerve, the true labels of its fascicles, and a trace."""
    from napari_ouroboros.reader import read_state_layers

    return read_state_layers(str(demo_nerve_state()))
