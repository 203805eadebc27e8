"""Labels between painted slices, against closed forms."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros.errors import Cancelled, UserError
from napari_ouroboros.operations.interpolate_labels import interpolate_labels, signed_distance
from napari_ouroboros.volumes.labels.label_array import LabelArray

BIG = 2**63 + 5


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    r, c = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(r - centre[0], c - centre[1]) <= radius


def volume(slices: int = 21, size: int = 61) -> NDArray[np.uint64]:
    return np.zeros((slices, size, size), np.uint64)


def filled(labels: Any, **options: Any) -> NDArray[Any]:
    """The labels with what was interpolated written into a copy."""
    out = np.array(labels)
    last = -1
    for k, rows, columns, values in interpolate_labels(labels, **options):
        assert k > last
        assert values.dtype == out.dtype
        last = k
        out[k, rows, columns] = values
    return out


def within_a_pixel(
    found: NDArray[np.bool_], centre: tuple[float, float], radius: float, by: float = 1.0
) -> None:
    """All of a disc that is a little smaller, and nothing beyond one a little larger."""
    assert not (disc(found.shape, centre, radius - by) & ~found).any()
    assert not (found & ~disc(found.shape, centre, radius + by)).any()


@pytest.mark.parametrize(("a", "b"), [(8, 20), (20, 8), (15, 15), (3, 25)])
def test_the_radius_of_discs_goes_over_linearly(a: float, b: float) -> None:
    labels = volume()
    labels[2][disc((61, 61), (30, 30), a)] = BIG
    labels[18][disc((61, 61), (30, 30), b)] = BIG
    out = filled(labels)
    for k in range(2, 19):
        within_a_pixel(out[k] == BIG, (30, 30), a + (b - a) * (k - 2) / 16)
    assert not out[:2].any()
    assert not out[19:].any()
    np.testing.assert_array_equal(out[[2, 18]], labels[[2, 18]])
    # A frustum: its volume in closed form.
    exact = np.pi * 16 / 3 * (a * a + a * b + b * b)
    ends = 0.5 * np.pi * (a * a + b * b)
    assert np.count_nonzero(out) - ends == pytest.approx(exact, rel=0.03)


def test_a_cone_that_ends_in_a_point() -> None:
    labels = volume(31, 81)
    labels[0][disc((81, 81), (40, 40), 30)] = 1
    labels[30][40, 40] = 1
    out = filled(labels)
    radii = 0.5 + 29.5 * (1 - np.arange(31) / 30)
    for k, radius in enumerate(radii):
        within_a_pixel(out[k] == 1, (40, 40), radius)
    assert np.count_nonzero(out) == pytest.approx(np.pi * (radii**2).sum(), rel=0.05)


def test_a_disc_that_is_shifted_is_half_way_at_half_way() -> None:
    labels = volume(11, 101)
    labels[0][disc((101, 101), (25, 20), 9)] = 300
    labels[10][disc((101, 101), (75, 60), 9)] = 300
    out = filled(labels)
    for k in range(11):
        f = k / 10
        within_a_pixel(out[k] == 300, (25 + 50 * f, 20 + 40 * f), 9)


def test_pixels_that_are_no_squares() -> None:
    """Rows three times as far apart: circles in nm are ellipses in pixels, and stay so."""
    labels = volume(9, 91)
    r, c = np.ogrid[:91, :91]
    nm = np.hypot(3.0 * (r - 45), c - 45)
    labels[0][nm <= 15] = 7
    labels[8][nm <= 39] = 7
    out = filled(labels, pixel_nm=(3.0, 1.0))
    for k in range(9):
        radius = 15 + 24 * k / 8
        assert ((out[k] == 7) | (nm > radius - 3)).all()
        assert ((out[k] != 7) | (nm <= radius + 3)).all()


def test_ids_are_never_mixed() -> None:
    """Of two cones that grow into each other each keeps its side of the line between them."""
    labels = volume(17, 81)
    for k, radius in ((0, 8), (16, 28)):
        labels[k][disc((81, 81), (40, 20), radius) & (np.arange(81) < 40)] = 1
        labels[k][disc((81, 81), (40, 60), radius) & (np.arange(81) > 40)] = 2**64 - 1
    out = filled(labels)
    assert set(np.unique(out).tolist()) == {0, 1, 2**64 - 1}
    assert not (out[:, :, 41:] == 1).any()
    assert not (out[:, :, :40] == 2**64 - 1).any()
    # The picture is its own mirror image but for the line itself, which the smaller id takes.
    mirrored = out[:, :, ::-1]
    np.testing.assert_array_equal((out == 1)[:, :, :40], (mirrored == 2**64 - 1)[:, :, :40])


def test_the_larger_distance_wins() -> None:
    """Against the definition, voxel by voxel, where two ids claim the same ground."""
    labels = volume(9, 41)
    labels[0, 10:30, 5:20] = 3
    labels[8, 10:30, 15:36] = 3
    labels[0, 10:30, 24:38] = 5
    labels[8, 10:30, 2:13] = 5
    edge = labels[:, ::-1].copy()
    edge[:, 0] = 3  # one piece that touches the edge: nothing moves along with its centroid
    edge[:, 40] = 5
    edge[1:8] = 0
    out = filled(edge)
    for k in range(1, 8):
        f = k / 8
        depth = {
            i: (1 - f) * signed_distance(edge[0] == i) + f * signed_distance(edge[8] == i)
            for i in (3, 5)
        }
        wanted = np.where(depth[3] >= depth[5], 3, 5)
        wanted[np.maximum(depth[3], depth[5]) < -1e-9] = 0
        np.testing.assert_array_equal(out[k], wanted)


def test_what_is_painted_stays() -> None:
    labels = volume()
    labels[0, 10:50, 10:50] = 1
    labels[10, 10:50, 10:50] = 1
    labels[5, 20:30, 20:30] = 9
    out = filled(labels)
    assert (out[5, 20:30, 20:30] == 9).all()
    assert (out[5, 10:20, 10:50] == 1).all()
    assert not filled(labels, keep_painted_slices=True)[5, 10:20].any()
    np.testing.assert_array_equal(out[[0, 10]], labels[[0, 10]])


def test_an_id_in_one_slice_gives_nothing() -> None:
    labels = volume()
    labels[3, 10:20, 10:20] = 4
    assert list(interpolate_labels(labels)) == []
    labels[4, 10:20, 10:20] = 4
    assert list(interpolate_labels(labels)) == []
    assert list(interpolate_labels(volume())) == []


def test_only_these() -> None:
    labels = volume()
    labels[[0, 6, 20], 10:20, 10:20] = 4
    labels[[0, 20], 40:50, 10:20] = 5
    assert np.unique(filled(labels, ids=[5])[3]).tolist() == [0, 5]
    between = filled(labels, between=(4, 9))
    assert sorted(np.flatnonzero(between.any(axis=(1, 2)))) == [0, 4, 5, 6, 7, 8, 20]
    np.testing.assert_array_equal(between[4:9], filled(labels)[4:9])
    gap = filled(labels, max_gap=5)
    assert gap[1:6, 15, 15].all()
    assert not gap[7:20].any()
    # A slice between two that count is made anew only when that is asked for.
    labels[6, 10:20, 10:40] = 4
    assert ((filled(labels, slices=[0, 20])[6] == 4) == (labels[6] == 4)).all()
    assert not filled(labels, slices=[0, 20], replace=True)[6, 10:20, 21:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slices": [0, 21]}, "no slice 21"),
        ({"ids": [0]}, "over 0"),
        ({"ids": []}, "over 0"),
        ({"between": (5, 22)}, "not among the 21"),
        ({"max_gap": 0}, "1 slice or more"),
        ({"pixel_nm": (0.0, 1.0)}, "over 0"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        interpolate_labels(volume(), **options)
    with pytest.raises(UserError, match="whole numbers"):
        interpolate_labels(np.zeros((3, 4, 5)))


def test_cancelled_between_two_slices() -> None:
    labels = volume()
    labels[[0, 20], 10:20, 10:20] = 4
    stop = threading.Event()
    found = interpolate_labels(labels, cancel=stop)
    assert next(found)[0] == 1
    stop.set()
    with pytest.raises(Cancelled):
        next(found)


def test_labels_on_disk_written_as_they_come(tmp_path: Path) -> None:
    """Of labels on disk only what is painted is read, and each slice may be written at once."""
    plain = volume()
    plain[[1, 9]] = np.where(disc((61, 61), (30, 30), 12), BIG, 0)
    plain[[4, 19]] = disc((61, 61), (10, 12), 5)
    labels = LabelArray.create(tmp_path / "l", plain.shape, "uint64", chunks=(4, 16, 16))
    labels[:] = plain
    for k, rows, columns, values in interpolate_labels(labels):
        labels[k, rows, columns] = values
    np.testing.assert_array_equal(labels[:], filled(plain))


def test_reads_no_more_than_the_painted_slices(tmp_path: Path) -> None:
    labels = LabelArray.create(tmp_path / "l", (100_000, 64, 64), "uint64")
    labels[50_000, 10:20, 10:20] = labels[50_004, 10:20, 10:20] = 3
    assert [k for k, *_ in interpolate_labels(labels)] == [50_001, 50_002, 50_003]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_any_labels(seed: int) -> None:
    """Whatever is painted: nothing painted changes, and no id leaves its painted slices' range."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((9, 12, 13), np.uint16)
    for k in rng.choice(9, 4, replace=False):
        labels[k] = rng.choice([0, 0, 1, 300, 65535], (3, 13)).repeat(4, 0)
    out = filled(labels)
    np.testing.assert_array_equal(out[labels != 0], labels[labels != 0])
    for i in (1, 300, 65535):
        was, now = (np.flatnonzero((a == i).any(axis=(1, 2))) for a in (labels, out))
        assert len(was) == len(now) == 0 or (was[0] <= now[0] and now[-1] <= was[-1])
        # Within painted slices nothing is added of an id that is painted there.
        np.testing.assert_array_equal((out == i)[was], (labels == i)[was])


@pytest.mark.parametrize(("a", "b", "k"), [(10, 50, 1), (50, 10, 15), (7, 8, 8), (20, 33, 3)])
def test_a_straight_edge_goes_over_linearly(a: int, b: int, k: int) -> None:
    """By its outline, half a pixel beyond the last centre, not by centres of pixels."""
    labels = volume(17)
    labels[0, :, :a] = labels[16, :, :b] = BIG
    edge = a - 0.5 + (b - a) * k / 16
    expected = np.arange(61) <= edge
    np.testing.assert_array_equal(filled(labels)[k] == BIG, np.broadcast_to(expected, (61, 61)))


def test_of_equal_claims_the_smaller_id_gets_the_pixel() -> None:
    """Two that change places meet halfway, one exactly over the other."""
    labels = volume(3, 25)
    left, right = (slice(8, 13), slice(4, 9)), (slice(8, 13), slice(12, 17))
    labels[0][left], labels[0][right] = 9, 4
    labels[2][left], labels[2][right] = 4, 9
    between = filled(labels)[1]
    assert np.unique(between).tolist() == [0, 4]
    assert between[10, 10] == 4
