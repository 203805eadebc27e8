"""Samples beyond the volume, counted from geometry: against every sample's own position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ouroboros import Straightening, Trace, UserError
from napari_ouroboros.geometry.chunk_kernel import count_outside


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), on_halves=st.booleans(), along_axes=st.booleans())
def test_the_count_of_a_slice_is_that_of_its_samples(seed, on_halves, along_axes):
    rng = np.random.default_rng(seed)
    n, rows, columns = 12, 37, 41
    axes = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0] * rng.uniform(0.2, 2)
    if along_axes:
        axes = np.round(axes)
    start = rng.uniform(-60, 160, (n, 3))
    if on_halves:  # the limits themselves
        start = np.round(start * 2) / 2
    size = np.array([100, 80, 120])
    drow, dcolumn = (np.ascontiguousarray(axes[:, i]) for i in (0, 1))
    found = np.empty(n, np.int64)
    count_outside(start, drow, dcolumn, rows, columns, size, found)
    index = (
        start[:, None, None]
        + np.arange(rows)[:, None, None] * drow[:, None, None]
        + np.arange(columns)[:, None] * dcolumn[:, None, None]
    )
    inside = np.all((index >= -0.5) & (index < size - 0.5), axis=-1)
    np.testing.assert_array_equal(found, rows * columns - inside.sum(axis=(1, 2)))


def test_the_same_curve_elsewhere_is_another_map(tmp_path):
    points = np.cumsum(np.random.default_rng(2).normal(0, 400, (6, 3)), axis=0)
    here = Straightening(Trace(points), 20, 20, 10, 10)
    there = Straightening(Trace(points + [0, 0, 4000]), 20, 20, 10, 10)
    assert here.recipe_hash != there.recipe_hash
    here.save(tmp_path / "here.recipe.json")
    text = (tmp_path / "here.recipe.json").read_text().replace(
        here.recipe_hash, there.recipe_hash
    )  # fmt: skip
    (tmp_path / "here.recipe.json").write_text(text)
    with pytest.raises(UserError, match="does not give the map"):
        Straightening.load(tmp_path / "here.recipe.json")
