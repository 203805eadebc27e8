"""Levels are indexed as numpy arrays are; exact from any thread but that of the window."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from streamed import in_a_thread, levels_of, padded, pyramid_of, wait_until, write

from napari_ouroboros.volumes import open_volume
from napari_ouroboros.volumes.streaming import StreamedLevel, StreamedPyramid

SHAPE = (13, 22, 19)


@pytest.fixture(scope="module", params=[1, 2])
def pyramid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two levels, padded, and what is true of them (z, y, x[, channel])."""
    levels = levels_of(SHAPE, 2, "int16", channels=request.param)
    volume = open_volume(write(tmp_path_factory.mktemp("v") / "v", levels, 5))
    pyramid = pyramid_of(volume, 2)
    truth = []
    for array, lattice in zip(levels, pyramid.lattices, strict=True):
        array = array[0] if request.param == 1 else np.moveaxis(array, 0, -1)
        more = () if request.param == 1 else (request.param,)
        truth.append(padded(array, (*lattice.shape, *more)))
    return pyramid, truth


def test_attributes(pyramid: Any) -> None:
    found, truth = pyramid
    for level, array in zip(found.levels, truth, strict=True):
        assert (level.shape, level.ndim, level.size) == (array.shape, array.ndim, array.size)
        assert (level.dtype, level.nbytes, len(level)) == (array.dtype, array.nbytes, len(array))
        assert [sum(sizes) for sizes in level.chunks] == list(array.shape)


@given(data=st.data())
@settings(max_examples=150)
def test_indices_as_numpy_has_them(pyramid: Any, data: st.DataObject) -> None:
    found, truth = pyramid
    k = data.draw(st.integers(0, 1))
    level, array = found.levels[k], truth[k]
    for _ in range(data.draw(st.integers(1, 2))):  # and a part of a part
        index = data.draw(basic_indices(array.shape, allow_ellipsis=True))
        level, array = level[index], array[index]
        assert isinstance(level, StreamedLevel)
        assert level.shape == array.shape
        if not array.shape:
            break
    read = in_a_thread(lambda: np.asarray(level))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@given(data=st.data())
@settings(max_examples=30)
def test_arrays_of_indices_are_read_at_once(pyramid: Any, data: st.DataObject) -> None:
    found, truth = pyramid
    level, array = found.levels[0], truth[0]
    n = data.draw(st.integers(1, 6))
    index = tuple(
        np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=n, max_size=n)))
        for size in array.shape
    )
    np.testing.assert_array_equal(in_a_thread(lambda: level[index]), array[index])
    chosen = (slice(2, 9), index[1])
    np.testing.assert_array_equal(in_a_thread(lambda: level[chosen]), array[chosen])
    mask = array % 7 == 0
    np.testing.assert_array_equal(in_a_thread(lambda: level[mask]), array[mask])


def test_what_numpy_refuses(pyramid: Any) -> None:
    level = pyramid[0].levels[0]
    for index in (99, (0, -99), (0,) * (level.ndim + 1), (..., ...)):
        with pytest.raises(IndexError):
            level[index]
    with pytest.raises(TypeError, match="axes"):
        len(level[(0,) * level.ndim])
    with pytest.raises(ValueError, match="new array"):
        np.array(level, copy=False)


def test_other_libraries_read_it(pyramid: Any) -> None:
    """In another thread, as a plugin's worker does; chunks of dask lie on those of the volume."""
    found, truth = pyramid
    level, array = found.levels[0], truth[0]
    lazy = da.from_array(level, chunks=level.chunks)
    got = in_a_thread(lambda: lazy.compute(scheduler="synchronous"))
    np.testing.assert_array_equal(got, array)
    assert in_a_thread(lambda: np.max(level)) == array.max()
    order = (2, 0, 1, 3)[: level.ndim]
    transposed = in_a_thread(lambda: np.transpose(level[...], order))
    np.testing.assert_array_equal(transposed, array.transpose(order))


def test_copies_look_at_the_same_and_other_processes_at_their_own(pyramid: Any) -> None:
    level = pyramid[0].levels[0][3:7]
    assert copy.deepcopy([level])[0] is level
    again = pickle.loads(pickle.dumps(level))
    assert isinstance(again.pyramid, StreamedPyramid)
    assert again.pyramid is not level.pyramid
    expected = pyramid[1][0][3:7]
    np.testing.assert_array_equal(in_a_thread(lambda: np.asarray(again)), expected)


def test_a_block_is_exact_in_the_main_thread_too(pyramid: Any) -> None:
    found, truth = pyramid
    np.testing.assert_array_equal(np.asarray(found.levels[1][2:5]), truth[1][2:5])


def test_a_plane_does_not_wait_and_is_the_truth_in_the_end(tmp_path: Path) -> None:
    levels = levels_of(SHAPE, 2)
    volume = open_volume(write(tmp_path / "v", levels, 5))
    pyramid = pyramid_of(volume, 2)
    plane = pyramid.levels[0][7]
    assert not np.asarray(plane).any()  # nothing is at hand
    wait_until(lambda: pyramid.loader.idle)
    expected = padded(levels[0][0], pyramid.lattices[0].shape)[7]
    np.testing.assert_array_equal(np.asarray(plane), expected)
