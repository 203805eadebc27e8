"""Levels in napari: a landmark is found where it is, at every level."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros.geometry.grid import Grid
from napari_ouroboros.layers import _middle, align, cut, space
from napari_ouroboros.volumes.level import Level


def pyramid(shape: tuple[int, ...], offset: tuple[int, ...], n: int) -> list[Grid]:
    """Levels as precomputed volumes have them: all on the lattice of their own voxels."""
    size = np.array((40.0, 8.0, 8.0))
    low, high = np.array(offset), np.array(offset) + shape
    levels = []
    for _ in range(n):
        levels.append(Grid(tuple(high - low), tuple(size), tuple(low)))
        low, high, size = low // 2, -(-high // 2), size * 2
    return levels


def napari_index(
    levels: list[Grid], mip: int, points_nm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Array index at which napari shows a place: from shapes alone, corners coinciding."""
    aligned = align(levels)
    k = aligned.mips.index(mip)
    start = np.array(aligned.boxes)[..., 0]
    factor = np.array(aligned.shapes[0]) / aligned.shapes[k]
    in_finest = levels[0].to_index(points_nm) - start[0]
    return (in_finest + 0.5) / factor - 0.5 + start[k]


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    offset=st.tuples(*[st.integers(-2000, 2000)] * 3),
    n=st.integers(1, 7),
)
def test_precomputed_pyramids_fit_exactly(
    shape: tuple[int, ...], offset: tuple[int, ...], n: int
) -> None:
    levels = pyramid(shape, offset, n)
    aligned = align(levels)
    assert aligned.mips[0] == 0
    # Levels are only left out below one that is small enough to be read at once.
    assert aligned.mips == tuple(range(len(aligned.mips)))
    if len(aligned.mips) < n:
        assert max(levels[aligned.mips[-1]].shape) <= 128
    low, high = levels[0].bounds_nm
    points = low + (high - low) * np.linspace(0, 1, 7)[:, None]
    for mip in aligned.mips:
        np.testing.assert_allclose(
            napari_index(levels, mip, points), levels[mip].to_index(points), atol=1e-6
        )
    shapes = np.array(aligned.shapes)
    assert (shapes[0] % shapes == 0).all()
    finest = np.array(aligned.boxes[0])
    assert (finest[:, 0] <= 0).all()
    assert (finest[:, 1] >= shape).all()


def test_the_example_of_odd_sizes() -> None:
    levels = [
        Grid((101,) * 3, (1.0,) * 3),
        Grid((51,) * 3, (2.0,) * 3),
        Grid((26,) * 3, (4.0,) * 3),
    ]
    # 101 is small enough to need no coarser level at all; stretch one axis beyond that.
    levels = [Grid((g.shape[0] * 4, *g.shape[1:]), g.resolution) for g in levels]
    assert align(levels).shapes == [(404, 104, 104), (202, 52, 52), (101, 26, 26)]


def test_levels_that_share_no_lattice_are_left_out() -> None:
    fine = Grid((1000, 1000, 1000), (10.0, 10.0, 10.0))
    odd = Grid((667, 667, 667), (15.0, 15.0, 15.0))
    half = Grid((500, 500, 500), (20.0, 20.0, 20.0))
    assert align([fine, odd, half]).mips == (0, 2)


@given(shift=st.floats(-40, 40))
def test_any_offset_stays_within_half_a_voxel(shift: float) -> None:
    levels = [
        Grid((1001, 700, 300), (10.0,) * 3),
        Grid((500, 350, 150), (20.0,) * 3, (shift / 20, 0, 0)),
        Grid((250, 175, 75), (40.0,) * 3, (shift / 20, shift / 40, 0)),
    ]
    aligned = align(levels)
    points = np.linspace((5.0, 5.0, 5.0), (9900.0, 6900.0, 2900.0), 9)
    for mip in aligned.mips:
        wrong = napari_index(levels, mip, points) - levels[mip].to_index(points)
        assert np.abs(wrong).max() <= 0.25 + 1e-6


def test_halves_with_a_common_centre_of_voxel_0_are_kept() -> None:
    # An OME-Zarr whose levels all say translation 0: off by half a fine voxel, no more.
    levels = [Grid((400,) * 3, (1.0,) * 3, (-0.5,) * 3), Grid((200,) * 3, (2.0,) * 3, (-0.5,) * 3)]
    assert align(levels).mips == (0, 1)


def ome_pyramid(
    shape: tuple[int, ...], corner: tuple[float, ...], n: int, strided: bool
) -> list[Grid]:
    """Levels of an OME-Zarr at any place: means share their outer corner, every second voxel
    (`strided`) the centre of the first one."""
    size = np.array((40.0, 8.0, 4.0))
    levels = []
    for k in range(n):
        factor = np.array((2 ** (k // 2), 2**k, 2**k))
        low = np.array(corner) - strided * (factor - 1) * size / 2
        number = -(-np.array(shape) // factor)
        levels.append(
            Grid(tuple(number.tolist()), tuple(factor * size), tuple(low / (factor * size)))
        )
    return levels


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    corner=st.tuples(*[st.floats(-1e5, 1e5)] * 3),
    n=st.integers(1, 6),
    strided=st.booleans(),
)
def test_fractional_offsets(
    shape: tuple[int, ...], corner: tuple[float, ...], n: int, strided: bool
) -> None:
    levels = ome_pyramid(shape, corner, n, strided)
    aligned = align(levels)
    # None is left out, but below one that is small enough to be read at once.
    assert aligned.mips == tuple(range(len(aligned.mips)))
    if len(aligned.mips) < n:
        assert max(levels[aligned.mips[-1]].shape) <= 128
    low, high = levels[0].bounds_nm
    points = low + (high - low) * np.linspace(0, 1, 7)[:, None]
    for mip in aligned.mips:
        wrong = napari_index(levels, mip, points) - levels[mip].to_index(points)
        assert np.abs(wrong).max() <= (0.25 if strided else 0) + 1e-6


@given(
    corner=st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    where=st.tuples(*[st.floats(0.01, 0.99)] * 3),
    strided=st.booleans(),
)
@example(corner=(0.907813117026313, 0.0, 0.0), where=(0.5, 0.5, 0.5), strided=True)
def test_a_landmark_at_every_level(
    corner: tuple[float, ...], where: tuple[float, ...], strided: bool
) -> None:
    """In the arrays that napari gets; 404, 202, 101 along x, and a place anywhere in a voxel."""
    levels = ome_pyramid((26, 51, 404), corner, 3, strided)
    aligned = align(levels)
    assert aligned.mips == (0, 1, 2)
    low, high = levels[0].bounds_nm
    # Strided levels end a little earlier.
    place = low + np.array(where) * (high - low - 2 * np.array(levels[2].resolution))
    finest = None
    for mip, box in zip(aligned.mips, aligned.boxes, strict=True):
        level = levels[mip]
        array = np.zeros(level.shape, np.uint8)
        array[tuple(np.floor(level.to_index(place) + 0.5).astype(int))] = 255
        shown = cut(da.from_array(array, chunks=64), box).compute(scheduler="synchronous")
        finest = shown.shape if finest is None else finest
        (found,) = np.argwhere(shown == 255)
        factor = np.array(finest) / shown.shape  # as napari has it
        index = (found + 0.5) * factor - 0.5 + np.array(aligned.boxes[0])[:, 0]
        wrong = (levels[0].to_nm(index) - place) / level.resolution
        # Half a voxel because the place is anywhere in it; a quarter where no lattice fits.
        assert np.abs(wrong).max() <= 0.5 + 0.25 * strided + 1e-6


@pytest.mark.parametrize(
    "box",
    [
        ((0, 5), (0, 6), (0, 7)),
        ((-2, 6), (1, 4), (0, 9)),
        ((2, 3), (-3, 8), (-1, 7)),
        ((6, 9), (0, 6), (-4, 0)),
    ],
)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_cut_pads_and_crops(
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]], channels: tuple[int, ...]
) -> None:
    shape = (5, 6, 7)
    array = np.arange(1, 1 + np.prod((*shape, *channels))).reshape(*shape, *channels)
    lazy = cut(da.from_array(array, chunks=4), box)
    far = np.pad(array, [(10, 10)] * 3 + [(0, 0)] * len(channels))
    expected = far[tuple(slice(a + 10, b + 10) for a, b in box)]
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), expected)


def test_space_puts_voxel_centres_where_the_grid_has_them() -> None:
    grid = Grid((3, 4, 5), (40.0, 8.0, 8.0), (7, -3, 100))
    meta = space(grid)
    index = np.array((1, 2, 3))
    np.testing.assert_allclose(index * meta["scale"] + meta["translate"], grid.to_nm(index))
    assert meta["units"] == ("nm", "nm", "nm")


def test_contrast_reads_no_more_than_it_needs() -> None:
    """Planes of a stack: 128 of them for one number would be gigabytes."""
    level = Level((500, 60_000, 60_000), (40.0, 4.0, 4.0), chunk=(1, 6000, 6000))
    (z0, z1), *plane = _middle(level, 2)
    assert (z1 - z0) * 6000 * 6000 * 2 <= 64 * 2**20 or z1 - z0 == 1
    assert 249 <= z0 <= 250
    assert all(0 < b - a <= 128 for a, b in plane)
    small = Level((500, 6000, 6000), (40.0, 4.0, 4.0), chunk=(64, 64, 64))
    assert [b - a for a, b in _middle(small, 2)] == [128, 128, 128]
