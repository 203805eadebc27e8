"""A straightened file shown in the place of its preview: exact, and never waited for. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.widgets.straighten.content import Want, next_serial

if TYPE_CHECKING:
    import tifffile

    from napari_ouroboros.operations.plan import Cancel
    from napari_ouroboros.operations.straighten_job import StraightenReport
    from napari_ouroboros.volumes import Volume

Array = NDArray[Any]


class ResultContent:
    """The planes of a file that a run has written.

    Parameters
    ----------
    report : StraightenReport

    Attributes
    ----------
    report : StraightenReport
    """

    def __init__(self, report: StraightenReport) -> None:
        self.report = report
        map_ = report.straightening
        self.serial = next_serial()
        self.shape = (report.shape[0], report.shape[1], report.shape[2])
        self.dtype = np.dtype(report.dtype)
        self.channels = report.shape[3] if len(report.shape) > 3 else 1
        self.scale_nm = (map_.mean_spacing_nm, map_.pitch_nm, map_.pitch_nm)
        self.mips: tuple[int, ...] = (report.mip,)
        self.about: dict[str, Any] = {
            "state": "result",
            "path": str(report.path),
            "recipe": str(report.recipe),
        }
        self._lock = threading.Lock()
        self._volume: Volume | None = None
        self._tiff: tifffile.TiffFile | None = None

    def is_here(self, want: Want, mip: int) -> bool:
        """Whether it is in memory: never, but it is not far either."""
        return False

    def read(self, want: Want, mip: int, cancel: Cancel | None = None) -> Array:
        """Return a plane of the file."""
        box = [(0, n) for n in self.shape]
        box[want.axis] = (want.at, want.at + 1)
        return np.squeeze(self.exact(box), want.axis)

    def read_at_once(self, want: Want) -> Array | None:
        """Return None: files are read in a thread."""
        return None

    def exact(self, box: Sequence[tuple[int, int]]) -> Array:
        """Return a part of the file."""
        if self.report.path.is_dir():
            return self._open_volume().read(0, (box[0], box[1], box[2]))
        (first, last), rows, columns = box
        # One at a time: tifffile reads from one place in its file.
        with self._lock:
            if self._tiff is None:
                from napari_ouroboros.volumes.writing.tiff import open_tiff

                self._tiff = open_tiff(self.report.path)
            pages = [
                self._tiff.pages[k].asarray()[slice(*rows), slice(*columns)]
                for k in range(first, last)
            ]
        tail = (self.channels,) if self.channels > 1 else ()
        shape = (0, rows[1] - rows[0], columns[1] - columns[0], *tail)
        return np.stack(pages) if pages else np.empty(shape, self.dtype)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            tiff, self._tiff = self._tiff, None
            volume, self._volume = self._volume, None
        if tiff is not None:
            tiff.close()
        if volume is not None:
            volume.close()

    def _open_volume(self) -> Volume:
        from napari_ouroboros.volumes import open_volume

        with self._lock:
            if self._volume is None:
                self._volume = open_volume(Path(self.report.path))
            return self._volume
