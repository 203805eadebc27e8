"""The dock that opens volumes, states and recipes, and the demo."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QPushButton

from napari_ouroboros.errors import ResolutionNeeded, UserError
from napari_ouroboros.widgets.background import Token
from napari_ouroboros.widgets.controls import (
    Banner,
    EmptyState,
    JobRow,
    ScrollDock,
    named,
    show_soon,
    tab_order,
    wrapping_label,
)
from napari_ouroboros.widgets.open.address_row import AddressRow, dropped
from napari_ouroboros.widgets.open.finding import Found, address_to_keep, find
from napari_ouroboros.widgets.open.jobs import Jobs
from napari_ouroboros.widgets.open.preparing import Ready, prepare
from napari_ouroboros.widgets.open.recent import RecentSources
from napari_ouroboros.widgets.open.secrets_fold import SecretsFold
from napari_ouroboros.widgets.open.showing import steps
from napari_ouroboros.widgets.open.tree import FoundTree
from napari_ouroboros.widgets.open.voxel_size import parse_voxel_size
from napari_ouroboros.widgets.open.voxel_size_row import VoxelSizeRow
from napari_ouroboros.widgets.preferences import apply_memory, preferences
from napari_ouroboros.widgets.scene import scene_of
from napari_ouroboros.widgets.scene.warm import wait_until_warm
from napari_ouroboros.widgets.session.commands import is_session
from napari_ouroboros.widgets.session.form import SessionForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NOTHING = "Open a volume, or try the demo."


class OpenDock(ScrollDock):
    """Opens what is at an address, in the background.

    Parameters
    ----------
    napari_viewer : ViewerModel

    Attributes
    ----------
    address : AddressRow
    tree : FoundTree
        What is at the address, to be ticked.
    job : JobRow
        Open, progress, Cancel.
    banner : Banner
    session : SessionForm
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.ends_with(napari_viewer)
        self.scene = scene_of(napari_viewer)
        self._jobs = Jobs("ouroboros-open", self.scene.deliver)
        self.at_end(self._jobs.cancel)
        self._found: Found | None = None
        self._asked = ""  # the address of `_found`, or of what was asked for last
        self._todo: list[Callable[[], object]] = []
        self._run = 0  # counts jobs: steps of an older one are not done any more
        self._after: Callable[[bool], object] | None = None

        self.banner = Banner()
        self.empty = EmptyState(
            _NOTHING,
            "Try the demo",
            self.open_demo,
            "Open a phantom nerve with its trace; made once, in about half a minute.",
        )
        self.address = AddressRow()
        self.look_button = named(
            QPushButton("Look"),
            "look",
            "List what is at the address, without opening it.",
        )
        self.address.buttons.insertWidget(2, self.look_button)
        self.tree = FoundTree()
        self.voxel_size = VoxelSizeRow()
        self.size_edit, self.size_button = self.voxel_size.edit, self.voxel_size.button
        self.voxel_size.entered.connect(self._use_size)
        self._with_size: Callable[[], object] | None = None
        self.job = JobRow(
            "Open",
            "Open what is ticked; without a list, all that a state shows. Return opens, too.",
            "Opening",
        )
        self.notices = wrapping_label()
        self.secrets = SecretsFold()
        self.session = SessionForm(self.scene)
        # Folded: a volume is opened more often. Its title says how it stands.
        self.session_fold = self.section("Session", self.session, open_=False)
        self.session.titled.connect(self.session_fold.set_title)
        self.session.noticed.connect(self._show_session)
        for widget in (
            self.banner,
            self.voxel_size,  # right below the banner that asks for it
            self.empty,
            self.address,
            self.tree,
            self.job,
            self.notices,
            self.secrets,
        ):
            self.column.addWidget(widget)
        self.tree.hide()
        self.voxel_size.hide()
        self.notices.hide()
        self.setAcceptDrops(True)
        for child in (self.address.edit, self.tree):
            child.setAcceptDrops(False)  # the dock takes what is dropped on them

        self.address.edited.connect(self._address_edited)
        self.address.entered.connect(self.open)
        self.look_button.clicked.connect(self.look)
        self.job.run.connect(self.open)
        self.job.cancelled.connect(self.cancel)
        tab_order(
            self.session_fold.button,
            *self.session.controls(),
            *self.banner.controls(),
            self.size_edit,
            self.size_button,
            self.empty.button,
            self.address.combo,
            self.address.file_button,
            self.address.folder_button,
            self.look_button,
            self.tree,
            self.job.button,
            self.job.cancel_button,
            self.secrets.button,
        )
        self._address_edited(self.address.text)

    # What the user does

    def look(self) -> None:
        """List what is at the address."""
        self._find(self._list)

    def open(self) -> None:
        """Open what is ticked; if the address has not been looked at, all that a state shows."""
        if is_session(self.address.text):
            self._asked, self._found = self.address.text, None
            self.session.open_file(Path(self._asked).expanduser())
            self._remember()
        elif self._found is not None and self._asked == self.address.text:
            self._prepare(self._found, self.tree.ticked())
        else:
            self._find(self._list_and_open)

    def open_demo(self, after: Callable[[bool], object] | None = None) -> None:
        """Make the demo nerve, unless it is there from another time, and open it.

        Parameters
        ----------
        after : callable, optional
            ``after(opened)``, in the GUI thread, however it ends.
        """
        from napari_ouroboros.operations.demo.kept import demo_nerve_state

        dock = weakref.ref(self)
        deliver = self.scene.deliver

        def run(token: Token) -> str:
            def report(done: float, total: float) -> None:
                deliver(lambda: _advance(dock, token, round(100 * done / total), 100))

            return str(demo_nerve_state(report, token))

        def done(state: str) -> None:
            self.address.text = state
            self._find(self._list_and_open, after)

        self._start("Making the demo nerve", 100, "%", after)
        self._jobs.run(run, done, lambda error: self._failed(error, lambda: self.open_demo(after)))

    def cancel(self) -> None:
        """Stop what goes on; layers that are there already stay."""
        self._jobs.cancel()
        self._end("Cancelled.")

    # Steps of the work

    def _find(
        self,
        then: Callable[[Found], None],
        after: Callable[[bool], object] | None = None,
        resolution: tuple[float, float, float] | None = None,
    ) -> None:
        address = self.address.text
        self._asked, self._found = address, None
        cache = preferences().cache_bytes
        dock = weakref.ref(self)
        deliver = self.scene.deliver

        def run(token: Token) -> Found:
            def report(done: int, total: int) -> None:
                deliver(lambda: _advance(dock, token, done, total))

            return find(address, resolution, cache, token, report)

        def failed(error: Exception) -> None:
            if isinstance(error, ResolutionNeeded):
                self._ask_voxel_size(then, error)
            else:
                self._failed(error, lambda: self._find(then, after, resolution))

        self._start("Looking", None, "layers", after)
        self._jobs.run(run, then, failed)

    def _list(self, found: Found) -> None:
        self._found = found
        self.tree.show_found(found)
        self.tree.show()
        self.voxel_size.hide()
        self.notices.setText("\n".join(found.notices))
        self.notices.setVisible(bool(found.notices))
        self._end("", keep_after=True)
        self._show_empty()
        self._address_edited(self.address.text)

    def _list_and_open(self, found: Found) -> None:
        self._list(found)
        self._prepare(found, self.tree.ticked())

    def _prepare(self, found: Found, chosen: list[int]) -> None:
        apply_memory()
        dock = weakref.ref(self)
        deliver = self.scene.deliver

        def run(token: Token) -> Ready:
            def report(done: int, total: int) -> None:
                deliver(lambda: _advance(dock, token, done, total))

            ready = prepare(found, chosen, token, report)
            wait_until_warm(token)  # napari's first layer and point need it in the GUI thread
            return ready

        self._start("Opening", None, "layers", self._after)
        self._jobs.run(
            run, self._add, lambda error: self._failed(error, lambda: self._prepare(found, chosen))
        )

    def _add(self, ready: Ready) -> None:
        try:
            self._todo = steps(self.scene, ready)
        except UserError as error:
            self._failed(error, None)
            return
        self.job.start(len(self._todo), "layers", "Adding")
        self._next(self._run, len(self._todo))

    def _next(self, run: int, total: int) -> None:
        """Do one step; the next when the event loop has turned."""
        if run != self._run:
            return
        if not self._todo:
            self._remember()
            self._end("Opened.")
            return
        step = self._todo.pop(0)
        try:
            step()
        except Exception as error:  # noqa: BLE001  # of napari's, too: said here, and the work ends
            self._failed(error, None)
            return
        self.job.advance(total - len(self._todo))
        dock = weakref.ref(self)
        self.scene.deliver(lambda: _go_on(dock, run, total))

    # What is shown

    def _start(
        self, text: str, total: int | None, unit: str, after: Callable[[bool], object] | None
    ) -> None:
        self._run += 1
        self._todo = []
        self._after = after
        self.banner.clear()
        self.job.start(total, unit, text)

    def _end(self, text: str, opened: bool | None = None, keep_after: bool = False) -> None:
        self._run += 1
        self._todo = []
        self.job.finish(text)
        self._show_empty()
        if not keep_after and self._after is not None:
            after, self._after = self._after, None
            after(text == "Opened." if opened is None else opened)

    def _failed(self, error: Exception, retry: Callable[[], object] | None) -> None:
        self._end("", opened=False)
        self.banner.show_exception(error, retry)
        show_soon(self.banner)

    def _remember(self) -> None:
        recent = RecentSources(most=preferences().recent)
        recent.add(address_to_keep(self._asked))
        self.address.show_recent(recent)

    def _show_session(self, there: bool) -> None:
        self.session_fold.set_open(there)
        if there:
            show_soon(self.session)

    def _address_edited(self, text: str) -> None:
        known = self._found is not None and text == self._asked
        self.tree.setVisible(known)
        if text != self._asked:
            self.voxel_size.hide()
        why = "" if text else "Give an address first."
        self.job.set_ready(bool(text), why)

    def _show_empty(self) -> None:
        self.empty.setVisible(self.scene.reference is None and not self.job.running)

    # A volume that does not say how large its voxels are

    def _ask_voxel_size(self, then: Callable[[Found], None], error: Exception) -> None:
        after, self._after = self._after, None
        self._end("", opened=False)
        what = str(error).partition("; give the size")[0]
        self.banner.show_error(f"{what}. Give the size of a voxel below, z, y, x in nm.")
        self.voxel_size.show()
        self.size_edit.setFocus()
        show_soon(self.banner, self.voxel_size)

        def again() -> None:
            size = parse_voxel_size(self.size_edit.text())
            self._find(then, after, size)

        self._with_size = again

    def _use_size(self) -> None:
        if self._with_size is None:
            return
        try:
            self._with_size()
        except UserError as error:
            self.banner.show_error(str(error))

    # Qt

    def attach(self) -> None:
        """Follow what is in the viewer."""
        self.scene.volumes_changed.connect(self._show_empty)
        self.address.show_recent(RecentSources(most=preferences().recent))
        self.session.attach()
        self._show_empty()

    def detach(self) -> None:
        """Stop following."""
        self.session.detach()
        self.scene.volumes_changed.disconnect(self._show_empty)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files, folders and text."""
        if event is not None and dropped(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what is dropped."""
        data = event.mimeData() if event is not None else None
        address = dropped(data)
        if event is None or data is None or not address:
            return
        event.acceptProposedAction()
        if len(data.urls()) > 1:
            self.banner.show_error(f"{len(data.urls())} files were dropped; drop one at a time")
            show_soon(self.banner)
        else:
            self.address.enter(address)


def _advance(dock: weakref.ref[OpenDock], token: Token, done: int, total: int) -> None:
    alive = dock()
    if alive is not None and not token.is_set():
        alive.job.advance(done, total)


def _go_on(dock: weakref.ref[OpenDock], run: int, total: int) -> None:
    alive = dock()
    if alive is not None:
        alive._next(run, total)
