"""What the settings mean for this trace and this volume: one line for each thing worth knowing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ouroboros.operations.outside_volume import best_mip, outside

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Straightening
    from napari_ouroboros.volumes import Volume


@dataclass(frozen=True)
class Advice:
    """Attributes: `lines` to show, and the mip that fits better than the chosen one, if any."""

    lines: tuple[str, ...]
    better_mip: int | None = None


def advice(volume: Volume, map_: Straightening, mip: int) -> Advice:
    """Look at a map; may take a moment, for a worker."""
    lines, better = [], None
    finest = min(volume.mip(mip).resolution)
    if map_.pitch_nm > 2 * finest * (1 + 1e-9):
        fitting = best_mip(volume, map_.pitch_nm)
        text = f"Pixels of {map_.pitch_nm:g} nm skip voxels of mip {mip} ({finest:g} nm)"
        if fitting > mip:
            better = fitting
            lines.append(f"{text}: mip {fitting} fits better.")
        else:
            lines.append(f"{text}, and there is no coarser mip; smaller pixels would not.")
    report = map_.fold_report()
    if report.folds:
        lines.append(f"{report.text[0].upper()}{report.text[1:]}.")
    count = outside(volume, map_, mip)
    if count.any():
        share = 100 * count.sum() / (map_.height * map_.width * len(count))
        slices = int(np.count_nonzero(count))
        lines.append(
            f"{share:.2g} % of the samples, in {slices} of {len(count)} slices, lie outside the "
            "volume and are empty."
        )
    return Advice(tuple(lines), better)


def mip_titles(volume: Volume) -> list[tuple[str, int | str]]:
    """Return the choices of a mip with their resolution, "auto" first."""
    titles: list[tuple[str, int | str]] = [("auto: as fine as a pixel", "auto")]
    for mip, level in enumerate(volume.levels):
        sizes = " × ".join(f"{size:g}" for size in reversed(level.resolution))
        titles.append((f"{mip}: {sizes} nm (x, y, z)", mip))
    return titles
