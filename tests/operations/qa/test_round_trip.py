"""There and back again: against following every sample by itself, and against the promise."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from oracles.curves import Circle

from napari_ouroboros import Cancelled, Straightening, Trace, UserError
from napari_ouroboros.geometry import Grid
from napari_ouroboros.operations.qa import (
    Checks,
    RoundTripChecks,
    geometry_checks,
    round_trip_checks,
    suspicious,
)

GRID = Grid((60, 60, 60), (8.0,) * 3, (-30.0, -30, -30))


def ring(radius: float, side: int, pitch: float) -> Straightening:
    return Straightening(Trace(Circle(radius).points(40), closed=True), side, side, pitch, pitch)


def test_slices_drawn_coarser_than_the_voxels_come_back_whole() -> None:
    # d (1 - kappa w) > |h| and p > |h|: here 40 (1 - 60 / 160) = 25 > 8 sqrt 3 = 13.9.
    checks = round_trip_checks(
        Straightening(Trace(Circle(160.0).points(40), closed=True), 3, 3, 40.0, 40.0), GRID
    )
    assert (checks.agreement == 1).all()
    assert (checks.contested == 0).all()
    assert (checks.tested == 9).all()


def test_every_sample_followed_by_itself() -> None:
    map_ = ring(120.0, 21, 5.0)
    checks = round_trip_checks(map_, GRID, samples=21 * 21)
    for k in (0, 5, len(checks) - 1):
        index = np.array([(k, r, c) for r in range(21) for c in range(21)])
        voxel = np.round(GRID.to_index(map_.to_volume(index)))
        back = np.round(map_.to_straightened(GRID.to_nm(voxel)))
        back[:, 0] %= len(checks)
        assert checks.tested[k] == 441
        assert checks.agreement[k] == pytest.approx(np.mean((back == index).all(1)), abs=0.01)
    assert checks.agreement.max() < 1  # finer than the voxels: it cannot be


def test_a_hairpin_is_contested_where_its_legs_meet() -> None:
    """Two legs 60 nm apart with slices 90 nm wide: each claims a part of the other."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 13)[1:-1]
    bend = np.stack([0 * turn, 30 * np.sin(turn), 150 + 30 * np.cos(turn)], -1)
    legs = np.linspace(-180, 140, 17)
    there = np.stack([0 * legs, 0 * legs - 30, legs], -1)
    back = np.stack([0 * legs, 0 * legs + 30, legs[::-1]], -1)
    wide = Straightening(Trace(np.concatenate([there, bend, back])), 9, 9, 10.0, 10.0)
    narrow = Straightening(Trace(np.concatenate([there, bend, back])), 5, 5, 10.0, 10.0)
    legs_only = np.abs(wide.frames.c[:, 2]) < 100
    contested = round_trip_checks(wide, GRID, samples=81).contested
    # Pixels from 20 nm off the one line on lie within 45 nm of the other: three columns of nine.
    assert contested[legs_only].min() > 0.2
    assert contested[legs_only].max() < 0.5
    assert not round_trip_checks(narrow, GRID, samples=25).contested[legs_only].any()
    checks = Checks(geometry_checks(wide), round_trip=round_trip_checks(wide, GRID, samples=81))
    reasons = suspicious(checks)
    for k in np.flatnonzero(legs_only):
        assert any("of its voxels lie in other slices, too" in why for why in reasons[k])


def test_what_lies_outside_is_not_tested() -> None:
    ends = np.array([[0.0, 0, 0], [0, 0, 600]])  # the voxels end at 240
    checks = round_trip_checks(Straightening(Trace(ends), 5, 5, 20.0, 20.0), GRID, samples=25)
    x = np.arange(len(checks)) * 20.0
    np.testing.assert_array_equal(checks.tested, np.where(x < 240, 25, 0))
    assert np.isnan(checks.agreement[x >= 240]).all()
    assert np.isfinite(checks.agreement[x < 240]).all()


def test_partial_results_progress_and_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_ouroboros.operations.qa.round_trip._BATCH", 200)
    map_ = ring(120.0, 9, 10.0)
    whole = round_trip_checks(map_, GRID, threads=1)
    come: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []

    def partial(checks: RoundTripChecks, first: int, last: int) -> None:
        assert (checks.tested[first:last] > 0).all()
        come.append((first, last))

    again = round_trip_checks(map_, GRID, partial=partial, progress=lambda *x: told.append(x))
    np.testing.assert_array_equal(again.agreement, whole.agreement)
    assert sorted(k for a, b in come for k in range(a, b)) == list(range(len(whole)))
    assert told[0][0] == 0
    assert told[-1] == (len(come), len(come))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        round_trip_checks(map_, GRID, cancel=stop)
    with pytest.raises(UserError, match="at least one sample"):
        round_trip_checks(map_, GRID, samples=0)
