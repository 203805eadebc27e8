"""The demo: a phantom nerve straightened, segmented, brought back and compared with its truth."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ouroboros.operations.demo.compare import compare, table_csv, table_markdown
from napari_ouroboros.operations.demo.figures import draw
from napari_ouroboros.operations.demo.phantom import SHAPE, Phantom, make_phantom, write_phantom
from napari_ouroboros.operations.demo.report import DemoFailed, DemoReport
from napari_ouroboros.operations.demo.steps import TOTAL, Steps
from napari_ouroboros.operations.plan import Cancel, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ouroboros.geometry import Straightening, Trace
    from napari_ouroboros.operations.straighten_job import StraightenReport
    from napari_ouroboros.volumes import Volume

STRAIGHTENED, LABELS, HOME, RESULT = "nerve.tif", "labels.tif", "labels_home", "result.json"


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
    why_not = None if headless else why_no_window()
    if headless:
        tell("ran headless, as asked")
    elif why_not:
        tell(f"{why_not}: ran headless")
    else:
        tell("Opening napari; close its windows to end the demo.")
        open_windows(report)
    return report


def main(
    folder: str | Path,
    headless: bool = False,
    overwrite: bool = False,
    as_json: bool = False,
    dry_run: bool = False,
) -> None:
    """Run the demo for the shell: a bar on stderr, the report on stdout.

    With `as_json` the report is JSON and no window is opened; with `dry_run` it only says what
    would be done.

    Raises
    ------
    OuroborosError
        As `run_demo`.
    """
    from tqdm import tqdm

    if dry_run:
        _say_plan(Path(folder), as_json)
        return

    bar_format = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}"
    with tqdm(
        desc="demo", total=TOTAL, disable=as_json or None, file=sys.stderr, bar_format=bar_format
    ) as bar:

        def progress(done: int, total: int) -> None:
            bar.update(done - bar.n)

        def tell(text: str) -> None:
            if not as_json:
                bar.clear()
                print(text, flush=True)

        report = run_demo(
            folder, (headless or as_json) or None, progress, overwrite=overwrite, tell=tell
        )
    if as_json:
        print(json.dumps(report.facts))


def _say_plan(folder: Path, as_json: bool) -> None:
    """Say what the demo would write; about as much again as the image is for the rest."""
    megabytes = round(1.5e-6 * math.prod(SHAPE))
    if as_json:
        print(
            json.dumps({"folder": str(folder.absolute()), "shape": SHAPE, "megabytes": megabytes})
        )
        return
    print(
        f"the demo, not run: a phantom of {' x '.join(map(str, SHAPE))} voxels and what is made "
        f"of it, about {megabytes} MB in {folder}"
    )


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
    files = (report.result, report.recipe, report.straightened, report.labels)
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
    _check_free(folder, overwrite)
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
            folder / STRAIGHTENED, volume, wide, overwrite=overwrite, progress=part.progress,
            cancel=steps.cancel, command="napari-ouroboros demo",
        )  # fmt: skip
    with clock.step("segmented", 0.4, 0.47):
        labels_path = _segment(straight, folder / LABELS, overwrite)
    with clock.step("brought back", 0.47, 0.6) as part:
        home = backproject(
            labels_path, wide, folder / HOME, volume, overwrite=overwrite,
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
        as_used = check(truth, wide, progress=part.part(0, 0.3).progress, cancel=steps.cancel)
        fine = _exact(wide, as_used.promised.exact_pitch_nm)
        exact = check(volume, fine, progress=part.part(0.3, 1).progress, cancel=steps.cancel)
    with clock.step("drawn", 0.95, 1.0):
        pictures = draw(folder / "pictures", straight.path, labels_path, wide, volume, found, rows)
        result = _write_result(folder / RESULT, volume, truth, found, phantom, overwrite)
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


def _check_free(folder: Path, overwrite: bool) -> None:
    """Find out before the work, not after it, that a result may not be written."""
    from napari_ouroboros.operations.demo.phantom import IMAGE, STATE, TRUTH
    from napari_ouroboros.volumes.writing.precomputed_writer import is_our_precomputed
    from napari_ouroboros.volumes.writing.staging import (
        StagedFile,
        StagedFolder,
        destination_errors,
    )

    with destination_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name in (IMAGE, TRUTH, HOME):
        StagedFolder(folder / name, overwrite, is_our_precomputed)
    for name in (STATE, STRAIGHTENED, LABELS, RESULT):
        StagedFile(folder / name, overwrite)


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

    from napari_ouroboros.operations.demo.segment import segment_fascicles
    from napari_ouroboros.volumes.writing.staging import StagedFile
    from napari_ouroboros.volumes.writing.tiff import tiff_metadata, write_tiff

    map_ = straight.straightening
    labels = segment_fascicles(tifffile.imread(straight.path), map_.pitch_nm, map_.spacing_nm)
    with StagedFile(path, overwrite) as file:
        write_tiff(
            file.path,
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
    from napari_ouroboros.volumes.writing.staging import destination_errors

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
