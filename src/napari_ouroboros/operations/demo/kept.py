"""The demo nerve in the user's cache: made once, then kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel, Progress


def cache_folder() -> Path:
    """Where the demo nerve is kept; ``NAPARI_OUROBOROS_CACHE`` names another place."""
    named = os.environ.get("NAPARI_OUROBOROS_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-ouroboros"))


def kept_state() -> Path:
    """Where the state of the demo nerve is, or will be."""
    from napari_ouroboros import __version__

    # A new version may draw another nerve; an old folder must not pass for it.
    return cache_folder() / f"demo-nerve-{__version__}" / "state.json"


def demo_nerve_state(progress: Progress | None = None, cancel: Cancel | None = None) -> Path:
    """Return the Neuroglancer state of the demo nerve; the volumes are beside it.

    Parameters
    ----------
    progress : callable, optional
        ``progress(done, total)``, if it has to be made.
    cancel : object with ``is_set()``, optional
        Stops it.

    Raises
    ------
    DestinationError
        The cache folder cannot be written.
    Cancelled
        `cancel` was set.
    """
    from napari_ouroboros.operations.demo.phantom import write_phantom

    state = kept_state()
    if not state.is_file():  # written last, so that it stands for the whole
        write_phantom(state.parent, overwrite=True, progress=progress, cancel=cancel)
    return state
