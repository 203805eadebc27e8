"""Folds and samples beyond the volume, slice by slice, against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from oracles.curves import Circle, Helix
from tests.operations.qa.conftest import SHAPE, SIDE, STEP, tissue

from napari_ouroboros import Straightening, Trace
from napari_ouroboros.operations.qa import Checks, Rules, geometry_checks, suspicious
from napari_ouroboros.volumes import Volume


@pytest.mark.parametrize("radius", [300.0, 110.0, 90.0])
def test_a_circle_folds_at_its_radius(radius: float) -> None:
    half = 100.0
    map_ = Straightening(Trace(Circle(radius).points(60), closed=True), 20, 20, 10.0, 10.0)
    checks = geometry_checks(map_)
    # N lies in the circle's plane or B does: the reach towards its centre is half a side.
    np.testing.assert_allclose(checks.fold, half / radius, rtol=2e-3)
    assert checks.folds.all() == (radius < half)
    assert checks.samples_outside is None
    np.testing.assert_allclose(checks.centres_nm, map_.to_volume(
        np.stack([np.arange(len(checks)), *np.full((2, len(checks)), 9.5)], -1)), atol=1e-9
    )  # fmt: skip


def test_a_helix_bends_alike_everywhere() -> None:
    helix = Helix(300.0, 100.0)
    map_ = Straightening(Trace(helix.position(np.linspace(0, 9, 90))), 21, 11, 8.0, 12.0)
    checks = geometry_checks(map_)
    # The corner reaches farthest, when the bend points there.
    low, high = 0.5 * 8 * 11 * helix.curvature, 0.5 * 8 * np.hypot(21, 11) * helix.curvature
    inner = checks.fold[5:-5]
    assert inner.min() >= low * 0.99
    assert inner.max() <= high * 1.01


def test_an_inserted_fold_is_found_at_its_slice() -> None:
    """A gentle S with one sharp bend: only slices at the bend fold, and each says so."""
    z = np.linspace(0, 3000, 31)
    y = 150 * np.sin(z / 600)
    points = np.stack([z, y, np.zeros_like(z)], -1)
    map_ = Straightening(Trace(points), 31, 31, 8.0, 10.0)
    assert not any(suspicious(Checks(geometry_checks(map_))))
    points[17, 1] += 90
    bent = Straightening(Trace(points), 31, 31, 8.0, 10.0)
    checks = geometry_checks(bent)
    reasons = suspicious(Checks(checks))
    at = [k for k, why in enumerate(reasons) if why]
    assert at
    distance = np.abs(bent.frames.c[at, 0] - z[17])
    assert distance.max() < 150
    assert distance.min() < 20
    assert all("folds" in reasons[k][0] for k in at)
    assert not any(suspicious(Checks(checks), Rules(fold=False)))


def test_samples_outside_are_counted(column: Straightening, written: Callable[..., Volume]) -> None:
    volume = written(tissue())
    assert not geometry_checks(column, volume).samples_outside.any()
    # Five planes beyond the end, and four columns beyond the side.
    ends = np.array([[0.5, 20.5, 6.5], [SHAPE[0] + 4.5, 20.5, 6.5]]) * STEP
    aside = Straightening(Trace(ends), SIDE, SIDE, STEP, STEP)
    checks = geometry_checks(aside, volume)
    expected = np.full(SHAPE[0] + 5, 4 * SIDE)
    expected[-5:] = SIDE * SIDE
    np.testing.assert_array_equal(checks.samples_outside, expected)
    reasons = suspicious(Checks(checks))
    assert reasons[0] == [f"84 samples ({100 * 84 / 441:.2g} %) lie outside the volume"]
    assert reasons[-1] == ["441 samples (100 %) lie outside the volume"]
