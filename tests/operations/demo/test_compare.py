"""The comparison of labels with the truth, against counting them all at once."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import Grid, Straightening, Trace
from napari_ouroboros.operations.demo.compare import (
    Row,
    compare,
    rows_of,
    table_csv,
    table_markdown,
)
from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.writing.precomputed_writer import (
    PrecomputedWriter,
    is_our_precomputed,
)
from napari_ouroboros.volumes.writing.staging import StagedFolder

GRID = Grid((70, 66, 75), (50.0, 20.0, 20.0), (3, 11, 7))
BIG = 2**53 + 1


def write(path: Path, labels: NDArray[Any]) -> str:
    with StagedFolder(path, False, is_our_precomputed) as folder:
        writer = PrecomputedWriter(
            folder,
            shape=labels.shape,
            resolution=GRID.resolution,
            voxel_offset=GRID.voxel_offset,
            dtype=labels.dtype,
            kind="segmentation",
        )
        for box in writer.chunks():
            writer.write(box, labels[tuple(slice(*ends) for ends in box)])
        folder.commit()
    return str(path)


@pytest.fixture
def straightening() -> Straightening:
    ends = GRID.to_nm([(10, 33, 37), (55, 33, 37)])
    return Straightening(Trace(ends), width=31, height=25, pitch_nm=20, spacing_nm=50)


def test_overlaps_are_those_of_the_whole(tmp_path: Path, straightening: Straightening) -> None:
    rng = np.random.default_rng(0)
    ids = np.array([0, 0, 1, 300, BIG, BIG - 1], np.uint64)
    # Lumps, so that some chunks are empty in one and not in the other.
    truth = np.repeat(ids[rng.integers(0, 6, (7, 66, 75))], 10, axis=0)
    truth[:, :, 64:] = 0
    found = rng.integers(0, 4, GRID.shape).astype(np.uint32)
    centres = GRID.to_nm(np.moveaxis(np.indices(GRID.shape), 0, -1))
    inside = ~np.isnan(straightening.to_straightened(centres)[..., 0])
    assert 0.01 < inside.mean() < 0.5
    found[~inside] = 0  # as backprojection leaves it

    rows = compare(
        open_volume(write(tmp_path / "truth", truth)),
        open_volume(write(tmp_path / "found", found)),
        straightening,
    )
    assert [row.truth_id for row in rows] == [1, 300, BIG - 1, BIG]
    for row in rows:
        true = (truth == np.uint64(row.truth_id)) & inside
        overlaps = [np.count_nonzero(true & (found == n)) for n in range(1, 4)]
        assert row.truth_voxels == np.count_nonzero(true)
        assert row.overlap == max(overlaps)
        assert row.label == 1 + int(np.argmax(overlaps))
        assert row.label_voxels == np.count_nonzero(found == row.label)
        expected = 2 * max(overlaps) / (true.sum() + (found == row.label).sum())
        assert row.dice == pytest.approx(expected, rel=1e-12)
        assert row.voxel_um3 == pytest.approx(2e-5)


def test_other_grids_are_refused(tmp_path: Path, straightening: Straightening) -> None:
    truth = open_volume(write(tmp_path / "truth", np.ones(GRID.shape, np.uint32)))
    found = open_volume(write(tmp_path / "found", np.ones((64, 66, 75), np.uint32)))
    with pytest.raises(UserError, match="64, 66, 75"):
        compare(truth, found, straightening)


def test_a_truth_that_nothing_overlaps_has_dice_0() -> None:
    (row,) = rows_of(Counter({(7, 0): 10, (0, 1): 5}), 1.0)
    assert row == Row(7, 0, 10, 0, 0, 1.0)
    assert row.dice == 0
    assert rows_of(Counter({(0, 1): 5}), 1.0) == ()


def test_of_equal_overlaps_the_smaller_label_counts() -> None:
    for pairs in ({(7, 3): 5, (7, 2): 5}, {(7, 2): 5, (7, 3): 5}):
        assert rows_of(Counter(pairs), 1.0)[0].label == 2


def test_tables_hold_the_rows() -> None:
    rows = [Row(1, 2, 1000, 1100, 950, 1e-3), Row(BIG, 1, 10, 10, 10, 1e-3)]
    read = list(csv.DictReader(io.StringIO(table_csv(rows))))
    assert [int(row["fascicle"]) for row in read] == [1, BIG]
    assert float(read[0]["dice"]) == pytest.approx(1900 / 2100, abs=1e-6)
    assert float(read[0]["label_um3"]) == pytest.approx(1.1)
    lines = table_markdown(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == [
        str(BIG),
        "1",
        "0.0",
        "0.0",
        "1.0000",
    ]
