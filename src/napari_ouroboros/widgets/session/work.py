"""Where the work of a window lies until it is saved. No Qt."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_ouroboros.session import WorkingFolder

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene.scene import Scene


class Work:
    """The working folder of a scene, made when it is first needed.

    Parameters
    ----------
    scene : Scene
        Held weakly.
    """

    #: Something that a session keeps has changed; in any thread.
    edited = Signal()

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._folder: WorkingFolder | None = None
        self._lock = threading.Lock()

    def folder(self) -> WorkingFolder:
        """Return the working folder. In a worker: it may have to be made."""
        with self._lock:
            if self._folder is None:
                self._folder = WorkingFolder.create()
            return self._folder

    def new_store(self) -> Path:
        """Return a new folder for labels, which is not there yet. In a worker."""
        folder = self.folder()
        return folder.store(folder.new_store())

    def note_edit(self) -> None:
        """Somebody has edited something that a session keeps. From any thread, at once."""
        if self._folder is not None:
            self._folder.changed()
        self.edited.emit()

    def close(self) -> None:
        """End it."""
