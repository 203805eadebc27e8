"""A run to a file: what it will cost, how far it is, and what became of it. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ouroboros.widgets.file_runs import FileRuns, count_text, size_text, time_text
from napari_ouroboros.widgets.straighten.picked_volume import PickedVolume

if TYPE_CHECKING:
    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.operations.straighten_job import StraightenJob, StraightenReport
    from napari_ouroboros.widgets.background import Deliver
    from napari_ouroboros.widgets.straighten.content import LiveContent
    from napari_ouroboros.widgets.straighten.volume_feed import VolumeFeed


@dataclass(frozen=True, eq=False)
class Request:
    """One run, with everything fixed when it is asked for.

    Attributes
    ----------
    path : Path
    source : VolumeFeed
        Which volume.
    content : LiveContent
        The map, the level, the interpolation and the picked ids.
    overwrite : bool
    """

    path: Path
    source: VolumeFeed
    content: LiveContent
    overwrite: bool = False

    def job(self) -> StraightenJob:
        """Check everything. Errors and notices as `StraightenJob` has them."""
        from napari_ouroboros.operations.straighten_job import StraightenJob

        content = self.content
        volume = content.volume
        if content.picked:
            volume = PickedVolume.of(volume, content.picked)
        picked = f" ids {','.join(map(str, sorted(content.picked)))}" if content.picked else ""
        return StraightenJob(
            self.path,
            volume,
            content.map,
            content.mip,
            content.interpolation,
            kind=self.source.kind,
            overwrite=self.overwrite,
            command=f"napari: Straighten{picked}",
        )

    def cost(self) -> Cost:
        """What it takes; whether something is in the way is asked when the run begins."""
        job = replace(self, overwrite=True).job()
        plan = job.plan()
        return Cost(job.shape[0], plan.chunks_to_fetch, plan.bytes_to_fetch, plan.bytes_to_write)

    def run(
        self, progress: Callable[[int, int], None], cancel: Cancel
    ) -> tuple[StraightenReport, int]:
        """Do it; the report, and the bytes that were fetched and written."""
        start = time.monotonic()
        job = self.job()
        plan = job.plan()
        return job.run(progress, cancel, start), plan.bytes_to_fetch + plan.bytes_to_write


@dataclass(frozen=True)
class Cost:
    """What a run takes, from geometry alone.

    Attributes
    ----------
    slices, chunks, bytes_to_fetch, bytes_to_write : int
        Bytes as they are in memory, before compression.
    """

    slices: int
    chunks: int
    bytes_to_fetch: int
    bytes_to_write: int

    def text(self, bytes_per_second: float | None = None) -> str:
        """One line; time only from a rate that was measured."""
        total = self.bytes_to_fetch + self.bytes_to_write
        return (
            f"{count_text(self.slices, 'slice')}, {count_text(self.chunks, 'chunk')}, "
            f"{size_text(self.bytes_to_fetch)} "
            f"to fetch, {size_text(self.bytes_to_write)} to write"
            f"{time_text(total, bytes_per_second)}"
        )


class StraightenRuns(FileRuns[Request]):
    """Estimates and runs, one at a time, in threads.

    Parameters
    ----------
    deliver : callable
        Brings results to the GUI thread; all signals are emitted there.
    """

    def __init__(self, deliver: Deliver) -> None:
        super().__init__(deliver, "ouroboros-straighten", "a straightening")
