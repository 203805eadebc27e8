"""Import and export of the Trace dock: files are read and written in a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_ouroboros.widgets.background import Worker
from napari_ouroboros.widgets.scene.live import NO_VOLUME
from napari_ouroboros.widgets.trace.exporting import export
from napari_ouroboros.widgets.trace.file_rows import FileRows
from napari_ouroboros.widgets.trace.importing import Candidate, candidates

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ouroboros.widgets.controls import Banner
    from napari_ouroboros.widgets.scene import Scene


class TraceFiles:
    """What the rows for files do.

    Parameters
    ----------
    scene : Scene
    banner : Banner
        Says what became of it.
    attempt : callable
        Does what it is given, and shows what the user can mend.

    Attributes
    ----------
    rows : FileRows
        To be laid out.
    close : callable
        Stops; what is being read is dropped. It does not hold the dock, as this object does.
    """

    def __init__(
        self,
        scene: Scene,
        banner: Banner,
        attempt: Callable[[Callable[[], object]], None],
    ) -> None:
        self._scene, self._banner, self._attempt = scene, banner, attempt
        self._worker = Worker("ouroboros-trace-files", scene.deliver, keep_all=True)
        self.close = self._worker.close
        self.rows = FileRows(self.look_into, self.add, self.write)

    def look_into(self, source: str) -> None:
        """Read what traces a path or link has; a single one is added."""
        volume = self._scene.reference
        if volume is None:
            self._banner.show_error(NO_VOLUME)
            return
        self.rows.set_busy(True)

        def done(found: list[Candidate]) -> None:
            self.rows.set_busy(False)
            self.rows.show_found(found)
            if len(found) == 1:
                self.add(found[0])
            else:
                self._banner.show_notice(f"{len(found)} traces found: choose one and add it.")

        def failed(error: Exception) -> None:
            self.rows.set_busy(False)
            self._banner.show_exception(error, lambda: self.look_into(source))

        self._worker.submit(lambda token: candidates(source, volume), done, failed)

    def add(self, candidate: Candidate) -> None:
        """Make a trace of what was found."""
        self._attempt(lambda: self._scene.traces.new(candidate.points_nm, candidate.name))

    def write(self, path: str, polyline: bool = False) -> None:
        """Write the active trace; a state may have it as one polyline."""
        model, volume = self._scene.traces.active, self._scene.reference
        if model is None or volume is None or not path:
            return
        name, points = model.name, model.state.points_nm

        def done(file: Path) -> None:
            self._banner.show_notice(f"{len(points)} points written to {file}")

        def failed(error: Exception) -> None:
            self._banner.show_exception(error, lambda: self.write(path, polyline))

        self._worker.submit(
            lambda token: export(path, name, points, volume, polyline), done, failed
        )
