"""Labels slice by slice: closed forms, and only what changed is read again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ouroboros import Cancelled, Straightening, Trace
from napari_ouroboros.operations.qa import (
    Checks,
    LabelChecks,
    geometry_checks,
    label_checks,
    suspicious,
)
from napari_ouroboros.volumes.labels.label_array import LabelArray

PITCH = 4.0


def along_z(n: int = 40, rows: int = 101, columns: int = 121) -> Straightening:
    ends = np.array([[0.0, 900, 900], [(n - 1) * 10.0, 900, 900]])
    return Straightening(Trace(ends), columns, rows, PITCH, 10.0)


def disc(map_: Straightening, radius: float, v: float = 0, u: float = 0) -> NDArray[np.bool_]:
    """Pixels of a slice within `radius` nm of (v, u) nm."""
    _, rows, columns = map_.shape
    y = (np.arange(rows) - (rows - 1) / 2) * map_.pitch_nm
    x = (np.arange(columns) - (columns - 1) / 2) * map_.pitch_nm
    return np.hypot(y[:, None] - v, x - u) < radius


def tube(map_: Straightening, radius: float = 90.5) -> NDArray[np.uint16]:
    return np.repeat(disc(map_, radius)[None].astype(np.uint16), map_.shape[0], 0)


def reasons_of(labels: Any, map_: Straightening) -> list[list[str]]:
    checks = Checks(geometry_checks(map_), labels=label_checks(labels, map_))
    return suspicious(checks, half_side_nm=0.5 * PITCH * min(map_.shape[1:]))


def equal(a: LabelChecks, b: LabelChecks) -> None:
    for name, values in vars(a).items():
        np.testing.assert_array_equal(values, getattr(b, name), err_msg=name)


def test_a_disc_off_the_centre() -> None:
    map_ = along_z()
    labels = tube(map_)
    labels[7] = disc(map_, 60.5, -48, 36)
    labels[9] = 0
    checks = label_checks(labels, map_)
    assert checks.area_nm2[3] == pytest.approx(np.pi * 90.5**2, rel=0.01)
    assert checks.diameter_nm[3] == pytest.approx(181, rel=0.005)
    assert checks.off_centre_nm[3] == pytest.approx(0, abs=1e-9)
    assert checks.diameter_nm[7] == pytest.approx(121, rel=0.01)
    assert checks.off_centre_nm[7] == pytest.approx(60)
    assert (checks.rows[7], checks.columns[7]) == (50 - 12, 60 + 9)
    assert (checks.samples[9], checks.area_nm2[9], checks.diameter_nm[9]) == (0, 0, 0)
    assert np.isnan([checks.rows[9], checks.columns[9], checks.off_centre_nm[9]]).all()


def test_what_is_odd_is_named_where_it_is() -> None:
    map_ = along_z()
    labels = tube(map_)
    assert not any(reasons_of(labels, map_))
    labels[5] = disc(map_, 90.5, 0, 130)  # off the centre: half of half the side is 101 nm
    labels[12] = 0
    labels[20] = disc(map_, 45.5)
    labels[30] = disc(map_, 90.5, 150)  # over the edge
    labels[39] = 0  # the end of the label is no gap
    reasons = reasons_of(labels, map_)
    named = {k: why for k, why in enumerate(reasons) if why}
    # The slice behind a thin one is thick again.
    assert set(named) == {5, 12, 20, 21, 30}
    assert named[5] == ["the labels are 130 nm off the centre (limit 101 nm)"]
    assert named[12] == ["has no label, and slices before and behind it have"]
    assert named[20][0].startswith("the labels' diameter is 91 nm, and 181 nm in the slice before")
    assert any("the label may be cut off" in why for why in named[30])


def test_labels_at_the_edge_of_a_slice() -> None:
    map_ = along_z(5, 10, 10)
    labels = np.zeros(map_.shape, np.uint8)
    labels[1, 0, 3:6] = labels[2, 4:8, 9] = labels[3, 1:9, 1:9] = 1
    labels[4] = 1
    assert label_checks(labels, map_).edge_samples.tolist() == [0, 3, 4, 0, 36]


def test_labels_that_are_larger_than_the_slices_are_no_news() -> None:
    map_ = along_z(10, 20, 20)
    labels = np.ones(map_.shape, np.uint8)
    assert not any(reasons_of(labels, map_))
    labels[:5] = 0
    labels[:5, 5:15, 5:15] = 1
    named = [k for k, why in enumerate(reasons_of(labels, map_)) if any("edge" in w for w in why)]
    assert named == [5, 6, 7, 8, 9]


def test_some_ids_only() -> None:
    map_ = along_z(4, 8, 8)
    labels = np.zeros(map_.shape, np.uint64)
    labels[0, 2, 2], labels[1, 2, 2], labels[2, 2, 2] = 2**63, 2**63 + 1, 300
    assert label_checks(labels, map_, ids=[2**63, 300]).samples.tolist() == [1, 0, 1, 0]
    narrow = np.ones(map_.shape, np.uint8)
    assert not label_checks(narrow, map_, ids=[257, 0]).samples.any()  # 257 is not 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), first=st.integers(-3, 13), length=st.integers(0, 14))
def test_looking_again_is_looking_at_all(seed: int, first: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    map_ = along_z(12, 7, 9)
    labels = rng.integers(0, 2, map_.shape).astype(np.uint8)
    before = label_checks(labels, map_)
    kept = {name: values.copy() for name, values in vars(before).items()}
    part = slice(max(first, 0), max(first + length, 0))
    labels[part] = rng.integers(0, 2, labels[part].shape)
    after = label_checks(labels, map_, previous=before, changed=(first, first + length))
    equal(after, label_checks(labels, map_))
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(before, name), values)


class Watched:
    """Labels that note which slices are read."""

    ndim, dtype = 3, np.dtype(np.uint16)

    def __init__(self, labels: NDArray[np.uint16]) -> None:
        self.labels, self.shape = labels, labels.shape
        self.seen: set[int] = set()

    def read(self, k0: int, k1: int) -> NDArray[np.uint16]:
        self.seen.update(range(k0, k1))
        return self.labels[k0:k1]


def test_only_changed_slices_are_read_again() -> None:
    map_ = along_z(300)
    labels = Watched(tube(map_))
    before = label_checks(labels, map_)
    assert labels.seen == set(range(300))
    labels.seen.clear()
    labels.labels[100:103] = 0
    after = label_checks(labels, map_, previous=before, changed=(100, 103))
    assert labels.seen == {100, 101, 102}
    equal(after, label_checks(labels, map_))


def test_a_label_array_on_disk(tmp_path: Path) -> None:
    map_ = along_z(64, 50, 60)
    array = LabelArray.create(tmp_path / "labels", map_.shape, np.uint64)
    array[20:24, 10:20, 10:30] = 2**63
    before = label_checks(array, map_)
    assert before.samples.tolist() == [200 if 20 <= k < 24 else 0 for k in range(64)]
    boxes: list[Any] = []
    array.changed.connect(lambda change: boxes.append(change.box))
    array[22:40, 0:5, 0:5] = 7
    after = label_checks(array, map_, previous=before, changed=boxes[-1][0])
    equal(after, label_checks(np.asarray(array), map_))
    assert after.samples[39] == 25


def test_cancel() -> None:
    map_ = along_z(5, 10, 10)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        label_checks(np.ones(map_.shape, np.uint8), map_, cancel=stop)
