"""Intensity, missing chunks and jumps: against the voxels themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from tests.operations.qa.conftest import SHAPE, SIDE, STEP, WINDOW, tissue

from napari_ouroboros import Cancelled, Straightening, Trace
from napari_ouroboros.operations.qa import (
    Checks,
    ImageChecks,
    Rules,
    following,
    geometry_checks,
    image_checks,
    image_cost,
    suspicious,
)
from napari_ouroboros.volumes import Volume

N = SHAPE[0]


def reasons_of(volume: Volume, map_: Straightening, rules: Rules | None = None) -> list[list[str]]:
    checks = Checks(geometry_checks(map_, volume), image=image_checks(volume, map_))
    return suspicious(checks, rules)


def test_numbers_are_those_of_the_voxels(
    column: Straightening, written: Callable[..., Volume]
) -> None:
    voxels = tissue()
    checks = image_checks(written(voxels), column)
    crop = voxels[:, WINDOW, WINDOW].reshape(N, -1).astype(float)
    np.testing.assert_allclose(checks.mean, crop.mean(1))
    np.testing.assert_allclose(checks.std, crop.std(1))
    assert np.isnan(checks.jump[0])
    expected = [1 - np.corrcoef(crop[k - 1], crop[k])[0, 1] for k in range(1, N)]
    np.testing.assert_allclose(checks.jump[1:], expected, atol=1e-12)
    assert checks.done.all()
    assert (checks.samples == SIDE * SIDE).all()
    assert not checks.chunks_missing.any()


def test_one_shifted_slice_is_found(column: Straightening, written: Callable[..., Volume]) -> None:
    voxels = tissue()
    assert not any(reasons_of(written(voxels), column))
    voxels[20] = np.roll(voxels[20], (5, -4), (0, 1))
    reasons = reasons_of(written(voxels), column)
    assert [k for k, why in enumerate(reasons) if why] == [20]
    assert reasons[20][0].startswith("differs from both neighbouring slices (jump ")
    assert following(reasons, 3) == following(reasons, 20) == following(reasons, 30) == 20
    assert following(reasons, 3, -1) == 20
    assert not any(reasons_of(written(voxels), column, Rules(jump=None)))


def test_a_shift_of_all_that_follows_is_found_where_it_begins(
    column: Straightening, written: Callable[..., Volume]
) -> None:
    voxels = tissue()
    voxels[30:] = np.roll(voxels[30:], (5, -4), (1, 2))
    # The window has other voxels now, of another mean.
    reasons = reasons_of(written(voxels), column, Rules(intensity=None))
    assert [k for k, why in enumerate(reasons) if why] == [30]
    assert reasons[30][0].startswith("jumps from slice 29 ")


def test_a_darker_and_an_empty_slice_are_found(
    column: Straightening, written: Callable[..., Volume]
) -> None:
    voxels = tissue()
    voxels[12] = voxels[12] // 2
    voxels[25] = 77
    reasons = reasons_of(written(voxels), column)
    assert [k for k, why in enumerate(reasons) if why] == [12, 25]
    assert any(why.startswith("mean intensity is") for why in reasons[12])
    assert reasons[25][0] == "is empty: all of it has the value 77"


def test_missing_chunks_are_counted_where_they_are_needed(
    column: Straightening, written: Callable[..., Volume]
) -> None:
    voxels = tissue()
    whole = image_checks(written(voxels), column)
    # Planes 16 to 23: of the 2 x 2 chunks that slices see one, then two are gone.
    volume = written(voxels, leave_out=[(2, 1, 1), (3, 0, 0), (3, 1, 0)])
    checks = image_checks(volume, column, interpolation="nearest")
    expected = np.zeros(N, int)
    expected[16:24], expected[24:32] = 1, 2
    np.testing.assert_array_equal(checks.chunks_missing, expected)
    # What is not there is no picture: it makes no jump, and no darkness.
    crop = voxels[:, WINDOW, WINDOW].astype(float)
    left = crop.copy()
    left[16:24, 6:, 6:] = np.nan
    left[24:32, :, :6] = np.nan
    np.testing.assert_allclose(checks.mean, np.nanmean(left, axis=(1, 2)))
    untouched = expected == 0
    np.testing.assert_array_equal(checks.mean[untouched], whole.mean[untouched])
    reasons = suspicious(Checks(geometry_checks(column), image=checks))
    assert reasons[16] == ["a chunk is missing"]
    assert reasons[31] == ["2 chunks are missing"]
    assert not any(reasons[k] for k in np.flatnonzero(untouched))
    # Between two planes a sample needs both.
    ends = column.trace.points_nm + np.array([[0.5 * STEP, 0, 0], [-0.5 * STEP, 0, 0]])
    between = Straightening(Trace(ends), SIDE, SIDE, STEP, STEP)
    expected = np.zeros(N - 1, int)
    expected[15:24], expected[24:32] = 1, 2
    expected[23] = 3
    np.testing.assert_array_equal(image_checks(volume, between).chunks_missing, expected)


def test_what_lies_outside_does_not_count(
    column: Straightening, written: Callable[..., Volume]
) -> None:
    voxels = tissue()
    ends = np.array([[0.5, 20.5, 6.5], [N + 2.5, 20.5, 6.5]]) * STEP
    map_ = Straightening(Trace(ends), SIDE, SIDE, STEP, STEP)
    checks = image_checks(written(voxels), map_)
    inside = voxels[:, WINDOW, :17].reshape(N, -1).astype(float)
    np.testing.assert_allclose(checks.mean[:N], inside.mean(1))
    assert np.isnan(checks.mean[N:]).all()
    assert np.isnan(checks.jump[N:]).all()
    assert (checks.samples[N:] == 0).all()


def test_ids_differ_or_do_not(column: Straightening, written: Callable[..., Volume]) -> None:
    ids = np.full(SHAPE, 2**64 - 1, np.uint64)
    ids[20] = 2**64 - 2  # the same as a float
    checks = image_checks(written(ids, kind="segmentation"), column)
    assert np.isnan(checks.mean).all()
    expected = np.zeros(N)
    expected[[20, 21]] = 1
    np.testing.assert_array_equal(checks.jump[1:], expected[1:])


def test_a_closed_trace_has_no_first_slice(written: Callable[..., Volume]) -> None:
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([0 * turn + 24, 20 + 9 * np.sin(turn), 20 + 9 * np.cos(turn)], -1) * STEP
    map_ = Straightening(Trace(ring, closed=True), 7, 7, STEP, STEP)
    checks = image_checks(written(tissue()), map_)
    assert np.isfinite(checks.jump).all()


def test_the_cost_is_what_is_fetched(column: Straightening, written: Callable[..., Volume]) -> None:
    cost = image_cost(written(tissue()), column)
    # Six layers of chunks, of each the four that the window of 10 to 30 needs.
    assert (cost.slices, cost.chunks, cost.bytes_to_fetch) == (N, 24, 24 * 8 * 16 * 16)
    assert cost.text == "48 slices, 24 chunks, 0.0492 MB to fetch"
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        image_cost(written(tissue()), column, cancel=stop)


def test_partial_results_and_cancel(
    column: Straightening, written: Callable[..., Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ouroboros.operations import boxes
    from napari_ouroboros.operations.qa import image

    thin = [boxes.Box((k, k + 8), (0, SIDE), (0, SIDE)) for k in range(0, N, 8)]
    monkeypatch.setattr(image, "slabs", lambda *_: thin)
    volume = written(tissue())
    come: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []

    def partial(checks: ImageChecks, first: int, last: int) -> None:
        assert checks.done[:last].all()
        assert not checks.done[last:].any()
        assert np.isnan(checks.mean[last:]).all()
        come.append((first, last))

    image_checks(volume, column, partial=partial, progress=lambda *x: told.append(x))
    assert come == [(k, k + 8) for k in range(0, N, 8)]
    assert told == [(k, N) for k in range(0, N + 1, 8)]
    stop = threading.Event()
    come.clear()
    with pytest.raises(Cancelled):
        image_checks(
            volume, column, cancel=stop,
            partial=lambda _c, first, last: (come.append((first, last)), stop.set()),
        )  # fmt: skip
    assert come == [(0, 8)]
