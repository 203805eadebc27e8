"""Working folders that are done with: those of this window, and what others left. No Qt."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_ouroboros.errors import DestinationError, OuroborosError
from napari_ouroboros.session import Abandoned, WorkingFolder, abandoned, discard, sweep
from napari_ouroboros.widgets.background import Token, Worker

if TYPE_CHECKING:
    from napari_ouroboros.widgets.scene.scene import Scene


class Tidying:
    """Looks for unsaved work of another time, and removes what is done with; off the GUI thread.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    abandoned : list of Abandoned
        Work that was not saved, as it was found last.
    """

    #: Work that was not saved, the newest first.
    found = Signal(list)
    #: It has failed: the exception, and what does it once more, or None.
    failed = Signal(object, object)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._tidying = Worker("ouroboros-recovery", scene.deliver, keep_all=True)
        self._looked = False
        self.abandoned: list[Abandoned] = []

    def look_once(self) -> None:
        """Look for work that was not saved, if nobody has in this window yet."""
        if not self._looked:
            self.look_for_unsaved()

    def look_for_unsaved(self) -> None:
        """Look for work that was not saved, and sweep up what was; `found` follows."""
        self._looked = True

        def run(_stop: Token) -> list[Abandoned]:
            sweep()
            return abandoned()

        self._tidying.submit(run, self._found, self._failed)

    def discard(self, one: Abandoned) -> None:
        """Remove work that was not saved; `found` follows."""

        def run(_stop: Token) -> list[Abandoned]:
            discard(one)
            return abandoned()

        self._tidying.submit(run, self._found, self._failed)

    def _found(self, found: list[Abandoned]) -> None:
        self.abandoned = found
        self.found.emit(found)

    def discard_own(self, after: Callable[[], object]) -> None:
        """Remove the working folder of this window, which is about to close."""
        scene = self._scene()
        folder = None if scene is None else scene.work.working_folder
        if scene is None or folder is None:
            after()
            return
        scene.work.stop_writing()

        def done(_: None) -> None:
            after()

        def failed(error: Exception) -> None:
            if not isinstance(error, OuroborosError):
                raise error
            after()  # what is left is not offered any more

        self._tidying.submit(lambda _stop: folder.discard(), done, failed)

    def let_go(self, changes: int) -> None:
        """Remove the folder of this window; what was done after so many `changes` is kept."""
        scene = self._scene()
        before = None if scene is None else scene.work.working_folder
        if scene is None or before is None:
            return
        work = scene.work
        captured = work.capture() if before.changes != changes else None

        def run(_stop: Token) -> None:
            if captured is None:
                before.discard()
                return
            before.note_unsaved()
            before.write(work.document(captured, before))
            before.leave()

        self._tidying.submit(run, _swept_later, _swept_later)

    def _failed(self, error: Exception) -> None:
        self.failed.emit(error, None)


def discard_soon(folder: WorkingFolder, seconds: float) -> None:
    """Remove a folder, and wait at most so long for it.

    What cannot be removed is marked as saved: the next start sweeps it away.
    """

    def run() -> None:
        with contextlib.suppress(DestinationError):
            folder.discard()

    end = threading.Thread(target=run, daemon=True, name="session")
    end.start()
    end.join(seconds)


def _swept_later(_: object) -> None:
    """A folder that could not be removed is marked as saved: the next start sweeps it away."""
