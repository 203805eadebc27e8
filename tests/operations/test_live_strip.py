"""The strip while a point is dragged: only what moved is computed, and in the end all is exact."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer
from numpy.typing import NDArray
from oracles.precomputed import write_by_hand
from scipy.spatial import cKDTree

from napari_ouroboros import Straightening, Trace, UserError, Volume, open_volume, straighten
from napari_ouroboros.errors import Cancelled
from napari_ouroboros.geometry.anchoring import reanchored
from napari_ouroboros.operations.live_strip import COARSE, EMPTY, SHARP, STALE, LiveStrip, Strip
from napari_ouroboros.operations.preview import Preview

Floats = NDArray[np.float64]
STEP, CHUNK = 8.0, (16, 16, 16)
SHAPE = (200, 40, 48)
N_POINTS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    fine = rng.integers(0, 255, (1, *SHAPE), np.uint8)
    path = tmp_path_factory.mktemp("live") / "v"
    levels = [fine, fine[:, ::2, ::2, ::2].copy(), fine[:, ::4, ::4, ::4].copy()]
    write_by_hand(
        path, levels, chunk=CHUNK, offsets=[(0, 0, 0)] * 3,
        resolutions=[(STEP * k,) * 3 for k in (1, 2, 4)],
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def volume(folder: Path) -> Iterator[Volume]:
    volume = open_volume(folder)
    yield volume
    volume.close()


def points(closed: bool = False) -> Floats:
    if closed:
        angle = 2 * np.pi * np.arange(N_POINTS) / N_POINTS
        ring = np.stack([np.sin(angle), 0.1 * np.sin(3 * angle), 0.12 * np.cos(angle)], -1)
        return np.asarray((ring * 90 + [100, 20, 24]) * STEP)
    t = np.linspace(0, 1, N_POINTS)
    wave = np.stack([10 + 180 * t, 20 + 6 * np.sin(5 * t), 24 + 6 * np.cos(4 * t)], -1)
    return np.asarray(wave * STEP)


def map_of(where: Floats, closed: bool = False, **options: object) -> Straightening:
    settings: dict[str, object] = {"pitch_nm": STEP, "spacing_nm": STEP} | options
    return Straightening(Trace(where, closed), 21, 15, **settings)  # type: ignore[arg-type]


def dragged(where: Floats, i: int, by: float = 9.0) -> Floats:
    moved = where.copy()
    moved[i] += [0.0, by, -by]
    return moved


def places(old: Straightening, tolerance: float) -> cKDTree:
    """So many of the curve that the nearest of them is as far as the curve itself."""
    n = int(10 * old.curve.length / tolerance)
    return cKDTree(old.curve.at(np.linspace(0, old.curve.length, n)))


def moved_slices(old: cKDTree, new: Straightening, tolerance: float) -> NDArray[np.bool_]:
    """By brute force: spans of the trace on which some place is farther from the old curve."""
    ends = new.curve.arc_length(new.curve.parameters)
    out = np.zeros(len(new.frames), bool)
    for a, b in zip(ends, ends[1:], strict=False):
        away = old.query(new.curve.at(np.linspace(a, b, 60)))[0]
        if away.max() > tolerance:
            out |= (new.frames.s >= a - 1e-6) & (new.frames.s <= b + 1e-6)
    return out


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("i", [0, 12, 23])
@pytest.mark.filterwarnings("ignore::napari_ouroboros.Notice")
def test_a_drag_computes_what_moved_and_no_more(closed: bool, i: int, volume: Volume) -> None:
    start = map_of(points(closed), closed)
    before_the_drag = places(start, 0.01 * STEP)
    with Preview(volume) as preview:
        live = LiveStrip(preview)
        live.update(start)
        assert live.computed == len(start.frames)
        for by in (3.0, 9.0, -20.0):
            new_trace = Trace(dragged(points(closed), i, by), closed)
            twist, _ = reanchored(start.trace, None, new_trace, [], start.reach_nm, 0.01 * STEP)
            new = map_of(new_trace.points_nm, closed, twist=twist)
            before = live.computed
            strip = live.update(new, dragging=True)
            moved = moved_slices(before_the_drag, new, 0.01 * STEP)
            assert live.computed - before == len(live.computed_last)
            assert set(live.computed_last) <= set(np.flatnonzero(moved))
            # The dragged point's own neighbourhood is among them.
            assert len(live.computed_last) >= 0.5 * moved.sum()
            assert (strip.quality == SHARP).all()
            whole = straighten(volume, new).compute()[:, 7]
            np.testing.assert_array_equal(
                strip.image[live.computed_last], whole[live.computed_last]
            )
        assert 0.1 < moved.mean() < 0.9


@pytest.mark.parametrize("axis", ["column", "row"])
@pytest.mark.parametrize("step", [1, 3])
def test_released_it_is_the_whole_volumes(axis: str, step: int, volume: Volume) -> None:
    start = map_of(points())
    new = map_of(dragged(points(), 11))
    n = len(new.frames)
    with Preview(volume) as preview:
        live = LiveStrip(preview)
        options = {"axis": axis, "at": 5, "step": step}
        live.update(start, slices=(3, len(start.frames) - 2), **options)  # type: ignore[arg-type]
        live.update(new, slices=(3, n - 4), dragging=True, **options)  # type: ignore[arg-type]
        strip = live.update(new, slices=(3, n - 4), **options)  # type: ignore[arg-type]
        whole = straighten(volume, new).compute()
        expected = whole[3 : n - 4 : step, 5] if axis == "column" else whole[3 : n - 4 : step, :, 5]
        np.testing.assert_array_equal(strip.image, expected)
        np.testing.assert_array_equal(strip.slices, np.arange(3, n - 4, step))
        assert strip.exact


def test_kept_rows_are_those_of_the_slices_that_stayed(volume: Volume) -> None:
    """Behind the dragged point the curve is longer: rows move along, by whole slices."""
    start = map_of(points())
    new = map_of(dragged(points(), 6, 30.0))
    with Preview(volume) as preview:
        live = LiveStrip(preview)
        first = live.update(start).image
        strip = live.update(new, dragging=True)
    kept = np.setdiff1d(np.arange(len(new.frames)), live.computed_last)
    behind = kept[kept > len(new.frames) // 2]
    shift = new.curve.length - start.curve.length
    old = np.round((new.frames.s[behind] - shift) / start.spacing_nm).astype(int)
    inside = old < len(first)
    assert inside.sum() > 20
    np.testing.assert_array_equal(strip.image[behind[inside]], first[old[inside]])


def test_other_settings_start_afresh(volume: Volume) -> None:
    start = map_of(points())
    with Preview(volume) as preview:
        live = LiveStrip(preview)
        live.update(start)
        n = len(start.frames)
        for options in ({"at": 3}, {"axis": "row"}, {"mip": 1}, {"interpolation": "nearest"}):
            before = live.computed
            live.update(start, dragging=True, **options)  # type: ignore[arg-type]
            assert live.computed - before == n
        live.update(start)
        before = live.computed
        live.update(start, dragging=True)
        assert live.computed == before
        turned = map_of(points(), twist=[(0.0, 30.0)])
        live.update(turned, dragging=True)
        assert live.computed - before == n
        live.forget()
        live.update(turned, dragging=True)
        assert live.computed - before == 2 * n


def test_long_traces_have_rows_for_a_screen(volume: Volume) -> None:
    start = map_of(points(), spacing_nm=0.5)
    with Preview(volume) as preview:
        strip = LiveStrip(preview).update(start)
    assert 500 < len(strip.image) <= 1000
    step = strip.slices[1]
    whole = straighten(volume, start).compute()[::step, 7]
    np.testing.assert_array_equal(strip.image, whole)


def test_coarse_first_then_sharp(folder: Path, http_server: Callable[..., LocalServer]) -> None:
    server = http_server(folder, bucket=True)
    shown: list[Strip] = []
    with Preview(open_volume(f"precomputed://{server.url}")) as preview:
        start = map_of(points())
        live = LiveStrip(preview)
        final = live.update(start, show=shown.append)
        qualities = [strip.quality for strip in shown]
        assert (qualities[0] == EMPTY).all()
        assert (qualities[1] == COARSE).all()
        assert all((b >= a).all() for a, b in zip(qualities, qualities[1:], strict=False))
        np.testing.assert_array_equal(shown[1].image, preview.strip(start, mip=2))
        assert (final.quality == SHARP).all()
        assert live.computed == len(start.frames)
        # What was shown does not change under the eyes of who shows it.
        assert not np.array_equal(shown[1].image, final.image)
        # While dragging: what is known at once, and stale rows where it is not.
        shown.clear()
        live.update(map_of(dragged(points(), 12)), dragging=True, show=shown.append)
        assert set(shown[0].quality) == {STALE, SHARP}


def test_cancelled_in_mid_air(folder: Path, http_server: Callable[..., LocalServer]) -> None:
    server = http_server(folder, bucket=True)
    with Preview(open_volume(f"precomputed://{server.url}")) as preview:
        live = LiveStrip(preview)
        live.update(map_of(points()), mip=2)
        server.fault("*mip0/*", "silent")
        cancel = threading.Event()
        shown: list[Strip] = []

        def show(strip: Strip) -> None:
            shown.append(strip)
            if (strip.quality == COARSE).all():
                threading.Timer(0.05, cancel.set).start()

        with pytest.raises(Cancelled):
            live.update(map_of(points()), show=show, cancel=cancel)
        assert (shown[-1].quality == COARSE).all()
        # Nothing of what was cancelled is taken for whole.
        before = live.computed
        live.update(map_of(points()), mip=2, dragging=True)
        assert live.computed == before


def test_bad_input(volume: Volume) -> None:
    with Preview(volume) as preview:
        live = LiveStrip(preview)
        for options, message in [
            ({"axis": "slice"}, "axis must be"),
            ({"slices": (5, 3)}, "slices 5:3"),
            ({"step": 0}, "step must be"),
            ({"at": 99}, "there is no row 99"),
            ({"mip": 9}, "there is no mip 9"),
        ]:
            with pytest.raises(UserError, match=message):
                live.update(map_of(points()), **options)  # type: ignore[arg-type]
