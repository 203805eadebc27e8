"""napari's File > Open with the viewer at hand: what is opened there streams.

What was asked for waits for the metadata only, and the window is drawn meanwhile; the contrast is
measured afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_ouroboros import reader

if TYPE_CHECKING:
    from napari_ouroboros.layers import LayerData


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """See `napari_ouroboros.reader.get_reader`; sessions are opened, too."""
    from napari_ouroboros.widgets.session import commands

    if commands.is_session(path):
        return commands.read
    function = reader.get_reader(path)
    return None if function is None else partial(_read, function)


def _read(function: reader.ReaderFunction, path: str | list[str]) -> list[LayerData]:
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        return function(path)
    from napari_ouroboros.widgets.preferences import apply_memory
    from napari_ouroboros.widgets.streaming.watching import watch

    watch(viewer)
    apply_memory()
    read = partial(function, path, measure=False)
    if threading.current_thread() is not threading.main_thread():
        return read()
    from napari_ouroboros.widgets.streaming.waiting import while_drawing

    return while_drawing(read)
