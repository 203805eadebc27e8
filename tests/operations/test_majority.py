"""Majorities against tensorstore's ``mode`` and against a literal count with exact fractions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.majority import Votes, cells_of, count_votes, elect

IDS = np.array([0, 0, 0, 1, 2, 70_000, 2**40, 2**64 - 1], np.uint64)


def blobs(shape: Sequence[int], seed: int = 0, size: int = 5) -> NDArray[np.uint64]:
    """Labels in pieces of a few voxels, with ragged borders."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(IDS, [n // size + 1 for n in shape])
    labels = coarse
    for axis in range(3):
        labels = labels.repeat(size, axis)
    labels = labels[tuple(slice(n) for n in shape)].copy()
    noise = rng.random(shape) < 0.2
    labels[noise] = rng.choice(IDS, int(noise.sum()))
    return labels


def majority(
    labels: NDArray[Any], fine: Grid, coarse: Grid, block: Sequence[int] = (16, 16, 16)
) -> NDArray[Any]:
    """All of the coarse grid, the fine one counted in blocks."""
    cells = cells_of(fine, coarse)
    votes: list[Votes] = []
    for low in product(*(range(0, n, b) for n, b in zip(fine.shape, block, strict=True))):
        part = tuple(slice(a, a + b) for a, b in zip(low, block, strict=True))
        piece = [c[s] for c, s in zip(cells, part, strict=True)]
        votes.append(count_votes(labels[part], piece, coarse.shape))
    return elect(votes, cells, coarse.shape, labels.dtype)


def literal(
    labels: NDArray[Any],
    fine: tuple[Sequence[Fraction], Sequence[Fraction]],
    coarse: tuple[Sequence[Fraction], Sequence[Fraction]],
    shape: Sequence[int],
) -> NDArray[Any]:
    """Count one voxel after the other; grids are (resolution, voxel offset) in exact numbers."""
    where = [
        [floor((o + i + Fraction(1, 2)) * r / big - start) for i in range(n)]
        for n, r, o, big, start in zip(labels.shape, *fine, *coarse, strict=True)
    ]
    counts: dict[tuple[int, ...], Counter[int]] = {}
    for index, label in np.ndenumerate(labels):
        cell = tuple(where[axis][i] for axis, i in enumerate(index))
        counts.setdefault(cell, Counter())[int(label)] += 1
    result = np.zeros(shape, labels.dtype)
    for cell, counter in counts.items():
        if all(0 <= i < n for i, n in zip(cell, shape, strict=True)):
            most = max(counter.values())
            result[cell] = min(label for label, n in counter.items() if n == most)
    return result


# aligned factors: tensorstore counts the same -------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32, 32), (33, 30, 27), (1, 7, 64)])
@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 2), (4, 4, 4), (1, 8, 4), (32, 32, 32)])
def test_whole_aligned_factors_as_tensorstore(
    shape: tuple[int, int, int], factors: tuple[int, int, int]
) -> None:
    import tensorstore as ts

    labels = blobs(shape)
    store = ts.downsample(ts.array(labels), list(factors), "mode")
    expected = store.read().result()
    z, y, x = expected.shape
    fine = Grid(shape, (40, 8, 8), (12, -8, 8))
    coarse = Grid(
        (z, y, x),
        tuple(r * f for r, f in zip(fine.resolution, factors, strict=True)),
        tuple(o / f for o, f in zip(fine.voxel_offset, factors, strict=True)),
    )
    np.testing.assert_array_equal(majority(labels, fine, coarse), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_every_dtype(dtype: str) -> None:
    import tensorstore as ts

    limit = int(np.iinfo(dtype).max)
    labels = np.random.default_rng(0).choice(np.array([0, 1, limit], dtype), (20, 20, 20))
    fine, coarse = Grid((20, 20, 20), (8, 8, 8)), Grid((10, 10, 10), (16, 16, 16))
    found = majority(labels, fine, coarse, block=(7, 8, 9))
    assert found.dtype == labels.dtype
    expected = ts.downsample(ts.array(labels), [2, 2, 2], "mode").read().result()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("ids", [31, 32, 33, 34, 1000])
def test_boxes_of_many_ids(ids: int) -> None:
    import tensorstore as ts

    rng = np.random.default_rng(ids)
    labels = rng.permutation(np.arange(16**3, dtype=np.uint64) % ids).reshape(16, 16, 16)
    labels[labels > 0] += np.uint64(2**63)
    labels.setflags(write=False)
    fine, coarse = Grid((16, 16, 16), (8, 8, 8)), Grid((2, 2, 2), (64, 64, 64))
    found = majority(labels.T, fine, coarse, block=(16, 16, 8))
    expected = ts.downsample(ts.array(labels.T), [8, 8, 8], "mode").read().result()
    np.testing.assert_array_equal(found, expected)


# any other grids: a literal count -------------------------------------------------------------


@pytest.mark.parametrize(
    ("resolution", "offset", "shape"),
    [
        # A coarse voxel of 101/51 fine ones, as volumes whose shapes were halved and rounded.
        ((Fraction(8 * 101, 51),) * 3, (0, 0, 0), (10, 10, 10)),
        # Twice as large, but half a coarse voxel aside.
        ((16, 16, 16), (Fraction(1, 2), 0, Fraction(-1, 2)), (9, 10, 12)),
        ((12, 20, 28), (-3, 2, 1), (25, 9, 9)),
        ((8, 16, 24), (0, 1, 0), (19, 9, 7)),
        ((100, 100, 100), (0, 0, 0), (2, 2, 2)),
        # Larger than what there is on every side.
        ((16, 16, 16), (-4, -4, -4), (20, 20, 20)),
    ],
)
def test_other_ratios_and_offsets(
    resolution: tuple[Any, ...], offset: tuple[Any, ...], shape: tuple[int, int, int]
) -> None:
    labels = blobs((19, 20, 21))
    expected = literal(labels, ((8, 8, 8), (0, 0, 0)), (resolution, offset), shape)
    fine = Grid((19, 20, 21), (8, 8, 8))
    coarse = Grid(shape, tuple(map(float, resolution)), tuple(map(float, offset)))
    np.testing.assert_array_equal(majority(labels, fine, coarse, block=(5, 64, 8)), expected)
    assert expected.any()


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    ratio=st.tuples(*[st.fractions(1, 6, max_denominator=60)] * 3),
    offset=st.tuples(*[st.integers(-1000, 1000)] * 3),
    shift=st.tuples(*[st.fractions(-2, 2, max_denominator=4)] * 3),
    block=st.tuples(*[st.integers(1, 12)] * 3),
    seed=st.integers(0, 100),
)
def test_any_grids(
    shape: tuple[int, int, int],
    ratio: tuple[Fraction, ...],
    offset: tuple[int, ...],
    shift: tuple[Fraction, ...],
    block: tuple[int, int, int],
    seed: int,
) -> None:
    labels = blobs(shape, seed, size=2)
    big = tuple(8 * r for r in ratio)
    start = tuple(Fraction(o) / r + s for o, r, s in zip(offset, ratio, shift, strict=True))
    coarse_shape = (7, 6, 5)
    expected = literal(labels, ((8, 8, 8), offset), (big, start), coarse_shape)
    fine = Grid(shape, (8, 8, 8), offset)
    coarse = Grid(coarse_shape, tuple(map(float, big)), tuple(map(float, start)))
    np.testing.assert_array_equal(majority(labels, fine, coarse, block), expected)


# ties and halves -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "winner"),
    [
        ([5, 5, 5, 5], 5),
        ([0, 0, 9, 9], 0),  # background before labels
        ([9, 3, 9, 3], 3),  # the smaller id
        ([9, 3, 3, 9], 3),
        ([0, 7, 7, 2], 7),  # not half, but the most
        ([0, 7, 2, 1], 0),
        ([7, 2, 2, 1], 2),
        ([2**64 - 1, 2**64 - 1, 0, 1], 2**64 - 1),
    ],
)
@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_who_wins(line: list[int], winner: int, block: int) -> None:
    labels = np.array(line, np.uint64).reshape(1, 1, 4)
    fine, coarse = Grid((1, 1, 4), (8, 8, 8)), Grid((1, 1, 1), (8, 8, 32))
    assert majority(labels, fine, coarse, (1, 1, block)).item() == winner


def test_no_votes_is_background() -> None:
    cells = cells_of(Grid((4, 4, 4), (8, 8, 8)), Grid((2, 2, 2), (16, 16, 16)))
    found = elect([], cells, (2, 2, 2), np.dtype(np.uint32))
    assert found.dtype == np.uint32
    assert not found.any()
