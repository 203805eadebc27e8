"""What the demo made and measured, as text, as JSON, and as a verdict."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ouroboros.errors import OuroborosError
from napari_ouroboros.operations.demo.compare import Row, table_markdown

if TYPE_CHECKING:
    from napari_ouroboros.operations.round_trip import CheckReport

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
        The round trip of the true labels at the demo's own settings.
    exact : CheckReport
        The round trip of the image with pixels so small that it is promised to be exact.
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
    def facts(self) -> dict[str, Any]:
        """The report as a JSON-able dict."""
        return {
            "folder": str(self.folder.absolute()),
            "state": self.state.name,
            "straightened": self.straightened.name,
            "recipe": self.recipe.name,
            "labels": self.labels.name,
            "backprojected": self.backprojected.name,
            "result": self.result.name,
            "pictures": [str(path.relative_to(self.folder)) for path in self.pictures],
            "tables": [path.name for path in self.tables],
            "slices": list(self.slices),
            "fascicles": [
                {
                    "id": row.truth_id,
                    "label": row.label,
                    "truth_voxels": row.truth_voxels,
                    "label_voxels": row.label_voxels,
                    "dice": row.dice,
                }
                for row in self.rows
            ],
            "round_trips": [
                {
                    "pixel_nm": report.promised.pitch,
                    "promised_exact": report.promised.volume_exact,
                    "voxels": report.voxels,
                    "voxels_changed": report.voxels_changed,
                }
                for report in (self.as_used, self.exact)
            ],
            "seconds": {name: round(seconds, 2) for name, seconds in self.seconds.items()},
        }

    @property
    def text(self) -> str:
        """The table, the checks, where the files are, and what to try next."""
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        n, rows, columns = self.slices
        name = _short(self.folder)
        typed = shlex.quote(name)
        fine = self.exact
        return "\n".join(
            [
                f"{n} slices of {columns} x {rows} pixels; {steps}",
                "",
                table_markdown(self.rows),
                f"The round trip of the image with pixels of {fine.promised.pitch:.3g} nm, where "
                f"exactness is promised: {_share(fine)}.",
                f"That of the true labels with pixels of {self.as_used.promised.pitch:.3g} nm, "
                f"where it is not: {_share(self.as_used)}.",
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
                f"  napari-ouroboros info {typed}/state.json",
                f"  napari-ouroboros straighten {typed}/state.json --image-layer em "
                f"--width {columns} --height {rows} -o mine.tif",
                f"  napari-ouroboros backproject {typed}/{self.labels.name} "
                f"--recipe {typed}/{self.recipe.name} -o mine_labels",
                f"  napari {typed}/{self.result.name}",
            ]
        )


def _short(path: Path) -> str:
    """Return a path as one would type it: relative where that leads down."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path.absolute())
    return str(path.absolute()) if relative.startswith("..") else relative


def _share(report: CheckReport) -> str:
    same = report.voxels - report.voxels_changed
    if report.voxels_changed == 0:
        return f"all {report.voxels:,} voxels came back unchanged"
    return f"{same:,} of {report.voxels:,} voxels came back unchanged ({same / report.voxels:.1%})"
