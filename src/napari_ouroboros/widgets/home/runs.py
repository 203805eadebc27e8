"""Backprojections from the window: labels as they are when a run begins, gone home. No Qt."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import Cancelled
from napari_ouroboros.operations.backproject_report import what_is_empty
from napari_ouroboros.volumes.writing.disk import destination_errors
from napari_ouroboros.widgets.file_runs import FileRuns, count_text, size_text, time_text

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.operations.backproject_job import BackprojectJob
    from napari_ouroboros.operations.backproject_report import BackprojectReport
    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.volumes import Volume
    from napari_ouroboros.volumes.labels.label_array import LabelArray
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.labels.book import StraightLabels
    from napari_ouroboros.widgets.session.work import Work

#: Folders of the working folder: results that are only shown, and labels while they go home.
_RESULTS, _SNAPSHOTS = "results", "snapshots"


@dataclass(frozen=True, eq=False)
class HomeRequest:
    """One backprojection, with everything fixed when it is asked for.

    Attributes
    ----------
    name : str
        Of the result's layer.
    labels : tuple of LabelArray
    maps : tuple of Straightening
        The recipe of each.
    like : Volume
        The original.
    mip : int
        Level of it that is labelled.
    path : Path or None
        None: a folder of that name in the working folder, for a result that is only shown.
    work : Work
    keep : tuple of int
        Only these ids; all if there are none.
    pyramid : bool
        Coarser levels, too.
    overwrite : bool
    """

    name: str
    labels: tuple[LabelArray, ...]
    maps: tuple[Straightening, ...]
    like: Volume
    mip: int
    path: Path | None
    work: Work
    keep: tuple[int, ...] = ()
    pyramid: bool = False
    overwrite: bool = False

    @classmethod
    def of(cls, entries: list[StraightLabels], **more: Any) -> HomeRequest:
        """Ask for labels of the book, each along its own recipe."""
        name = entries[0].name if len(entries) == 1 else "labels"
        arrays, maps = tuple(e.array for e in entries), tuple(e.map for e in entries)
        return cls(f"{name} (backprojected)", arrays, maps, **more)

    def cost(self) -> HomeCost:
        """What it takes; whether something is in the way is asked when the run begins."""
        path = self.path or Path("labels").absolute()
        job = self._job(self.labels, path, overwrite=True)
        plan = job.plan()
        resolution = self.like.mip(self.mip).resolution
        promises = tuple(dict.fromkeys(map_.exactness(resolution).text for map_ in self.maps))
        return HomeCost(len(plan.units) + len(plan.later), plan.bytes_to_write, promises)

    def run(self, progress: Callable[[int, int], None], cancel: Cancel) -> tuple[HomeResult, int]:
        """Do it with the labels as they are now; who paints meanwhile paints for the next run."""
        folder = self.work.folder().path
        path = self.path or _folder(folder / _RESULTS) / _file_name(self.name)
        with _snapshots(self.labels, _folder(folder / _SNAPSHOTS), cancel) as labels:
            job = self._job(labels, path, self.overwrite or self.path is None)
            report = job.run(progress, cancel)
            return HomeResult(self, report), job.plan().bytes_to_write

    def _job(self, labels: tuple[LabelArray, ...], path: Path, overwrite: bool) -> BackprojectJob:
        from napari_ouroboros.operations.backproject_job import BackprojectJob

        keep = f" ids {','.join(map(str, self.keep))}" if self.keep else ""
        return BackprojectJob(
            list(labels), list(self.maps), path, self.like, self.mip, keep=self.keep or None,
            pyramid=self.pyramid, overwrite=overwrite, command=f"napari: Backproject{keep}",
        )  # fmt: skip


@dataclass(frozen=True)
class HomeCost:
    """What a backprojection takes, from geometry alone, and what can be promised of it.

    Attributes
    ----------
    chunks : int
        Of 64^3 voxels, all that the tube touches, coarser levels included.
    bytes_to_write : int
        At most, as they are in memory; chunks without a label are not written.
    promises : tuple of str
        What of a round trip is exact, for each of the recipes.
    """

    chunks: int
    bytes_to_write: int
    promises: tuple[str, ...]

    def text(self, bytes_per_second: float | None = None) -> str:
        """One line; time only from a rate that was measured."""
        return (
            f"{count_text(self.chunks, 'chunk')}, at most {size_text(self.bytes_to_write)} to write"
            f"{time_text(self.bytes_to_write, bytes_per_second)}"
        )


@dataclass(frozen=True, eq=False)
class HomeResult:
    """What a run has made, and of what."""

    request: HomeRequest
    report: BackprojectReport


class HomeRuns(FileRuns[HomeRequest]):
    """Backprojections of a scene, one at a time, in threads; they outlive the dock.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread; all signals are emitted there.
    """

    def __init__(self, deliver: Deliver) -> None:
        super().__init__(deliver, "ouroboros-backproject", "a backprojection")
        #: What became of the last run, in a line.
        self.outcome = ""
        self.finished.connect(self._note_end)
        self.failed.connect(self._note_failure)

    def _note_end(self, result: HomeResult) -> None:
        report = result.report
        if not report.voxels_labelled:
            self.outcome = f"{what_is_empty(result.request.keep or None).capitalize()}."
            return
        chunks = count_text(report.chunks_written, "chunk")
        line = f"{report.voxels_labelled:,} voxels labelled, in {chunks} ({report.seconds:.3g} s)."
        if report.voxels_contested:
            line += (
                f" {report.voxels_contested:,} voxels lie in more than one slice; each took the "
                "label of the slice whose centre line is nearest."
            )
        if report.voxels_between_traces:
            line += (
                f" {report.voxels_between_traces:,} voxels had labels along two traces; each took "
                "that of the nearest."
            )
        where = "" if result.request.path is None else f"Written to {report.path}: "
        self.outcome = f"{where}{line}"

    def _note_failure(self, error: Exception) -> None:
        cancelled = isinstance(error, Cancelled)
        self.outcome = "Cancelled; nothing was kept." if cancelled else ""


@contextmanager
def _snapshots(
    labels: tuple[LabelArray, ...], folder: Path, cancel: Cancel
) -> Iterator[tuple[LabelArray, ...]]:
    """The labels as they are now, until the end of the context."""
    place = folder / uuid.uuid4().hex
    try:
        taken = []
        for i, array in enumerate(labels):
            if cancel.is_set():
                raise Cancelled("the backprojection was cancelled; nothing was kept")
            taken.append(array.snapshot_to(place / str(i)))
        yield tuple(taken)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _folder(path: Path) -> Path:
    with destination_errors(path):
        path.mkdir(exist_ok=True)
    return path


def _file_name(name: str) -> str:
    """A name of a folder on any disk; no suffix is left, which would ask for a format."""
    return "".join(c if c.isalnum() or c in " -_()" else "_" for c in name).strip() or "labels"
