"""What the docks of a scene begin with: messages, what to do first, and parts behind tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtWidgets import QWidget

from napari_ouroboros.widgets.controls import Banner, EmptyState, Pages, ScrollDock, show_soon
from napari_ouroboros.widgets.scene import scene_of

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Form(Protocol):
    """A part of a dock, which listens while the dock is shown."""

    def attach(self) -> None:
        """Listen, and show how things are."""
        ...

    def detach(self) -> None:
        """Stop listening."""
        ...


class SceneDock(ScrollDock):
    """A dock about the slices of a scene; while there are none it says what to do.

    A subclass adds its controls to `pages`, puts these into `column`, and names its forms in
    `forms`. What it connects in `attach` and disconnects in `detach` comes on top of what this
    one does.

    Parameters
    ----------
    napari_viewer : ViewerModel
    title : str
        Of the dock: "QA".

    Attributes
    ----------
    scene : Scene
    banner : Banner
    state : EmptyState
    pages : Pages
    forms : tuple of Form
        Attached and detached with the dock.
    """

    def __init__(
        self, napari_viewer: ViewerModel, title: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.ends_with(napari_viewer)
        self.scene = scene_of(napari_viewer)
        self.banner = Banner()
        self.state = EmptyState("")
        self.pages = Pages(f"parts of {title}")
        self.forms: tuple[Form, ...] = ()
        self.column.addWidget(self.banner)
        self.column.addWidget(self.state)

    def attach(self) -> None:
        """Listen, and show how things are."""
        for form in self.forms:
            form.attach()
        self.scene.live.changed.connect(self._live_changed)
        self.show_live()

    def detach(self) -> None:
        """Stop listening; what runs goes on."""
        for form in self.forms:
            form.detach()
        self.scene.live.changed.disconnect(self._live_changed)

    def show_live(self) -> None:
        """Show how things are with the slices; called when they have changed."""
        state = self.scene.live.state
        self.state.set_text(state.problem)
        self.state.setVisible(state.map is None and bool(state.problem))

    def fail(self, error: Exception, retry: Any = None) -> None:
        """Say what went wrong where it is seen; `retry` is what the button does, if there is one.

        Parameters
        ----------
        error : Exception
        retry : callable, optional
        """
        self.banner.show_exception(error, retry=retry)
        show_soon(self.banner)

    def say(self, text: str) -> None:
        """Say what became of something."""
        self.banner.show_notice(text)
        show_soon(self.banner)

    def _live_changed(self, *_: Any) -> None:
        self.show_live()
