"""The kernels against their likeness in numpy, bit for bit, and the cubic against closed forms."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import catmull_rom

from napari_ouroboros.geometry import (
    chunk_kernel,
    cubic_kernel,
    frames,
    kernels,
    sample_kernel,
    sample_plain,
    sampling,
    transport,
)
from napari_ouroboros.geometry.sampling import TAPS, Pages, SliceGrid

DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "float32", "float64")
#: The cubic kernel takes seconds to compile for each, and settles its sums as the linear one does.
CUBIC_DTYPES = ("uint8", "int16", "int64", "float32", "float64")
COMPILED = {
    "nearest": sample_kernel.nearest,
    "linear": sample_kernel.linear,
    "cubic": cubic_kernel.cubic,
}


def noise(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1e3, shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)


def slices(rng: np.random.Generator, on_ties: bool) -> SliceGrid:
    """Three slices, partly outside; on ties every index is a multiple of 1/8."""
    axes = np.linalg.qr(rng.normal(size=(3, 3, 3)))[0] * rng.uniform(0.05, 1.5)
    start = rng.uniform(-10, 45, (3, 3))
    if on_ties:
        axes, start = np.round(axes * 8) / 8, np.round(start * 2) / 2
    return SliceGrid(start, np.ascontiguousarray(axes[:, 0]), np.ascontiguousarray(axes[:, 1]))


def about_the_middle(
    rng: np.random.Generator, size: NDArray[np.int64], rows: int, columns: int
) -> SliceGrid:
    """Three slices through the middle, samples 0.7 voxels apart."""
    axes = 0.7 * np.linalg.qr(rng.normal(size=(3, 3, 3)))[0]
    drow, dcolumn = np.ascontiguousarray(axes[:, 0]), np.ascontiguousarray(axes[:, 1])
    return SliceGrid(size / 2 - rows / 2 * drow - columns / 2 * dcolumn, drow, dcolumn)


@pytest.mark.parametrize("method", TAPS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), on_ties=st.booleans(), data=st.data())
def test_numpy_gives_the_same_bits(
    method: str, seed: int, on_ties: bool, data: st.DataObject
) -> None:
    dtype = data.draw(st.sampled_from(CUBIC_DTYPES if method == "cubic" else DTYPES))
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 40, 3)
    chunk = np.minimum(rng.integers(1, 14, 3), size)
    channels, rows = int(rng.integers(1, 3)), int(rng.integers(1, 24))
    columns = int(rng.choice([rng.integers(1, 40), rng.integers(100, 300)]))
    grid, corner = slices(rng, on_ties), (2, 3)
    span = ((corner[0], corner[0] + rows), (corner[1], corner[1] + columns))
    cells = -(-size // chunk)
    low = np.zeros(3, np.int64)
    marks = np.zeros((2, *cells), bool)
    for mark, marked in zip((chunk_kernel.mark, sample_plain.mark), marks, strict=True):
        mark(*grid, *span[0], *span[1], size, chunk, *TAPS[method], low, marked)
    np.testing.assert_array_equal(*marks)
    ids = np.argwhere(marks[0])
    slots = noise(rng, dtype, (max(len(ids), 1), channels, *chunk))
    # What is not marked points nowhere: reading it would show, or crash.
    table = np.full(cells, 10**6, np.int32)
    table[tuple(ids.T)] = np.where(rng.random(len(ids)) < 0.1, -1, np.arange(len(ids)))
    pages = Pages(slots, table, low, size, chunk)
    fill = np.nan if slots.dtype.kind == "f" else 7
    out = np.zeros((2, 3, rows, columns, channels), slots.dtype)
    for compiled, result in zip((True, False), out, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sampling, "is_ready", lambda key, make, ready=compiled: ready)
            sampling.sample(pages, grid, corner, method, fill, result, wait=False)
    np.testing.assert_array_equal(out[0], out[1])


@pytest.mark.parametrize("method", TAPS)
def test_a_row_alone_marks_all_that_it_reads(method: str) -> None:
    """Of any length, along any axis, up or down: no neighbour marks what its last sample needs."""
    before, after = TAPS[method]
    size, chunk = np.array([13, 17, 23]), np.array([4, 5, 6])
    cells = -(-size // chunk)
    for axis, step, columns in product(range(3), (0.5, -0.5, 1.7), range(1, 50)):
        start, dcolumn = np.full((1, 3), 6.2), np.zeros((1, 3))
        start[0, axis], dcolumn[0, axis] = (-1.0 if step > 0 else size[axis]), step
        marked = np.zeros(cells, bool)
        chunk_kernel.mark(start, np.zeros((1, 3)), dcolumn, 0, 1, 0, columns, size, chunk, before,
                          after, np.zeros(3, np.int64), marked)  # fmt: skip
        where = start + np.arange(columns)[:, None] * dcolumn
        where = where[np.all((where >= -0.5) & (where < size - 0.5), 1)]
        read = np.zeros(cells, bool)
        for tap in product(range(-before, after + 1), repeat=3):
            voxel = np.floor(where + (0.5 if method == "nearest" else 0)).astype(int) + tap
            read[tuple((np.clip(voxel, 0, size - 1) // chunk).T)] = True
        np.testing.assert_array_equal(marked, read)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_polynomials_come_back(method: str) -> None:
    """Linear interpolation is exact for degree 1, Catmull-Rom for degree 2, in each variable."""
    rng = np.random.default_rng(3)
    size, chunk = np.array([23, 20, 26]), np.array([7, 20, 9])
    degree = 1 if method == "linear" else 2
    coefficients = rng.normal(size=(degree + 1,) * 3)
    grid = about_the_middle(rng, size, 9, 11)
    where = indices(grid, 9, 11)
    assert where.min() > 1
    assert (where < size - 3).all()
    voxels = np.polynomial.polynomial.polyval3d(*np.indices(size), coefficients)
    got = sampled(voxels[None], grid, (9, 11), method, chunk)
    expected = np.polynomial.polynomial.polyval3d(*np.moveaxis(where, -1, 0), coefficients)
    np.testing.assert_allclose(got[..., 0], expected, rtol=1e-11, atol=1e-9)
    higher = np.indices(size)[0].astype(float) ** (degree + 1)
    got = sampled(higher[None], grid, (9, 11), method, chunk)[..., 0]
    assert np.abs(got - where[..., 0] ** (degree + 1)).max() > 0.01


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("int16", 2)])
def test_cubic_is_the_literal_catmull_rom(dtype: str, channels: int) -> None:
    rng = np.random.default_rng(11)
    size, chunk = np.array([21, 30, 17]), np.array([6, 11, 17])
    voxels = noise(rng, dtype, (channels, *size))
    grid = about_the_middle(rng, size, 25, 40)
    got = sampled(voxels, grid, (25, 40), "cubic", chunk, fill=9)
    where = indices(grid, 25, 40)
    expected = np.stack([catmull_rom(v, where, fill=9) for v in voxels], -1)
    inside = np.all((where >= -0.5) & (where < size - 0.5), -1)
    assert 0.05 < inside.mean() < 0.95
    assert np.abs(got - np.clip(expected, np.iinfo(dtype).min, np.iinfo(dtype).max)).max() <= 0.501
    assert (expected[inside] > np.iinfo(dtype).max).any()
    assert (expected[inside] < np.iinfo(dtype).min).any()


def test_cubic_goes_through_the_voxels() -> None:
    rng = np.random.default_rng(4)
    voxels = noise(rng, "int64", (1, 9, 12, 11)) // 2**20
    step = np.array([[0.0, 1, 0]]), np.array([[0.0, 0, 1]])
    grid = SliceGrid(np.array([[4.0, 0, 0]]), *step)
    got = sampled(voxels, grid, (12, 11), "cubic", np.array([4, 5, 6]))
    np.testing.assert_array_equal(got[0, ..., 0], voxels[0, 4])


@pytest.mark.parametrize("method", TAPS)
def test_any_fill_of_any_dtype_is_kept(method: str) -> None:
    """float64 rounds the greatest int64 up, beyond it."""
    rng = np.random.default_rng(5)
    size = np.array([5, 6, 7])
    grid = SliceGrid(size[None] + 1.0, np.array([[0.0, 1, 0]]), np.array([[0.0, 0, 1]]))
    for dtype in CUBIC_DTYPES if method == "cubic" else DTYPES:
        kind = np.dtype(dtype).kind
        limits = (-np.inf, np.nan) if kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        for fill in limits:
            got = sampled(noise(rng, dtype, (1, *size)), grid, (3, 4), method, size, fill)
            np.testing.assert_array_equal(got, np.full(got.shape, fill, dtype))


def indices(grid: SliceGrid, rows: int, columns: int) -> NDArray[np.float64]:
    """(n, rows, columns, 3) array indices zyx."""
    return (
        grid.start[:, None, None]
        + np.arange(rows)[:, None, None] * grid.drow[:, None, None]
        + np.arange(columns)[:, None] * grid.dcolumn[:, None, None]
    )


def sampled(
    voxels: NDArray[Any], grid: SliceGrid, shape: tuple[int, int], method: Any,
    chunk: NDArray[np.int64], fill: float = 0,
) -> NDArray[Any]:  # fmt: skip
    """Slices (n, rows, columns, channels) of (channel, z, y, x) voxels, cut into chunks."""
    size = np.array(voxels.shape[1:])
    cells = -(-size // chunk)
    slots = np.zeros((int(np.prod(cells)), len(voxels), *chunk), voxels.dtype)
    for slot, cell in enumerate(np.ndindex(*cells)):
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(cell, chunk, strict=True))
        part = voxels[(slice(None), *box)]
        slots[(slot, slice(None), *(slice(n) for n in part.shape[1:]))] = part
    table = np.arange(len(slots), dtype=np.int32).reshape(cells)
    pages = Pages(slots, table, np.zeros(3, np.int64), size, chunk)
    out = np.empty((len(grid.start), *shape, len(voxels)), voxels.dtype)
    sampling.sample(pages, grid, (0, 0), method, fill, out)
    return out


def test_transport_in_plain_floats_has_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    c = np.cumsum(rng.normal(1, 1, (400, 3)), axis=0)
    c[50] = c[49]  # a step of length 0
    tangents = rng.normal(size=(400, 3))
    tangents[51] = tangents[50]
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    first = frames.default_normal(tangents[0])
    np.testing.assert_array_equal(
        transport.double_reflection(c, tangents, first),
        kernels.double_reflection(c, tangents, first),
    )
