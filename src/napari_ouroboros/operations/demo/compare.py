"""Labels that came home against the truth: overlap by overlap, chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.operations.demo.steps import Steps

if TYPE_CHECKING:
    from napari_ouroboros.geometry import Grid, Straightening
    from napari_ouroboros.volumes import Volume

Index = tuple[int, int, int]
#: How often each pair (true id, found id) occurs, 0 being none.
Pairs = Counter[tuple[int, int]]


@dataclass(frozen=True)
class Row:
    """One fascicle: its true id, the label that overlaps it most, and their voxels.

    `truth_voxels` are those within the slices; `voxel_um3` is the volume of one.
    """

    truth_id: int
    label: int
    truth_voxels: int
    label_voxels: int
    overlap: int
    voxel_um3: float

    @property
    def dice(self) -> float:
        """Twice the overlap by the sum of both."""
        return 2 * self.overlap / (self.truth_voxels + self.label_voxels)


def compare(
    truth: Volume, found: Volume, straightening: Straightening, steps: Steps | None = None
) -> tuple[Row, ...]:
    """Compare two segmentations on the same grid where the slices of a map reach.

    Parameters
    ----------
    truth, found : Volume
        Of the same shape; their finest levels are compared.
    straightening : Straightening
        The map that `found` came home through.
    steps : Steps, optional
        Progress and cancel.

    Returns
    -------
    tuple of Row
        One for each true id of which a voxel lies within a slice, by id.

    Raises
    ------
    UserError
        The grids differ.
    """
    grid = truth.mip(0)
    if found.mip(0).shape != grid.shape or found.mip(0).chunk != grid.chunk:
        raise UserError(
            f"the truth has {grid.shape} voxels in chunks of {grid.chunk}, what is compared with "
            f"it {found.mip(0).shape} in {found.mip(0).chunk}; bring the labels back with like="
        )
    indices = list(product(*(range(n) for n in truth.chunk_grid(0))))
    pairs: Pairs = Counter()

    def one(index: Index) -> Pairs:
        box = truth.chunk_box(0, index)
        true, label = (_chunk(volume, index) for volume in (truth, found))
        return _pairs(true, label, grid, (box[0][0], box[1][0], box[2][0]), straightening)

    with ThreadPoolExecutor(2) as pool:
        try:
            for done, part in enumerate(pool.map(one, indices), 1):
                pairs.update(part)
                if steps is not None:
                    steps.tell(done / len(indices))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return rows_of(pairs, float(np.prod(grid.resolution)) * 1e-9)


def rows_of(pairs: Pairs, voxel_um3: float) -> tuple[Row, ...]:
    """Match each true id with the label of the largest overlap."""
    truth_sizes: Counter[int] = Counter()
    label_sizes: Counter[int] = Counter()
    for (true, label), count in pairs.items():
        truth_sizes[true] += count
        label_sizes[label] += count
    rows = []
    for true in sorted(truth_sizes.keys() - {0}):
        # Of equal overlaps the smaller label, so that the table does not depend on the order.
        overlaps = [(n, -label) for (t, label), n in pairs.items() if t == true and label]
        overlap, label = max(overlaps, default=(0, 0))
        size = label_sizes[-label] if label else 0
        rows.append(Row(true, -label, truth_sizes[true], size, overlap, voxel_um3))
    return tuple(rows)


def _chunk(volume: Volume, index: Index) -> NDArray[Any] | None:
    chunk = volume.fetch_chunk(0, index)
    return None if chunk is None or not chunk.any() else chunk[0]


def _pairs(
    true: NDArray[Any] | None,
    label: NDArray[Any] | None,
    grid: Grid,
    start: Index,
    straightening: Straightening,
) -> Pairs:
    """Count the pairs of ids in a chunk that starts at array index `start`; None is all 0."""
    if true is None and label is None:
        return Counter()
    if true is None:
        assert label is not None
        true = np.zeros(label.shape, np.uint64)
    if label is None:
        label = np.zeros(true.shape, np.uint64)
    where = np.nonzero((true != 0) | (label != 0))
    t, f = true[where], label[where]
    # What has a label lies in a slice. Of the rest only what truth lies in one may be missed.
    missed = np.flatnonzero(f == 0)
    positions = grid.to_nm(np.stack(where, axis=1)[missed] + np.asarray(start))
    outside = missed[np.isnan(straightening.to_straightened(positions)[:, 0])]
    t, f = np.delete(t, outside), np.delete(f, outside)
    ids_t, t = np.unique(t, return_inverse=True)
    ids_f, f = np.unique(f, return_inverse=True)
    counts = np.bincount(t * len(ids_f) + f, minlength=len(ids_t) * len(ids_f))
    table = counts.reshape(len(ids_t), len(ids_f))
    return Counter(
        {
            (int(ids_t[i]), int(ids_f[j])): int(table[i, j])
            for i, j in zip(*np.nonzero(table), strict=True)
        }
    )


def table_csv(rows: Iterable[Row]) -> str:
    """Return the table as comma-separated values."""
    lines = ["fascicle,label,truth_voxels,label_voxels,overlap,truth_um3,label_um3,dice"]
    lines += [
        f"{r.truth_id},{r.label},{r.truth_voxels},{r.label_voxels},{r.overlap},"
        f"{r.truth_voxels * r.voxel_um3:.3f},{r.label_voxels * r.voxel_um3:.3f},{r.dice:.6f}"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def table_markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown that also reads well as it is."""
    head = ("fascicle", "label", "true um3", "found um3", "Dice")
    cells = [
        (
            str(r.truth_id),
            str(r.label),
            f"{r.truth_voxels * r.voxel_um3:.1f}",
            f"{r.label_voxels * r.voxel_um3:.1f}",
            f"{r.dice:.4f}",
        )
        for r in rows
    ]
    widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(head))]
    lines = ["| " + " | ".join(c.rjust(w) for c, w in zip(head, widths, strict=True)) + " |"]
    lines.append("|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")
    lines += [
        "| " + " | ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return "\n".join(lines) + "\n"
