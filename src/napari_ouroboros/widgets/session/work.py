"""The work of a window until it is saved: on disk some seconds after each edit. No Qt."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_ouroboros.errors import Cancelled, SourceError
from napari_ouroboros.session import Autosave, SessionDocument, WorkingFolder
from napari_ouroboros.widgets.session.capture import Captured, Recipes, Waiting, capture, store_in
from napari_ouroboros.widgets.session.edits import Edits
from napari_ouroboros.widgets.session.filing import Filing
from napari_ouroboros.widgets.session.jobs import RunningJobs
from napari_ouroboros.widgets.session.layer_order import LayerOrder
from napari_ouroboros.widgets.session.looks import LabelsLook
from napari_ouroboros.widgets.session.tidying import discard_soon
from napari_ouroboros.widgets.session.views import StraightenedLook

if TYPE_CHECKING:
    from napari_ouroboros.widgets.labels.book import StraightLabels
    from napari_ouroboros.widgets.scene.scene import Scene

#: How long a thread waits for the window's values; it may be busy with a first 3D picture.
_WAIT_FOR_WINDOW_S = 30.0
#: How long the end of a window that is closed by a program waits for the disk.
_WAIT_AT_END_S = 3.0


class Work:
    """The working folder of a scene, and what is written into it.

    Nothing is written until there is something that somebody made: a point of a trace, labels, a
    mark, or a session file.

    Parameters
    ----------
    scene : Scene
        Held weakly.

    Attributes
    ----------
    jobs : RunningJobs
        What has to be asked about before the window closes.
    waiting : Waiting
        What the session holds that could not be brought into the window.
    in_front : callable
        Which space is in front, "volume" or "straightened"; a window says it.
    filing : Filing
        Saves, opens, recovers.
    order : LayerOrder
        Puts layers that come with a session in its order.
    straightened_look : StraightenedLook
        Brings back how the straightened space was looked at.
    """

    #: Something that a session keeps has changed; in any thread.
    edited = Signal()
    #: `file` or `unsaved` may have changed; in the GUI thread.
    changed = Signal()
    #: The work could not be written into its folder; one line, in the GUI thread. Tried again.
    failed = Signal(str)

    def __init__(self, scene: Scene) -> None:
        self._scene = weakref.ref(scene)
        self._deliver = scene.deliver
        self.jobs = RunningJobs()
        self.waiting = Waiting()
        self._restoring = self._missed = False
        self.in_front: Callable[[], str] = lambda: "volume"
        self._folder: WorkingFolder | None = None
        self._early = 0  # edits before there was a folder
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._recipes = Recipes()
        self._looks: WeakKeyDictionary[StraightLabels, LabelsLook] = WeakKeyDictionary()
        self._wanted_looks: WeakKeyDictionary[StraightLabels, LabelsLook] = WeakKeyDictionary()
        self._edits: Edits | None = None
        self._last: Captured | None = None
        self._before_removal: tuple[Captured, bool] | None = None
        self._quiet = 0
        self._told, self._tell_asked = (False, ""), False
        self._release: threading.Event | None = None
        self._closed = self._stopped = False
        self.filing = Filing(scene)
        self.order = LayerOrder(scene)
        self.straightened_look = StraightenedLook(scene)
        self._autosave = Autosave(_weakly(self, Work._write), begin=_weakly(self, Work._begin))
        self._autosave.failed.connect(self._say_failed)
        scene.closing.connect(self._keep_before_removal)  # nothing has been taken apart yet

    # -- the folder -----------------------------------------------------------------------

    def folder(self) -> WorkingFolder:
        """Return the working folder. In a worker: it may have to be made."""
        with self._making:
            if self._folder is None:
                self._take(WorkingFolder.create())
            assert self._folder is not None
            return self._folder

    def new_store(self) -> Path:
        """Return a new folder for labels, which is not there yet. In a worker."""
        folder = self.folder()
        return folder.store(folder.new_store())

    def _take(self, folder: WorkingFolder) -> None:
        with self._lock:
            self._folder = folder
            for _ in range(self._early):
                folder.changed()
            self._early = 0

    def exchange(self, folder: WorkingFolder) -> None:
        """Work in another folder from now on."""
        with self._lock:
            self._folder = folder
            self._early = 0
        self._tell()

    @property
    def working_folder(self) -> WorkingFolder | None:
        """The folder, if there is one already."""
        return self._folder

    # -- what is unsaved ------------------------------------------------------------------

    @property
    def file(self) -> Path | None:
        """The session file that was saved or opened last."""
        return None if self._folder is None else self._folder.file

    @property
    def unsaved(self) -> bool:
        """Whether there is work that is in no session file."""
        folder = self._folder
        return self._early > 0 if folder is None else folder.unsaved

    @property
    def changes(self) -> int:
        """Number of edits so far; see `WorkingFolder.note_saved`."""
        with self._lock:
            return self._early if self._folder is None else self._folder.changes

    @property
    def problem(self) -> str:
        """Why the last autosave failed; "" if it did not."""
        return self._autosave.problem

    def note_edit(self) -> None:
        """Somebody has edited something that a session keeps. From any thread, at once."""
        if self._closed or self._stopped or self._quiet:
            return
        with self._lock:
            folder = self._folder
            if folder is None:
                self._early += 1
        if folder is not None:
            folder.changed()
        self._autosave.changed()
        self.edited.emit()
        self._ask_tell()

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """What happens meanwhile is no edit: a session is being brought back. In the GUI thread."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def _heard(self) -> None:
        """Something in the scene has changed; looking at a volume alone is no work."""
        if self._folder is not None or self._early or self._is_worth_keeping():
            self.note_edit()

    def _keep_before_removal(self) -> None:
        """The scene closes, or layers are going to be removed: napari takes them first."""
        if self._before_removal is not None or self._quiet or self._closed:
            return
        if self.unsaved or self._is_worth_keeping():
            self._before_removal = self.capture(), self.unsaved
            self._deliver(_weakly(self, Work._forget_before_removal))

    def _forget_before_removal(self) -> None:
        """The event loop has turned: it was the user."""
        self._before_removal = None

    def _is_worth_keeping(self) -> bool:
        scene = self._scene()
        if scene is None:
            return False
        points = (len(layer.data) for layer in scene.overlays.points.layers)
        traces = (len(model.state) for model in scene.traces.traces)
        return bool(scene.labels.entries or scene.qa.saved_marks() or any(traces) or any(points))

    def _ask_tell(self) -> None:
        if not self._tell_asked:
            self._tell_asked = True
            self._deliver(_weakly(self, Work._tell))

    def _tell(self) -> None:
        self._tell_asked = False
        now = (self.unsaved, str(self.file))
        if now != self._told:
            self._told = now
            self.changed.emit()

    def note_saved(self) -> None:
        """The folder has been told that it is saved: tell who shows it. In the GUI thread."""
        self._tell()

    @property
    def restoring(self) -> bool:
        """Whether a session is being brought back; what was not written then is written after."""
        return self._restoring

    @restoring.setter
    def restoring(self, value: bool) -> None:
        self._restoring = value
        if self._missed and not value:
            self._missed = False
            self._autosave.changed()

    # -- files ----------------------------------------------------------------------------

    def save(self, path: Path | None = None) -> None:
        """Save the session in a worker; see `Filing.save`."""
        self.filing.save(path)

    def open(self, path: Path) -> None:
        """Open a session in a worker, in place of what is there; see `Filing.open`."""
        self.filing.open(path)

    # -- what is written ------------------------------------------------------------------

    def capture(self) -> Captured:
        """Take the scene as it is now. In the GUI thread."""
        scene = self._scene()
        if scene is None:
            raise Cancelled("the window has been closed")
        self._remember_looks()
        found = capture(scene, self._looks, self.in_front(), self.waiting)
        self._last = found
        return found

    def document(self, captured: Captured, folder: WorkingFolder) -> SessionDocument:
        """Make the document of what was captured, without what is not kept.

        Labels elsewhere on the disk have their own place; results that are shown from the working
        folder go with it, and are computed again. Not in the GUI thread.
        """
        found = captured.document(self._recipes, partial(store_in, folder.path))
        kept = tuple(s for s in found.sources if str(folder.path) not in s.url)
        return replace(found, sources=kept)

    def _begin(self) -> None:
        self.folder().note_unsaved()

    def _write(self) -> None:
        """In the thread of the autosave."""
        # Before anything is taken: another session, in its own folder, may come meanwhile.
        folder = self.folder()
        captured = self._last if self._closed else self._captured_for_thread(folder)
        if captured is not None and not self._restoring:
            # Again: the disk may have been full when the edit was made.
            folder.note_unsaved()
            # First: a document speaks of labels that the disk has, also when the power fails.
            captured.flush()
            folder.write(self.document(captured, folder))

    def _captured_for_thread(self, folder: WorkingFolder) -> Captured | None:
        """Ask the window for its values, and wait; what it held last if it closes meanwhile."""
        ready = threading.Event()
        found: list[Captured] = []
        errors: list[Exception] = []
        self._release = ready

        def take() -> None:
            try:
                self._missed |= self._restoring
                if not self._closed and not self._restoring and folder is self._folder:
                    found.append(self.capture())
            except Exception as error:  # noqa: BLE001 - raised below, in the thread that asked
                errors.append(error)
            ready.set()

        self._deliver(take)
        if self._closed:
            ready.set()
        if not ready.wait(_WAIT_FOR_WINDOW_S):
            raise SourceError("the window was too busy to say what is in it")
        if errors:
            raise errors[0]
        if found:
            return found[0]
        return self._last if self._closed else None

    def _say_failed(self, line: str) -> None:
        self._deliver(_weakly(self, lambda work: work.failed.emit(line)))

    # -- how labels look while they are not shown -----------------------------------------

    def want_look(self, entry: StraightLabels, look: LabelsLook) -> None:
        """Let labels look so as soon as they are shown."""
        self._looks[entry] = self._wanted_looks[entry] = look
        self._labels_seen()

    def _labels_seen(self) -> None:
        scene = self._scene()
        if scene is None:
            return
        for entry in scene.labels.entries:
            if entry.layer is not None and entry in self._wanted_looks:
                with self.quietly():
                    self._wanted_looks.pop(entry).apply(entry.layer)
        self._remember_looks()

    def _remember_looks(self) -> None:
        scene = self._scene()
        if scene is None:
            return
        for entry in scene.labels.entries:
            if entry.layer is not None:
                self._looks[entry] = LabelsLook.of(entry.layer)

    # -- the end --------------------------------------------------------------------------

    def stop_writing(self) -> None:
        """Write nothing any more: the folder is about to be removed. Returns at once."""
        self._stopped = True
        self._autosave.close(0, write=False)

    def listen(self) -> None:
        """Hear of every edit from now on; once the scene is complete."""
        scene = self._scene()
        if scene is not None and self._edits is None and not self._closed:
            self._edits = Edits(
                scene,
                _weakly(self, Work._heard),
                _weakly(self, Work._labels_seen),
                _weakly(self, Work._keep_before_removal),
            )

    def close(self) -> None:
        """End it: unsaved work stays in its folder for the next start, else the folder goes.

        Whoever may wait has asked the user before, see `widgets.spaces.closing`; a window closed
        by a program waits for the disk here, some seconds at most.
        """
        if self._closed:
            return
        keep = self.unsaved
        if self._before_removal is not None:
            self._last, keep = self._before_removal
        self._closed = True
        self.filing.close()
        if self._release is not None:
            self._release.set()
        self.jobs.close()
        self.order.close()
        self.straightened_look.close()
        if self._edits is not None:
            self._edits.close()
        # Half a session must not take the place of the whole one that is being brought back.
        self._autosave.close(_WAIT_AT_END_S, keep and not (self._stopped or self._restoring))
        folder = self._folder
        if folder is None or self._stopped:
            return
        if keep:
            folder.leave()
        else:
            discard_soon(folder, _WAIT_AT_END_S)


def _weakly(work: Work, call: Callable[[Work], object]) -> Callable[[], None]:
    """Return ``call(work)`` that does not keep it alive."""
    reference = weakref.ref(work)

    def made() -> None:
        found = reference()
        if found is not None:
            call(found)

    return made
