"""Sessions in napari's own File menu, and session files that are dropped on its window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.session import SUFFIX

if TYPE_CHECKING:
    from napari_ouroboros.widgets.open.dock import OpenDock


def save_session() -> None:
    """Save the session of the window in front; ask where to if it has no file yet."""
    _dock().session.save()


def save_session_as() -> None:
    """Save the session of the window in front in another file."""
    _dock().session.save_as()


def open_session() -> None:
    """Ask for a session file, and open it in the window in front."""
    _dock().session.open()


def is_session(path: object) -> bool:
    """Whether something that napari is to open is a session file."""
    return isinstance(path, str) and path.lower().endswith(SUFFIX)


def read(path: str | list[str]) -> list[Any]:
    """Open a session file in the window in front, all docks arranged; as napari's readers do.

    napari wants layers at once; the layer returned stands for the session until it is there.
    """
    from napari import current_viewer

    from napari_ouroboros.errors import UserError
    from napari_ouroboros.widgets.open.demo_scene import stand_in

    viewer = current_viewer()
    if viewer is None:
        raise UserError("a session needs a window to be opened in")
    file = Path(path if isinstance(path, str) else path[0])
    return stand_in(
        viewer, lambda shown: _open_arranged(shown, file), f"{file.name} is being opened"
    )


def _open_arranged(viewer: Any, file: Path) -> None:
    from napari_ouroboros.widgets.open.dock import OpenDock
    from napari_ouroboros.widgets.spaces import arrange_softly

    def open_(docks: list[Any]) -> None:
        for found in (found for dock in docks for found in dock.findChildren(OpenDock)):
            found.session.open_file(file)

    arrange_softly(viewer, open_)


def _dock() -> OpenDock:
    """The Open dock of the window in front; opened if need be: it shows how far it is."""
    import napari

    from napari_ouroboros.errors import UserError
    from napari_ouroboros.widgets.open.dock import OpenDock

    viewer = napari.current_viewer()
    if viewer is None:
        raise UserError("a session needs a window")
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, OpenDock):
            return widget
    _, made = viewer.window.add_plugin_dock_widget("napari-ouroboros", "Open a volume")
    assert isinstance(made, OpenDock)
    return made
