"""The demo: a phantom nerve straightened, segmented, brought back and compared with its truth."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.operations.demo_compare import Row, compare, table_csv, table_markdown
from napari_ouroboros.operations.demo_pictures import draw
from napari_ouroboros.operations.phantom import Phantom, make_phantom, write_phantom
from napari_ouroboros.operations.plan import Cancel, Progress
from napari_ouroboros.operations.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ouroboros.geometry import Straightening, Trace
    from napari_ouroboros.operations.round_trip import CheckReport
    from napari_ouroboros.operations.straighten_job import StraightenReport
    from napari_ouroboros.volumes import Volume

LEAST_DICE = 0.95


class DemoFailed(OuroborosError):
    """The demo ran, but its result is not what it should be; its files are kept to look at."""


@dataclass(frozen=True)
class DemoReport:
    """What the demo made and measured.

    Attributes
    ----------
    folder, state, straightened, recipe, labels, backprojected, result : Path
        The folder; the phantom's state; the straightened image and its recipe; the labels found
        in it; the labels brought back; a state that shows all of it.
    pictures : tuple of Path
        PNG files.
    tables : tuple of Path
        The table as CSV and as Markdown.
    rows : tuple of Row
        One per fascicle.
    as_used : CheckReport
        The round trip at the demo's own settings.
    exact : CheckReport
        The round trip with pixels so small that it is promised to be exact.
    slices : (int, int, int)
        Shape of the straightened image.
    seconds : dict
        Time of each step.
    """

    folder: Path
    state: Path
    straightened: Path
    recipe: Path
    labels: Path
    backprojected: Path
    result: Path
    pictures: tuple[Path, ...]
    tables: tuple[Path, ...]
    rows: tuple[Row, ...]
    as_used: CheckReport
    exact: CheckReport
    slices: tuple[int, int, int]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What is not as it should be; empty for a demo that succeeded."""
        found = [
            f"fascicle {row.truth_id} came home with a Dice of {row.dice:.4f}, below {LEAST_DICE}"
            for row in self.rows
            if not row.dice >= LEAST_DICE
        ]
        if not self.rows:
            found.append("the slices reach no fascicle")
        if not self.exact.promised.volume_exact:
            found.append("the fine round trip was not promised to be exact")
        for name, report in (("demo's", self.as_used), ("fine", self.exact)):
            if not report.kept_promises:
                found.append(
                    f"the {name} round trip did not keep its promise: "
                    f"{report.voxels_changed:,} of {report.voxels:,} voxels changed"
                )
        return found

    @property
    def text(self) -> str:
        """The table, the checks, where the files are, and what to try next."""
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        n, rows, columns = self.slices
        name = os.path.relpath(self.folder)
        fine = self.exact
        return "\n".join(
            [
                f"{n} slices of {columns} x {rows} pixels; {steps}",
                "",
                table_markdown(self.rows),
                f"Round trip with pixels of {self.as_used.promised.pitch:.3g} nm, where exactness "
                f"is not promised: {_share(self.as_used)}.",
                f"Round trip with pixels of {fine.promised.pitch:.3g} nm, where it is promised: "
                f"{_share(fine)}.",
                "",
                f"In {name}:",
                "  state.json           the volume, its truth and the trace, for Neuroglancer",
                f"  {self.straightened.name:<20} the straightened image; its recipe lies beside it",
                f"  {self.labels.name:<20} the fascicles found in it, without seeing the truth",
                f"  {self.backprojected.name:<20} the same, home in the volume",
                f"  {self.result.name:<20} all of it in one state",
                "  pictures, table.md   to look at",
                "",
                "Try next:",
                f"  napari-ouroboros info {name}/state.json",
                f"  napari-ouroboros straighten {name}/state.json --image-layer em "
                f"--width {columns} --height {rows} -o mine.tif",
                f"  napari-ouroboros backproject {name}/{self.labels.name} "
                f"--recipe {name}/{self.recipe.name} -o mine_labels",
                f"  napari {name}/{self.result.name}",
            ]
        )


def run_demo(
    folder: str | Path,
    headless: bool | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    overwrite: bool = False,
    phantom: Phantom | None = None,
    tell: Callable[[str], None] = print,
) -> DemoReport:
    """Run the demo.

    Parameters
    ----------
    folder : path
        Where everything is written; made if it does not exist.
    headless : bool, optional
        Open no window. None: open napari if it is installed and there is a display.
    progress, cancel
        As for `straighten_to`.
    overwrite : bool
        Replace an earlier demo in the folder.
    phantom : Phantom, optional
        Another one than ``make_phantom()``.
    tell : callable
        Takes the report's text, before a window opens.

    Returns
    -------
    DemoReport

    Raises
    ------
    DemoFailed
        A fascicle came home with a Dice below 0.95, or a round trip did not keep its promise.
    UserError, DestinationError, Cancelled
    """
    report = _run(Path(folder), Steps(progress, cancel), overwrite, phantom)
    tell(report.text)
    if report.problems:
        raise DemoFailed("the demo failed: " + "; ".join(report.problems))
    why_not = "asked to run headless" if headless else why_no_window()
    if why_not:
        tell(f"{why_not}: ran headless")
    else:
        tell("Opening napari; close its windows to end the demo.")
        open_windows(report)
    return report


def why_no_window() -> str | None:
    """Say why napari cannot be opened here; None if it can."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no display"
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed (pip install 'napari-ouroboros[napari]')"
    return None


def open_windows(report: DemoReport) -> None:
    """Show the volume with its layers in napari, and wait until the windows are closed."""
    # A process of its own: nothing below the window's room may import napari, and a window that
    # crashes does not take the result of the demo with it.
    files = (report.result, report.straightened, report.labels)
    command = [sys.executable, "-m", "napari_ouroboros.widgets.demo_windows", *map(str, files)]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise DemoFailed(
            f"the demo succeeded, but napari ended with code {code}; "
            "--headless runs the demo without a window"
        )


def _run(folder: Path, steps: Steps, overwrite: bool, phantom: Phantom | None) -> DemoReport:
    from napari_ouroboros.neuroglancer import read_state
    from napari_ouroboros.operations.backproject_job import backproject
    from napari_ouroboros.operations.round_trip import check
    from napari_ouroboros.operations.straighten_job import straighten_to
    from napari_ouroboros.volumes import open_volume

    clock = _Clock(steps)
    with clock.step("phantom", 0.0, 0.3) as part:
        if phantom is None:
            phantom = make_phantom(progress=part.part(0, 0.8).progress, cancel=steps.cancel)
        made = write_phantom(
            folder, phantom, overwrite=overwrite, progress=part.part(0.8, 1).progress,
            cancel=steps.cancel,
        )  # fmt: skip
    # From here on the demo knows what a user knows: the state file, and how wide the nerve is.
    state = read_state(made.state)
    volume = open_volume(state.volume_source("em").url)
    trace = state.trace(image_layer="em")
    wide = _settings(trace, volume, phantom.nerve.radius)

    with clock.step("straightened", 0.3, 0.4) as part:
        straight = straighten_to(
            folder / "nerve.tif", volume, wide, overwrite=overwrite, progress=part.progress,
            cancel=steps.cancel, command="napari-ouroboros demo",
        )  # fmt: skip
    with clock.step("segmented", 0.4, 0.47):
        labels_path = _segment(straight, folder / "labels.tif", overwrite)
    with clock.step("brought back", 0.47, 0.6) as part:
        home = backproject(
            labels_path, wide, folder / "labels_home", volume, overwrite=overwrite,
            progress=part.progress, cancel=steps.cancel, command="napari-ouroboros demo",
        )  # fmt: skip
    truth = open_volume(str(made.truth))
    found = open_volume(str(home.path))
    with clock.step("compared", 0.6, 0.7) as part:
        rows = compare(truth, found, wide, part)
        tables = (folder / "table.csv", folder / "table.md")
        _write_text(tables[0], table_csv(rows))
        _write_text(tables[1], table_markdown(rows))
    with clock.step("checked", 0.7, 0.95) as part:
        as_used = check(volume, wide, progress=part.part(0, 0.3).progress, cancel=steps.cancel)
        fine = _exact(wide, as_used.promised.exact_pitch_nm)
        exact = check(volume, fine, progress=part.part(0.3, 1).progress, cancel=steps.cancel)
    with clock.step("drawn", 0.95, 1.0):
        pictures = draw(folder / "pictures", straight.path, labels_path, wide, volume, found, rows)
        result = _write_result(folder / "result.json", volume, truth, found, phantom, overwrite)
    n, height, width = wide.shape
    return DemoReport(
        folder, made.state, straight.path, straight.recipe, labels_path, home.path, result,
        pictures, tables, rows, as_used, exact, (n, height, width), clock.seconds,
    )  # fmt: skip


class _Clock:
    """Times the steps of a job and tells its progress at their ends."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, start: float, end: float) -> Iterator[Steps]:
        began = time.monotonic()
        part = self._steps.part(start, end)
        part.tell(0)
        yield part
        part.tell(1)
        self.seconds[name] = time.monotonic() - began


def _settings(trace: Trace, volume: Volume, radius: float) -> Straightening:
    """Slices a tenth wider than the nerve, at the volume's finest resolution."""
    from napari_ouroboros.geometry import Straightening

    pitch = float(min(volume.mip(0).resolution))
    size = 2 * round(1.1 * radius / pitch)
    return Straightening(trace, width=size, height=size, pitch_nm=pitch, spacing_nm=pitch)


def _exact(wide: Straightening, exact_pitch_nm: float) -> Straightening:
    """Return slices of the same extent with pixels small enough for an exact round trip."""
    from napari_ouroboros.geometry import Straightening

    pitch = 0.98 * exact_pitch_nm
    size = int(wide.width * wide.pitch_nm / pitch)
    return Straightening(wide.trace, width=size, height=size, pitch_nm=pitch, spacing_nm=pitch)


def _segment(straight: StraightenReport, path: Path, overwrite: bool) -> Path:
    """Read the straightened image as any program would, and write the labels found in it."""
    import tifffile

    from napari_ouroboros.operations.demo_segment import segment_fascicles
    from napari_ouroboros.volumes.staging import StagedFile
    from napari_ouroboros.volumes.tiff import tiff_metadata, write_tiff

    map_ = straight.straightening
    labels = segment_fascicles(tifffile.imread(straight.path), map_.pitch_nm, map_.spacing_nm)
    with StagedFile(path, overwrite) as file:
        write_tiff(
            file,
            [labels],
            labels.shape,
            labels.dtype,
            map_.pitch_nm,
            map_.spacing_nm,
            metadata=tiff_metadata(straight.path),
            compression="zlib",
        )
        file.commit()
    return path


def _write_text(path: Path, text: str) -> None:
    from napari_ouroboros.volumes.staging import destination_errors

    with destination_errors(path):
        path.write_text(text, encoding="utf-8")


def _write_result(
    path: Path, volume: Volume, truth: Volume, found: Volume, phantom: Phantom, overwrite: bool
) -> Path:
    """Write a state that shows the image, the truth, what came home, and the trace."""
    from napari_ouroboros.neuroglancer.writing import (
        AnnotationLayer,
        ImageLayer,
        SegmentationLayer,
        write_state,
    )

    points = phantom.points_nm
    return write_state(
        path,
        [
            ImageLayer("em", volume.url),
            SegmentationLayer("truth", truth.url, settings={"visible": False}),
            SegmentationLayer("labels", found.url),
            AnnotationLayer("trace", points),
        ],
        resolution_nm=phantom.resolution,
        position_nm=points[len(points) // 2],
        selected="labels",
        relative=True,
        overwrite=overwrite,
    )


def _share(report: CheckReport) -> str:
    same = report.voxels - report.voxels_changed
    if report.voxels_changed == 0:
        return f"all {report.voxels:,} voxels came back unchanged"
    return f"{same:,} of {report.voxels:,} voxels came back unchanged ({same / report.voxels:.1%})"
